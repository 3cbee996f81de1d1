// One tool call, from the model's arguments to the result it receives.

import { isAbort } from '../base/abort.ts';
import type { Json, JsonObject } from '../base/json.ts';
import type { ToolCall } from '../conversations/message.ts';
import { INVALID_NAME, isToolName } from '../models/well-formed-call.ts';
import type { CheckBudget } from '../schema/schema.ts';
import type { MessageTurn, Reply, ToolCallContext, ToolCallOutcome, ToolRun } from './agent.ts';
import { HandOver } from './hand-over.ts';
import { checkedInTime, parseArguments } from './tool-arguments.ts';
import { resultText } from './tool-result.ts';
import type { Tool } from './tool.ts';

/** Longest tool result sent to the model, in UTF-16 code units. */
export const MAX_RESULT_LENGTH = 65_536;

type CallStatus = 'running' | ToolCallOutcome;

/** The metrics label for all unknown tools, because a model may invent any name. */
const UNKNOWN_TOOL = 'unknown';

/**
 * How to run a call: checks its arguments and tells the browser about it. All calls of a round
 * share the budget.
 */
export function toolRun<S>(
  call: ToolCall,
  tools: readonly Tool<S>[],
  turn: MessageTurn<S>,
  reply: Reply,
  budget: CheckBudget,
): ToolRun {
  const tool = tools.find(({ name }) => name === call.name);
  if (tool === undefined) return { run: () => refuseUnknown(call.name, turn, reply) };
  const { whenInterrupted, repeatable } = tool;
  const runTool = (context: ToolCallContext): Promise<string> =>
    run(tool, call.args, context, turn, reply, budget);
  return { whenInterrupted, repeatable, run: runTool };
}

async function run<S>(
  tool: Tool<S>,
  json: string,
  call: ToolCallContext,
  turn: MessageTurn<S>,
  reply: Reply,
  budget: CheckBudget,
): Promise<string> {
  const report = (status: CallStatus, more: JsonObject): void => {
    tellBrowser(tool, status, more, reply);
    if (status !== 'running') turn.journal.noteToolOutcome(tool.name, status);
  };
  const parsed = parseArguments(json);
  if ('problem' in parsed) {
    report('failed', { args: json });
    return refusal(parsed.problem);
  }
  const { args } = parsed;
  try {
    const checked = await checkedInTime(tool.check(args, budget), call.signal);
    call.signal.throwIfAborted(); // the turn may have ended meanwhile
    if ('problem' in checked) {
      report('failed', { args: json });
      return refusal(checked.problem);
    }
    const { conversationId, turnId, metadata, caller, state, log } = turn;
    const context = { ...call, reply, conversationId, turnId, metadata, caller, state, log };
    report('running', { args });
    const result = await tool.run(checked.args, context);
    if (result instanceof HandOver) await turn.journal.handOver(call.toolCallId, result.agent);
    const text = resultText(result);
    report('completed', { args, result: shown(result, text) });
    return cut(text);
  } catch (error) {
    // The browser does not learn why: a tool's error may name hosts and keys.
    const isInterrupted = call.signal.aborted && isAbort(error, call.signal.reason);
    report(isInterrupted ? 'interrupted' : 'failed', { args });
    throw error;
  }
}

/** An error that the model may fix. */
function refusal(problem: string): string {
  return JSON.stringify({ error: problem });
}

function refuseUnknown(name: string, { journal }: MessageTurn, reply: Reply): string {
  journal.noteToolOutcome(UNKNOWN_TOOL, 'failed');
  const isName = isToolName(name);
  void reply.data({ tool: isName ? name : INVALID_NAME, status: 'failed' });
  if (isName) return refusal(`there is no tool "${name}"`);
  return refusal("a tool's name must match [A-Za-z0-9_-]{1,64}");
}

function tellBrowser<S>(
  tool: Tool<S>, status: CallStatus, more: JsonObject, reply: Reply,
): void {
  if (tool.tellBrowser === 'nothing') return;
  void reply.data({ tool: tool.name, status, ...(tool.tellBrowser === 'everything' ? more : {}) });
}

/** `resultText` has checked that the result is JSON. */
function shown(result: unknown, text: string): Json {
  if (result === undefined) return null;
  return text.length <= MAX_RESULT_LENGTH ? (result as Json) : cut(text);
}

function cut(text: string): string {
  return text.length <= MAX_RESULT_LENGTH ? text : `${text.slice(0, MAX_RESULT_LENGTH)}… [cut]`;
}

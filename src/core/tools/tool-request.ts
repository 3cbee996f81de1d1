// One tool call, from the model's arguments to the result it receives.

import { isAbort } from '../../base/abort.ts';
import { canonicalJson } from '../../base/canonical-json.ts';
import type { Json, JsonObject } from '../../base/json.ts';
import type { CheckBudget } from '../../base/schema/schema.ts';
import { messageOf } from '../../base/thrown-values.ts';
import type { Reply } from '../calls/reply.ts';
import type { ToolCall } from '../conversations/message.ts';
import { INVALID_NAME, isToolName } from '../models/well-formed-call.ts';
import { UnknownValueError } from '../redaction/unknown-value.ts';
import { checkedInTime, parseToolArguments, type Checked } from './tool-arguments.ts';
import { logFailure } from './tool-failure.ts';
import { HandOver } from './tool-hand-over.ts';
import { cutResult, MAX_RESULT_LENGTH, resultText } from './tool-result.ts';
import type { ToolCallContext, ToolCallOutcome, ToolRun } from './tool-run.ts';
import { inTime, ToolTimeout } from './tool-time-limit.ts';
import type { OnceContext, Tool } from './tool.ts';

type CallStatus = 'running' | ToolCallOutcome;

/** The metrics label for all unknown tools, because a model may invent any name. */
const UNKNOWN_TOOL = 'unknown';

/** The turn in which a model asks for a call. */
interface RequestingTurn<S = unknown> extends OnceContext<S> {
  /** See the agents' `TurnJournal`. */
  readonly journal: {
    handOver(toolCallId: string, agent: string): Promise<void>;
    saveState(): Promise<void>;
    tellBrowser(report: JsonObject): void;
    reveal<T>(value: T): T;
    conceal<T>(value: T): T;
    noteToolOutcome(
      tool: string,
      outcome: ToolCallOutcome,
      durationMs?: number,
      toolCallId?: string,
    ): void;
  };
}

/**
 * How to run a call: checks its arguments and tells the browser about it. All calls of a round
 * share the budget.
 */
export function toolRun<S>(
  call: ToolCall,
  tools: readonly Tool<S>[],
  turn: RequestingTurn<S>,
  reply: Reply,
  budget: CheckBudget,
): ToolRun {
  const tool = tools.find(({ name }) => name === call.name);
  if (tool === undefined) {
    const { name } = call;
    // Its refusal changes nothing, and so need not wait until the turn is settled.
    return { repeatable: true, run: ({ toolCallId }) => refuseUnknown(name, toolCallId, turn) };
  }
  const { whenInterrupted, repeatable, isOfTurn } = tool;
  const requested = new RequestedToolCall(tool, call.args, turn, reply, budget);
  return {
    name: tool.name,
    whenInterrupted,
    repeatable,
    isOfTurn,
    ...(tool.once === undefined ? {} : { once: (signal) => requested.onceText(signal) }),
    isRefused: requested.isUnknown,
    run: (context) => requested.run(context),
    late: () => requested.late,
  };
}

/** A call of one of the agent's tools, as the model has asked for it. */
class RequestedToolCall<S> {
  readonly #tool: Tool<S>;
  readonly #json: string;
  /** The arguments as the model wrote them, with placeholders. */
  readonly #parsed: Checked<JsonObject>;
  /** What the tool gets, before the check. */
  readonly #given: Checked<JsonObject>;
  /** Whether a placeholder stands for a value that this process has not seen. */
  readonly isUnknown: boolean;
  readonly #turn: RequestingTurn<S>;
  readonly #reply: Reply;
  readonly #budget: CheckBudget;
  #checked: Checked | undefined;
  /** When it began to run, on the clock of `performance.now()`. */
  #startedAtMs: number | undefined;
  #toolCallId: string | undefined;
  /** See `ToolRun.late`. */
  late: Promise<string> | undefined;

  constructor(
    tool: Tool<S>,
    json: string,
    turn: RequestingTurn<S>,
    reply: Reply,
    budget: CheckBudget,
  ) {
    this.#tool = tool;
    this.#json = json;
    this.#parsed = parseToolArguments(json);
    const given = tool.raw ? revealed(this.#parsed, turn.journal) : this.#parsed;
    this.#given = given;
    this.isUnknown = 'problem' in given && given !== this.#parsed;
    this.#turn = turn;
    this.#reply = reply;
    this.#budget = budget;
  }

  /** See `ToolRun.once`. */
  async onceText(signal: AbortSignal): Promise<string | undefined> {
    const { once, name } = this.#tool;
    const parsed = this.#parsed;
    if ('problem' in parsed) return undefined;
    if (this.isUnknown) return this.#textWithoutValue(parsed.args);
    const checked = await this.#check(signal);
    if ('problem' in checked) return undefined;
    if (once === true) return canonicalJson(parsed.args);
    // The text becomes part of a hash without a key, which would not hide a value. And it must be
    // the same in all processes, so the model's own words are best.
    const isAsGiven = 'args' in this.#given && checked.args === this.#given.args;
    const args = isAsGiven ? parsed.args : this.#turn.journal.conceal(checked.args);
    const text: unknown = once?.(args, this.#context());
    if (typeof text === 'string' && text !== '') return text;
    throw new TypeError(`tool ${name}: once must return a non-empty string, got ${kindOf(text)}`);
  }

  /** The call may have been made where the value was known. Its arguments cannot be checked. */
  #textWithoutValue(args: JsonObject): string | undefined {
    const { once } = this.#tool;
    if (once === true) return canonicalJson(args);
    try {
      return once?.(args, this.#context()) || undefined;
    } catch {
      return undefined; // the model is told that the value is not known
    }
  }

  async run(call: ToolCallContext): Promise<string> {
    this.#toolCallId = call.toolCallId;
    const parsed = this.#parsed;
    if ('problem' in parsed) return this.#refuse(parsed.problem);
    const { args } = parsed;
    try {
      const checked = await this.#check(call.signal);
      call.signal.throwIfAborted(); // the turn may have ended meanwhile
      if ('problem' in checked) return this.#refuse(checked.problem);
      this.#startedAtMs = performance.now();
      this.#report('running', { args });
      const saveState = (): Promise<void> => this.#turn.journal.saveState();
      const context = { ...call, ...this.#context(), reply: this.#reply, saveState };
      const { timeoutMs } = this.#tool;
      const run = (signal: AbortSignal): unknown =>
        this.#tool.run(checked.args, { ...context, signal });
      const result = await (timeoutMs === undefined
        ? run(call.signal)
        : inTime(timeoutMs, call.signal, run));
      return await this.#accept(result, args, call.toolCallId);
    } catch (error) {
      // The browser does not learn why: a tool's error may name hosts and keys.
      const isInterrupted = call.signal.aborted && isAbort(error, call.signal.reason);
      this.#report(isInterrupted ? 'interrupted' : 'failed', { args });
      if (error instanceof ToolTimeout && this.#tool.once !== undefined)
        this.late = this.#lateText(error.late);
      throw error;
    }
  }

  /** The result for the model. A tool that acts once has acted by now, whatever it returned. */
  async #accept(result: unknown, args: JsonObject, toolCallId: string): Promise<string> {
    try {
      if (result instanceof HandOver) await this.#turn.journal.handOver(toolCallId, result.agent);
      const text = this.#withoutHalves(resultText(result));
      this.#report('completed', { args, result: shown(result, text) });
      if (text.length > MAX_RESULT_LENGTH) this.#warnOfCut(text.length);
      return cutResult(text);
    } catch (error) {
      if (this.#tool.once === undefined) throw error;
      this.#report('failed', { args });
      const { conversationId, turnId, log } = this.#turn;
      logFailure(log, { conversationId, turnId, tool: this.#tool.name }, error);
      return refusal(messageOf(error));
    }
  }

  async #lateText(late: Promise<unknown>): Promise<string> {
    const result = await late;
    try {
      return cutResult(this.#withoutHalves(resultText(result)));
    } catch (error) {
      return refusal(messageOf(error)); // it has acted by now, whatever it returned
    }
  }

  /** Puts placeholders into text that will be cut: half a value would not be recognised. */
  #withoutHalves(text: string): string {
    return text.length > MAX_RESULT_LENGTH ? this.#turn.journal.conceal(text) : text;
  }

  #warnOfCut(characters: number): void {
    const { conversationId, turnId, log } = this.#turn;
    const message = 'the result of a tool was cut: the model gets its beginning';
    const { name: tool } = this.#tool;
    log.warn(message, { conversationId, turnId, tool, characters, kept: MAX_RESULT_LENGTH });
  }

  /** Checks the arguments, once. */
  async #check(signal: AbortSignal): Promise<Checked> {
    const parsed = this.#given;
    if ('problem' in parsed) return parsed;
    return (this.#checked ??= await checkedInTime(
      this.#tool.check(parsed.args, this.#budget),
      signal,
    ));
  }

  #context(): OnceContext<S> {
    const { conversationId, turnId, metadata, caller, log } = this.#turn;
    // A tool without `state` fits every agent, so it must not find out which agent has it.
    const state = this.#tool.state === undefined ? (undefined as S) : this.#turn.state;
    return { conversationId, turnId, metadata, caller, state, log };
  }

  #refuse(problem: string): string {
    this.#report('failed', { args: this.#json });
    const reason =
      this.isUnknown ? 'this process does not know a value' : 'its arguments were refused';
    logRefusal(this.#turn, this.#tool.name, reason);
    return refusal(problem);
  }

  #report(status: CallStatus, more: JsonObject): void {
    const { journal } = this.#turn;
    const { name: tool, tellBrowser } = this.#tool;
    const shown = tellBrowser === 'everything' ? more : {};
    if (tellBrowser !== 'nothing') journal.tellBrowser({ tool, status, ...shown });
    if (status === 'running') return;
    const startedAtMs = this.#startedAtMs;
    const durationMs = startedAtMs === undefined ? undefined : performance.now() - startedAtMs;
    journal.noteToolOutcome(tool, status, durationMs, this.#toolCallId);
  }
}

/** The arguments with the values that their placeholders stand for. */
function revealed(
  parsed: Checked<JsonObject>,
  journal: RequestingTurn['journal'],
): Checked<JsonObject> {
  if ('problem' in parsed) return parsed;
  try {
    return { args: journal.reveal(parsed.args) };
  } catch (error) {
    if (error instanceof UnknownValueError) return { problem: error.message };
    throw error;
  }
}

function kindOf(value: unknown): string {
  return value === '' ? 'an empty one' : value === null ? 'null' : typeof value;
}

/** An error that the model may fix. */
function refusal(problem: string): string {
  return JSON.stringify({ error: problem });
}

/** Without the arguments, and without a name that a model may have made up. */
function logRefusal(turn: RequestingTurn, tool: string, reason: string): void {
  const { conversationId, turnId, log } = turn;
  log.warn('tool call refused', { conversationId, turnId, tool, reason });
}

function refuseUnknown(name: string, toolCallId: string, turn: RequestingTurn): string {
  const { journal } = turn;
  logRefusal(turn, UNKNOWN_TOOL, 'there is no such tool');
  journal.noteToolOutcome(UNKNOWN_TOOL, 'failed', undefined, toolCallId);
  const isName = isToolName(name);
  journal.tellBrowser({ tool: isName ? name : INVALID_NAME, status: 'failed' });
  if (isName) return refusal(`there is no tool "${name}"`);
  return refusal("a tool's name must match [A-Za-z0-9_-]{1,64}");
}

/** `resultText` has checked that the result is JSON. */
function shown(result: unknown, text: string): Json {
  if (result === undefined) return null;
  return text.length <= MAX_RESULT_LENGTH ? (result as Json) : cutResult(text);
}

import { toAwaitable } from '../../base/awaitable.ts';
import { CheckBudget } from '../../base/schema/schema.ts';
import type { ToolCall } from '../conversations/message.ts';
import {
  ModelError, type ChatModel, type ModelOptions, type ModelStreamOptions, type ToolChoice,
} from '../models/model.ts';
import { toolRun } from '../tools/tool-request.ts';
import type { Tool } from '../tools/tool.ts';
import type { MessageTurn, Reply, ToolRun, Turn } from './agent.ts';
import { toChatMessages } from './history-for-model.ts';
import { Voice, type VoiceOptions } from './voice.ts';

/**
 * Maximum number of rounds of tool calls in a turn. After that the model is asked once more without
 * being allowed to call tools, so it must speak.
 */
const MAX_TOOL_ROUNDS = 8;

/** What a turn needs to call its model. */
export interface Means<S> {
  readonly prompt: string;
  readonly model: ChatModel;
  readonly tools: readonly Tool<S>[];
}

interface ToolLoopOptions<S> extends Means<S>, VoiceOptions {
  readonly options: ModelOptions;
  /** Applies to the first request. Default `auto`. */
  readonly toolChoice: ToolChoice | undefined;
}

/**
 * Streams the model's reply, runs the tools it calls and returns their results to it, until it has
 * spoken. Ends quietly if the turn is over or a tool hands the conversation over. Throws the
 * model's errors, and one with the code `empty_reply` if nothing in the reply can be spoken.
 */
export async function runToolLoop<S>(
  turn: MessageTurn<S>,
  reply: Reply,
  { prompt, model, tools, options, toolChoice, ...voiced }: ToolLoopOptions<S>,
): Promise<void> {
  const voice = new Voice(reply, voiced);
  const offered = turn.journal.mayActOnce ? tools : tools.filter(({ once }) => once === undefined);
  const again = lostCalls(turn, offered);
  if (again.length > 0 && (await runCalls(again))) return;
  let hasCalled = false; // in its last answer
  for (let round = 0; !reply.isOver; round++) {
    let isCut = false;
    const calls: ToolCall[] = [];
    // Rebuilt from what history will hold, so that later turns begin with the same bytes.
    const rounds = round === 0 && again.length === 0 ? [] : turn.journal.rounds();
    const messages = toChatMessages(prompt, [...turn.history, ...rounds]);
    const deltas = model.stream(messages, {
      ...options,
      ...(offered.length > 0 ? { tools: offered, toolChoice: choiceOf(round, toolChoice) } : {}),
      ...streamOptionsOf(turn),
    });
    for await (const delta of deltas) {
      if (reply.isOver) return;
      if (delta.type === 'text') {
        const taken = toAwaitable(voice.speak(delta.text));
        if (taken instanceof Promise) await taken; // while there is room, no token waits for a step
      } else if (delta.type === 'toolCall') calls.push(delta.call);
      else {
        isCut = delta.finishReason === 'length';
        turn.journal.noteUsage(delta);
      }
    }
    if (reply.isOver) return;
    hasCalled = calls.length > 0;
    await voice.finish(isCut && !hasCalled); // what precedes a call is whole
    if (!hasCalled || round === MAX_TOOL_ROUNDS) break; // calls beyond the limit do not run
    if (await runCalls(calls)) return;
  }
  if (!reply.isOver && voice.spoken.trim() === '') {
    const message = hasCalled
      ? `model ${model.name} calls tools, and says nothing`
      : `nothing in the reply of model ${model.name} can be spoken`;
    throw new ModelError('empty_reply', message);
  }

  /** True if one of the calls hands the conversation over. */
  async function runCalls(calls: readonly ToolCall[]): Promise<boolean> {
    const budget = new CheckBudget();
    const runOf = (call: ToolCall): ToolRun => toolRun(call, offered, turn, reply, budget);
    const raw = calls.filter(({ name }) => offered.some((tool) => tool.raw && tool.name === name));
    if (raw.length > 0) await turn.journal.bring(raw.map(({ args }) => args));
    const outcomes = await turn.journal.runTools(calls, runOf);
    return outcomes.some(({ handOver }) => handOver !== undefined);
  }
}

/**
 * Calls from an earlier run of this turn whose process died, if their tools may run again. They run
 * before the model is asked, which would otherwise be told that their outcome is unknown.
 */
function lostCalls<S>(
  { history, turnId }: MessageTurn<S>,
  tools: readonly Tool<S>[],
): readonly ToolCall[] {
  if (!tools.some(({ repeatable }) => repeatable === true)) return [];
  const own = history.filter((message) => message.turnId === turnId);
  const lost = new Set<string>();
  for (const message of own)
    if (message.role === 'tool' && message.state === 'unknown') lost.add(message.toolCallId);
  return own
    .flatMap((message) => (message.role === 'assistant' ? (message.toolCalls ?? []) : []))
    .filter(({ id, name }) =>
      lost.has(id) && tools.some((tool) => tool.name === name && tool.repeatable === true),
    );
}

/**
 * Options for every model request in a turn: they abort it, help vendors find cached prompts, note
 * what becomes of it, and log problems with the turn's ids.
 */
export function streamOptionsOf(turn: Turn): ModelStreamOptions {
  const { conversationId, turnId, signal, journal, log } = turn;
  return {
    cacheKey: conversationId,
    signal,
    onRequest: (event) => journal.noteRequest(event),
    runRequest: (request, step) => journal.runRequest(request, step),
    onFailedRequest: (model, failure) => journal.noteFailedRequest(model, failure),
    onProblem: (problem) => log.warn('model', { conversationId, turnId, problem }),
  };
}

function choiceOf(round: number, first: ToolChoice | undefined): ToolChoice {
  if (round === MAX_TOOL_ROUNDS) return 'none';
  return round === 0 ? (first ?? 'auto') : 'auto';
}

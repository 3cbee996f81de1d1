// Compares what callers saw with what the store holds about their calls.

import type { Message } from '../../src/core/conversations/message.ts';
import type { SeenCall, SeenTurn } from './call.ts';

/** What is wrong with the history of a call. */
export interface Verdict {
  /** Callers' words that history lacks, or has twice. */
  readonly lostMessages: readonly string[];
  /** Replies that are not in history as they were heard. */
  readonly wrongReplies: readonly string[];
  /** Whatever else must not be in a history. */
  readonly faults: readonly string[];
}

export function judge(call: SeenCall, history: readonly Message[]): Verdict {
  const lostMessages: string[] = [];
  const wrongReplies: string[] = [];
  const faults: string[] = [];
  const last = call.turns.at(-1);
  for (const turn of call.turns) {
    const messages = history.filter(({ turnId }) => turnId === turn.turnId);
    const words = messages.filter(({ role }) => role === 'user').map(({ content }) => content);
    const said = turn.words === undefined ? [] : [turn.words];
    if (words.join('|') !== said.join('|'))
      lostMessages.push(`${turn.turnId} has the words ${JSON.stringify(words)}`);
    const reply = faultOfReply(turn, messages, turn === last);
    if (reply !== undefined) wrongReplies.push(`${turn.turnId} ${reply}`);
    const fault = faultOfTool(turn, messages);
    if (fault !== undefined) faults.push(`${turn.turnId} ${fault}`);
  }
  const known = new Set(call.turns.map(({ turnId }) => turnId));
  for (const { turnId } of history)
    if (!known.has(turnId)) faults.push(`${turnId} is no turn of the call`);
  const order = [...new Set(history.map(({ turnId }) => turnId))];
  const sent = call.turns.map(({ turnId }) => turnId).filter((id) => order.includes(id));
  if (order.filter((id) => known.has(id)).join() !== sent.join())
    faults.push(`the order is ${order.join()}`);
  return { lostMessages, wrongReplies, faults };
}

/** How many of the reply's words were lost. An interruption loses none: the caller wanted it. */
export function wordsLost({ end, expected, heard }: SeenTurn): number {
  if (end.kind !== 'failed') return 0;
  return Math.max(0, countWords(expected) - countWords(heard));
}

function countWords(text: string): number {
  return text.match(/\S+/g)?.length ?? 0;
}

function faultOfReply(
  { end, expected, heard }: SeenTurn,
  messages: readonly Message[],
  isLast: boolean,
): string | undefined {
  const replies = messages.filter((message) => message.role === 'assistant');
  const text = replies.map(({ content }) => content).join('');
  const states = new Set(replies.map(({ state }) => state));
  const found = `was heard as ${JSON.stringify(heard)}, and is ${JSON.stringify(text)}`;
  switch (end.kind) {
    case 'whole':
      return text === expected && states.has('completed') ? undefined : found;
    case 'interrupted': {
      // For the last turn, nobody reported how much was heard.
      const isRight = isLast ? text.startsWith(heard.trim()) : text === heard.trim();
      return isRight ? undefined : found;
    }
    case 'failed':
      return expected.startsWith(text) ? undefined : found;
  }
}

function faultOfTool(
  { end, usesTool }: SeenTurn,
  messages: readonly Message[],
): string | undefined {
  const results = messages.filter((message) => message.role === 'tool');
  const running = results.filter(({ state }) => state === 'running');
  if (running.length > 0 && end.kind === 'whole') return 'has a tool call that runs for ever';
  // A run that was taken from its process leaves its call before the new run's, with the same key.
  const completed = new Set(
    results.filter(({ state }) => state === 'completed').map(({ key, toolCallId }) =>
      key ?? toolCallId),
  ).size;
  if (!usesTool && results.length > 0) return 'has a tool call that nobody asked for';
  if (usesTool && end.kind === 'whole' && completed !== 1) return `has ${completed} tool results`;
  return undefined;
}

// What may happen to a turn's tool calls: each is written down before it runs, has one result in
// the end, and is not made again by a later run of its turn.

import { trim, type ConversationBounds } from './bounds.ts';
import {
  add, findTurn, keepAgent, keepState, rewrite, subtract, type Conversation,
} from './conversation.ts';
import {
  UNFINISHED_RESULTS,
  type Message,
  type ToolCallState,
  type ToolMessage,
} from './message.ts';
import {
  leadingMessages,
  messagesOf,
  ownMessages,
  toolMessagesOf,
  type TurnRecord,
} from './turn-record.ts';

/** What a run has said and called so far, written before its calls run. */
export interface TurnProgress {
  readonly turnId: string;
  readonly runId: number;
  readonly messages: readonly Message[];
}

/**
 * Whose a turn is. `closed`: a newer turn, or a newer run, has begun. `forgotten`: it was cleared.
 */
export type Ownership = 'noted' | 'closed' | 'forgotten';

export interface ToolResult {
  readonly turnId: string;
  readonly toolCallId: string;
  readonly state: Exclude<ToolCallState, 'running'>;
  /** JSON text. */
  readonly content: string;
  /** The agent's state, which the call may have changed: JSON text. */
  readonly agentState?: string | undefined;
  /** The agent that the call hands the conversation over to. */
  readonly handOver?: string | undefined;
}

/**
 * Writes down what a run has said and called so far. Where a newer turn has closed the run's, only
 * its calls: a call is no word, and it may be at work.
 */
export function noteProgress(
  conversation: Conversation,
  { turnId, runId, messages }: TurnProgress,
  bounds: ConversationBounds,
): Ownership {
  const record = findTurn(conversation, turnId);
  if (record === undefined) return 'forgotten';
  if (record.runId !== runId) return 'closed';
  keepHandOver(conversation, record, messages);
  const leading = leadingMessages(record);
  const isOpen = record.state === 'open';
  const own = isOpen
    ? withKnownResults(record, messages)
    : [...ownMessages(record), ...callsUnknownTo(record, messages)];
  rewrite(conversation, record, [...leading, ...own], leading.length);
  trim(conversation, bounds);
  return isOpen ? 'noted' : 'closed';
}

/**
 * Writes down the result of a call, the one thing that a run may write after its end: it changes no
 * word, state or order. False when the turn was trimmed or cleared, or knows no such call.
 */
export function noteToolResult(
  conversation: Conversation,
  { turnId, toolCallId, state, content, agentState, handOver }: ToolResult,
  bounds: ConversationBounds,
): boolean {
  const record = findTurn(conversation, turnId);
  const messages = record?.messages;
  const index =
    messages?.findLastIndex(
      (message) => message.role === 'tool' && message.toolCallId === toolCallId,
    ) ?? -1;
  const call = messages?.[index];
  if (record === undefined || messages === undefined || call?.role !== 'tool') return false;
  keepState(conversation, agentState);
  if (call.state === 'completed') return true; // a result never changes
  keepAgent(conversation, handOver);
  subtract(conversation, record);
  messages[index] = { ...call, state, content, ...(handOver === undefined ? {} : { handOver }) };
  add(conversation, record);
  trim(conversation, bounds);
  return true;
}

/** A call that no living process runs has an outcome that nobody knows. */
export function forgetLostCalls(
  conversation: Conversation,
  record: TurnRecord,
  isCallRunning: (key: string) => boolean,
): void {
  const { messages } = record;
  if (messages === undefined) return;
  for (const [index, message] of messages.entries()) {
    if (message.role !== 'tool' || message.state !== 'running') continue;
    if (message.key !== undefined && isCallRunning(message.key)) continue;
    subtract(conversation, record);
    messages[index] = { ...message, state: 'unknown', content: UNFINISHED_RESULTS.unknown };
    add(conversation, record);
  }
}

/**
 * What earlier runs of a turn did that cannot be undone: calls that completed, still run, or whose
 * outcome is unknown, each with the words before it as an interrupted reply. Of several calls with
 * one key a completed one stays, else the first.
 */
export function earlierRounds(record: TurnRecord): Message[] {
  const messages = messagesOf(record);
  const kept = new Map<string, ToolMessage>();
  for (const message of messages) {
    if (message.role !== 'tool' || message.state === 'interrupted') continue;
    const key = message.key ?? message.toolCallId;
    if (!kept.has(key) || (message.state === 'completed' && kept.get(key)?.state !== 'completed'))
      kept.set(key, message);
  }
  const results = new Map([...kept.values()].map((message) => [message.toolCallId, message]));
  const rounds: Message[] = [];
  for (const message of messages) {
    if (message.role !== 'assistant' || message.toolCalls === undefined) continue;
    const toolCalls = message.toolCalls.filter(({ id }) => results.has(id));
    if (toolCalls.length === 0) continue;
    rounds.push({ ...message, state: 'interrupted', toolCalls });
    for (const { id } of toolCalls) {
      const result = results.get(id);
      if (result !== undefined) rounds.push(result);
    }
  }
  return rounds;
}

/**
 * Keeps the agent that a call has handed the conversation over to, if these messages have the
 * result and the record does not: the write of the result itself may have failed. Does nothing for
 * a result that is known, as a newer turn may have handed over again.
 */
export function keepHandOver(
  conversation: Conversation,
  record: TurnRecord,
  messages: readonly Message[],
): void {
  for (const message of messages) {
    if (message.role !== 'tool' || message.handOver === undefined) continue;
    const { toolCallId: id, handOver } = message;
    const known = toolMessagesOf(record).find(({ toolCallId }) => toolCallId === id);
    if (known?.state !== 'completed') keepAgent(conversation, handOver);
  }
}

/** Of these messages the calls that the record does not have, without their words. */
function callsUnknownTo(record: TurnRecord, messages: readonly Message[]): Message[] {
  const known = new Set(toolMessagesOf(record).map(({ toolCallId }) => toolCallId));
  return messages.flatMap((message): Message[] => {
    if (message.role === 'tool') return known.has(message.toolCallId) ? [] : [message];
    if (message.role !== 'assistant') return [];
    const toolCalls = message.toolCalls?.filter(({ id }) => !known.has(id)) ?? [];
    return toolCalls.length === 0
      ? []
      : [{ ...message, content: '', state: record.state, toolCalls }];
  });
}

/**
 * The messages, with the results that the record has and they lack: a result may have been stored
 * since they were made.
 */
export function withKnownResults(record: TurnRecord, messages: readonly Message[]): Message[] {
  if (record.messages === undefined || !messages.some(({ role }) => role === 'tool'))
    return [...messages];
  const stored = new Map(toolMessagesOf(record).map((message) => [message.toolCallId, message]));
  return messages.map((message) => {
    if (message.role !== 'tool' || message.state === 'completed') return message;
    const known = stored.get(message.toolCallId);
    return known?.state === 'completed' ? known : message;
  });
}

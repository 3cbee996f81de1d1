// The rules of a turn's tool calls: each is recorded before it runs, gets one result in the end,
// and is not repeated by a later run of its turn.

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

/** What a run has said and called so far, recorded before its calls run. */
export interface TurnProgress {
  readonly turnId: string;
  readonly runId: number;
  readonly messages: readonly Message[];
}

/**
 * Whether the run may still speak. `noted`: it owns its turn. `closed`: a newer turn or a newer
 * run has begun. `forgotten`: the turn was removed.
 */
export type Ownership = 'noted' | 'closed' | 'forgotten';

export interface ToolResult {
  readonly turnId: string;
  readonly toolCallId: string;
  readonly state: Exclude<ToolCallState, 'running'>;
  /** JSON text. */
  readonly content: string;
  /** The agent's state, which the call may have changed, as JSON text. */
  readonly agentState?: string | undefined;
  /** The agent the call hands the conversation over to. */
  readonly handOver?: string | undefined;
}

/**
 * Records what a run has said and called so far. If a newer turn has closed the run's turn, only
 * its calls are added: its words no longer count, but a call may already be having an effect.
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
 * Records the result of a call, the only thing a run may write after its end. It changes no words,
 * state or order. False if the turn was trimmed or cleared, or has no such call.
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

/** Marks calls that no living process runs as having an unknown outcome. */
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
 * What earlier runs of a turn did and cannot undo: calls that completed, are still running or have
 * an unknown outcome, each after its words as an interrupted reply. Of several calls with one key
 * a completed one is kept, otherwise the first.
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

/** The calls in these messages that the record lacks, without the words around them. */
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
 * The messages, completed with results from the record, which may have been stored after the
 * messages were made.
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

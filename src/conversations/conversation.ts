// A conversation as plain JSON: its turns in their order, an index of their ids, and sums over
// them.

import type { Message } from './message.ts';
import {
  countMessages,
  countRunningCalls,
  leadingMessages,
  messagesOf,
  setMessages,
  textLengthOf,
  type TurnRecord,
} from './turn-record.ts';

/**
 * Of the records that this version writes. A record without one was written before there were
 * formats.
 */
export const FORMAT = 1;

/** Who called, and in which session: another one of the same conversation may be a browser's. */
export interface KnownCaller {
  readonly sessionId: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** All that is known of one caller over time. The sums spare a turn the walk over all others. */
export interface Conversation {
  readonly id: string;
  format: number;
  turns: TurnRecord[];
  /** Hashes of the turns' ids, in the order of the turns. */
  turnHashes: number[];
  openTurns: number;
  /** Tool calls whose result is not known yet, in turns of any state. */
  runningCalls: number;
  messageCount: number;
  /** UTF-16 code units of all messages and sent events, the state and the caller. */
  textLength: number;
  /** Time of the last change, in milliseconds since the epoch. */
  updatedAt: number;
  /** What the agent keeps beside the history: JSON text. */
  state?: string;
  /** Of the last telephone call. */
  caller?: KnownCaller;
  /** The name of the agent that it was handed over to last. */
  agent?: string;
  /**
   * Where a store writes only what has changed: the turns that were added, changed or removed. Not
   * part of the record.
   */
  touched?: Set<TurnRecord>;
  /** There, too: everything was forgotten since the last write. Not part of the record. */
  isCleared?: true;
  /**
   * There, too: the change is made without the store, so that turns which other processes added may
   * be missing. Not part of the record.
   */
  isBehind?: true;
}

export function emptyConversation(id: string): Conversation {
  return {
    id,
    format: FORMAT,
    turns: [],
    turnHashes: [],
    openTurns: 0,
    runningCalls: 0,
    messageCount: 0,
    textLength: 0,
    updatedAt: 0,
  };
}

export function hasOpenTurn(conversation: Conversation): boolean {
  return conversation.openTurns > 0;
}

/**
 * Compares numbers that lie side by side, and ids only where their hashes are equal: decision 3.
 */
export function findTurn({ turns, turnHashes }: Conversation, id: string): TurnRecord | undefined {
  const hash = hashOf(id);
  for (let index = turnHashes.length - 1; index >= 0; index--) {
    if (turnHashes[index] === hash && turns[index]?.id === id) return turns[index];
  }
  return undefined;
}

/** FNV-1a over the UTF-16 code units, in the 31 bits that V8 keeps as a small integer. */
function hashOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < id.length; index++)
    hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193);
  return hash >>> 1;
}

/** Adds an empty turn at the end. */
export function addTurn(conversation: Conversation, turn: TurnRecord): void {
  conversation.touched?.add(turn);
  if (conversation.turns.length === 0) {
    // Literals: `push` onto an empty array makes room for 17, and many conversations have one turn.
    conversation.turns = [turn];
    conversation.turnHashes = [hashOf(turn.id)];
    return;
  }
  conversation.turns.push(turn);
  conversation.turnHashes.push(hashOf(turn.id));
}

/** Puts the last turn in front of another one. */
export function moveLastTurn({ turns, turnHashes }: Conversation, index: number): void {
  turns.splice(index, 0, ...turns.splice(-1));
  turnHashes.splice(index, 0, ...turnHashes.splice(-1));
}

export function removeTurn(conversation: Conversation, index: number): void {
  const record = conversation.turns[index];
  if (record === undefined) return;
  conversation.touched?.add(record);
  subtract(conversation, record);
  conversation.turns.splice(index, 1);
  conversation.turnHashes.splice(index, 1);
}

/** Replaces the messages of a turn. What it sent is no longer what they say. */
export function rewrite(
  conversation: Conversation,
  record: TurnRecord,
  messages: Message[],
  kept?: number,
): void {
  subtract(conversation, record);
  setMessages(record, messages, kept);
  if (record.sent !== undefined) delete record.sent;
  add(conversation, record);
}

/** Takes a turn out of the conversation's sums, before it changes. */
export function subtract(conversation: Conversation, record: TurnRecord): void {
  conversation.messageCount -= countMessages(record);
  conversation.textLength -= textLengthOf(record);
  if (record.messages !== undefined) conversation.runningCalls -= countRunningCalls(record);
}

/** Puts a turn that has changed back into the conversation's sums. Every change ends here. */
export function add(conversation: Conversation, record: TurnRecord): void {
  conversation.touched?.add(record);
  conversation.messageCount += countMessages(record);
  conversation.textLength += textLengthOf(record);
  if (record.messages !== undefined) conversation.runningCalls += countRunningCalls(record);
}

/** Leaves nothing. A turn that still runs is then settled in vain. */
export function clearTurns(conversation: Conversation): void {
  delete conversation.state;
  delete conversation.caller;
  delete conversation.agent;
  for (const turn of conversation.turns) conversation.touched?.add(turn);
  if (conversation.touched !== undefined) conversation.isCleared = true;
  Object.assign(conversation, emptyConversation(conversation.id));
}

/** Replaces the agent's state. Undefined changes nothing. */
export function keepState(conversation: Conversation, state: string | undefined): void {
  if (state === undefined) return;
  conversation.textLength += state.length - (conversation.state?.length ?? 0);
  conversation.state = state;
}

/** Notes who called. Undefined changes nothing. */
export function keepCaller(conversation: Conversation, caller: KnownCaller | undefined): void {
  if (caller === undefined) return;
  conversation.textLength += callerLength(caller) - callerLength(conversation.caller);
  conversation.caller = caller;
}

/** Notes the agent that the conversation is handed over to. Undefined changes nothing. */
export function keepAgent(conversation: Conversation, agent: string | undefined): void {
  if (agent !== undefined) conversation.agent = agent;
}

/** Who calls in that session, where that is known. */
export function callerIn(
  { caller }: Pick<Conversation, 'caller'>,
  sessionId: string,
): Omit<KnownCaller, 'sessionId'> | undefined {
  if (caller?.sessionId !== sessionId) return undefined;
  return { from: caller.from, to: caller.to };
}

function callerLength({ sessionId, from, to }: Partial<KnownCaller> = {}): number {
  return (sessionId?.length ?? 0) + (from?.length ?? 0) + (to?.length ?? 0);
}

/** Makes the index and the sums anew, from the turns. */
export function tally(conversation: Conversation): void {
  const { turns } = conversation;
  conversation.turnHashes = turns.map(({ id }) => hashOf(id));
  conversation.openTurns = turns.filter(({ state }) => state === 'open').length;
  conversation.runningCalls = 0;
  conversation.messageCount = 0;
  conversation.textLength = (conversation.state?.length ?? 0) + callerLength(conversation.caller);
  for (const record of turns) add(conversation, record);
}

/** All messages in the order of their turns, as copies. */
export function historyOf(conversation: Conversation): Message[] {
  return conversation.turns.flatMap(copiesOf);
}

/**
 * The messages that the run of a turn may know: up to the caller's words and the calls of earlier
 * runs. Copies.
 */
export function historyUpTo(conversation: Conversation, record: TurnRecord): Message[] {
  const index = conversation.turns.indexOf(record);
  const earlier = index === -1 ? [] : conversation.turns.slice(0, index);
  return [...earlier.flatMap(copiesOf), ...leadingMessages(record).map(copyOf)];
}

/** A plain turn's messages are made anew each time; others are the record's own. */
function copiesOf(record: TurnRecord): Message[] {
  return record.messages === undefined ? messagesOf(record) : record.messages.map(copyOf);
}

function copyOf(message: Message): Message {
  if (message.role !== 'assistant' || message.toolCalls === undefined) return { ...message };
  return { ...message, toolCalls: message.toolCalls.map((call) => ({ ...call })) };
}

/**
 * Brings a conversation that an older version wrote to today's format. Fields that are not known
 * stay.
 */
export function upgrade(conversation: Conversation): void {
  if ((conversation.format as number | undefined) !== undefined) return;
  conversation.format = FORMAT;
  conversation.runningCalls = 0; // before there were formats, a call was stored with its result
  for (const record of conversation.turns) {
    const { messages } = record;
    conversation.touched?.add(record);
    for (const [index, message] of messages?.entries() ?? []) {
      if (message.role === 'tool' && messages !== undefined)
        messages[index] = { ...message, state: 'completed' };
    }
  }
}

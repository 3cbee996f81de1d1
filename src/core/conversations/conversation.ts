// A conversation as plain JSON: its turns in order, an index of their ids, and running totals.

import type { Placeholders } from '../redaction/placeholder.ts';
import type { Message } from './message.ts';
import { isAnyIncomplete, lengthOfOnceCalls, type OnceCalls } from './once-call.ts';
import type { SpentEntry } from './spending.ts';
import {
  callsOfDiscarded, cameWith, countMessages, countRunningCalls, isBegunBy, leadingMessages,
  messagesOf, newTurn, setMessages, textLengthOf, type Heard, type TurnRecord,
} from './turn-record.ts';
import { UNFINISHED_RESULTS } from './unfinished-tool-results.ts';

/** The format of the records this version writes, for later versions. */
export const FORMAT = 3;

/**
 * Who called, and in which session. A later session of the same conversation may be a browser's.
 */
export interface KnownCaller {
  readonly sessionId: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/**
 * Everything kept about one caller over time. The totals save each turn a walk over all the
 * others.
 */
export interface Conversation {
  readonly id: string;
  format: number;
  turns: TurnRecord[];
  /** Hashes of the turns' ids, in the same order as `turns`. */
  turnHashes: number[];
  openTurns: number;
  /** Tool calls without a result, in turns of any state. */
  runningCalls: number;
  messageCount: number;
  /**
   * UTF-16 code units of all messages and sent events, plus the state and the caller. `once` calls
   * and reports have bounds of their own.
   */
  textLength: number;
  /** How many bytes of requests to models were captured. Missing if none were. */
  capturedBytes?: number;
  /** Time of the last change, in milliseconds since the epoch. */
  updatedAt: number;
  /** The agent's state, as JSON text. */
  state?: string;
  /** The caller of the last telephone call. */
  caller?: KnownCaller;
  /** The agent that the conversation was last handed over to. */
  agent?: string;
  /** What must happen only once per conversation. Trimming leaves it alone. */
  onceCalls?: OnceCalls;
  /** What models have used in its sessions, if that is limited. Trimming leaves it alone. */
  spent?: readonly SpentEntry[];
  /**
   * When everything was forgotten, if ever: milliseconds since the epoch, but always later than the
   * previous erasure. A copy without this mark is older, and must not be put back.
   */
  erasedAt?: number;
  /**
   * Only where the platform sends the whole call with each request: how many of its texts were
   * erased, counted from the beginning. Holds none of their words.
   */
  erasedTo?: number;
  /**
   * Only if the agent redacts: which values of the conversation have which numbers. Never the
   * values themselves. At most 100.
   */
  placeholders?: Placeholders;
  /** Reports on turns that are not known yet because other processes added them. At most 16. */
  reports?: readonly Partial<Record<'turnId' | 'textHeard', string | undefined>>[];
  /** When the newest of the trimmed turns was added. See `TurnRecord.addedAt`. */
  trimmedTo?: number;
  /**
   * The turns added, changed or removed, for stores that write only changes. Not part of the
   * record.
   */
  touched?: Set<TurnRecord>;
  /**
   * Set for the same stores: the change is made without the store, so turns that other processes
   * added may be missing. Not part of the record.
   */
  isBehind?: true;
  /**
   * For the same stores: what a state created by this process began with. Not part of the record.
   */
  madeFrom?: string;
  /** For the same stores: where changes to the state have met others since the last write. */
  merged?: { readonly collisions: readonly string[]; readonly misses: readonly string[] };
}

/** A conversation without turns, for a store that has nothing under this id. */
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

/** Whether nothing is left to keep. */
export function isEmpty({ turns, onceCalls, erasedTo }: Conversation): boolean {
  if (turns.length > 0 || erasedTo !== undefined) return false;
  for (const _key in onceCalls) return false;
  return true;
}

/** UTF-16 code units of everything kept for the conversation. */
export function lengthOf(conversation: Conversation): number {
  const { textLength, onceCalls, reports, capturedBytes = 0 } = conversation;
  let length = textLength + capturedBytes;
  if (reports !== undefined) for (const { textHeard = '' } of reports) length += textHeard.length;
  return onceCalls === undefined ? length : length + lengthOfOnceCalls(onceCalls);
}

/** Whether it must be kept: a turn is open, or a `once` call may still act. */
export function isInUse({ openTurns, onceCalls }: Conversation): boolean {
  return openTurns > 0 || isAnyIncomplete(onceCalls);
}

/**
 * Compares hashes first, and ids only where the hashes match: decision 3. The newest turn, usually
 * the running one, needs no hash.
 */
export function findTurn({ turns, turnHashes }: Conversation, id: string): TurnRecord | undefined {
  const newest = turns[turns.length - 1];
  if (newest?.id === id) return newest;
  const hash = hashOf(id);
  for (let index = turnHashes.length - 1; index >= 0; index--) {
    if (turnHashes[index] === hash && turns[index]?.id === id) return turns[index];
  }
  return undefined;
}

/**
 * The index of the first turn that was delivered under that id and began with that text. -1 if
 * there is none.
 */
export function indexOfDelivered(
  { turns, turnHashes }: Conversation,
  turnId: string,
  text: string | undefined,
): number {
  const hash = hashOf(turnId);
  return turns.findIndex((turn, index) =>
    turnHashes[index] === hash && cameWith(turn, turnId) && isBegunBy(turn, text));
}

/**
 * FNV-1a over the UTF-16 code units, in the 31 bits that V8 keeps as a small integer. Equal for all
 * turns delivered under one id: see `idOfNth`.
 */
function hashOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < id.length; index++) {
    const unit = id.charCodeAt(index);
    if (unit === TILDE) break;
    hash = Math.imul(hash ^ unit, 0x01000193);
  }
  return hash >>> 1;
}

const TILDE = 0x7e;

/** Adds an empty turn at the end. */
export function addTurn(conversation: Conversation, turn: TurnRecord): void {
  conversation.touched?.add(turn);
  if (conversation.turns.length === 0) {
    // Not `push`: on an empty array it reserves 17 slots, and many conversations have only one
    // turn.
    conversation.turns = [turn];
    conversation.turnHashes = [hashOf(turn.id)];
    return;
  }
  conversation.turns.push(turn);
  conversation.turnHashes.push(hashOf(turn.id));
}

/** Moves the last turn to before another one. */
export function moveLastTurn({ turns, turnHashes }: Conversation, index: number): void {
  turns.splice(index, 0, ...turns.splice(-1));
  turnHashes.splice(index, 0, ...turnHashes.splice(-1));
}

export function removeTurn(conversation: Conversation, index: number): void {
  const record = conversation.turns[index];
  if (record === undefined) return;
  const { addedAt } = record;
  if (addedAt !== undefined)
    conversation.trimmedTo = Math.max(addedAt, conversation.trimmedTo ?? addedAt);
  conversation.touched?.add(record);
  subtract(conversation, record);
  if (index === 0) {
    // `splice` would allocate an array for what it removes.
    conversation.turns.shift();
    conversation.turnHashes.shift();
  } else {
    conversation.turns.splice(index, 1);
    conversation.turnHashes.splice(index, 1);
  }
}

/** Replaces a turn's messages. Its list of sent events no longer matches them and is removed. */
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

/** Adds a message to its turn if that is known, otherwise as a completed turn at the end. */
export function addMessage(conversation: Conversation, message: Message): void {
  let record = findTurn(conversation, message.turnId);
  if (record === undefined) {
    record = newTurn(message.turnId, 'completed', 0);
    addTurn(conversation, record);
  }
  rewrite(conversation, record, [...messagesOf(record), message], record.kept);
}

/** Sets what the platform has reported about a turn. */
export function setHeard(conversation: Conversation, record: TurnRecord, heard?: Heard): void {
  subtract(conversation, record);
  if (heard === undefined) delete record.heard;
  else record.heard = heard;
  add(conversation, record);
}

/** Takes a turn out of the conversation's totals. Call it before the turn changes. */
export function subtract(conversation: Conversation, record: TurnRecord): void {
  conversation.messageCount -= countMessages(record);
  conversation.textLength -= textLengthOf(record);
  countCaptured(conversation, record, -1);
  if (record.messages !== undefined) conversation.runningCalls -= countRunningCalls(record);
}

/** Puts a changed turn back into the conversation's totals. Every change ends here. */
export function add(conversation: Conversation, record: TurnRecord): void {
  conversation.touched?.add(record);
  conversation.messageCount += countMessages(record);
  conversation.textLength += textLengthOf(record);
  countCaptured(conversation, record, 1);
  if (record.messages !== undefined) conversation.runningCalls += countRunningCalls(record);
}

function countCaptured(conversation: Conversation, { figures }: TurnRecord, sign: 1 | -1): void {
  if (figures?.captured === undefined) return;
  const { bytes } = figures.captured;
  conversation.capturedBytes = (conversation.capturedBytes ?? 0) + sign * bytes;
}

/**
 * Forgets everything, except which `once` calls may still act or have acted, and leaves a mark: the
 * time that it returns, and the place in the platform's call. A turn that is still running will
 * find nothing to settle.
 */
export function clearTurns(
  conversation: Conversation,
  erasedAt: number = Math.max(Date.now(), (conversation.erasedAt ?? 0) + 1),
): number {
  const { id, turns, touched, isBehind, onceCalls } = conversation;
  const numbers = turns.map(({ number = 0 }) => number);
  const erasedTo = Math.max(conversation.erasedTo ?? 0, ...numbers);
  for (const turn of turns) touched?.add(turn);
  // Fields of a later version may hold words, too.
  for (const name of Object.keys(conversation)) Reflect.deleteProperty(conversation, name);
  Object.assign(conversation, emptyConversation(id), { erasedAt });
  if (erasedTo > 0) conversation.erasedTo = erasedTo;
  if (touched !== undefined) conversation.touched = touched;
  if (isBehind !== undefined) conversation.isBehind = isBehind;
  const left = unfinishedCalls(onceCalls);
  if (left !== undefined) conversation.onceCalls = left;
  return erasedAt;
}

function resultOf(state: 'running' | 'unknown' | 'released'): string {
  return UNFINISHED_RESULTS[state === 'released' ? 'interrupted' : state];
}

/** The `once` calls that an erasure leaves: those without a result of their own. */
export function unfinishedCalls(calls: OnceCalls | undefined): OnceCalls | undefined {
  const left = Object.entries(calls ?? {}).flatMap(([key, call]) =>
    call.state === 'completed'
      ? []
      : [[key, { ...call, content: resultOf(call.state) }] as const],
  );
  return left.length === 0 ? undefined : Object.fromEntries(left);
}

/** Forgets the agent's state, the agent and the caller. */
export function forgetHead(conversation: Conversation): void {
  conversation.textLength -= conversation.state?.length ?? 0;
  conversation.textLength -= callerLength(conversation.caller);
  delete conversation.state;
  delete conversation.agent;
  delete conversation.caller;
  delete conversation.reports;
}

/** Records who called, unless `caller` is undefined. */
export function keepCaller(conversation: Conversation, caller: KnownCaller | undefined): void {
  if (caller === undefined) return;
  conversation.textLength += callerLength(caller) - callerLength(conversation.caller);
  conversation.caller = caller;
}

/** Who called in that session, if known. */
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

/** Rebuilds the index and the totals from the turns. */
export function tally(conversation: Conversation): void {
  const { turns } = conversation;
  conversation.turnHashes = turns.map(({ id }) => hashOf(id));
  conversation.openTurns = turns.filter(({ state }) => state === 'open').length;
  conversation.runningCalls = 0;
  conversation.messageCount = 0;
  conversation.textLength = (conversation.state?.length ?? 0) + callerLength(conversation.caller);
  if (conversation.capturedBytes !== undefined) conversation.capturedBytes = 0;
  for (const record of turns) add(conversation, record);
}

/** Copies of all messages, in turn order. */
export function historyOf(conversation: Conversation): Message[] {
  return conversation.turns.flatMap(copiesOf);
}

/**
 * Copies of the messages a turn's run may see: everything up to the caller's words, and the calls
 * of earlier runs of the turn.
 */
export function historyUpTo(conversation: Conversation, record: TurnRecord): Message[] {
  const index = conversation.turns.indexOf(record);
  const earlier = index === -1 ? [] : conversation.turns.slice(0, index);
  return [...earlier.flatMap(copiesOf), ...leadingMessages(record).map(copyOf)];
}

/** A plain turn's messages are created on demand; others belong to the record and are copied. */
function copiesOf(record: TurnRecord): Message[] {
  if (record.isDiscarded === true) return callsOfDiscarded(record).map(copyOf);
  return record.messages === undefined ? messagesOf(record) : record.messages.map(copyOf);
}

/** A copy without what only the rules need to know. */
function copyOf(message: Message): Message {
  if (message.role === 'tool') {
    const {
      runId: _runId, process: _process, joins: _joins, isRepeatable: _isRepeatable, ...copy
    } = message;
    return copy;
  }
  if (message.role !== 'assistant' || message.toolCalls === undefined) return { ...message };
  return { ...message, toolCalls: message.toolCalls.map((call) => ({ ...call })) };
}

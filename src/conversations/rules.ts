// A conversation and what may happen to it, as plain data and pure functions: every store runs the same rules.

import type { Message, SentEvent, TurnState } from './message.ts';

/** One exchange. Its messages stand together, in the turn's place, whenever they were written. */
export interface TurnRecord {
  readonly id: string;
  state: TurnState;
  /** Which run of the turn owns the record. A turn that runs anew has a new one, and the old can write no more. */
  runId: number;
  /** The caller's words and the reply to them, null where there are none: all there is to most turns. As messages they took half as much room again. */
  words: string | null;
  reply: string | null;
  /** The messages of a turn with more to it: tool calls, or several of one role. */
  messages?: Message[];
  /** Said in front of the messages' texts and no part of them; the caller heard it all the same. */
  filler?: string;
  /** What was sent, where the messages do not tell all of it. */
  sent?: readonly SentEvent[];
}

/** Plain JSON. `turnHashes` are those of the turns' ids, in the turns' order. `openTurns`, `messageCount` and `textLength` are sums over the turns, so that no turn has to walk them all. */
export interface Conversation {
  readonly id: string;
  turns: TurnRecord[];
  turnHashes: number[];
  openTurns: number;
  messageCount: number;
  /** UTF-16 code units of all messages and sent events. */
  textLength: number;
  /** Milliseconds since the epoch, of the last change. */
  updatedAt: number;
}

/** What a conversation may hold. Beyond it the oldest turns go, whole; the newest always stays. */
export interface ConversationBounds {
  readonly maxMessages: number;
  /** UTF-16 code units. */
  readonly maxTextLength: number;
}

/** What the platform says of the turn right before, after a barge-in. */
export interface Interruption {
  /** Undefined when it is not known what was heard. */
  readonly textHeard: string | undefined;
  readonly turnId: string | undefined;
}

export interface TurnOpening {
  readonly turnId: string;
  readonly runId: number;
  /** The caller's words; undefined for a turn that the caller did not begin. */
  readonly text?: string | undefined;
  readonly interruption?: Interruption | undefined;
}

/** A completed turn that was interrupted after all: its text was sent, and the voice that spoke it was cut. */
export interface CutTurn {
  readonly turnId: string;
  readonly text: string;
}

export type OpenedTurn =
  | {
      readonly kind: 'opened';
      /** Whether the conversation was known before this turn. */
      readonly isResumed: boolean;
      readonly cut: CutTurn | undefined;
      /** Where the turn stands: what `historyUpTo` asks for. */
      readonly conversation: Conversation;
      readonly record: TurnRecord;
    }
  | { readonly kind: 'completed before'; readonly sent: readonly SentEvent[] };

/** How a turn ended. */
export interface TurnSettlement {
  readonly turnId: string;
  readonly runId: number;
  readonly state: Exclude<TurnState, 'open'>;
  /** What follows the caller's words in history. */
  readonly messages: readonly Message[];
  readonly sent?: readonly SentEvent[] | undefined;
  readonly filler?: string | undefined;
}

export function emptyConversation(id: string): Conversation {
  return { id, turns: [], turnHashes: [], openTurns: 0, messageCount: 0, textLength: 0, updatedAt: 0 };
}

/**
 * Begins a turn: cuts the one before to what was heard, stores the caller's words and a placeholder. A turn that is known
 * and completed is left alone; one that was interrupted or failed runs anew in its old place.
 */
export function openTurn(conversation: Conversation, opening: TurnOpening, bounds: ConversationBounds): OpenedTurn {
  const { turnId, runId, text } = opening;
  const known = findTurn(conversation, turnId);
  if (known?.state === 'completed') return { kind: 'completed before', sent: known.sent ?? sentText(known) };
  const isResumed = conversation.turns.length > (known === undefined ? 0 : 1);
  if (conversation.openTurns > 0) for (const turn of conversation.turns) if (turn.state === 'open') closeAbandoned(conversation, turn);
  const cut = opening.interruption === undefined ? undefined : cutTurn(conversation, opening.interruption, turnId);

  const record: TurnRecord = known ?? newTurn(turnId, 'open', runId);
  if (known === undefined) addTurn(conversation, record);
  conversation.openTurns += 1;
  record.state = 'open';
  record.runId = runId;
  subtract(conversation, record);
  setPlain(record, text ?? null, ''); // the placeholder
  if (record.sent !== undefined) delete record.sent;
  add(conversation, record);
  trim(conversation, bounds);
  return { kind: 'opened', isResumed, cut, conversation, record };
}

/** Ends a turn, once. False when this run does not own the turn any more: it was settled, cut, run anew or cleared. */
export function settleTurn(conversation: Conversation, settlement: TurnSettlement, bounds: ConversationBounds): boolean {
  const record = findTurn(conversation, settlement.turnId);
  if (record?.state !== 'open' || record.runId !== settlement.runId) return false;
  record.state = settlement.state;
  if (settlement.filler !== undefined) record.filler = settlement.filler;
  conversation.openTurns -= 1;
  const { messages } = settlement;
  subtract(conversation, record);
  if (record.messages === undefined && messages.length <= 1 && messages.every(isPlainReply)) setPlain(record, record.words, messages[0]?.content ?? null);
  else setMessages(record, callersWords(record).concat(messages));
  if (settlement.sent !== undefined) record.sent = settlement.sent;
  else if (record.sent !== undefined) delete record.sent; // even where there is nothing to delete, it costs a call into V8's runtime
  add(conversation, record);
  trim(conversation, bounds);
  return true;
}

/**
 * Marks the last assistant turn interrupted, and cuts it to what was heard of it where that is known. Undefined when there is
 * none, or when it was known to be interrupted before.
 */
export function cutTurn(conversation: Conversation, { textHeard, turnId }: Interruption, exceptTurnId?: string): CutTurn | undefined {
  const heard = textHeard?.trim() === '' ? '' : textHeard;
  const record = turnToCut(conversation, turnId, heard, exceptTurnId);
  if (record === undefined) return undefined;
  const wasCompleted = record.state === 'completed';
  if (record.state === 'open') conversation.openTurns -= 1;
  record.state = 'interrupted';
  const kept: Message[] = [];
  let rest = heard === undefined ? undefined : withoutFiller(heard, record.filler?.trim() ?? '');
  const messages = messagesOf(record);
  const lastText = messages.findLastIndex((message) => message.role === 'assistant');
  for (const [index, message] of messages.entries()) {
    if (message.role !== 'assistant') {
      kept.push(message);
      continue;
    }
    const content: string = rest === undefined ? message.content : index === lastText ? rest : rest.slice(0, message.content.length);
    rest = rest?.slice(content.length);
    // A call of a tool stays though nothing of its text was heard: its result must not be orphaned.
    if (content !== '' || message.toolCalls !== undefined) kept.push({ ...message, content, state: 'interrupted' });
  }
  rewrite(conversation, record, kept);
  return wasCompleted ? { turnId: record.id, text: textOf(record) } : undefined;
}

/** What was heard of the agent's own words. */
function withoutFiller(heard: string, filler: string): string {
  if (filler === '') return heard;
  const begins = heard.trimStart();
  if (begins.startsWith(filler)) return begins.slice(filler.length).trimStart();
  return filler.startsWith(begins.trimEnd()) ? '' : heard;
}

/**
 * The platform speaks of the assistant turn right before, by an id that may be none of ours. A turn that had said nothing
 * yet has nothing to cut: where it is meant by name, or nothing was heard, the turn before it keeps what was heard of it.
 */
function turnToCut({ turns }: Conversation, turnId: string | undefined, heard: string | undefined, exceptTurnId?: string): TurnRecord | undefined {
  // A turn that runs anew in an old place speaks of what was before it there.
  const own = exceptTurnId === undefined ? -1 : turns.findIndex((turn) => turn.id === exceptTurnId);
  const before = own === -1 ? turns : turns.slice(0, own);
  const last = before.at(-1);
  if (last === undefined) return undefined;
  if (textOf(last) === '' && (last.id === turnId || (heard === '' && last.state === 'interrupted'))) return undefined;
  return before.findLast((turn) => textOf(turn) !== '');
}

/** Appends a message: to its turn where that is known, else as a completed turn of its own. */
export function appendMessage(conversation: Conversation, message: Message, bounds: ConversationBounds): void {
  let record = findTurn(conversation, message.turnId);
  if (record === undefined) {
    record = newTurn(message.turnId, 'completed', 0);
    addTurn(conversation, record);
  }
  rewrite(conversation, record, [...messagesOf(record), message]);
  trim(conversation, bounds);
}

/** Leaves nothing. A turn that still runs is settled in vain. */
export function clearTurns(conversation: Conversation): void {
  Object.assign(conversation, emptyConversation(conversation.id));
}

export function hasOpenTurn(conversation: Conversation): boolean {
  return conversation.openTurns > 0;
}

/**
 * Looks at numbers that lie side by side, and only for an equal hash at a turn: walking the turns of a long call means a
 * cache miss or two for each, 1.4 µs of a turn's 30.
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
  for (let index = 0; index < id.length; index++) hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193);
  return hash >>> 1;
}

function addTurn(conversation: Conversation, turn: TurnRecord): void {
  if (conversation.turns.length === 0) {
    // Literals, for `push` onto an empty array makes room for 17: 270 bytes of every conversation that is but one turn long.
    conversation.turns = [turn];
    conversation.turnHashes = [hashOf(turn.id)];
    return;
  }
  conversation.turns.push(turn);
  conversation.turnHashes.push(hashOf(turn.id));
}

export function historyOf(conversation: Conversation): Message[] {
  return conversation.turns.flatMap(messagesOf);
}

/** The messages up to the caller's words of a turn, as they are now. */
export function historyUpTo(conversation: Conversation, record: TurnRecord): Message[] {
  const index = conversation.turns.indexOf(record);
  const earlier = index === -1 ? [] : conversation.turns.slice(0, index);
  return [...earlier.flatMap(messagesOf), ...callersWords(record)];
}

function callersWords(record: TurnRecord): Message[] {
  return messagesOf(record).filter((message) => message.role === 'user');
}

function newTurn(id: string, state: TurnState, runId: number): TurnRecord {
  return { id, state, runId, words: null, reply: null };
}

function messagesOf({ id: turnId, state, words, reply, messages }: TurnRecord): Message[] {
  if (messages !== undefined) return messages;
  const plain: Message[] = [];
  if (words !== null) plain.push({ role: 'user', content: words, turnId });
  if (reply !== null) plain.push({ role: 'assistant', content: reply, turnId, state });
  return plain;
}

function setPlain(record: TurnRecord, words: string | null, reply: string | null): void {
  record.words = words;
  record.reply = reply;
  if (record.messages !== undefined) delete record.messages;
}

function setMessages(record: TurnRecord, messages: Message[]): void {
  const words = messages[0]?.role === 'user' ? messages[0] : undefined;
  const reply = messages[words === undefined ? 0 : 1];
  const isPlain = messages.length === Number(words !== undefined) + Number(reply !== undefined) && (reply === undefined || isPlainReply(reply));
  setPlain(record, isPlain ? words?.content ?? null : null, isPlain ? reply?.content ?? null : null);
  if (!isPlain) record.messages = messages;
}

function isPlainReply(message: Message): boolean {
  return message.role === 'assistant' && message.toolCalls === undefined;
}

/** The turn's run is gone, with its process perhaps: what it said is not known here. */
function closeAbandoned(conversation: Conversation, turn: TurnRecord): void {
  turn.state = 'interrupted';
  conversation.openTurns -= 1;
  rewrite(conversation, turn, messagesOf(turn).filter((message) => message.role !== 'assistant' || message.content !== ''));
}

function sentText(turn: TurnRecord): readonly SentEvent[] {
  const text = textOf(turn);
  return text === '' ? [] : [{ type: 'say', text }];
}

function textOf({ reply, messages }: TurnRecord): string {
  if (messages === undefined) return reply ?? '';
  let text = '';
  for (const message of messages) if (message.role === 'assistant') text += message.content;
  return text;
}

function rewrite(conversation: Conversation, record: TurnRecord, messages: Message[]): void {
  subtract(conversation, record);
  setMessages(record, messages);
  if (record.sent !== undefined) delete record.sent;
  add(conversation, record);
}

/** Takes a turn out of the conversation's sums, before it changes. */
function subtract(conversation: Conversation, record: TurnRecord): void {
  conversation.messageCount -= countOf(record);
  conversation.textLength -= lengthOf(record);
}

function add(conversation: Conversation, record: TurnRecord): void {
  conversation.messageCount += countOf(record);
  conversation.textLength += lengthOf(record);
}

function countOf({ words, reply, messages }: TurnRecord): number {
  return messages?.length ?? Number(words !== null) + Number(reply !== null);
}

function lengthOf({ words, reply, messages, sent }: TurnRecord): number {
  let length = (words?.length ?? 0) + (reply?.length ?? 0);
  if (messages !== undefined) for (const message of messages) {
    length += message.content.length;
    if (message.role === 'assistant' && message.toolCalls !== undefined) for (const call of message.toolCalls) length += call.name.length + call.args.length;
  }
  if (sent !== undefined) for (const event of sent) length += event.type === 'say' ? event.text.length : event.type === 'data' ? event.json.length : 0;
  return length;
}

/** Drops the oldest turns that are not open, whole: half a turn would orphan a tool's result or its call. */
function trim(conversation: Conversation, { maxMessages, maxTextLength }: ConversationBounds): void {
  const { turns } = conversation;
  let index = 0;
  // Turns count too: one that stored no message still takes room.
  while (conversation.messageCount > maxMessages || turns.length > maxMessages || conversation.textLength > maxTextLength) {
    const turn = turns[index];
    if (turn === undefined || index === turns.length - 1) return;
    if (turn.state === 'open') index++;
    else {
      rewrite(conversation, turn, []);
      turns.splice(index, 1);
      conversation.turnHashes.splice(index, 1);
    }
  }
}

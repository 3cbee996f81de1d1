// How much of a reply the caller heard, as the platform reports it after an interruption.

import type { Interruption } from '../calls/call-event.ts';
import { trim, type ConversationBounds } from './bounds.ts';
import { rewrite, settleForGood, type Conversation } from './conversation.ts';
import { withWholeValues } from './heard-values.ts';
import type { AssistantMessage, Message } from './message.ts';
import { coveredBy, lettersOf, saysLess, saysSame, withoutLetters } from './spoken-words.ts';
import {
  cameWith, leadingMessages, ownMessages, replyText, type TurnRecord,
} from './turn-record.ts';

/**
 * A turn that completed and was interrupted afterwards: all its text was sent, but the platform's
 * voice was cut off while speaking it.
 */
export interface CutTurn {
  readonly turnId: string;
  /** What is left of the reply. */
  readonly text: string;
}

/** The turn that a report changed, and whether it had completed before. */
export interface HeardTurn {
  readonly record: TurnRecord;
  readonly wasCompleted: boolean;
}

/**
 * Records what was heard, on the last turn that can have been heard. `beforeTurnId` is the turn
 * whose event carried the report. Undefined if no turn changed.
 */
export function noteHeard(
  conversation: Conversation,
  interruption: Interruption,
  beforeTurnId?: string,
): HeardTurn | undefined {
  const { turns } = conversation;
  const newest = newestBefore(conversation, beforeTurnId);
  const named = indexOf(conversation, interruption.turnId);
  if (conversation.isBehind === true && mayBeOfNewer(conversation, interruption)) return undefined;
  if (interruption.textHeard === undefined) return markInterrupted(conversation, turns[newest]);
  let heard = interruption.textHeard;
  for (let index = named === -1 ? newest : Math.min(newest, named); index >= 0; index--) {
    const record = turns[index];
    if (record === undefined) return undefined;
    heard = withoutPrefix(heard, record.filler ?? '');
    const said = replyText(record);
    const isUnknown = record.isUnknown === true && (said !== '' || record.state !== 'completed');
    heard = withWholeValues(heard, said);
    if (isUnknown || (said !== '' && index === newest))
      return cutTo(conversation, record, heard);
    if (heard.trim() === '') return undefined; // nothing was heard, or only a filler
    if (said !== '') return isPrefix(heard, said) ? cutTo(conversation, record, heard) : undefined;
  }
  return undefined;
}

/**
 * Whether the report is about a turn that is not known. It may be a newer one, which another
 * process has added.
 */
export function mayBeOfNewer(conversation: Conversation, { turnId }: Interruption): boolean {
  return turnId !== undefined && indexOf(conversation, turnId) === -1;
}

/**
 * Like `noteHeard`, for a report that does not begin a turn. An open turn here runs in another
 * process, and that process is told. Also undefined if the turn was already known to be
 * interrupted.
 */
export function cutTurn(
  conversation: Conversation,
  interruption: Interruption,
  bounds: ConversationBounds,
): CutTurn | undefined {
  if (conversation.openTurns > 0 && conversation.turns.at(-1)?.state !== 'open') return undefined;
  const heard = noteHeard(conversation, interruption);
  if (heard === undefined) return undefined;
  trim(conversation, bounds); // the platform's words may be longer than ours
  return cutOf(heard);
}

/**
 * What to tell the agent: only turns that had completed. An agent is told about an interrupted
 * turn while it runs.
 */
export function cutOf({ record, wasCompleted }: HeardTurn): CutTurn | undefined {
  return wasCompleted ? { turnId: record.id, text: replyText(record) } : undefined;
}

/** Of several turns that came with the id, the platform means the newest. -1 if it is unknown. */
function indexOf({ turns }: Conversation, turnId: string | undefined): number {
  return turnId === undefined ? -1 : turns.findLastIndex((turn) => cameWith(turn, turnId));
}

/**
 * A report is about what came before the turn that carries it, even if that turn is running again
 * in its old place.
 */
function newestBefore({ turns }: Conversation, turnId: string | undefined): number {
  const own = turnId === undefined ? -1 : turns.findIndex(({ id }) => id === turnId);
  return (own === -1 ? turns.length : own) - 1;
}

/**
 * How much was heard stays unknown. If the turn was open, its run may still report what it sent. If
 * it had completed, its run may not, as that would undo the interruption.
 */
function markInterrupted(
  conversation: Conversation,
  record: TurnRecord | undefined,
): HeardTurn | undefined {
  if (record === undefined || replyText(record) === '') return undefined;
  if (record.state === 'open') record.isUnknown = true;
  else if (record.state === 'completed') settleAsReported(conversation, record);
  return rewriteOwn(conversation, record, ownMessages(record));
}

/**
 * Cuts the reply to what was heard, for good. Tool calls stay even if none of their text was heard,
 * because a result needs its call.
 */
export function cutTo(conversation: Conversation, record: TurnRecord, heard: string): HeardTurn {
  const isKnown = record.isUnknown !== true;
  const own = ownMessages(record);
  let rest = heard.trim() === '' ? '' : heard;
  if (isKnown && own.length > 1) rest = asSaid(rest, replyText(record));
  const last = own.findLastIndex(({ role }) => role === 'assistant');
  const cut = own.map((message, index): Message => {
    if (message.role !== 'assistant') return message;
    // The platform's text may differ from ours. The last message takes the rest, unless tool calls
    // follow it and we do not know what was sent.
    const takesAll = index === last && (isKnown || message.toolCalls === undefined);
    const content = takesAll ? rest : beginningLike(message.content, rest);
    rest = rest.slice(content.length);
    return { ...message, content };
  });
  if (rest.trim() !== '')
    cut.push({ role: 'assistant', content: rest, turnId: record.id, state: 'interrupted' });
  settleAsReported(conversation, record);
  return rewriteOwn(conversation, record, cut);
}

/**
 * A platform's text, with our spelling and signs, if its words are found in what was `said`: then
 * each round of a turn with tool calls gets its own. A text that goes on stays as it is.
 */
function asSaid(heard: string, said: string): string {
  if (said.startsWith(heard) || saysLess(said, heard)) return heard;
  return said.slice(0, coveredBy(heard, said) ?? 0) || heard;
}

/** The part of a platform's text that says what `round` says. '' if it says something else. */
function beginningLike(round: string, heard: string): string {
  return heard.startsWith(round) ? round : heard.slice(0, coveredBy(round, heard) ?? 0);
}

function settleAsReported(conversation: Conversation, record: TurnRecord): void {
  settleForGood(conversation, record);
  if (record.process !== undefined) record.isReported = true;
}

function rewriteOwn(
  conversation: Conversation,
  record: TurnRecord,
  messages: readonly Message[],
): HeardTurn {
  const { state } = record;
  const leading = leadingMessages(record);
  const own = messages.filter(isWorthKeeping).map(asInterrupted);
  if (state === 'open') conversation.openTurns -= 1;
  record.state = 'interrupted';
  rewrite(conversation, record, [...leading, ...own], leading.length);
  return { record, wasCompleted: state === 'completed' };
}

function isWorthKeeping(message: Message): boolean {
  return message.role !== 'assistant' || message.content !== '' || message.toolCalls !== undefined;
}

function asInterrupted(message: Message): Message {
  return message.role === 'assistant'
    ? ({ ...message, state: 'interrupted' } satisfies AssistantMessage)
    : message;
}

/** Whether `text` begins with the words of `prefix`. */
export function isPrefix(prefix: string, text: string): boolean {
  return text.startsWith(prefix) || saysLess(prefix, text) || saysSame(prefix, text);
}

/**
 * `text` without the words of the leading `prefix`: '' if it ends inside the prefix, all of `text`
 * if it begins with something else.
 */
export function withoutPrefix(text: string, prefix: string): string {
  const [start, letters] = [lettersOf(prefix), lettersOf(text)];
  if (start === '')
    return prefix.trim() !== '' && text.startsWith(prefix)
      ? text.slice(prefix.length).trimStart()
      : text;
  if (start.startsWith(letters)) return '';
  return letters.startsWith(start) ? withoutLetters(text, start.length) : text;
}

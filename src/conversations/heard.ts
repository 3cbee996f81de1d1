// What the caller heard of a reply, as far as the platform reports it after an interruption.

import { trim, type ConversationBounds } from './bounds.ts';
import { rewrite, type Conversation } from './conversation.ts';
import type { AssistantMessage, Message } from './message.ts';
import {
  cameWith,
  leadingMessages,
  ownMessages,
  replyText,
  type TurnRecord,
} from './turn-record.ts';

/** What the platform reports after an interruption. */
export interface Interruption {
  /** Undefined when it is not known what was heard. */
  readonly textHeard: string | undefined;
  /** The assistant turn that was interrupted. It may be an id that this server never saw. */
  readonly turnId: string | undefined;
}

/**
 * A turn that had ended and was interrupted after all: its text was sent, and the voice that spoke
 * it was cut off.
 */
export interface CutTurn {
  readonly turnId: string;
  /** What is left of the reply. */
  readonly text: string;
}

/** The turn that a report of the platform changed, and whether it had ended by then. */
export interface HeardTurn {
  readonly record: TurnRecord;
  readonly wasCompleted: boolean;
}

/**
 * Writes down what was heard, on the last turn that can have been heard. `beforeTurnId` names the
 * turn that brings the report. Undefined when no turn was changed.
 */
export function noteHeard(
  conversation: Conversation,
  interruption: Interruption,
  beforeTurnId?: string,
): HeardTurn | undefined {
  const { turns } = conversation;
  const newest = newestBefore(conversation, beforeTurnId);
  const named = indexOf(conversation, interruption.turnId);
  // An id that is not known here may be that of a newer turn, which another process added.
  const mayMissIt = named === -1 && interruption.turnId !== undefined && conversation.isBehind;
  if (interruption.textHeard === undefined)
    return mayMissIt ? undefined : markInterrupted(conversation, turns[newest]);
  let heard = interruption.textHeard;
  for (let index = named === -1 ? newest : Math.min(newest, named); index >= 0; index--) {
    const record = turns[index];
    if (record === undefined) return undefined;
    heard = withoutPrefix(heard, record.filler ?? '');
    const said = replyText(record);
    const isUnknown = record.isUnknown === true;
    if ((isUnknown || (said !== '' && index === newest)) && !mayMissIt)
      return cutTo(conversation, record, heard);
    if (heard.trim() === '') return undefined; // a filler was all that was heard, or nothing
    if (said !== '' || isUnknown)
      return isPrefix(heard, said) ? cutTo(conversation, record, heard) : undefined;
  }
  return undefined;
}

/**
 * As `noteHeard`, for a report that begins no turn. A turn that runs in another process is the one
 * that is meant, and that process is told. Undefined also when the turn was known to be
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
 * What an agent is told: only of a turn that had ended, as it was told of any other when that was
 * interrupted.
 */
export function cutOf(heard: HeardTurn | undefined): CutTurn | undefined {
  return heard?.wasCompleted === true
    ? { turnId: heard.record.id, text: replyText(heard.record) }
    : undefined;
}

/** Of several turns that came with the id, the platform means the newest. -1: it is not known. */
function indexOf({ turns }: Conversation, turnId: string | undefined): number {
  return turnId === undefined ? -1 : turns.findLastIndex((turn) => cameWith(turn, turnId));
}

/**
 * The platform reports on what came before the turn that brings the report, also when that turn
 * runs anew in an old place.
 */
function newestBefore({ turns }: Conversation, turnId: string | undefined): number {
  const own = turnId === undefined ? -1 : turns.findIndex(({ id }) => id === turnId);
  return (own === -1 ? turns.length : own) - 1;
}

/** What was heard stays unknown: where the turn's run has not said what it sent, it still may. */
function markInterrupted(
  conversation: Conversation,
  record: TurnRecord | undefined,
): HeardTurn | undefined {
  if (record === undefined || replyText(record) === '') return undefined;
  if (record.state === 'open') record.isUnknown = true;
  return rewriteOwn(conversation, record, ownMessages(record));
}

/**
 * Cuts the reply to what was heard. Calls stay where nothing of their text was heard: a result
 * needs its call.
 */
function cutTo(conversation: Conversation, record: TurnRecord, heard: string): HeardTurn {
  const isKnown = record.isUnknown !== true;
  let rest = heard.trim() === '' ? '' : heard;
  const own = ownMessages(record);
  const last = own.findLastIndex(({ role }) => role === 'assistant');
  const cut = own.map((message, index): Message => {
    if (message.role !== 'assistant') return message;
    // The platform's words may not be ours. The last text takes all that is left, unless calls of
    // unknown effect follow it.
    const takesAll = index === last && (isKnown || message.toolCalls === undefined);
    const content = takesAll ? rest : rest.slice(0, message.content.length);
    rest = rest.slice(content.length);
    return { ...message, content };
  });
  if (rest.trim() !== '')
    cut.push({ role: 'assistant', content: rest, turnId: record.id, state: 'interrupted' });
  if (record.isUnknown !== undefined) delete record.isUnknown; // decided
  return rewriteOwn(conversation, record, cut);
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

/** Whether `text` begins with `prefix`, white space aside. */
export function isPrefix(prefix: string, text: string): boolean {
  return collapse(text).startsWith(collapse(prefix));
}

/**
 * `text` without the `prefix` that it begins with, white space aside. '' where it ends inside the
 * prefix; all of `text` where it begins with something else.
 */
export function withoutPrefix(text: string, prefix: string): string {
  if (prefix.trim() === '') return text;
  let at = 0;
  for (const character of collapse(prefix)) {
    while (/\s/.test(text[at] ?? '')) at += 1;
    if (at >= text.length) return '';
    if (!text.startsWith(character, at)) return text;
    at += character.length;
  }
  return text.slice(at).trimStart();
}

function collapse(text: string): string {
  return text.replaceAll(/\s+/g, '');
}

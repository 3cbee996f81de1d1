// How much of a reply the caller heard, as the platform reports it after an interruption.

import {
  coveredBy, lettersOf, saysLess, saysSame, withoutLetters,
} from '../../base/words/spoken-words.ts';
import type { Interruption } from '../calls/call-event.ts';
import { withWholeValues } from '../redaction/cut-values.ts';
import { rewrite, setHeard, type Conversation } from './conversation.ts';
import { trim, type ConversationBounds } from './history-bounds.ts';
import { accountOf, hasAccount } from './last-word.ts';
import type { AssistantMessage, Message } from './message.ts';
import {
  cameWith, countRuns, leadingMessages, ownMessages, replyText, type TurnRecord,
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

/** How many reports may wait for turns that a conversation does not know yet. */
const MAX_REPORTS = 16;

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
  if (conversation.isBehind === true && mayBeOfNewer(conversation, interruption)) {
    conversation.reports = [...(conversation.reports ?? []), interruption].slice(-MAX_REPORTS);
    return undefined;
  }
  if (interruption.textHeard === undefined) return markInterrupted(conversation, turns[newest]);
  const from = named === -1 ? newest : Math.min(newest, named);
  return hearFrom(conversation, interruption.textHeard, from, newest);
}

/** Takes over the waiting reports of another copy, and applies all whose turns are known now. */
export function hearWaiting(
  conversation: Conversation,
  other: { readonly reports?: Conversation['reports'] | undefined },
): void {
  const reports = [...(conversation.reports ?? []), ...(other.reports ?? [])];
  if (reports.length === 0) return;
  const all = new Map(reports.map((report) => [JSON.stringify(report), report]));
  for (const [key, { turnId, textHeard }] of all) {
    const turn = conversation.turns[indexOf(conversation, turnId)];
    if (turn === undefined) continue;
    all.delete(key);
    if (countRuns(turn) === 1) hearAgain(conversation, turn, textHeard); // else it ran again
  }
  if (all.size > 0) conversation.reports = [...all.values()].slice(-MAX_REPORTS);
  else delete conversation.reports;
}

/** Goes back from a turn to the one that the text is about. */
function hearFrom(
  conversation: Conversation,
  text: string,
  from: number,
  newest: number,
): HeardTurn | undefined {
  let heard = text;
  for (let index = from; index >= 0; index--) {
    const record = conversation.turns[index];
    if (record === undefined) return undefined;
    heard = withoutPrefix(heard, record.filler ?? '');
    const said = replyText(record);
    heard = withWholeValues(heard, said);
    if (!hasAccount(record) || (said !== '' && index === newest))
      return cutTo(conversation, record, heard);
    if (heard.trim() === '') return undefined; // nothing was heard, or only a filler
    if (said !== '') return isPrefix(heard, said) ? cutTo(conversation, record, heard) : undefined;
  }
  return undefined;
}

/**
 * For a report that came before its turn, or before that turn's run has told what it said. If that
 * was nothing, the report is about the last turn before it that spoke.
 */
export function hearAgain(conversation: Conversation, record: TurnRecord, text?: string): void {
  const index = conversation.turns.indexOf(record);
  if (text === undefined) markInterrupted(conversation, record);
  else hearFrom(conversation, text, index, index);
}

/**
 * Whether the report is about an unknown turn. It may be a newer one, which another process has
 * added.
 */
export function mayBeOfNewer(conversation: Conversation, { turnId }: Interruption): boolean {
  return turnId !== undefined && indexOf(conversation, turnId) === -1;
}

/**
 * Like `noteHeard`, but for a report that does not begin a turn. An open turn here is running in
 * another process, and that process is told. Also undefined if the turn was already known to be
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
 * What to tell the agent about: only turns that had completed. An agent learns of an interrupted
 * turn while that is running.
 */
export function cutOf({ record, wasCompleted }: HeardTurn): CutTurn | undefined {
  return wasCompleted ? { turnId: record.id, text: replyText(record) } : undefined;
}

/**
 * Of several turns that came with the id, the platform means the newest. -1 if the id is unknown.
 */
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

/** How much was heard remains unknown. A turn that is known to have said nothing stays as it is. */
function markInterrupted(
  conversation: Conversation,
  record: TurnRecord | undefined,
): HeardTurn | undefined {
  if (record === undefined) return undefined;
  if (replyText(record) === '' && accountOf(record) !== 'closed') return undefined;
  return rewriteOwn(conversation, record, ownMessages(record));
}

/**
 * Cuts the reply to what was heard, and also what its run may still say. Tool calls stay even if
 * none of their text was heard, because a result needs its call.
 */
export function cutTo(conversation: Conversation, record: TurnRecord, heard: string): HeardTurn {
  const isKnown = hasAccount(record);
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
  return rewriteOwn(conversation, record, cut, heard);
}

/**
 * A platform's text, with our spelling and signs, if its words are found in what was `said`: that
 * way each round of a turn with tool calls gets its own part. A text that goes on stays as it is.
 */
function asSaid(heard: string, said: string): string {
  if (said.startsWith(heard) || saysLess(said, heard)) return heard;
  return said.slice(0, coveredBy(heard, said) ?? 0) || heard;
}

/** The part of a platform's text that says what `round` says. '' if it says something else. */
function beginningLike(round: string, heard: string): string {
  return heard.startsWith(round) ? round : heard.slice(0, coveredBy(round, heard) ?? 0);
}

function rewriteOwn(
  conversation: Conversation,
  record: TurnRecord,
  messages: readonly Message[],
  heard?: string,
): HeardTurn {
  const { state, runId } = record;
  const leading = leadingMessages(record);
  const own = messages.filter(isWorthKeeping).map(asInterrupted);
  if (state === 'open') {
    conversation.openTurns -= 1;
    record.said = 'nothing';
  }
  record.state = 'interrupted';
  rewrite(conversation, record, [...leading, ...own], leading.length);
  const isDone = record.said === undefined || heard === undefined;
  if (heard !== undefined || record.heard === undefined)
    setHeard(conversation, record, isDone ? { runId } : { runId, text: heard });
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

// Compares the platform's version of the call with the stored one, and changes nothing.

import {
  align, alignEnds, likenessOfReplies, type Exchange, type Pair,
} from '../../base/words/alignment.ts';
import { joinedAs } from '../../base/words/joined-words.ts';
import {
  coveredBy, lettersOf, PreparedTexts, saysLess, saysSame,
} from '../../base/words/spoken-words.ts';
import type { Transcript, TranscriptLine } from '../calls/call-event.ts';
import type { Conversation } from './conversation.ts';
import { isTold, replyText, type TurnRecord } from './turn-record.ts';

/** How a transcript compares with a conversation. Nothing has changed yet. */
export interface Comparison {
  readonly transcript: Transcript;
  /** What the caller says now. */
  readonly text: string;
  /** All exchanges, or the last two of both sides if those are the same. */
  readonly theirs: readonly Exchange[];
  readonly ours: readonly OwnExchange[];
  /** Empty if no exchange is certain to be in both. */
  readonly pairs: readonly Pair[];
  /** How many of our exchanges follow the last one of theirs. -1 if unknown. */
  readonly rest: number;
  /** The turn of the request, if that is running again. */
  readonly known: TurnRecord | undefined;
  /**
   * Whether the request comes late: its words are the beginning of what the newest turn answers,
   * and the call before them is the same.
   */
  readonly isLate: boolean;
}

/** One of our exchanges, and its turns. */
export interface OwnExchange extends Exchange {
  readonly turns: readonly TurnRecord[];
}

/** What the caller may have heard of a turn. */
export interface Said {
  readonly reply: string;
  readonly filler: string | undefined;
}

/**
 * Compares the platform's account of the call so far with ours. `text` is what the caller says now,
 * and `known` its turn, if that is running again. `saidIn` returns what a turn has said, even while
 * it is running.
 */
export function compareTranscript(
  conversation: Conversation,
  transcript: Transcript,
  text: string,
  known: TurnRecord | undefined,
  saidIn: (turn: TurnRecord) => Said,
): Comparison {
  const { lines } = transcript;
  const { turns } = conversation;
  const earlier = known === undefined ? turns : turns.slice(0, turns.indexOf(known));
  const recent = recentOf(earlier, saidIn);
  const last = exchangesOf(lastLinesOf(lines));
  const ends = alignEnds(last, recent);
  const aligned = ends === undefined
    ? alignAll(exchangesOf(lines), ownExchangesOf(earlier, saidIn))
    : { theirs: last, ours: recent, pairs: ends };
  const { theirs, ours } = aligned;
  const pairs = isMoreThanGreeting(theirs, ours) ? [] : aligned.pairs;
  const newest = ours.at(-1);
  const rest = restOf(theirs, ours, pairs, text);
  const isBeforeNewest = known === undefined && rest === 1;
  const isLate =
    isBeforeNewest
    && newest?.words !== undefined
    && mayBeWanted(newest.turns)
    && saysLess(text, newest.words);
  return { transcript, text, theirs, ours, pairs, rest, known, isLate };
}

type Aligned = Pick<Comparison, 'theirs' | 'ours' | 'pairs'>;

/**
 * Words that one list lacks may be part of an exchange in the other, or several of its exchanges
 * joined.
 */
function alignAll(theirs: readonly Exchange[], ours: readonly OwnExchange[]): Aligned {
  const pairs = align(theirs, ours);
  const paired = new Set(pairs.map(([their]) => their));
  const first = pairs[0]?.[0] ?? 0;
  const isLacking = theirs.some(
    ({ words }, index) => words !== undefined && index >= first && !paired.has(index),
  );
  if (!isLacking) return { theirs, ours, pairs };
  const joined = {
    theirs: joinedAs(theirs, ours, ({ replies }) => replies.length === 0, (parts) => ({
      words: wordsOfAll(parts), replies: parts.flatMap(({ replies }) => replies),
    })),
    ours: joinedAs(ours, theirs, () => true, (parts) => ({
      words: wordsOfAll(parts),
      replies: parts.flatMap(({ replies }) => replies),
      turns: parts.flatMap(({ turns }) => turns),
    })),
  };
  const isSame = joined.theirs === theirs && joined.ours === ours;
  return { ...joined, pairs: isSame ? pairs : align(joined.theirs, joined.ours) };
}

function wordsOfAll(parts: readonly Exchange[]): string {
  return parts.map(({ words }) => words).join(' ');
}

/**
 * A dropped connection proves that nobody wants the reply: a request that comes then is not late.
 */
function mayBeWanted(turns: readonly TurnRecord[]): boolean {
  const { state } = turns[0] ?? {};
  return state === 'open' || state === 'completed';
}

/** Nearly always enough for the last two exchanges. */
const RECENT_TURNS = 4;

/** The last two exchanges. Leaves out the rest of one that began earlier. */
function recentOf(
  turns: readonly TurnRecord[],
  saidIn: (turn: TurnRecord) => Said,
): readonly OwnExchange[] {
  const first = Math.max(0, turns.length - RECENT_TURNS);
  let start = turns.length;
  for (let found = 0; found < 2 && start > first; ) {
    start -= 1;
    const turn = turns[start];
    if (turn === undefined || turn.isDiscarded === true) continue;
    if (wordsOf(turn) !== undefined) found += 1;
  }
  const recent = ownExchangesOf(turns.slice(start), saidIn);
  const isCut = start > 0 && recent[0]?.words === undefined;
  return isCut ? recent.slice(1) : recent;
}

/**
 * How many of our exchanges follow the last one of theirs. -1 if unknown. Without a pair it is
 * known only if their list has none of the caller's words. Then all of ours follow if `text` has
 * the words of all of them, or if only one has words and their list is about our greeting.
 * Otherwise their list may have been cut off up to our last replies, or to the ones before: those
 * that it is more like.
 */
function restOf(
  theirs: readonly Exchange[],
  ours: readonly OwnExchange[],
  pairs: readonly Pair[],
  text: string,
): number {
  const last = pairs.at(-1);
  if (last !== undefined) return last[0] === theirs.length - 1 ? ours.length - 1 - last[1] : -1;
  if (theirs.some(({ words }) => words !== undefined)) return -1;
  const worded = ours.filter(({ words }) => words !== undefined);
  if (worded.length > 1 && saysSame(wordsOfAll(worded), text)) return worded.length;
  const [first] = theirs;
  if (first !== undefined) {
    const [newest, before] = [worded.at(-1), worded.at(-2)];
    const said = before === undefined ? undefined : withoutTold(before);
    const order = compareLikeness(first, newest, said);
    if (order !== 0) return order > 0 ? 0 : 1;
  }
  return worded.length > 1 || isMoreThanGreeting(theirs, ours) ? -1 : worded.length;
}

/**
 * Positive if their texts are more like those of `one` than those of `other`, negative for the
 * reverse. The degree counts first, then the most words that any pair has in common.
 */
function compareLikeness(
  theirs: Exchange,
  one: Exchange | undefined,
  other: Exchange | undefined,
): number {
  const [their, a, b] = [lastTextsOf(theirs), lastTextsOf(one), lastTextsOf(other)];
  const [toA, toB] = [degreeOf(their, a), degreeOf(their, b)];
  if (toA !== toB || toA === 0) return toA - toB;
  const texts = new PreparedTexts();
  return mostWordsIn(a, their, texts) - mostWordsIn(b, their, texts);
}

/** How many of the last texts of an exchange are compared. A silent caller may hear fifty. */
const MOST_COMPARED = 10;

function lastTextsOf(exchange: Exchange | undefined): Exchange {
  return { words: undefined, replies: exchange?.replies.slice(-MOST_COMPARED) ?? [] };
}

/** 0 if none are alike, or one side says nothing. */
function degreeOf(their: Exchange, our: Exchange): number {
  return Math.max(0, likenessOfReplies(their, our));
}

function mostWordsIn(our: Exchange, their: Exchange, texts: PreparedTexts): number {
  const counts = their.replies.flatMap((told) =>
    our.replies.map((said) => texts.countOfWordsIn(said, told)));
  return Math.max(...counts);
}

/** Only what we have said. A platform says its own lines again and again. */
function withoutTold({ words, turns }: OwnExchange): Exchange {
  return { words, replies: turns.flatMap((turn) => (isTold(turn) ? [] : replyText(turn))) };
}

/**
 * Whether their list was cut off up to replies. Then none of the caller's words are left, and not
 * all of the texts are about our greeting: they may be about a reply to our newest words that came
 * from another process and is not known here yet. If several of our exchanges have words, a text
 * that is merely like our greeting is not about it.
 */
function isMoreThanGreeting(theirs: readonly Exchange[], ours: readonly Exchange[]): boolean {
  const [[first, second], [greeting]] = [theirs, ours];
  if (first === undefined || first.words !== undefined || second !== undefined) return false;
  if (greeting === undefined || greeting.words !== undefined) return false;
  if (ours.length > 2 && likenessOfReplies(first, greeting) < 2) return true;
  return !areAbout(first.replies, greeting.replies);
}

/** Whether each of their texts is about one of ours or a part of it, as far as ours are known. */
function areAbout(told: readonly string[], said: readonly string[]): boolean {
  const all = lettersOf(said.join(' '));
  if (all === '') return true;
  const texts = new PreparedTexts();
  return told.every((text) =>
    all.includes(texts.lettersOf(text))
    || said.some((reply) => coveredBy(text, reply, texts) !== undefined),
  );
}

/** The turns that the request asks to replace: those after the end of the transcript. */
export function replacedBy({ ours, rest }: Comparison): readonly TurnRecord[] {
  return rest > 0 ? ours.slice(-rest).flatMap(({ turns }) => turns) : [];
}

/** Each of the caller's texts begins an exchange. The agent's texts after it are the replies. */
function exchangesOf(lines: readonly TranscriptLine[]): readonly Exchange[] {
  const exchanges: { words: string | undefined; replies: string[] }[] = [];
  for (const { role, text } of lines) {
    if (role === 'user') exchanges.push({ words: text, replies: [] });
    else {
      if (exchanges.length === 0) exchanges.push({ words: undefined, replies: [] });
      exchanges.at(-1)?.replies.push(text);
    }
  }
  return exchanges;
}

/** The lines of the last two exchanges. All lines if there are no more. */
function lastLinesOf(lines: readonly TranscriptLine[]): readonly TranscriptLine[] {
  let start = lines.length;
  for (let found = 0; found < 2 && start > 0; ) {
    start -= 1;
    if (lines[start]?.role === 'user') found += 1;
  }
  return start === 0 ? lines : lines.slice(start);
}

/** A turn that the caller did not begin belongs to the exchange before it. */
function ownExchangesOf(
  turns: readonly TurnRecord[],
  saidIn: (turn: TurnRecord) => Said,
): readonly OwnExchange[] {
  const exchanges: { words: string | undefined; replies: string[]; turns: TurnRecord[] }[] = [];
  for (const turn of turns) {
    if (turn.isDiscarded === true) continue;
    const words = wordsOf(turn);
    if (words !== undefined || exchanges.length === 0)
      exchanges.push({ words, replies: [], turns: [] });
    const { reply, filler } = saidIn(turn);
    exchanges.at(-1)?.replies.push(reply);
    if (filler !== undefined) exchanges.at(-1)?.replies.push(`${filler} ${reply}`);
    exchanges.at(-1)?.turns.push(turn);
  }
  return exchanges;
}

/** Undefined for a turn that the caller did not begin, or began with silence. */
export function wordsOf(turn: TurnRecord): string | undefined {
  const { words, messages } = turn;
  const said = words ?? messages?.find(({ role }) => role === 'user')?.content;
  return said !== undefined && /\S/.test(said) ? said : undefined;
}

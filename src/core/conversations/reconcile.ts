// Makes a conversation agree with a platform's transcript, if the platform sends the whole call
// with each request. The platform knows best what the caller said, and we know what tools did. Its
// versions of the agent's texts may shorten our replies, but never lengthen them.

import { createHash } from 'node:crypto';

import type { Exchange, Pair } from '../../base/words/alignment.ts';
import { countOfLastParts } from '../../base/words/joined-words.ts';
import {
  coveredBy, PreparedTexts, saysLess, saysSame, withoutLetters,
} from '../../base/words/spoken-words.ts';
import { withWholeValues } from '../redaction/cut-values.ts';
import {
  add, addTurn, findTurn, moveLastTurn, rewrite, setHeard, type Conversation,
} from './conversation.ts';
import { nextNumber } from './discarded-turns.ts';
import { cutTo, hearAgain, type HeardTurn } from './heard.ts';
import { hasAccount, isReported } from './last-word.ts';
import type { Message } from './message.ts';
import { wordsOf, type Comparison, type OwnExchange } from './transcript-comparison.ts';
import {
  leadingMessages, newTurn, ownMessages, replyText, setPlain, toldId, type TurnRecord,
} from './turn-record.ts';

/** Makes the conversation agree with the transcript. All its turns must be closed. */
export function reconcile(conversation: Conversation, comparison: Comparison): Changes {
  const changes = new Changes(conversation, comparison);
  if (conversation.turns.length === 0) changes.addAll();
  else if (comparison.pairs.length > 0 || comparison.rest >= 0) changes.walk();
  else changes.addLastWords();
  return changes;
}

const NOTHING_SAID: Exchange = { words: undefined, replies: [] };

/** What the transcript has changed. */
class Changes {
  /** Turns that the platform has discarded, oldest first. */
  readonly discarded: TurnRecord[] = [];
  /** The newest of the turns that were cut. */
  cut: HeardTurn | undefined;
  readonly #conversation: Conversation;
  readonly #comparison: Comparison;
  /** Created on demand: most turns need none. */
  #texts: PreparedTexts | undefined;

  constructor(conversation: Conversation, comparison: Comparison) {
    this.#conversation = conversation;
    this.#comparison = comparison;
  }

  /** For a call of which nothing is known yet. */
  addAll(): void {
    let last: TurnRecord | undefined;
    for (const exchange of this.#comparison.theirs) last = this.#insert(last, exchange);
  }

  /** From the first pair to the end of both lists. */
  walk(): void {
    const { theirs, ours, pairs } = this.#comparison;
    let [i, j] = pairs[0] ?? this.#beginnings();
    /** What is added next comes after this turn. */
    let last = ours[j - 1]?.turns.at(-1);
    for (const [pairI, pairJ] of [...pairs, [theirs.length, ours.length] as const]) {
      for (const { turns } of ours.slice(j, pairJ))
        for (const turn of turns) last = this.#discard(turn);
      for (const exchange of theirs.slice(i, pairI))
        last = this.#insert(last, exchange);
      const [their, our] = [theirs[pairI], ours[pairJ]];
      if (their !== undefined && our !== undefined) last = this.#hear(their, our);
      [i, j] = [pairI + 1, pairJ + 1];
    }
  }

  /**
   * Where to begin without a pair: after all of their list, which has none of the caller's words.
   * It holds the agent's first words, if any, or the replies that the call was cut to.
   */
  #beginnings(): Pair {
    const { theirs, ours, rest } = this.#comparison;
    const [their = NOTHING_SAID] = theirs;
    const our = ours.at(-1 - rest);
    if (our !== undefined) this.#hear(their, our);
    return [theirs.length, ours.length - rest];
  }

  /**
   * For lists without a certain pair. What was said since the agent last spoke is new, if we lack
   * it. Words that now come as one text replace the turns of their parts.
   */
  addLastWords(): void {
    const { theirs, text } = this.#comparison;
    const ours = [...this.#comparison.ours];
    const parts = countOfLastParts(text, ours);
    if (parts > 0)
      for (const { turns } of ours.splice(-parts)) for (const turn of turns) this.#discard(turn);
    const since = theirs.findLastIndex(({ replies }) => replies.length > 0) + 1;
    const told = theirs.slice(since);
    // Our last words may be the first of these.
    let known = Math.min(told.length, ours.length);
    while (known > 0 && !saySame(told.slice(0, known), ours.slice(-known))) known -= 1;
    let last = ours.at(-1)?.turns.at(-1);
    for (const exchange of told.slice(known)) last = this.#insert(last, exchange);
  }

  #insert(after: TurnRecord | undefined, exchange: Exchange): TurnRecord {
    return insert(this.#conversation, after, this.#comparison.known, exchange);
  }

  #discard(turn: TurnRecord): TurnRecord {
    turn.isDiscarded = true;
    this.#conversation.touched?.add(turn);
    this.discarded.push(turn);
    return turn;
  }

  /** Cuts the replies of an exchange to what was heard. Returns its last turn. */
  #hear({ words, replies }: Exchange, our: OwnExchange): TurnRecord | undefined {
    const { turns } = our;
    const isCutOff = words === undefined && our.words !== undefined;
    const isHeard = this.#comparison.transcript.isHeard && !isCutOff;
    for (const turn of turns) this.#forgetEarlierWords(turn);
    const [only] = turns;
    if (turns.length === 1 && replies.length === 1 && only !== undefined) {
      if (hasAccount(only) && replyText(only) === replies[0]) return only; // nearly always
    }
    const told = [...replies];
    const texts = (this.#texts ??= new PreparedTexts());
    const begun = turns.findLastIndex((turn) => wordsOf(turn) !== undefined);
    for (const [index, turn] of turns.entries()) {
      if (index < begun) {
        // The caller went on speaking: nothing was heard in between.
        if (replyText(turn) !== '') this.cut = cutTo(this.#conversation, turn, '');
        continue;
      }
      const reply = replyText(turn);
      const isUnknown = !hasAccount(turn) && turn === turns.at(-1);
      const own = isUnknown ? withoutFiller(told.join(' '), turn.filler, texts) : '';
      const heard = { runId: turn.runId, lines: [...told], isHeard };
      if (goesOn(own, reply)) {
        // Its process is gone and the platform knows better, or that process has not settled the
        // turn yet.
        this.cut = cutTo(this.#conversation, turn, own);
        setHeard(this.#conversation, turn, heard);
        told.length = 0;
        continue;
      }
      if (isUnknown && !isReported(turn)) setHeard(this.#conversation, turn, heard);
      const later = turns.slice(index + 1).map(replyText);
      this.cut = cutToCovered(this.#conversation, turn, told, later, isHeard, texts) ?? this.cut;
    }
    let last = turns.at(-1);
    for (const text of told) last = this.#insert(last, { words: undefined, replies: [text] });
    return last;
  }

  /** The transcript reports only what a turn's last run said. Calls of earlier runs stay. */
  #forgetEarlierWords(turn: TurnRecord): void {
    if (turn.kept === undefined) return;
    const leading = leadingMessages(turn);
    const hasWords = leading.some(({ role, content }) => role === 'assistant' && content !== '');
    if (!hasWords) return;
    const silent = leading.map((message): Message =>
      message.role === 'assistant' ? { ...message, content: '' } : message,
    );
    rewrite(this.#conversation, turn, [...silent, ...ownMessages(turn)], silent.length);
  }
}

/**
 * For a run that tells what it said after the platform has reported on it. Each text of a
 * transcript is a part of the reply, or the platform's own words.
 */
export function hearReported(conversation: Conversation, turn: TurnRecord): void {
  if (turn.heard === undefined) return;
  const { text, lines, isHeard } = turn.heard;
  setHeard(conversation, turn);
  if (lines === undefined) return hearAgain(conversation, turn, text);
  const told = [...lines];
  cutToCovered(conversation, turn, told, [], isHeard === true, new PreparedTexts());
  let last = turn;
  for (const text of told)
    last = insert(conversation, last, undefined, { words: undefined, replies: [text] });
}

/**
 * Takes from `told` the texts that are about the reply of a turn, and cuts it to what they cover. A
 * text that shares more words with a `later` reply of the same exchange is about that one. If no
 * text is about this reply but others are left, only a transcript that `isHeard` proves that
 * nothing was heard.
 */
function cutToCovered(
  conversation: Conversation,
  turn: TurnRecord,
  told: string[],
  later: readonly string[],
  isHeard: boolean,
  texts: PreparedTexts,
): HeardTurn | undefined {
  const reply = replyText(turn);
  let covered = 0;
  let isAny = false;
  let followsLater = false;
  for (let index = 0; index < told.length; ) {
    const rest = reply.slice(covered);
    const given = withoutFiller(told[index] ?? '', isAny ? undefined : turn.filler, texts);
    const text = withWholeValues(given, rest);
    const more = text === '' ? 0 : rest === '' ? undefined : coveredBy(text, rest, texts);
    const isLater: boolean =
      text !== '' && rest !== '' && isOfLater(text, rest, later, followsLater, texts);
    if (more === undefined || isLater) {
      followsLater ||= isLater;
      index += 1;
      continue;
    }
    covered += more;
    isAny = true;
    told.splice(index, 1);
  }
  const isWhole = isAny ? covered >= reply.trimEnd().length : told.length > 0 && !isHeard;
  if (reply === '' || isWhole) return undefined;
  return cutTo(conversation, turn, reply.slice(0, covered));
}

/**
 * Whether a text shares more words with a `later` reply than with this one's `rest`. An equal
 * number is enough if an earlier text was already about a later reply.
 */
function isOfLater(
  text: string,
  rest: string,
  later: readonly string[],
  followsLater: boolean,
  texts: PreparedTexts,
): boolean {
  if (later.length === 0) return false;
  const least = Math.max(1, texts.countOfWordsIn(rest, text) + (followsLater ? 0 : 1));
  return later.some((reply) => texts.countOfWordsIn(reply, text) >= least);
}

/** '' if a filler is all it says. */
function withoutFiller(
  text: string,
  filler: string | undefined,
  texts: PreparedTexts,
): string {
  if (filler === undefined) return text;
  const [letters, said] = [texts.lettersOf(filler), texts.lettersOf(text)];
  if (said !== '' && letters.startsWith(said)) return ''; // the filler itself was cut
  if (letters === '' || !said.startsWith(letters)) return text;
  return withoutLetters(text, letters.length);
}

/** Whether the platform's text contains a reply and more. */
function goesOn(told: string, reply: string): boolean {
  return told !== '' && (reply === '' || saysLess(reply, told));
}

/**
 * Adds a turn that only the platform knows of, after another one. If `after` is undefined, it is
 * added before `before`, or at the end. Its id is made from its place and its words, so that trying
 * twice adds it once. Returns the turn.
 */
function insert(
  conversation: Conversation,
  after: TurnRecord | undefined,
  before: TurnRecord | undefined,
  { words, replies }: Exchange,
): TurnRecord {
  const reply = replies.length === 0 ? null : replies.join(' ');
  const hash = createHash('sha256').update(JSON.stringify([after?.id, words, reply]));
  const id = toldId(hash.digest('hex').slice(0, 32));
  const known = findTurn(conversation, id);
  if (known !== undefined) {
    delete known.isDiscarded; // the platform has restored this turn
    conversation.touched?.add(known);
    return known;
  }
  const turn = newTurn(id, 'completed', 0);
  setPlain(turn, words ?? null, reply);
  addTurn(conversation, turn);
  const { turns } = conversation;
  const next = after === undefined ? before : turns[turns.indexOf(after) + 1];
  if (next !== undefined && next !== turn) {
    if (next.addedAt !== undefined) turn.addedAt = next.addedAt - 1;
    moveLastTurn(conversation, turns.indexOf(next));
  } else if (words !== undefined) {
    // This gives the turns after it the same numbers after a restart in mid-call.
    turn.number = nextNumber(turns);
  }
  add(conversation, turn);
  return turn;
}

/** Whether the caller's words are the same in two lists of equal length. */
function saySame(told: readonly Exchange[], ours: readonly Exchange[]): boolean {
  return told.every(({ words }, index) => {
    const own = ours[index]?.words;
    return words !== undefined && own !== undefined && saysSame(words, own);
  });
}

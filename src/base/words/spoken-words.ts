// Compares a text with a platform's version of it. Platforms rewrite texts for speech, so only
// letters and digits count, and case does not.

import { lazyPattern } from '../lazy-pattern.ts';

/** How much of a text is compared, in UTF-16 code units. It takes minutes to say that much. */
const LONGEST = 8_192;
/** The same for a text with many words not separated by spaces: finding those is slow. */
const LONGEST_UNSPACED = 256;
/** Texts of that kind are compared as far as others until their lengths add up to this. */
const MOST_UNSPACED = 4_096;
/** Up to this many letters of such words are found quickly, wherever they are. */
const FEW_UNSPACED = 64;
/** How many words may be missing before one that is found. */
const MOST_SKIPPED = 12;

/** Anything but a letter, mark or digit. */
const SIGNS = lazyPattern(String.raw`[^\p{L}\p{M}\p{N}]+`, 'gu');
const LEADING_SIGNS = lazyPattern(String.raw`^[.,;:!?\s]+`, 'u');
const TAG = lazyPattern(String.raw`</?\p{L}[^<>]*>`, 'gu');
const MANY_MARKS = lazyPattern(String.raw`(\p{M}{8})\p{M}+`, 'gu');
/** A character and its marks. */
const MARKED = lazyPattern(String.raw`\P{M}\p{M}*`, 'gu');

/** The letters and digits of a text, in lower case. Tags are left out. */
export function lettersOf(text: string): string {
  return plain(text.slice(0, LONGEST)).replace(SIGNS(), '');
}

/** Without tags, in lower case, and in one form of Unicode. */
function plain(text: string): string {
  return text
    .replace(TAG(), ' ')
    .replace(MANY_MARKS(), '$1') // many marks take V8 quadratic time below
    .normalize('NFC')
    .toLowerCase();
}

/** Whether two texts say the same. Texts without letters and digits must be equal. */
export function saysSame(a: string, b: string): boolean {
  if (a === b) return true;
  const letters = lettersOf(a);
  return letters !== '' && letters === lettersOf(b);
}

/** Whether `start` says the beginning of what `text` says, but not all of it. */
export function saysLess(start: string, text: string): boolean {
  const [short, long] = [lettersOf(start), lettersOf(text)];
  return short !== '' && short.length < long.length && long.startsWith(short);
}

/**
 * How much of a reply a platform's text covers, in UTF-16 code units: all of it if the text says
 * the same or more, otherwise up to the text's last word. A text that was rewritten for speech
 * covers the reply up to the last word that is found, if most of its words are there in order.
 * Undefined if the text is not about this reply.
 */
export function coveredBy(
  told: string,
  reply: string,
  texts = new PreparedTexts(),
): number | undefined {
  if (told === reply) return reply.length;
  const [theirs, ours] = [texts.lettersOf(told), texts.lettersOf(reply)];
  if (theirs === '' || ours === '') return undefined;
  if (theirs.startsWith(ours)) return reply.length;
  if (ours.startsWith(theirs)) return endOfLetters(reply, theirs.length);
  return endOfRewritten(texts.wordsOf(told), texts.wordsOf(reply), reply);
}

/** Texts that are compared with many others. What a comparison needs is computed once. */
export class PreparedTexts {
  readonly #letters = new Map<string, string>();
  readonly #words = new Map<string, ComparedWords>();
  readonly #counts = new Map<string, Map<string, number>>();
  /** In UTF-16 code units. */
  #unspacedLeft = MOST_UNSPACED;

  lettersOf(text: string): string {
    return foundOnce(this.#letters, text, lettersOf);
  }

  wordsOf(text: string): ComparedWords {
    return foundOnce(this.#words, text, () => comparedWordsIn(text, this.#limitOf(text)));
  }

  /** How far the words of a text are compared. */
  #limitOf(text: string): number {
    const limit = limitOf(text);
    if (text.length <= limit) return LONGEST;
    const length = Math.min(text.length, LONGEST);
    if (limit === LONGEST || length > this.#unspacedLeft) return limit;
    this.#unspacedLeft -= length;
    return LONGEST;
  }

  /** How many of a platform's words are those of a reply, in order. 0 if most are not. */
  countOfWordsIn(reply: string, told: string): number {
    const counts = foundOnce(this.#counts, told, () => new Map<string, number>());
    return foundOnce(counts, reply, () => {
      const [theirs, ours] = [this.wordsOf(told), this.wordsOf(reply)];
      return mostOf(wordsUpTo(ours.limit, theirs), wordsUpTo(theirs.limit, ours)).found;
    });
  }
}

function foundOnce<T>(found: Map<string, T>, text: string, find: (text: string) => T): T {
  const known = found.get(text);
  if (known !== undefined) return known;
  const value = find(text);
  found.set(text, value);
  return value;
}

/** The text after its first `count` letters and the signs that follow them. */
export function withoutLetters(text: string, count: number): string {
  return text.slice(endOfLetters(text, count)).replace(LEADING_SIGNS(), '');
}

/**
 * Where letter number `count` ends, counted from 1. If it is the last of its word, where the word
 * ends.
 */
function endOfLetters(text: string, count: number): number {
  let letters = 0;
  for (const word of wordsIn(text)) {
    letters += word.letters.length;
    const surplus = letters - count;
    if (surplus === 0) return word.end;
    if (surplus > 0) {
      const cut = text.slice(word.start, word.end);
      return word.start + endInWord(cut, word.letters.length - surplus);
    }
  }
  return text.length;
}

/** The same inside a word. Signs do not count, and marks belong to their letter. */
function endInWord(word: string, count: number): number {
  let letters = 0;
  for (const { 0: character, index } of word.matchAll(MARKED())) {
    letters += lettersOf(character).length;
    if (letters >= count) return index + character.length;
  }
  return word.length;
}

function endOfRewritten(
  theirs: ComparedWords,
  ours: ComparedWords,
  reply: string,
): number | undefined {
  const words = wordsUpTo(theirs.limit, ours);
  const { count, isRestRewritten } = mostOf(wordsUpTo(ours.limit, theirs), words);
  if (count === 0) return undefined;
  return count === words.length || isRestRewritten ? reply.length : ours.ends[count - 1];
}

/** In words. A longer end may have been left out, not rewritten. */
const LONGEST_REWRITTEN_END = 3;

interface Found {
  /** How many of the platform's words are the reply's. */
  readonly found: number;
  /** How many of the reply's words the platform's text covers. */
  readonly count: number;
  /** Whether both go on after that for a word or two, as with "at 9:00" for "at nine". */
  readonly isRestRewritten: boolean;
}

/** How much of a reply a platform's text has, if most of its words are there in order. */
function mostOf(told: readonly string[], said: readonly string[]): Found {
  let [next, found, lastFound] = [0, 0, -1];
  for (const [place, word] of told.entries()) {
    if ((found + told.length - place) * 2 <= told.length) break; // the rest is too few
    const end = Math.min(said.length, next + MOST_SKIPPED + 1);
    for (let index = next; index < end; index++) {
      if (said[index] !== word) continue;
      next = index + 1;
      found += 1;
      lastFound = place;
      break;
    }
  }
  if (found * 2 <= told.length) return { found: 0, count: 0, isRestRewritten: false };
  const rest = said.length - next;
  const isRestRewritten = lastFound < told.length - 1 && rest <= LONGEST_REWRITTEN_END;
  return { found, count: next, isRestRewritten };
}

/** The beginning of a text, so that it can be compared with many others. */
export interface Beginning {
  readonly letters: string;
  readonly words: readonly string[];
  /** Whether the text goes on. */
  readonly isCut: boolean;
}

/** In UTF-16 code units: enough to tell replies to the same words apart. */
const BEGINNING_LENGTH = 400;
/** The same where there are no spaces between words. */
const BEGINNING_LENGTH_UNSPACED = 100;

export function beginningOf(text: string): Beginning {
  const start = text.slice(0, BEGINNING_LENGTH);
  const most = UNSPACED().test(start) ? BEGINNING_LENGTH_UNSPACED : BEGINNING_LENGTH;
  const words = plain(start.slice(0, most))
    .split(SIGNS())
    .filter((word) => word !== '')
    .flatMap((word) => (UNSPACED().test(word) ? [...partsOf(word)].map(({ part }) => part) : word));
  return { letters: words.join(''), words, isCut: text.length > most };
}

/**
 * 0: theirs ends inside the first word of ours, which proves nothing. 1: theirs goes on after ours,
 * or was rewritten for speech. 2: theirs is ours or its beginning.
 */
export type Likeness = 0 | 1 | 2;

/** How alike the beginnings of a platform's text and of ours are. -1: other words. */
export function likenessOf(told: Beginning, said: Beginning): -1 | Likeness {
  if (said.letters.startsWith(told.letters))
    return told.letters.length < (said.words[0]?.length ?? 0) ? 0 : 2;
  if (told.letters.startsWith(said.letters)) return said.isCut ? 2 : 1;
  const [short, long] =
    told.letters.length < said.letters.length ? [told, said] : [said, told];
  return mostOf(short.words, long.words).count > 0 ? 1 : -1;
}

interface Word {
  readonly letters: string;
  readonly start: number;
  readonly end: number;
}

const DICTIONARY_SCRIPTS = String.raw`\p{sc=Thai}\p{sc=Laoo}\p{sc=Khmr}\p{sc=Mymr}`;
const UNSPACED_LETTER =
  String.raw`[${DICTIONARY_SCRIPTS}\p{sc=Han}\p{sc=Hira}\p{sc=Kana}]`;
/** Thai, Lao, Khmer and Burmese, whose words only a dictionary can tell apart. */
const IN_DICTIONARY = lazyPattern(`[${DICTIONARY_SCRIPTS}]`, 'u');
/** These, and Chinese and Japanese: no spaces separate the words. */
const UNSPACED = lazyPattern(UNSPACED_LETTER, 'u');
const UNSPACED_LETTERS = lazyPattern(UNSPACED_LETTER, 'gu');
/** Chinese characters that no Unicode normalisation changes. */
const PLAIN_HAN = /^[\u3400-\u9fff]$/;
/** A Chinese character, kana in a row, or anything else. */
const UNSPACED_PART = lazyPattern(
  String.raw`\p{sc=Han}\p{M}*|[\p{sc=Hira}\p{sc=Kana}\u30fc\p{M}]+`
  + String.raw`|[^\p{sc=Han}\p{sc=Hira}\p{sc=Kana}]+`,
  'gu',
);

/** The words of a text that are looked for in another one, and where each ends. */
interface ComparedWords {
  readonly words: readonly string[];
  readonly ends: readonly number[];
  /** How much of this text and of the one compared with it counts, in UTF-16 code units. */
  readonly limit: number;
}

function comparedWordsIn(text: string, limit: number): ComparedWords {
  const found = [...wordsIn(text.slice(0, limit))];
  const [words, ends] = [found.map(({ letters }) => letters), found.map(({ end }) => end)];
  return { words, ends, limit };
}

/** How much of a text is compared: less of one with more than a few letters of unspaced words. */
function limitOf(text: string): number {
  let count = 0;
  for (const { index } of text.slice(0, LONGEST).matchAll(UNSPACED_LETTERS())) {
    if (count === FEW_UNSPACED) return Math.max(LONGEST_UNSPACED, index);
    count += 1;
  }
  return LONGEST;
}

function wordsUpTo(limit: number, { words, ends, limit: own }: ComparedWords): readonly string[] {
  return limit < own ? words.filter((_word, index) => (ends[index] ?? 0) <= limit) : words;
}

/** The words of a text that have letters, in order. */
function* wordsIn(text: string): Generator<Word, void, undefined> {
  for (const { 0: word, index } of text.slice(0, LONGEST).matchAll(WORD())) {
    const letters = lettersOf(word);
    if (letters === '') continue;
    if (!UNSPACED().test(word)) yield { letters, start: index, end: index + word.length };
    else
      for (const { part, start } of partsOf(word)) {
        const own = PLAIN_HAN.test(part) ? part : lettersOf(part);
        const from = index + start;
        if (own !== '') yield { letters: own, start: from, end: from + part.length };
      }
  }
}

/** A tag, or the text between two spaces. */
const WORD = lazyPattern(String.raw`</?\p{L}[^<>]*>|[^\s<]+|<`, 'gu');

let segmenter: Intl.Segmenter | undefined;

/** The words between two spaces, and where each begins. */
function* partsOf(text: string): Generator<{ part: string; start: number }, void, undefined> {
  for (const { 0: part, index: start } of text.matchAll(UNSPACED_PART())) {
    if (!IN_DICTIONARY().test(part)) {
      yield { part, start };
      continue;
    }
    segmenter ??= new Intl.Segmenter('en', { granularity: 'word' });
    for (const { segment, index } of segmenter.segment(part))
      yield { part: segment, start: start + index };
  }
}

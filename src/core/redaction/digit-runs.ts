// Digits that are said or written in a row: `4242 4242`, `4242-4242`, `four two double four`.

import {
  CORRECTIONS, DIGIT_WORDS, isBeginningOfWord, LONGEST_DIGIT_WORD,
} from './digit-words.ts';
import type { FoundValue } from './finder.ts';
import { digitOf, isUnicodeDigit } from './unicode-digits.ts';

/** A digit of a run: where it is in the text, and whether a number may begin or end there. */
export interface Digit {
  readonly digit: number;
  readonly start: number;
  readonly end: number;
  /** Whether a group or a word begins with it. `oh` does not count: it is also an interjection. */
  readonly isFirst: boolean;
  readonly isLast: boolean;
  /** Whether it is part of a group that is long enough to hold more than one number. */
  readonly isInLong: boolean;
  /** Whether it is in a written group of two or three digits, such as a size or an hour. */
  readonly isInShort: boolean;
  /** Whether a comma, a full stop or an `and` comes before it. */
  readonly isApart: boolean;
  readonly isHomophone: boolean;
  /** Whether it was said or written by itself: `5`, `oh`, or one of a `double five`. */
  readonly isSingle: boolean;
}

export interface DigitRun {
  readonly digits: Digit[];
  /** Whether a `+` comes first, as before a phone number. */
  readonly hasPlus: boolean;
  /** Whether nothing but signs and pauses follows in the text. */
  isAtEnd: boolean;
}

/** At most this many characters separate two groups of one number. */
const MOST_BETWEEN = 8;
/** A longer group may be several numbers that were written together. */
const LONG_GROUP = 16;
/** A longer group after a point is a fraction. */
const LONGEST_AFTER_POINT = 6;
/** Homophones count as digits in a run with at least this many others. */
const FEWEST_BESIDE_HOMOPHONES = 6;

/** How many words, groups of digits and signs are read between two pauses. */
const PARTS_PER_STEP = 1_000;
/** The same within one group, in UTF-16 code units. Even, because a digit may have two. */
const UNITS_PER_STEP = 100_000;
const NO_RUNS: readonly DigitRun[] = [];

/**
 * The run that a text ends with, if it has at least `least` digits. The last word may have been
 * cut: `four two fo`. Places count from `skipped`: only the end of the text is searched.
 */
export function runAtEnd(
  text: string,
  least: number,
): { readonly run: DigitRun; readonly skipped: number } | undefined {
  const skipped = Math.max(0, text.length - LONGEST_END);
  const end = text.slice(skipped);
  const [cut = ''] = /[a-z]*$/i.exec(end) ?? [];
  const parts = isBeginningOfWord(cut) ? [end, end.slice(0, -cut.length)] : [end];
  for (const part of parts) {
    const run = [...digitRunSteps(part, least)].findLast((one) => one !== undefined);
    if (run?.isAtEnd === true) return { run, skipped };
  }
  return undefined;
}

/** In UTF-16 code units. */
const LONGEST_END = 1_000;

/** The digits of a run from `first` up to but not including `end`, as text. */
export function digitsIn({ digits }: DigitRun, first: number, end = digits.length): string {
  return digits.slice(first, end).map(({ digit }) => digit).join('');
}

/** The same, with its place in the text. */
export function valueIn(run: DigitRun, first: number, end: number): FoundValue {
  const { digits } = run;
  const value = digitsIn(run, first, end);
  return { start: digits[first]?.start ?? 0, end: digits[end - 1]?.end ?? 0, value };
}

/**
 * The number that somebody meant who began to say it, and corrected that: "33 66, no, sorry, 6627".
 * Undefined if these are two numbers.
 */
type JoinCorrected = (before: DigitRun, after: DigitRun) => DigitRun | undefined;

/** The digits of `before` up to `place`, and then those of `after`. */
export function corrected(before: DigitRun, after: DigitRun, place: number): DigitRun {
  const digits = [...before.digits.slice(0, place), ...after.digits];
  return { digits, hasPlus: before.hasPlus, isAtEnd: after.isAtEnd };
}

/**
 * All runs of at least `least` digits, in order, and pauses in a long text. Takes time in
 * proportion to the text. Digits that were corrected are two runs unless `join` joins them.
 */
export function* digitRunSteps(
  text: string,
  least: number,
  join?: JoinCorrected,
): Generator<DigitRun | undefined, void, undefined> {
  const reader = new RunReader(text, least, join);
  let at = 0;
  for (let parts = 1; at < text.length; parts++) {
    if (parts % PARTS_PER_STEP === 0) yield;
    yield* reader.takeRuns();
    const code = text.codePointAt(at) ?? 0;
    if (isUnicodeDigit(code)) {
      const end = endOfDigits(text, at);
      let from = reader.group(at, end);
      for (; from < end; from = reader.restOfGroup(at, end, from)) yield undefined;
      at = end;
    } else if (isLetter(code)) {
      const end = endOf(text, at, isLetter);
      reader.word(at, end);
      at = end;
    } else {
      const end = endOfEscape(text, at);
      reader.sign(at, end);
      at = end;
    }
  }
  reader.finish();
  yield* reader.takeRuns();
}

/** Where a digit stands in its group. */
type Standing = Pick<Digit, 'isFirst' | 'isLast'>
  & Partial<Pick<Digit, 'isInLong' | 'isInShort' | 'isHomophone' | 'isSingle'>>;

class RunReader {
  readonly #runs: DigitRun[] = [];
  readonly #text: string;
  readonly #least: number;
  readonly #join: JoinCorrected | undefined;
  /** The digits before words such as "no, sorry", until those after them are known. */
  #corrected: DigitRun | undefined;
  #run: DigitRun = newRun(false);
  /** How many signs and pauses have come since the last digit. */
  #between = 0;
  /** Where the last escape ended: its letter is not part of a word. */
  #escapeEnd = -1;
  #hasHomophones = false;
  /** Whether a comma, a full stop or an `and` has come since the last digit. */
  #isApart = false;
  /** `double` was said: what comes next counts this many times. */
  #times = 1;
  #timesStart: number | undefined;
  /** `forty` was said: a unit may follow. */
  #tens: { readonly tens: number; readonly start: number; readonly end: number } | undefined;

  constructor(text: string, least: number, join: JoinCorrected | undefined) {
    this.#text = text;
    this.#least = least;
    this.#join = join;
  }

  /** The runs that have ended since the last call. */
  takeRuns(): readonly DigitRun[] {
    if (this.#runs.length === 0) return NO_RUNS;
    return this.#runs.splice(0);
  }

  /** Reads a group. Returns where the rest of a long one begins, or the end. */
  group(start: number, end: number): number {
    this.#flushTens();
    const text = this.#text;
    const before = text.charCodeAt(start - 1);
    // The digits of some scripts have two code units each.
    const first = text.codePointAt(start) ?? 0;
    const width = widthOf(first);
    const count = (end - start) / width;
    const isPart = this.#follows(start, isOfName) || isOfName(text.charCodeAt(end));
    if (isPart || this.#isOfAmount(start, end, count)) {
      this.#break();
      return end;
    }
    if (this.#run.digits.length === 0 && before === PLUS) this.#run = newRun(true);
    if (count === 1 && this.#times > 1) {
      this.#add([digitOf(first)], start, end, true);
      return end;
    }
    this.#dropTimes();
    return this.restOfGroup(start, end, start);
  }

  /** The same for the part that begins at `from`. */
  restOfGroup(start: number, end: number, from: number): number {
    const text = this.#text;
    const width = widthOf(text.codePointAt(start) ?? 0);
    const count = (end - start) / width;
    const isInLong = count > LONG_GROUP;
    const isInShort = count === 2 || count === 3;
    const to = Math.min(end, from + UNITS_PER_STEP);
    for (let at = from; at < to; at += width) {
      this.#push(digitOf(text.codePointAt(at) ?? 0), at, at + width, {
        isFirst: at === start, isLast: at + width === end, isInLong, isInShort,
        isSingle: count === 1,
      });
    }
    return to;
  }

  /** Whether it is the cents of a price, a fraction, or thousands as in `1,234,567`. */
  #isOfAmount(start: number, end: number, count: number): boolean {
    const text = this.#text;
    const sign = text.charCodeAt(start - 1);
    if (sign !== POINT && sign !== COMMA) return false;
    if (!isUnicodeDigit(codeBefore(text, start - 1))) return false;
    if (sign === COMMA) return count === 3;
    const goesOn = text.charCodeAt(end) === POINT && isUnicodeDigit(text.charCodeAt(end + 1));
    const isOnly = !goesOn && !this.#isAfterPoint(start - 1); // not in a date or a longer number
    return count > LONGEST_AFTER_POINT || (count <= 2 && isOnly);
  }

  word(start: number, end: number): void {
    const isOther = this.#follows(start, isOfWord) || end - start > LONGEST_DIGIT_WORD;
    const said = isOther ? '' : this.#text.slice(start, end).toLowerCase();
    const word = DIGIT_WORDS.get(said);
    switch (word?.kind) {
      case undefined:
        return CORRECTIONS.has(said) ? this.#correct() : this.#break();
      case 'digits':
        return this.#digits(word.digits, start, end, word.begins);
      case 'tens':
        this.#flushTens();
        this.#tens = { tens: word.tens, start, end };
        this.#between = 0;
        return;
      case 'times':
        this.#flushTens();
        this.#times = word.times;
        this.#timesStart = start;
        this.#between = 0;
        return;
      case 'homophone':
        this.#flushTens();
        return this.#push(word.digit, start, end, {
          isFirst: true, isLast: true, isHomophone: true, isSingle: true,
        });
      case 'hundred':
        return this.#hundred(start, end);
      case 'plus':
        this.#break();
        this.#run = newRun(true);
        return;
      case 'pause':
        this.#between += 1;
        this.#isApart ||= word.parts;
        return;
    }
  }

  #correct(): void {
    if (this.#join === undefined) return this.#break();
    this.#flushTens();
    if (this.#run.digits.length > 0) this.#corrected = this.#endRun();
    else if (this.#corrected === undefined) this.#break();
    else this.#between = 0; // "no, sorry"
  }

  #hundred(start: number, end: number): void {
    if (this.#run.digits.length === 0 || this.#between > 1) return this.#break();
    this.#push(0, start, end, { isFirst: false, isLast: false });
    this.#push(0, start, end, { isFirst: false, isLast: true });
  }

  /** One sign, or an escape such as `\n` in JSON that stands for one. */
  sign(start: number, end: number): void {
    const isEscape = end - start > 1;
    const isBetween = isEscape || isSeparator(this.#text.charCodeAt(start));
    if (isEscape) this.#escapeEnd = end;
    this.#between += 1;
    this.#isApart ||= this.#partsAt(start, end);
    if (!isBetween || this.#between > MOST_BETWEEN) this.#break();
  }

  /** Whether it is a line break, or a comma or full stop that is not written within a number. */
  #partsAt(start: number, end: number): boolean {
    const code = this.#text.charCodeAt(start);
    if (code === LINE_FEED || end - start > 1) return true;
    return (code === COMMA || code === POINT) && !isUnicodeDigit(this.#text.charCodeAt(end));
  }

  /** Whether the digits that end at a place also come after a point. */
  #isAfterPoint(end: number): boolean {
    let start = end;
    while (start > 0 && isUnicodeDigit(this.#text.charCodeAt(start - 1))) start -= 1;
    return this.#text.charCodeAt(start - 1) === POINT;
  }

  /** Whether such a character is right before the place. */
  #follows(start: number, isSuch: (code: number) => boolean): boolean {
    return start !== this.#escapeEnd && isSuch(this.#text.charCodeAt(start - 1));
  }

  finish(): void {
    this.#flushTens();
    this.#run.isAtEnd = true;
    this.#break();
  }

  #digits(digits: readonly number[], start: number, end: number, begins: boolean): void {
    const tens = this.#tens;
    const [unit = 0] = digits;
    if (tens !== undefined && digits.length === 1 && unit > 0) {
      this.#tens = undefined;
      return this.#add([tens.tens, unit], tens.start, end, true);
    }
    this.#flushTens();
    this.#add(digits, start, end, begins);
  }

  #flushTens(): void {
    const tens = this.#tens;
    this.#tens = undefined;
    if (tens !== undefined) this.#add([tens.tens, 0], tens.start, tens.end, true);
  }

  /** Adds the digits of one word, perhaps several times. */
  #add(digits: readonly number[], start: number, end: number, begins: boolean): void {
    const said = this.#timesStart ?? start;
    const count = digits.length * this.#times;
    for (let index = 0; index < count; index++) {
      const digit = digits[index % digits.length] ?? 0;
      this.#push(digit, said, end, {
        isFirst: begins && index === 0, isLast: index === count - 1, isSingle: digits.length === 1,
      });
    }
    this.#dropTimes();
  }

  #dropTimes(): void {
    this.#times = 1;
    this.#timesStart = undefined;
  }

  #push(
    digit: number,
    start: number,
    end: number,
    {
      isFirst, isLast, isInLong = false, isInShort = false, isHomophone = false, isSingle = false,
    }: Standing,
  ): void {
    const isApart = this.#isApart;
    this.#run.digits.push({
      digit, start, end, isFirst, isLast, isInLong, isInShort, isApart, isHomophone, isSingle,
    });
    if (isHomophone) this.#hasHomophones = true;
    this.#isApart = false;
    this.#between = 0;
  }

  #break(): void {
    const last = this.#endRun();
    if (last !== undefined) this.#emit(last);
  }

  /** Ends the run, and emits what can no longer be corrected. Returns the rest. */
  #endRun(): DigitRun | undefined {
    this.#flushTens();
    this.#dropTimes();
    this.#between = 0;
    this.#isApart = false;
    const parts = this.#hasHomophones ? withoutOtherWords(this.#run) : [this.#run];
    const before = this.#corrected;
    this.#corrected = undefined;
    const [first] = parts;
    if (before !== undefined) {
      const joined = first === undefined ? undefined : this.#join?.(before, first);
      if (joined === undefined) this.#emit(before);
      else parts[0] = joined;
    }
    if (this.#run.digits.length > 0 || this.#run.hasPlus) this.#run = newRun(false);
    this.#hasHomophones = false;
    for (const part of parts.slice(0, -1)) this.#emit(part);
    return parts.at(-1);
  }

  #emit(run: DigitRun): void {
    if (run.digits.length >= this.#least) this.#runs.push(run);
  }
}

/**
 * The parts of a run between words that are not digits after all: `for` counts as a digit only
 * among six others, and between digits that are said one by one or at an end of the run.
 */
function withoutOtherWords(run: DigitRun): DigitRun[] {
  const { digits } = run;
  const others = digits.filter(({ isHomophone }) => !isHomophone).length;
  const isSingle = (at: number): boolean => digits[at]?.isSingle ?? true;
  const isOther = digits.map(({ isHomophone }, at) => isHomophone
    && (others < FEWEST_BESIDE_HOMOPHONES || !isSingle(at - 1) || !isSingle(at + 1)));
  const parts: DigitRun[] = [];
  let from = 0;
  for (let at = 0; at <= digits.length; at++) {
    if (at < digits.length && isOther[at] !== true) continue;
    if (at > from)
      parts.push({
        digits: digits.slice(from, at),
        hasPlus: run.hasPlus && from === 0,
        isAtEnd: run.isAtEnd && at === digits.length,
      });
    from = at + 1;
  }
  return parts;
}

function newRun(hasPlus: boolean): DigitRun {
  return { digits: [], hasPlus, isAtEnd: false };
}

const [PLUS, COMMA, POINT, BACKSLASH, UNDERSCORE] = [0x2b, 0x2c, 0x2e, 0x5c, 0x5f] as const;
const LINE_FEED = 0x0a;

function widthOf(code: number): number {
  return code > 0xffff ? 2 : 1;
}

/** Where a group of digits ends: all its digits have as many code units as the first. */
function endOfDigits(text: string, start: number): number {
  const width = widthOf(text.codePointAt(start) ?? 0);
  let end = start + width;
  for (; end < text.length; end += width) {
    const code = text.codePointAt(end) ?? 0;
    if (!isUnicodeDigit(code) || widthOf(code) !== width) break;
  }
  return end;
}

/** The code point that ends before a place. NaN at the beginning of the text. */
function codeBefore(text: string, at: number): number {
  const unit = text.charCodeAt(at - 1);
  const isLow = unit >= 0xdc00 && unit <= 0xdfff;
  return isLow ? (text.codePointAt(at - 2) ?? unit) : unit;
}

function isLetter(code: number): boolean {
  return (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
}

function isOfName(code: number): boolean {
  return isLetter(code) || code === UNDERSCORE;
}

function isOfWord(code: number): boolean {
  return isOfName(code) || isUnicodeDigit(code);
}

/** White space, dashes, points, commas, slashes, brackets, asterisks, and invisible characters. */
const SEPARATOR = new RegExp(
  String.raw`[\s.,/()*\u00ad\u00b7\u060c\u066b\u066c\u200b-\u200f\u2010-\u2015\u2022\u2026`
  + String.raw`\u202a-\u202e\u2060\u2066-\u2069\u2212\u3001\u3002\uff0c-\uff0e-]`,
);
/** The answers for ASCII, which a long text asks for very often. */
const IN_ASCII = [...Array(0x80).keys()].map((code) => SEPARATOR.test(String.fromCharCode(code)));

function isSeparator(code: number): boolean {
  return IN_ASCII[code] ?? SEPARATOR.test(String.fromCharCode(code));
}

/** Where the sign at `start` ends: JSON in JSON has `\n` or `\u00a0` for a separator. */
function endOfEscape(text: string, start: number): number {
  if (text.charCodeAt(start) !== BACKSLASH) return start + 1;
  const end = endOf(text, start, (code) => code === BACKSLASH);
  ESCAPE.lastIndex = end;
  const [escape = '', hex] = ESCAPE.exec(text) ?? [];
  const isSign = hex === undefined || isSeparator(Number.parseInt(hex, 16));
  return escape !== '' && isSign ? end + escape.length : end;
}

const ESCAPE = /[bfnrt]|u([\da-f]{4})/iy;

function endOf(text: string, start: number, belongs: (code: number) => boolean): number {
  let end = start + 1;
  while (end < text.length && belongs(text.charCodeAt(end))) end += 1;
  return end;
}

// The values that tools and agents were given. Wherever one of them comes back, it is replaced by
// its mark: no finder would recognise `declined: 417`.

import { BoundedMap } from '../../base/bounded-map.ts';
import type { Steps } from '../../base/slices.ts';
import { cardExpiries } from './card-details.ts';
import { digitRunSteps, digitsIn, type Digit, type DigitRun } from './digit-runs.ts';
import type { KnownValue } from './finder.ts';
import { GivenWords } from './given-words.ts';
import { markOf } from './placeholder.ts';
import { isUnicodeDigit } from './unicode-digits.ts';

/** Values remembered per conversation. Beyond that, the one given longest ago is forgotten. */
const MOST_VALUES = 200;
/** In letters and digits. A shorter value would be found everywhere. */
const SHORTEST = 3;
/** In digits. A shorter value is not looked for within a row that has as many others. */
const LONG = 7;
/** How many places of a long run are examined between two pauses. */
const PLACES_PER_STEP = 1_000;
const MONTHS = [
  'jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec',
];

/** One way to write a value with digits. */
interface Form {
  readonly mark: string;
  /** Whether only digits in several groups count: `3/27`, not 327. */
  readonly isSplit?: boolean;
  /** What must come before the digits, and is replaced with them. */
  readonly before?: RegExp;
}

interface Match {
  /** Places of digits in the run. */
  readonly first: number;
  readonly end: number;
  /** Where it begins in the text. */
  readonly start: number;
  readonly mark: string;
}

/** The values of one conversation that were given out. Only ever in memory. */
export class GivenValues {
  /** By the letters of their marks. */
  readonly #values = new BoundedMap<string, KnownValue>(MOST_VALUES);
  #index: GivenIndex | undefined;
  /** How often a value has been added. */
  revision = 0;

  add(letters: string, value: KnownValue): void {
    if (this.#values.get(letters) === undefined) {
      this.#index = undefined;
      this.revision += 1;
    }
    this.#values.set(letters, value);
  }

  addAll(others: GivenValues): void {
    for (const [letters, value] of others.#values) this.add(letters, value);
  }

  get isEmpty(): boolean {
    return this.revision === 0;
  }

  get #found(): GivenIndex {
    return (this.#index ??= new GivenIndex(this.#values));
  }

  /** A text with marks in place of the values that stand alone in it. In steps. */
  *sealing(text: string): Steps<string> {
    if (this.isEmpty) return text;
    yield;
    return yield* this.#found.withMarks(this.#found.words.withMarks(text));
  }

  /** The mark of the value that a number stands for. Leading zeros do not count. */
  markOfNumber(value: number): string | undefined {
    return this.isEmpty ? undefined : this.#found.numbers.get(value);
  }

  /** The mark of the date on which a card expires. */
  markOfDate(month: unknown, year: unknown): string | undefined {
    if (this.isEmpty) return undefined;
    return this.#found.dates.get(`${Number(month)} ${Number(year) % 100}`);
  }
}

class GivenIndex {
  readonly words = new GivenWords();
  readonly numbers = new Map<number, string>();
  /** By month and year, such as `11 27`. */
  readonly dates = new Map<string, string>();
  readonly #forms = new Map<string, Form>();
  /** In digits, the longest first. */
  readonly #lengths: readonly number[];

  constructor(values: Iterable<readonly [letters: string, value: KnownValue]>) {
    for (const [letters, { kind, value }] of values) {
      const mark = markOf(kind, letters);
      if (kind === cardExpiries.kind) this.#addDate(mark, value);
      const [, digits] = /^\+?(\d+)$/.exec(value) ?? [];
      if (digits !== undefined) this.#addDigits(digits, { mark });
      else if (value.replace(/[^\p{L}\p{N}]/gu, '').length >= SHORTEST) this.words.add(mark, value);
    }
    const lengths = new Set([...this.#forms.keys()].map(({ length }) => length));
    this.#lengths = [...lengths].sort((a, b) => b - a);
  }

  #addDigits(digits: string, form: Form): void {
    if (digits.length < SHORTEST && form.before === undefined) return;
    this.#forms.set(digits, form);
    if (form.isSplit === true || form.before !== undefined) return;
    const number = Number(digits);
    if (String(number).length >= SHORTEST) this.numbers.set(number, form.mark);
  }

  #addDate(mark: string, value: string): void {
    const [, said = '', year = ''] = /^(\d{1,2}|[a-z]{3})(?:20)?(\d\d)$/.exec(value) ?? [];
    const month = MONTHS.indexOf(said) + 1 || Number(said);
    if (!(month >= 1 && month <= 12)) return;
    this.dates.set(`${month} ${Number(year)}`, mark);
    const two = String(month).padStart(2, '0');
    for (const digits of [`${two}${year}`, `${two}20${year}`, `20${year}${two}`])
      this.#addDigits(digits, { mark });
    if (month < 10)
      for (const digits of [`${month}${year}`, `${month}20${year}`])
        this.#addDigits(digits, { mark, isSplit: true });
    const name = `\\b${MONTHS[month - 1]}[a-z]*\\.?,?\\s+(?:of\\s+|the year\\s+)?$`;
    for (const digits of [year, `20${year}`])
      this.#addDigits(digits, { mark, before: new RegExp(name, 'i') });
  }

  *withMarks(text: string): Steps<string> {
    if (this.#lengths.length === 0) return text;
    let sealed = '';
    let from = 0;
    for (const run of digitRunSteps(text, this.#lengths.at(-1) ?? 0)) {
      yield;
      if (run === undefined) continue;
      const matches = yield* this.#matchesIn(run, text);
      for (const { start, end, mark } of yield* aloneAmong(matches, run, text)) {
        sealed += text.slice(from, start) + mark;
        from = run.digits[end - 1]?.end ?? from;
      }
    }
    return from === 0 ? text : sealed + text.slice(from);
  }

  /** Values whose digits begin and end with a group or a word, in order. */
  *#matchesIn(run: DigitRun, text: string): Steps<readonly Match[]> {
    const { digits } = run;
    let all = '';
    for (let first = 0; first < digits.length; first += PLACES_PER_STEP) {
      all += digitsIn(run, first, first + PLACES_PER_STEP);
      yield;
    }
    const matches: Match[] = [];
    for (let first = 0; first < digits.length;) {
      if (first % PLACES_PER_STEP === 0) yield;
      const begins = first === 0 || digits[first - 1]?.isLast === true;
      const match = begins ? this.#matchAt(run, text, all, first) : undefined;
      if (match !== undefined) matches.push(match);
      first = match?.end ?? first + 1;
    }
    return matches;
  }

  #matchAt(run: DigitRun, text: string, all: string, first: number): Match | undefined {
    const { digits } = run;
    for (const length of this.#lengths) {
      const end = first + length;
      if (digits[end - 1]?.isLast !== true) continue;
      const form = this.#forms.get(all.slice(first, end));
      if (form === undefined) continue;
      const start = digits[first]?.start ?? 0;
      const isOneGroup = digits.slice(first + 1, end).every(({ isFirst }) => !isFirst);
      if (form.isSplit === true && isOneGroup) continue;
      const said = text.slice(Math.max(0, start - LONGEST_BEFORE), start);
      const [before] = (form.before ?? PLUS).exec(said) ?? [];
      if (form.before !== undefined && before === undefined) continue;
      return { first, end, start: start - (before?.length ?? 0), mark: form.mark };
    }
    return undefined;
  }
}

/** In UTF-16 code units. */
const LONGEST_BEFORE = 24;
/** A plus belongs to a phone number, however it was said. */
const PLUS = /(?:\+|\bplus\s+)$/i;

/** The matches that are not parts of longer numbers. Two values may have been joined. */
function* aloneAmong(
  matches: readonly Match[],
  { digits }: DigitRun,
  text: string,
): Steps<readonly Match[]> {
  if (matches.length === 0) return matches;
  const others = yield* othersBeside(matches, digits);
  const alone: Match[] = [];
  for (const [index, match] of matches.entries()) {
    if (index % PLACES_PER_STEP === 0) yield;
    const { first, end, start } = match;
    const endAt = digits[end - 1]?.end ?? 0;
    const isPartAt = (place: number, sign: number, digit: number): boolean =>
      isJoined(text, sign, digit) || isSpelledOn(digits[place - 1], digits[place]);
    const isPart = (others[first] ?? 0) >= LONG
      || (matches[index - 1]?.end !== first && isPartAt(first, start - 1, start - 2))
      || (matches[index + 1]?.first !== end && isPartAt(end, endAt, endAt + 1));
    if (!isPart || end - first >= LONG) alone.push(match);
  }
  return alone;
}

/** For each digit, how many digits that belong to no match are in a row with it. */
function* othersBeside(
  matches: readonly Match[],
  digits: readonly Digit[],
): Steps<readonly number[]> {
  const others: number[] = [];
  let count = 0;
  let next = 0;
  for (let at = 0; at <= digits.length; at++) {
    if (at % PLACES_PER_STEP === 0) yield;
    if (at === digits.length || digits[at]?.isApart === true) {
      while (others.length < at) others.push(count);
      count = 0;
    }
    while (at >= (matches[next]?.end ?? Infinity)) next += 1;
    if (at < (matches[next]?.first ?? Infinity)) count += 1;
  }
  return others;
}

/** Whether one digit follows another as in "four one seven", and not as in "4 17". */
function isSpelledOn(digit: Digit | undefined, next: Digit | undefined): boolean {
  return isSingle(digit) && isSingle(next) && next?.isApart === false;
}

/** Whether a digit is said or written by itself. A word for one has more than one letter. */
function isSingle(digit: Digit | undefined): boolean {
  return digit?.isLast === true && (digit.isFirst || digit.end - digit.start > 1);
}

/** Whether a sign joins a number to the digit next to the sign, as in 417.50 or 2024-417. */
function isJoined(text: string, sign: number, digit: number): boolean {
  return JOINING.has(text[sign] ?? '') && isUnicodeDigit(text.codePointAt(digit) ?? 0);
}

const JOINING: ReadonlySet<string> = new Set(`-.,:/'\u2019\u2010\u2011`);

import {
  corrected, digitRunSteps, valueIn, type Digit, type DigitRun,
} from './digit-runs.ts';
import { steadyFinder, type FindingSteps, type FoundValue } from './finder.ts';
import { hasPhoneWord, meaningAfter } from './number-words.ts';

const SHORTEST = 7;
/** ITU-T E.164. */
const LONGEST = 15;
/** How far words may be from a number that they refer to, in UTF-16 code units. */
const NEAR = 40;

/** A date, whatever follows it: `2026-11-25`, `25.11.2026`, `11/25/2026`. */
const DAY = /^(?:(?:19|20)\d\d-[01]\d-[0-3]\d|[0-3]?\d([./-])[0-3]?\d\1(?:19|20)\d\d(?!\d))/;
const TEN_IN_A_ROW = /^\p{Nd}{10}$/u;
/** The name of a field in JSON: its number is more often an id. */
const FIELD = /":\s*"?$/;
const TENS = /ty\b|teen\b|\b(?:ten|eleven|twelve)\b/i;

/**
 * Finds phone numbers of 7 to 15 digits, written or said: with a `+`, with a leading 0, as they are
 * written in North America, and others near words such as "call". `+` is part of the value.
 */
export const phoneNumbers = steadyFinder('phone', phonesIn);

function* phonesIn(text: string): FindingSteps {
  for (const run of digitRunSteps(text, SHORTEST, correctedPhone)) {
    if (run !== undefined) yield* numbersIn(run, text);
    yield;
  }
}

/** A phone number whose last group was said again: "0161 496 03, no, sorry, 0732". */
function correctedPhone(before: DigitRun, after: DigitRun): DigitRun | undefined {
  const said = before.digits;
  if (said.length > LONGEST || after.digits.length >= SHORTEST) return undefined;
  const place = said.findLastIndex((digit) => digit.isFirst && (!digit.isLast || digit.isApart));
  const run = corrected(before, after, Math.max(place, 0));
  const { length } = run.digits;
  if (length < said.length || length > LONGEST) return undefined;
  return run.hasPlus || shapeOf(run.digits, 0, length) !== 'any' ? run : undefined;
}

/** In digits: a few numbers next to each other. */
const LONGEST_LIST = 100;

/** `dialled`: with the trunk prefix 0, or with 00. `american`: as in the North American plan. */
function shapeOf(
  digits: readonly Digit[],
  start: number,
  end: number,
): 'dialled' | 'american' | 'any' {
  const digitAt = (place: number): number => digits[place]?.digit ?? 0;
  const [first, second, third] = [digitAt(start), digitAt(start + 1), digitAt(start + 2)];
  const count = end - start;
  if (first === 0 && second > 0 && count >= 9 && count <= 12) return 'dialled';
  if (first === 0 && second === 0 && third > 0 && count >= 10) return 'dialled';
  const area = end - 10;
  const isAmerican = count === 10 || (count === 11 && first === 1);
  return isAmerican && digitAt(area) > 1 && digitAt(area + 3) > 1 ? 'american' : 'any';
}

/** The phone numbers in a run of digits, which may have other numbers next to them. */
function* numbersIn(run: DigitRun, text: string): FindingSteps {
  const { digits } = run;
  for (let start = 0; start + SHORTEST <= digits.length;) {
    yield;
    const digit = digits[start];
    const isAfterFor = digits[start - 1]?.isHomophone === true; // "for oh one six one …"
    const isPlace = start === 0 || isAfterFor || (digit?.isApart === true && digit.isFirst);
    const end = isPlace ? endOfNumber(run, text, start) : undefined;
    if (end !== undefined) yield numberIn(run, text, start, end);
    start = end ?? start + 1;
  }
}

/**
 * Where the longest number from `start` ends: preferably at the end of the run or at a comma,
 * otherwise after any group.
 */
function endOfNumber(run: DigitRun, text: string, start: number): number | undefined {
  const { digits } = run;
  const most = Math.min(digits.length, start + LONGEST);
  const ends = [];
  for (let end = most; end >= start + SHORTEST; end--)
    if (digits[end - 1]?.isLast === true) ends.push(end);
  const isWhole = (end: number): boolean => endsWell(digits, end);
  const before = new TextBefore(text, digits[start]?.start ?? 0);
  return [...ends.filter(isWhole), ...ends.filter((end) => !isWhole(end))]
    .find((end) => isNumber(run, text, start, end, before));
}

function endsWell(digits: readonly Digit[], end: number): boolean {
  return end === digits.length || digits[end]?.isApart === true;
}

/** The text before a number, whose words are looked for only once. */
class TextBefore {
  readonly #text: string;
  #meaning: ReturnType<typeof meaningAfter> | 'unread' = 'unread';

  constructor(text: string, start: number) {
    this.#text = text.slice(Math.max(0, start - NEAR), start);
  }

  get isField(): boolean {
    return FIELD.test(this.#text);
  }

  get meaning(): ReturnType<typeof meaningAfter> {
    if (this.#meaning === 'unread') this.#meaning = meaningAfter(this.#text);
    return this.#meaning;
  }
}

function isNumber(
  run: DigitRun,
  text: string,
  start: number,
  end: number,
  before: TextBefore,
): boolean {
  const { digits, hasPlus } = run;
  const [first, last] = [digits[start], digits[end - 1]];
  if (first === undefined || last === undefined || last.isHomophone) return false;
  if (hasPlus && start === 0) return true;
  const shape = shapeOf(digits, start, end);
  if (first.isHomophone && !(shape === 'american' && endsWell(digits, end))) return false;
  // A long list is not searched for words near each digit.
  if (shape === 'any' && digits.length > LONGEST_LIST) return false;
  const said = text.slice(first.start, last.end);
  if (DAY.test(said)) return false;
  if (before.meaning === 'other') return false;
  if (shape === 'dialled' || before.meaning === 'phone') return true;
  if (shape === 'american' && isAmerican(digits, said, end, before)) return true;
  return hasPhoneWord(text.slice(last.end, last.end + NEAR))
    || (end - start === SHORTEST && /^\d{3}-\d{4}$/.test(said));
}

function isAmerican(
  digits: readonly Digit[],
  said: string,
  end: number,
  before: TextBefore,
): boolean {
  return isInThree(digits, said, end) || (TEN_IN_A_ROW.test(said) && !before.isField);
}

/** In groups of 3, 3 and 4, or in words for single digits. */
function isInThree(digits: readonly Digit[], said: string, end: number): boolean {
  if (!/\d/.test(said)) return !TENS.test(said);
  return [end - 10, end - 7, end - 4].every((at) => digits[at]?.isFirst === true);
}

function numberIn(run: DigitRun, text: string, start: number, end: number): FoundValue {
  const found = valueIn(run, start, end);
  if (!run.hasPlus || start > 0) return found;
  const plus = /(?:\+|\bplus\s+)$/i.exec(text.slice(0, found.start));
  return { ...found, start: plus?.index ?? found.start, value: `+${found.value}` };
}

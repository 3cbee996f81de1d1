import {
  corrected, digitRunSteps, digitsIn, runAtEnd, valueIn, type Digit, type DigitRun,
} from './digit-runs.ts';
import { steadyFinder, type FindingSteps, type FoundValue } from './finder.ts';

const SHORTEST = 13;
const LONGEST = 19;
/**
 * Lengths by issuer, in the order in which they are tried. Made once: a long text needs them often.
 */
const VISA: readonly number[] = [16, 19, 13];
const MASTERCARD: readonly number[] = [16];
const AMEX: readonly number[] = [15];
const DINERS: readonly number[] = [14, 16, 19];
/** Discover, JCB, Maestro, Mir, RuPay, Troy, UnionPay and Verve. */
const OTHERS: readonly number[] = [16, 19, 18, 17];
const NONE: readonly number[] = [];
/** How many digits are examined between two pauses. */
const DIGITS_PER_STEP = 1_000;
/** The most digits that a phone number can have (E.164). */
const LONGEST_PHONE = 15;

/**
 * Finds card numbers: 13 to 19 digits, as many as the issuer's numbers have, that pass the Luhn
 * check, as one group or with spaces, dashes and the like between groups, or in English words:
 * "four two double four", "forty-two oh five". One in ten other numbers that begin like a card's
 * and have its length passes as well. A number after a `+` is taken for a phone number.
 */
export const cardNumbers = steadyFinder('card', cardsIn, cutCardIn);

function* cardsIn(text: string): FindingSteps {
  if (text.length < SHORTEST) return; // true of most texts in an event
  for (const run of digitRunSteps(text, SHORTEST, correctedCard)) {
    if (run === undefined) yield;
    else yield* new CardRun(run).cards();
  }
}

/** A card number in which a few digits were said again: "4191 7720 3355 66, no, sorry, 6627". */
function correctedCard(before: DigitRun, after: DigitRun): DigitRun | undefined {
  const count = before.digits.length;
  if (count > LONGEST || after.digits.length >= SHORTEST) return undefined;
  for (const length of lengthsAt(before.digits, 0)) {
    const place = length - after.digits.length;
    if (place > count || place < Math.max(1, count - MOST_CORRECTED)) continue;
    const run = corrected(before, after, place);
    const [card] = [...new CardRun(run).cards()].filter((one) => one !== undefined);
    if (card?.value?.length === length) return run;
  }
  return undefined;
}

/** In digits, of one correction. */
const MOST_CORRECTED = 8;

/** In digits. Phone numbers that are said without `+` have fewer. */
const FEWEST_OF_CUT = 12;

/**
 * Finds a card number whose end was cut off: if only a few digits are missing, they can be guessed.
 */
function cutCardIn(text: string): FoundValue | undefined {
  const { run, skipped } = runAtEnd(text, FEWEST_OF_CUT) ?? {};
  if (run === undefined || run.hasPlus) return undefined;
  const { digits } = run;
  for (let first = 0; digits.length - first >= FEWEST_OF_CUT; first++) {
    const [usual = 0] = lengthsAt(digits, first);
    const digit = digits[first];
    if (digit?.isFirst !== true || digits.length - first >= usual) continue;
    const start = (skipped ?? 0) + digit.start;
    return { start, end: text.length, value: digitsIn(run, first) };
  }
  return undefined;
}

/** The card numbers in a run of digits, which may have other digits next to them. */
class CardRun {
  readonly #run: DigitRun;
  /** Sums of the digits before each place, with those at even, or at odd, places doubled. */
  readonly #evenDoubled: number[] = [0];
  readonly #oddDoubled: number[] = [0];

  constructor(run: DigitRun) {
    this.#run = run;
  }

  *cards(): FindingSteps {
    const { digits, hasPlus } = this.#run;
    if (hasPlus && digits.length <= LONGEST_PHONE) return;
    yield* this.#addUp();
    // A group that is itself a card number is not part of a number written next to it.
    let from = 0;
    for (let start = 0; start < digits.length;) {
      const end = this.#endOfGroup(start);
      if (this.#isNumber(start, end)) {
        const first = this.#startOfWhole(from, start, end);
        yield* this.#between(from, first);
        yield valueIn(this.#run, first, end);
        from = end;
      }
      start = end;
      yield;
    }
    yield* this.#between(from, digits.length);
  }

  *#addUp(): FindingSteps {
    let [even, odd] = [0, 0];
    for (const [place, { digit }] of this.#run.digits.entries()) {
      const doubled = digit > 4 ? digit * 2 - 9 : digit * 2;
      even += place % 2 === 0 ? doubled : digit;
      odd += place % 2 === 1 ? doubled : digit;
      this.#evenDoubled.push(even);
      this.#oddDoubled.push(odd);
      if (place % DIGITS_PER_STEP === 0) yield;
    }
  }

  #endOfGroup(start: number): number {
    const { digits } = this.#run;
    let end = start + 1;
    while (digits[end]?.isFirst === false) end += 1;
    return end;
  }

  /**
   * Where a number begins if its last group passes the check by itself. 19 digits are printed as
   * groups of 6 and 13, and some of the latter pass.
   */
  #startOfWhole(from: number, start: number, end: number): number {
    if (end - start > SHORTEST) return start;
    for (let first = Math.max(from, end - LONGEST); first < start; first++)
      if (this.#isNumber(first, end)) return first;
    return start;
  }

  /** The card numbers between two places. */
  *#between(first: number, to: number): FindingSteps {
    if (this.#isNumber(first, to)) return yield valueIn(this.#run, first, to);
    let from = first;
    for (let start = first; start + SHORTEST <= to; start++) {
      if (start % DIGITS_PER_STEP === 0) yield;
      const end = this.#endOfNumber(start, from, to);
      if (end === undefined) continue;
      yield valueIn(this.#run, start, end);
      from = end;
      start = end - 1;
    }
  }

  /** Another number may come before it, up to `from`, and be written together with it. */
  #endOfNumber(start: number, from: number, to: number): number | undefined {
    const { digits } = this.#run;
    const isBehind = start === from && digits[start]?.isInLong === true;
    if (digits[start]?.isFirst !== true && !isBehind) return undefined;
    for (const length of lengthsAt(digits, start)) {
      const end = start + length;
      if (end > to || !this.#passes(start, end) || this.#isList(start, end)) continue;
      const last = digits[end - 1];
      if (last?.isLast === true || last?.isInLong === true) return end;
    }
    return undefined;
  }

  #isNumber(start: number, end: number): boolean {
    const { digits } = this.#run;
    return digits[start]?.isFirst === true && digits[end - 1]?.isLast === true
      && lengthsAt(digits, start).includes(end - start) && this.#passes(start, end)
      && !this.#isList(start, end);
  }

  /**
   * Whether it is more likely a list of sizes, hours or the like: groups of two or three digits
   * separated by commas. The last group of a card may be just as short.
   */
  #isList(start: number, end: number): boolean {
    const { digits } = this.#run;
    let last = end - 1;
    while (last > start && digits[last]?.isFirst !== true) last -= 1;
    for (let at = start + 1; at <= last; at++) {
      const digit = digits[at];
      if (digit?.isApart !== true || !digit.isFirst) continue;
      if (digits[at - 1]?.isInShort === true || (at < last && digit.isInShort)) return true;
    }
    return false;
  }

  /**
   * The Luhn check: every second digit is doubled, from the last but one backwards (ISO/IEC
   * 7812-1).
   */
  #passes(start: number, end: number): boolean {
    const sums = end % 2 === 0 ? this.#evenDoubled : this.#oddDoubled;
    return ((sums[end] ?? 0) - (sums[start] ?? 0)) % 10 === 0;
  }
}

/** The lengths of numbers that begin like this (ISO/IEC 7812). Empty if the issuer is unknown. */
function lengthsAt(digits: readonly Digit[], start: number): readonly number[] {
  const digitAt = (place: number): number => digits[place]?.digit ?? 0;
  const a = digitAt(start);
  const two = a * 10 + digitAt(start + 1);
  const four = two * 100 + digitAt(start + 2) * 10 + digitAt(start + 3);
  if (a === 4) return VISA;
  if ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720)) return MASTERCARD;
  if (two === 34 || two === 37) return AMEX;
  if (two === 36 || two === 38 || two === 39 || (four >= 3000 && four <= 3059)) return DINERS;
  if ((four >= 3528 && four <= 3589) || (four >= 2200 && four <= 2204)) return OTHERS;
  if (a === 6 || two === 50 || (two >= 56 && two <= 58)) return OTHERS;
  if (two === 81 || two === 82 || four === 9792) return OTHERS;
  return NONE;
}

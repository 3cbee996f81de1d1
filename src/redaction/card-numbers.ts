import { digitRuns, type DigitRun } from './digit-runs.ts';
import type { Finder, FoundValue } from './finder.ts';

const SHORTEST = 13;
const LONGEST = 19;
/** In the order in which they are tried if no issuer's rule says how long a number is. */
const LENGTHS: readonly number[] = [16, 15, 14, 19, 18, 17, 13];
/** By issuer. Made once: a long text asks for them very often. */
const VISA: readonly number[] = [16, 19, 13];
const MASTERCARD: readonly number[] = [16];
const AMEX: readonly number[] = [15];
const DINERS: readonly number[] = [14, 16, 19];
const JCB_OR_MIR: readonly number[] = [16, 19, 18, 17];
const NONE: readonly number[] = [];
/** A phone number has no more digits (E.164). */
const LONGEST_PHONE = 15;

/**
 * Finds card numbers: 13 to 19 digits that pass the Luhn check, as one group or with spaces, dashes
 * and the like between groups, or in English words: "four two double four", "forty-two oh five".
 * One in ten other numbers of that length passes as well. A number after a `+` is taken for a
 * phone number.
 */
export const cardNumbers: Finder = {
  kind: 'card',
  find(text) {
    const found: FoundValue[] = [];
    for (const run of digitRuns(text, SHORTEST)) new Cards(run).addTo(found);
    return found;
  },
};

/** The card numbers in a run of digits, which may have other digits beside them. */
class Cards {
  readonly #run: DigitRun;
  /** Sums of the digits before each place, with those at even, or at odd, places doubled. */
  readonly #evenDoubled: number[] = [0];
  readonly #oddDoubled: number[] = [0];

  constructor(run: DigitRun) {
    this.#run = run;
    let [even, odd] = [0, 0];
    for (const [place, digit] of run.digits.entries()) {
      const doubled = digit > 4 ? digit * 2 - 9 : digit * 2;
      even += place % 2 === 0 ? doubled : digit;
      odd += place % 2 === 1 ? doubled : digit;
      this.#evenDoubled.push(even);
      this.#oddDoubled.push(odd);
    }
  }

  addTo(found: FoundValue[]): void {
    const { digits, hasPlus } = this.#run;
    if (hasPlus && digits.length <= LONGEST_PHONE) return;
    // A group that is a number itself has no part of one that is written beside it.
    let from = 0;
    for (let start = 0; start < digits.length;) {
      let end = this.#endOfGroup(start);
      if (this.#isNumber(start, end)) {
        const first = this.#startOfIssued(from, start, end);
        if (first === start) end = this.#endOfWhole(start, end);
        this.#addBetween(from, first, found);
        found.push(this.#value(first, end));
        from = end;
      }
      start = end;
    }
    this.#addBetween(from, digits.length, found);
  }

  #endOfGroup(start: number): number {
    const { digits, isFirst } = this.#run;
    let end = start + 1;
    while (end < digits.length && isFirst[end] !== true) end += 1;
    return end;
  }

  /**
   * Where the number begins whose last group passes by itself. Numbers of 19 digits are printed as
   * 6 and 13, and one in ten of the latter passes.
   */
  #startOfIssued(from: number, start: number, end: number): number {
    if (end - start > SHORTEST && this.#isIssued(start, end)) return start;
    for (let first = Math.max(from, end - LONGEST); first < start; first++)
      if (this.#isNumber(first, end) && this.#isIssued(first, end)) return first;
    return start;
  }

  /** Where the number ends whose first group passes by itself. */
  #endOfWhole(start: number, end: number): number {
    if (this.#isIssued(start, end)) return end;
    for (let to = Math.min(start + LONGEST, this.#run.digits.length); to > end; to--)
      if (this.#isNumber(start, to) && this.#isIssued(start, to)) return to;
    return end;
  }

  #isIssued(start: number, end: number): boolean {
    return this.#lengthsAt(start).includes(end - start);
  }

  /** Numbers between two places. */
  #addBetween(first: number, to: number, found: FoundValue[]): void {
    if (this.#isNumber(first, to)) return void found.push(this.#value(first, to));
    // Numbers of known issuers first: what stands beside them may look like the beginning of one.
    let from = first;
    for (let start = first; start + SHORTEST <= to; start++) {
      const end = this.#endOfIssued(start, from, to);
      if (end === undefined) continue;
      this.#addOthers(from, start, found);
      found.push(this.#value(start, end));
      from = end;
      start = end - 1;
    }
    this.#addOthers(from, to, found);
  }

  /** Numbers of no known issuer between two places. */
  #addOthers(from: number, to: number, found: FoundValue[]): void {
    if (this.#isNumber(from, to)) return void found.push(this.#value(from, to));
    for (let start = from; start + SHORTEST <= to; start++) {
      const end = this.#run.isFirst[start] === true ? this.#endOfOther(start, to) : undefined;
      if (end === undefined) continue;
      found.push(this.#value(start, end));
      start = end - 1;
    }
  }

  #endOfOther(start: number, to: number): number | undefined {
    for (const length of LENGTHS) {
      const end = start + length;
      if (end <= to && this.#isNumber(start, end)) return end;
    }
    return undefined;
  }

  /** Another number may stand before it, up to `from`, and be written together with it. */
  #endOfIssued(start: number, from: number, to: number): number | undefined {
    const { isFirst, isInLong } = this.#run;
    const isBehind = start === from && isInLong[start] === true;
    if (isFirst[start] !== true && !isBehind) return undefined;
    for (const length of this.#lengthsAt(start)) {
      const end = start + length;
      if (end > to || !this.#passes(start, end)) continue;
      const isLast = this.#run.isLast[end - 1] === true || this.#run.isInLong[end - 1] === true;
      if (isLast) return end;
    }
    return undefined;
  }

  /** The lengths of numbers that begin like this (ISO/IEC 7812). Empty for no known issuer. */
  #lengthsAt(start: number): readonly number[] {
    const { digits } = this.#run;
    const a = digits[start] ?? 0;
    const two = a * 10 + (digits[start + 1] ?? 0);
    const four = two * 100 + (digits[start + 2] ?? 0) * 10 + (digits[start + 3] ?? 0);
    if (a === 4) return VISA;
    if ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720)) return MASTERCARD;
    if (two === 34 || two === 37) return AMEX;
    if (two === 36 || two === 38 || two === 39 || (four >= 3000 && four <= 3059)) return DINERS;
    if (four >= 3528 && four <= 3589) return JCB_OR_MIR;
    if (four >= 2200 && four <= 2204) return JCB_OR_MIR;
    if (a === 6 || two === 50 || (two >= 56 && two <= 58)) return LENGTHS;
    return NONE;
  }

  #isNumber(start: number, end: number): boolean {
    const { isFirst, isLast } = this.#run;
    const length = end - start;
    return (
      length >= SHORTEST && length <= LONGEST
      && isFirst[start] === true && isLast[end - 1] === true && this.#passes(start, end)
    );
  }

  /** The Luhn check: every second digit is doubled, from the last but one on (ISO/IEC 7812-1). */
  #passes(start: number, end: number): boolean {
    const sums = end % 2 === 0 ? this.#evenDoubled : this.#oddDoubled;
    return ((sums[end] ?? 0) - (sums[start] ?? 0)) % 10 === 0;
  }

  #value(start: number, end: number): FoundValue {
    const { digits, starts, ends } = this.#run;
    return {
      start: starts[start] ?? 0,
      end: ends[end - 1] ?? 0,
      value: digits.slice(start, end).join(''),
    };
  }
}

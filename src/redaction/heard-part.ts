import { digitRuns } from './digit-runs.ts';

/** A shorter part of a value could be anything. */
const SHORTEST_PART = 4;
/** A digit, said as a word, and the signs around it. A text may be long: only this is searched. */
const MOST_PER_DIGIT = 16;

/**
 * If a text ends with only the beginning of a value, because the caller spoke over the rest (`it is
 * 4242 42`, `it is four two four`), where that starts. -1 if it ends otherwise, or with all of the
 * value.
 */
export function startOfPart(text: string, value: string): number {
  return /^\d+$/.test(value) ? startOfDigits(text, value) : startOfText(text, value);
}

/** Digits as they are written, and as they are said. */
function startOfDigits(text: string, value: string): number {
  const skipped = Math.max(0, text.length - value.length * MOST_PER_DIGIT);
  const run = digitRuns(text.slice(skipped), SHORTEST_PART).at(-1);
  if (run?.isAtEnd !== true) return -1;
  const digits = run.digits.join('');
  if (digits.endsWith(value)) return -1;
  for (let from = 0; digits.length - from >= SHORTEST_PART; from++) {
    const start = run.starts[from];
    // A word such as "double" says several digits: none of them stays.
    if (start !== undefined && value.startsWith(digits.slice(from))) return skipped + start;
  }
  return -1;
}

function startOfText(text: string, value: string): number {
  const end = text.trimEnd().toLowerCase();
  const whole = value.toLowerCase();
  if (end.endsWith(whole)) return -1;
  const last = end.length - SHORTEST_PART;
  for (let start = Math.max(0, end.length - whole.length + 1); start <= last; start++) {
    const isWhole = start === 0 || BEFORE.has(end[start - 1] ?? '');
    if (isWhole && end[start] === whole[0] && whole.startsWith(end.slice(start))) return start;
  }
  return -1;
}

/** What may stand in front of a value. */
const BEFORE: ReadonlySet<string> = new Set(' \t\n\r\u00a0\u202f<("');

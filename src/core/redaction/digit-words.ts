// English words for digits, and words that may come between them.

const UNITS = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];
const TEENS = [
  'ten', 'eleven', 'twelve', 'thirteen', 'fourteen', 'fifteen', 'sixteen', 'seventeen', 'eighteen',
  'nineteen',
];
const TENS = ['twenty', 'thirty', 'forty', 'fifty', 'sixty', 'seventy', 'eighty', 'ninety'];

/**
 * `homophone`: another word that sounds like a digit, such as `for` or `to`. `plus` comes before a
 * phone number.
 */
type DigitWord =
  | { readonly kind: 'digits'; readonly digits: readonly number[]; readonly begins: boolean }
  | { readonly kind: 'tens'; readonly tens: number }
  | { readonly kind: 'times'; readonly times: number }
  | { readonly kind: 'homophone'; readonly digit: number }
  | { readonly kind: 'plus' }
  /** Two zeros after a digit, as in "one eight hundred". */
  | { readonly kind: 'hundred' }
  /** `parts`: whether what comes before is more likely another number than a part of this one. */
  | { readonly kind: 'pause'; readonly parts: boolean };

export const DIGIT_WORDS: ReadonlyMap<string, DigitWord> = new Map<string, DigitWord>([
  ...UNITS.map((word, digit): [string, DigitWord] => [word, digitsOf(digit)]),
  ...TEENS.map((word, digit): [string, DigitWord] => [word, digitsOf(1, digit)]),
  ...TENS.map((word, index): [string, DigitWord] => [word, { kind: 'tens', tens: index + 2 }]),
  ...['oh', 'o', 'nought', 'naught'].map((word): [string, DigitWord] => [
    word, { kind: 'digits', digits: [0], begins: false },
  ]),
  ['fourty', { kind: 'tens', tens: 4 }],
  ...Object.entries({ double: 2, triple: 3, treble: 3, quadruple: 4 }).map(
    ([word, times]): [string, DigitWord] => [word, { kind: 'times', times }],
  ),
  ['niner', digitsOf(9)],
  ...Object.entries({ for: 4, fore: 4, to: 2, too: 2, won: 1, ate: 8 }).map(
    ([word, digit]): [string, DigitWord] => [word, { kind: 'homophone', digit }],
  ),
  ['plus', { kind: 'plus' }],
  ['hundred', { kind: 'hundred' }],
  ...['and', 'then'].map((word): [string, DigitWord] => [word, { kind: 'pause', parts: true }]),
  ...[
    'um', 'uh', 'er', 'erm', 'dash', 'hyphen', 'minus', 'space', 'pause', 'slash', 'stroke',
  ].map((word): [string, DigitWord] => [word, { kind: 'pause', parts: false }]),
]);

/** Said before digits are said again, as in "no, sorry, 6627". */
export const CORRECTIONS: ReadonlySet<string> = new Set([
  'no', 'sorry', 'wait', 'i', 'mean', 'meant', 'rather', 'actually', 'correction', 'oops', 'nein',
  'non', 'pardon', 'scusi',
]);

/** The length of the longest of these words, in letters. */
export const LONGEST_DIGIT_WORD = Math.max(
  ...[...DIGIT_WORDS.keys(), ...CORRECTIONS].map(({ length }) => length),
);

function digitsOf(...digits: readonly number[]): DigitWord {
  return { kind: 'digits', digits, begins: true };
}

/** Whether a word for digits begins with these letters. */
export function isBeginningOfWord(letters: string): boolean {
  const begun = letters.toLowerCase();
  return begun !== '' && [...DIGIT_WORDS.keys()].some((word) => word.startsWith(begun));
}

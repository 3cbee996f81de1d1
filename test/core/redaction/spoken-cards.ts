// Card numbers, and the ways in which callers say them and speech recognition writes them.

import { randomOf } from '../../fixtures/random.ts';

/** Prefixes that issuers use, and the lengths of their numbers. */
const ISSUERS: readonly (readonly [prefix: string, lengths: readonly number[]])[] = [
  ['4', [13, 16, 19]], ['51', [16]], ['55', [16]], ['2221', [16]], ['34', [15]], ['37', [15]],
  ['36', [14]], ['300', [14]], ['3528', [16]], ['6011', [16]], ['62', [16, 17, 18, 19]],
  ['50', [16, 19]], ['9792', [16]], ['81', [16]],
];
const WORDS = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];
const TIMES = ['', '', 'double', 'triple', 'quadruple'];
const TEENS = [
  'ten', 'eleven', 'twelve', 'thirteen', 'fourteen', 'fifteen', 'sixteen', 'seventeen', 'eighteen',
  'nineteen',
];
const TENS = ['', '', 'twenty', 'thirty', 'forty', 'fifty', 'sixty', 'seventy', 'eighty', 'ninety'];

/** This many different numbers that pass the Luhn check. The same for the same seed. */
export function cardNumbersOf(count: number, seed = 7): string[] {
  const random = randomOf(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const numbers = new Set<string>();
  while (numbers.size < count) {
    const [prefix, lengths] = pick(ISSUERS);
    let digits = prefix;
    const length = pick(lengths);
    while (digits.length < length - 1) digits += Math.floor(random() * 10);
    numbers.add(digits + checkDigitOf(digits));
  }
  return [...numbers];
}

function checkDigitOf(digits: string): number {
  const sum = [...digits].reverse().reduce((total, digit, index) => {
    const doubled = index % 2 === 0 ? Number(digit) * 2 : Number(digit);
    return total + (doubled > 9 ? doubled - 9 : doubled);
  }, 0);
  return (10 - (sum % 10)) % 10;
}

/** Ways to say or write a number, by name. */
export const WAYS: Readonly<Record<string, (number: string) => string>> = {
  'one group': (number) => number,
  'groups of four': (number) => number.match(/.{1,4}/g)?.join(' ') ?? number,
  'groups with dashes': (number) => number.match(/.{1,4}/g)?.join('-') ?? number,
  'six digits and the rest': (number) => `${number.slice(0, 6)} ${number.slice(6)}`,
  'six digits, a dash and the rest': (number) => `${number.slice(0, 6)}-${number.slice(6)}`,
  'groups with commas': (number) => number.match(/.{1,4}/g)?.join(', ') ?? number,
  'groups with points': (number) => number.match(/.{1,4}/g)?.join('. ') ?? number,
  'single digits': (number) => [...number].join(' '),
  'digits with dashes': (number) => [...number].join(' - '),
  'words': (number) => spelt(number).join(' '),
  'words with commas': (number) => spelt(number).join(', '),
  'words with dashes': (number) => spelt(number).join('-'),
  'words in upper case': (number) => spelt(number).join(' ').toUpperCase(),
  'words with oh for zero': (number) => spelt(number).join(' ').replaceAll('zero', 'oh'),
  'words with double and triple': (number) =>
    (number.match(/(\d)\1{0,3}/g) ?? [])
      .map((run) => `${TIMES[run.length] ?? ''} ${WORDS[Number(run[0])]}`.trim())
      .join(' '),
  'pairs in words': (number) => inPairs(number).join(' '),
  'words with pauses': (number) => spelt(number).join(' ').replace(/(?:\w+ ){4}/g, '$&um, '),
  'digits and words': (number) => `${number.slice(0, 4)} ${spelt(number.slice(4)).join(' ')}`,
};

function spelt(number: string): string[] {
  return [...number].map((digit) => WORDS[Number(digit)] ?? '');
}

/** `4213` → `forty-two thirteen`. A pair that begins with 0 is said digit by digit. */
function inPairs(number: string): string[] {
  const first = number.length % 2;
  const pairs = number.slice(first).match(/\d\d/g) ?? [];
  return [...spelt(number.slice(0, first)), ...pairs.map((pair) => {
    const [tens, units] = [Number(pair[0]), Number(pair[1])];
    if (tens === 0) return spelt(pair).join(' ');
    if (tens === 1) return TEENS[units] ?? '';
    return units === 0 ? (TENS[tens] ?? '') : `${TENS[tens]}-${WORDS[units]}`;
  })];
}

/** The digits in a text, and those in its words, so that no way of writing a number hides it. */
export function digitsIn(text: string): string {
  const words = new RegExp(WORDS.join('|'), 'gi');
  return text
    .replace(words, (word) => String(WORDS.indexOf(word.toLowerCase())))
    .replace(/\D/g, '');
}

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { cardNumbers } from '../../../src/core/redaction/card-numbers.ts';
import { IS_LONG } from '../../fixtures/long.ts';
import { cardNumbersOf, WAYS } from './spoken-cards.ts';

/** How many numbers are tried in each way. */
const NUMBERS = IS_LONG ? 500 : 100;

const CARD = '4242424242424242';

function digitsFound(text: string): (string | undefined)[] {
  return [...cardNumbers.find(text)].map(({ value }) => value);
}

/**
 * The value of a digit: in Unicode they come in runs of ten, the mathematical ones in one of 50.
 */
function valueIn(code: number): number {
  let first = code;
  while (/\p{Nd}/u.test(String.fromCodePoint(first - 1))) first -= 1;
  return (code - first) % 10;
}

describe('cardNumbers', () => {
  for (const [way, say] of Object.entries(WAYS)) {
    it(`finds numbers said or written as ${way}`, () => {
      const missed = cardNumbersOf(NUMBERS).filter((number) => {
        const digits = digitsFound(`It is ${say(number)}. That is it.`);
        return digits.length !== 1 || digits[0] !== number;
      });
      assert.deepEqual(missed, []);
    });
  }

  for (const [title, text, value] of [
    ['followed by an expiry date and a code', `${CARD} 12 26 123`, CARD],
    ['written together with a date and a code', `${CARD}1226123`, CARD],
    ['after other digits', `card 1, 4242 4242 4242 4242`, CARD],
    ['after an oh that is not a digit', `Oh, 4242 4242 4242 4242`, CARD],
    ['after a +, because phone numbers are shorter', `+${CARD}`, CARD],
    ['in JSON', `{"card":${CARD},"n":1}`, CARD],
    ['on two lines', '4242 4242\n4242 4242', CARD],
    ['with typographic dashes', '4242–4242\u20114242—4242', CARD],
    ['in full-width digits', '４２４２ ４２４２ ４２４２ ４２４２', CARD],
    ['in digits of several scripts at once', '𝟒242 424𝟐 ٤2٤2 4𝟐4𝟐', CARD],
    ['with other spaces', '4242\u20074242\u30004242\u20094242', CARD],
    ['with invisible characters', '4242\u200b4242\u00ad4242\u20604242', CARD],
    ['with other kinds of dots', '4242… 4242·4242、4242', CARD],
    ['in bold', '**4242** **4242** **4242** **4242**', CARD],
    ['after a line break in JSON in JSON', `{"a":"Card:\\n${CARD}\\u00a0"}`, CARD],
    ['after a line break in JSON, nested deeper', `Card:\\\\n4242\\\\t4242 4242 4242`, CARD],
    ['with 15 digits in groups of 4, 6 and 5', '3782 822463 10005', '378282246310005'],
    ['with the 15 digits of its issuer, and a fitting digit after them',
      '3782 822463 10005 2 1227', '378282246310005'],
    ['with the 14 digits of its issuer, and a fitting digit after them',
      '3056 930902 5904 9 12270', '30569309025904'],
    ['in one group, after digits that make it pass as another', `430 ${CARD}`, CARD],
    ['whose first group passes but has no issuer', '5555555550001 003', '5555555550001003'],
    ['with "double" before a digit', '4242 4242 4242 4 double 0 2', '4242424242424002'],
  ] as const) {
    it(`finds a number ${title}`, () => assert.deepEqual(digitsFound(text), [value]));
  }

  it('finds a number in the digits of every script in Unicode', () => {
    const zeros = [...Array(0x1fc00).keys()].filter((code) =>
      /\p{Nd}/u.test(String.fromCodePoint(code)) && valueIn(code) === 0);
    assert.ok(zeros.length >= 60, `${zeros.length} scripts`);
    const missed = zeros.filter((zero) => {
      const said = CARD.replaceAll(/\d/g, (digit) => String.fromCodePoint(zero + Number(digit)));
      const grouped = [...said].join('').replaceAll(/.{4}/gu, '$& ');
      return [said, grouped].some((text) => digitsFound(`Is it ${text}?`).join() !== CARD);
    });
    assert.deepEqual(missed.map((zero) => zero.toString(16)), []);
  });

  it('finds two numbers that are written together', () => {
    assert.deepEqual(digitsFound(`${CARD}5555555555554444`), [CARD, '5555555555554444']);
  });

  // A tool's "6277370585329648489 and …" once became "[card 1]48489 and …": 14 digits pass, too.
  for (const between of [' and ', ', ', ' ', '/']) {
    it(`finds numbers of one group each in a list, with "${between}" between them`, () => {
      const numbers = cardNumbersOf(NUMBERS);
      const wrong = numbers.filter((number, index) => {
        const listed = [number, ...numbers.slice(0, index)].slice(0, 3);
        const digits = digitsFound(`Of ${listed.join(between)}.`);
        return digits.join() !== listed.join();
      });
      assert.deepEqual(wrong, []);
    });
  }

  // Of the numbers printed as 6 and 13 digits, one in ten passes without the 6.
  for (const [title, before, behind] of [
    ['a date and a code after them', '', ', 12 26, 123'],
    ['a one before them', '1, ', ''],
    ['a number in one group after them', '', ` and ${CARD}`],
  ] as const) {
    it(`finds numbers in groups of 6 and 13 digits, with ${title}`, () => {
      const numbers = cardNumbersOf(3_000).filter(({ length }) => length === 19);
      const others = behind.endsWith(CARD) ? [CARD] : [];
      const wrong = numbers.filter((number) => {
        const written = `${number.slice(0, 6)} ${number.slice(6)}`;
        const digits = digitsFound(`It is ${before}${written}${behind}.`);
        return digits.join() !== [number, ...others].join();
      });
      assert.deepEqual(wrong, []);
    });
  }

  for (const [title, text] of [
    ['12 digits', '424242424242'],
    ['20 digits that no issuer uses', '95555555555555555555'],
    ['one wrong digit', '4242 4242 4242 4243'],
    ['a phone number', 'Call +4242424242426.'],
    ['part of a word', `id_${CARD} and a${CARD} and ${CARD}b`],
    // All that follow pass the Luhn check, and most begin like a card.
    ['a number that no issuer uses', '9424 2424 2424 2425'],
    ['15 digits where the issuer has 16', '4242 4242 4242 424 and 5555 5555 5555 442'],
    ['14 digits where the issuer has 16', '6011 0000 0000 04'],
    ['a list of sizes', 'Sizes 36, 38, 40, 42, 44, 46, 48, 53 are in stock.'],
    ['amounts', 'between 3,612,345 - 3,922,104'],
    ['prices', 'It is 36.50 42.99 38.00 44.11 in all.'],
    ['a fraction', '52.4242424242424242'],
    ['a fraction in another script', '𝟓𝟐.𝟒𝟐𝟒𝟐𝟒𝟐𝟒𝟐𝟒𝟐𝟒𝟐𝟒𝟐𝟒𝟐'],
    ['digits with words between them', 'four of 24 and 2 for 42, 4 in 2 at 424, 242 or 424242'],
    ['words that merely contain digit words', 'often tone weight fourteenth'],
    ['an empty text', ''],
  ] as const)
    it(`finds nothing in ${title}`, () => assert.deepEqual(digitsFound(text), []));
});

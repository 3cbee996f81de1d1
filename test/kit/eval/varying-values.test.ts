import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { replaceVarying } from '../../../src/kit/eval/varying-values.ts';
import { processorMs } from '../../fixtures/processor-time.ts';

function marked(text: string): string {
  return replaceVarying(text, (_value, kind) => `<${kind}>`);
}

describe('replaceVarying', () => {
  const now = new Date('2026-11-28T14:05:09.123Z');
  for (const [text, expected] of [
    ['conversation 1f6f2a52-1b0e-4a0b-9a3e-8e2f6d7c9b10 begins', 'conversation <id> begins'],
    ['customer cus_NffrFeUfNV2Hib', 'customer <id>'],
    ['run V1StGXR8_Z5jdHi6B-myT.', 'run <id>.'],
    ['{"orderId":"ord-20261128"}', '{"orderId":"<id>"}'],
    ['passport C01X00T47', 'passport C01X00T47'],
    ['passport L898902C3', 'passport <id>'],
    ['write to ada.l+x@mail.example.org.', 'write to <email>.'],
    ['call +15550100, or +49 30 1234567', 'call <number>, or <number>'],
    ['call 030 1234567 or 555-010-0199', 'call <number> or <number>'],
    ['card 4111 1111 1111 1111', 'card <number>'],
    ['4111  1111\u00a01111 – 1111, 4111.1111.1111.1111', '<number>, <number>'],
    ['amex 3782 822463 10005', 'amex <number>'],
    ['it is 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1.', 'it is <number>.'],
    ['[2021,2022, 2023,2024]', '[2021,2022, 2023,2024]'],
    ['{"order":1234567,"at":1795874709}', '{"order":<number>,"at":<number>}'],
    [`now ${now.toISOString()}`, 'now <time>'],
    ['from 2026-11-28T14:05Z on', 'from <time> on'],
    ['on 2026-11-28 or Sat Nov 28 2026', 'on <time> or <time>'],
    [now.toUTCString(), '<time> <time> GMT'],
    ['Today is Saturday, November 28, 2026', 'Today is <time>, <time>'],
    ['am 28.11.2026, on 11/28/2026, 2:05:09 PM', 'am <time>, on <time>, <time>'],
    ['the 3rd May at 14:05 or 7:30 pm', 'the <time> at <time> or <time>'],
  ] as const) {
    it(`finds what varies in ${text}`, () => assert.equal(marked(text), expected));
  }

  for (const text of [
    'A table for 4, 12.50 euros each, 30.00 in all',
    'It costs 1,299.99 or 3.14159265',
    'room 101 in 2026, order #5, version 1.2.3',
    'book_table_for_two, get-cheaper-table, a state-of-the-art-2 kitchen',
    'getBookingDetailsForCustomer may march on',
    'gpt-6-luna-preview-2',
    '',
  ]) {
    it(`leaves ${JSON.stringify(text)} alone`, () => assert.equal(marked(text), text));
  }

  for (const [what, text] of [
    ['letters', 'a'.repeat(100_000)],
    ['letters and digits', 'a1'.repeat(50_000)],
    ['short runs of digits', '12345a'.repeat(20_000)],
    ['separate digits', '1 '.repeat(50_000)],
    ['zeros and dashes', '0-'.repeat(50_000)],
    ['plus signs', '+1'.repeat(50_000)],
    ['at signs', 'a@'.repeat(50_000)],
    ['letters and dots', 'a.'.repeat(50_000)],
    ['dashes', '-'.repeat(100_000)],
  ] as const) {
    it(`takes linear time for ${what}`, () => {
      const begun = process.cpuUsage();
      marked(text);
      assert.ok(processorMs(begun) < 500, `${processorMs(begun)} ms`);
    });
  }
});

// What is looked for in a caller's words is found in linear time, whatever those are.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { cardExpiries, securityCodes } from '../../../src/core/redaction/card-details.ts';
import { cardNumbers } from '../../../src/core/redaction/card-numbers.ts';
import { emailAddresses } from '../../../src/core/redaction/email-addresses.ts';
import { ibans } from '../../../src/core/redaction/ibans.ts';
import { phoneNumbers } from '../../../src/core/redaction/phone-numbers.ts';
import { processorMs } from '../../fixtures/processor-time.ts';

const GROUPS = '4242 4242 4242 4242 ';

describe('a megabyte of anything is read in less than two seconds of processor time', () => {
  for (const [what, finder, parts] of [
    [
      'card numbers', cardNumbers,
      [
        '4 ', '4', 'four ', 'double ', 'forty ', GROUPS, '- ', '+4.', 'for ', 'for 4 ', '4.4',
        '4242 no ', 'no ',
      ],
    ],
    [
      'email addresses', emailAddresses,
      [
        'a', 'a@', '@', 'a.', '.@', 'a@b.co ', "'@", 'at ', ' @ ', 'a at b dot c ', '(at)', 'a, ',
        'x at a dot ', 'a dot b at ',
      ],
    ],
    [
      'expiry dates', cardExpiries,
      ['12 ', 'exp 12 ', '[card 1] 12 ', 'jan 27 ', 'exp ', '[card 1] '],
    ],
    [
      'security codes', securityCodes,
      ['123 a ', 'cvv 123 ', '[card 1] 123 ', 'cvv ', '123 the ', '[card 1] a 123 '],
    ],
    [
      'IBANs', ibans,
      ['DE ', 'DE89', 'D E 8 9 ', 'DE89 3704 0044 ', 'a', 'twenty ', 'double ', '- '],
    ],
    [
      'phone numbers', phoneNumbers,
      [
        '415 555 0132 ', '4, ', 'call 4155550132, ', '+1 ', '0 ', '5 for ', 'order 0123456789 ',
        '0161 no 496 ', 'x 0123456789 ',
      ],
    ],
  ] as const)
    for (const part of parts)
      it(`in search of ${what}: ${part}`, () => {
        const text = part.repeat(1_000_000 / part.length);
        const since = process.cpuUsage();
        void [...finder.find(text)];
        const ms = processorMs(since);
        assert.ok(ms < 2_000, `${ms} ms`);
      });
});

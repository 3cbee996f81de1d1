// What is looked for in a caller's words is found in linear time, whatever they are.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { cardNumbers } from '../../src/redaction/card-numbers.ts';
import { emailAddresses } from '../../src/redaction/email-addresses.ts';
import { processorMs } from '../fixtures/processor-time.ts';

const GROUPS = '4242 4242 4242 4242 ';

describe('a megabyte of anything is read in less than two seconds of processor time', () => {
  for (const [what, finder, parts] of [
    [
      'card numbers', cardNumbers,
      ['4 ', '4', 'four ', 'double ', 'forty ', GROUPS, '- ', '+4.'],
    ],
    ['email addresses', emailAddresses, ['a', 'a@', '@', 'a.', '.@', 'a@b.co ', "'@"]],
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

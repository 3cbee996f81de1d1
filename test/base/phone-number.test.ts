import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isSameNumber } from '../../src/base/phone-number.ts';

const cases: readonly (readonly [one: string, other: string | undefined, isSame: boolean])[] = [
  ['+15550100', '+15550100', true],
  ['+1 (555) 01-00', '+15550100', true],
  ['15550100', '+15550100', true],
  ['+1.555.0100', '1 555 0100', true],
  ['+15550100', '+15550101', false],
  ['5550100', '+15550100', false],
  ['sip:1@a', 'sip:1@b', false],
  ['sip:ann@example.com', 'sip:ann@example.com', true],
  ['anonymous', 'withheld', false],
  ['+', '', false],
  ['+15550100', undefined, false],
];

describe('isSameNumber', () => {
  for (const [one, other, isSame] of cases)
    it(`is ${isSame} for ${JSON.stringify(one)} and ${JSON.stringify(other)}`, () =>
      assert.equal(isSameNumber(one, other), isSame));
});

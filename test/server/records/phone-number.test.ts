import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isSameNumber, isSurelySameNumber } from '../../../src/server/records/phone-number.ts';
import { processorMs } from '../../fixtures/processor-time.ts';

const cases: readonly (readonly [
  one: string, other: string | undefined, isSame: boolean, isSurelySame: boolean,
])[] = [
  ['+15550100', '+15550100', true, true],
  ['+1 (555) 01-00', '+15550100', true, true],
  ['+1.555.0100', ' +1 555/0100', true, true],
  ['(555) 01-00', '555 0100', true, true],
  ['555.0100', '555.0100', true, true],
  ['15550100', '+15550100', true, false],
  ['+1.555.0100', '1 555 0100', true, false],
  // A number in Singapore, and one in Tampa without its +1.
  ['+65 6234 5678', '6562345678', true, false],
  ['6562345678', '+65 6234 5678', true, false],
  ['10.0.1.23', '100.1.23', true, false],
  ['555.0100', '5550100', true, false],
  ['+15550100', '+15550101', false, false],
  ['5550100', '+15550100', false, false],
  ['sip:1@a', 'sip:1@b', false, false],
  ['sip:1-2@a', 'sip:12@a', false, false],
  ['sip:ann@example.com', 'sip:ann@example.com', true, true],
  ['anonymous', 'withheld', false, false],
  ['+', '', false, false],
  ['+15550100', undefined, false, false],
];

describe('isSameNumber and isSurelySameNumber', () => {
  for (const [one, other, isSame, isSurely] of cases)
    it(`are ${isSame} and ${isSurely} for ${JSON.stringify(one)} and ${JSON.stringify(other)}`, () =>
      assert.deepEqual(
        [isSameNumber(one, other), isSurelySameNumber(one, other)], [isSame, isSurely],
      ));

  it('read a megabyte of spaces in less than a second of processor time', () => {
    const since = process.cpuUsage();
    assert.equal(isSameNumber('+15550100', `${' '.repeat(1_000_000)}x`), false);
    assert.ok(processorMs(since) < 1_000);
  });
});

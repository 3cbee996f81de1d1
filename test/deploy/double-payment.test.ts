import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { verdictOf } from './double-payment.ts';

const CALLER = { invoice: 'I1', reached: ['7', '8'], heard: '8 {"receipt":"R-I1"}' } as const;

describe('the judge of payments by callers who go on talking', () => {
  it('finds nothing wrong with one charge and its receipt', () => {
    const fine = { elsewhere: 1, doubled: [], unknown: 0, faults: [] };
    assert.deepEqual(verdictOf([CALLER], ['I1']), fine);
  });

  it('counts only callers whose next words reached another process', () => {
    const stayed = { ...CALLER, reached: ['7', '7'] } as const;
    assert.equal(verdictOf([CALLER, stayed], ['I1']).elsewhere, 1);
  });

  it('finds an invoice that was charged twice', () => {
    assert.deepEqual(verdictOf([CALLER], ['I1', 'I10', 'I1']).doubled, ['I1']);
  });

  it('finds an invoice that was not charged', () => {
    assert.deepEqual(verdictOf([CALLER], ['I10']).faults, ['I1 was not charged']);
  });

  it('counts callers who are told that the outcome is unknown, without finding fault', () => {
    const told = { ...CALLER, heard: '8 {"error":"outcome unknown"}' };
    for (const charged of [['I1'], []]) {
      const { unknown, faults } = verdictOf([told], charged);
      assert.deepEqual({ unknown, faults }, { unknown: 1, faults: [] });
    }
  });

  it('finds a caller who is told of another receipt, or of none', () => {
    for (const heard of ['8 {"receipt":"R-I2"}', '8 ', ''])
      assert.deepEqual(verdictOf([{ ...CALLER, heard }], ['I1']).faults, [`I1: heard "${heard}"`]);
  });
});

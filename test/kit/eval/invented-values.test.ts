import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { valueInventor } from '../../../src/kit/eval/invented-values.ts';

describe('valueInventor', () => {
  for (const [text, expected] of [
    ['+49 30 1234567', '+15 55 0000001'],
    ['030 1234567', '055 5000001'],
    ['call 555-010-0199 now', 'call 555-000-0001 now'],
    ['4111 1111 1111 1111', '5550 0000 0000 0001'],
    ['order 987654', 'order 555001'],
    ['1f6f2a52-1b0e-4a0b-9a3e-8e2f6d7c9b10', '00000000-0000-4000-8000-000000000001'],
    ['cus_NffrFeUfNV2Hib', 'cus_00000000000001'],
    ['V1StGXR8_Z5jdHi6B-myT', 'id_000000000000000000001'],
    ['ada@mail.example', 'person1@example.com'],
    ['14:05 on 2026-11-28 for 12.50', '14:05 on 2026-11-28 for 12.50'],
  ] as const) {
    it(`turns ${text} into ${expected}`, () => {
      assert.equal(valueInventor()(text), expected);
    });
  }

  it('replaces identical values identically, and different values differently', () => {
    const invented = valueInventor();
    const [first, second] = ['+15550100', '+15550199'].map(invented);
    assert.notEqual(first, second);
    assert.equal(invented('+15550100 and +15550199'), `${first} and ${second}`);
  });

  it('invents more values than the digits allow, without repeating itself', () => {
    const invented = valueInventor();
    const numbers = Array.from({ length: 2_000 }, (_, index) => String(100_000 + index));
    assert.equal(new Set(numbers.map(invented)).size, 2_000);
  });
});

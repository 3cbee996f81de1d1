import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { encodeClose, isCloseCode, parseClose } from '../../../src/base/websocket/close.ts';

describe('isCloseCode', () => {
  it('accepts the codes of the protocol, registered and private ones, and no others', () => {
    const runs: (readonly [first: number, last: number])[] = [];
    for (let code = 0; code <= 0xffff; code++) {
      if (!isCloseCode(code)) continue;
      const [first, last] = runs.at(-1) ?? [code, code];
      if (last === code - 1) runs[runs.length - 1] = [first, code];
      else runs.push([code, code]);
    }
    assert.deepEqual(runs, [[1000, 1003], [1007, 1014], [3000, 4999]]);
  });

  it('accepts no fractions, and no infinite or negative numbers', () =>
    assert.deepEqual([1000.5, 3000.5, Number.NaN, Infinity, -1000].filter(isCloseCode), []));
});

describe('encodeClose', () => {
  it('writes the code and the reason as the other side reads them', () => {
    assert.deepEqual(parseClose(encodeClose(4321, 'bis später 👋')), {
      code: 4321,
      reason: 'bis später 👋',
    });
    assert.deepEqual([...encodeClose(1000)], [0x03, 0xe8]);
  });

  it('keeps a reason of 123 bytes and cuts a longer one between code points', () => {
    assert.equal(parseClose(encodeClose(1000, 'x'.repeat(123))).reason, 'x'.repeat(123));
    assert.equal(parseClose(encodeClose(1000, 'x'.repeat(124))).reason, 'x'.repeat(123));
    for (const character of ['é', '語', '👋']) {
      for (let length = 115; length <= 130; length++) {
        const { reason } = parseClose(encodeClose(1000, 'x'.repeat(length) + character.repeat(10)));
        const size = Buffer.byteLength(character);
        const count = Math.max(0, Math.floor((123 - length) / size));
        assert.equal(
          reason,
          'x'.repeat(Math.min(length, 123)) + character.repeat(count),
          `${character} behind ${length}`,
        );
      }
    }
  });
});

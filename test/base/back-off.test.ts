import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BackOff } from '../../src/base/back-off.ts';

describe('BackOff', () => {
  it('doubles from 100 ms to 10 s, and starts again after a minute of life', () => {
    const backOff = new BackOff();
    const lived = [0, 1_000, 59_999, 0, 0, 0, 0, 0, 0, 60_000, 0];
    assert.deepEqual(
      lived.map((ms) => backOff.delayAfter(ms)),
      [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 100, 200],
    );
  });
});

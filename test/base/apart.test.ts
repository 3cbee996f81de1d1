import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { apart } from '../../src/base/apart.ts';

describe('apart', () => {
  for (const [before, text, expected] of [
    ['One.', 'Two.', ' Two.'],
    ['One. ', 'Two.', 'Two.'],
    ['One.', ' Two.', ' Two.'],
    ['One.\n', '\nTwo.', '\nTwo.'],
    ['', 'Two.', 'Two.'],
    ['One.', '', ''],
  ] as const) {
    it(`makes ${JSON.stringify(expected)} of ${JSON.stringify(text)} after ${JSON.stringify(before)}`, () => {
      assert.equal(apart(text, before), expected);
    });
  }
});

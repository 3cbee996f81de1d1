import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { textDiff } from '../../../src/kit/eval/text-diff.ts';

describe('textDiff', () => {
  for (const [what, before, after, expected] of [
    ['nothing', 'a b c', 'a b c', []],
    ['a line that was added', 'a b c', 'a b x c', [' b', '+x']],
    ['a line that was removed', 'a b c', 'a c', [' a', '-b']],
    ['a line that was changed', 'a b c', 'a x c', [' a', '-b', '+x']],
    ['two places', 'a b c d e f', 'x b c d y f', ['-a', '+x', ' d', '-e', '+y']],
    ['the beginning and the end', 'b c', 'a b c d', ['+a', ' c', '+d']],
    ['lines that moved', 'a b', 'b a', ['-a', ' b', '+a']],
  ] as const) {
    it(`shows ${what}, after the line before it`, () => {
      const lines = (words: string): string => words.replaceAll(' ', '\n');
      assert.deepEqual(textDiff(lines(before), lines(after)), expected);
    });
  }

  it('does not look for what long texts have in common in their middle', () => {
    const long = Array.from({ length: 1_001 }, (_, index) => `line ${index}`);
    const before = ['first', ...long, 'last'].join('\n');
    const after = ['first', ...[...long].reverse(), 'last'].join('\n');
    assert.equal(textDiff(before, after).length, 1 + 2 * 1_001);
  });
});

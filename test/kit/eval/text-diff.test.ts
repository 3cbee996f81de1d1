import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { shownDiff, textDiff } from '../../../src/kit/eval/text-diff.ts';

describe('textDiff', () => {
  for (const [what, before, after, expected] of [
    ['nothing', 'a b c', 'a b c', []],
    ['a line that was added', 'a b c', 'a b x c', [' b', '+x']],
    ['a line that was removed', 'a b c', 'a c', [' a', '-b']],
    ['a line that was changed', 'a b c', 'a x c', [' a', '-b', '+x']],
    ['two places', 'a b c d e f', 'x b c d y f', ['-a', '+x', ' d', '-e', '+y']],
    ['the beginning and the end', 'b c', 'a b c d', ['+a', ' c', '+d']],
    ['lines that moved', 'a b', 'b a', ['+b', ' a', '-b']],
  ] as const) {
    it(`shows ${what}, after the line before it`, () => {
      const lines = (words: string): string => words.replaceAll(' ', '\n');
      assert.deepEqual(textDiff(lines(before), lines(after)), expected);
    });
  }

  it('compares long texts that have nothing in common', () => {
    const lines = (word: string): string => `${word}\n`.repeat(5_000);
    assert.equal(textDiff(lines('old'), lines('new')).length, 10_000);
  });
});

describe('shownDiff', () => {
  it('has no more than 60 lines, and says how many were left out', () => {
    const diff = Array.from({ length: 62 }, (_, index) => `+line ${index}`);
    assert.deepEqual(shownDiff(diff), [...diff.slice(0, 60), ' … and 2 more lines']);
    assert.deepEqual(shownDiff(diff.slice(2)), diff.slice(2));
  });
});

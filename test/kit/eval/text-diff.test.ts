import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { shownDiff, textDiff } from '../../../src/kit/eval/text-diff.ts';

describe('textDiff', () => {
  for (const [what, before, after, expected] of [
    ['nothing for identical texts', 'a b c', 'a b c', []],
    ['an added line, after the line before it', 'a b c', 'a b x c', [' b', '+x']],
    ['a removed line, after the line before it', 'a b c', 'a c', [' a', '-b']],
    ['a changed line, after the line before it', 'a b c', 'a x c', [' a', '-b', '+x']],
    ['two changes', 'a b c d e f', 'x b c d y f', ['-a', '+x', ' d', '-e', '+y']],
    ['a change at the beginning and at the end', 'b c', 'a b c d', ['+a', ' c', '+d']],
    ['lines that have moved', 'a b', 'b a', ['+b', ' a', '-b']],
  ] as const) {
    it(`shows ${what}`, () => {
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

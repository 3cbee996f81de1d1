import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Rule } from '../../bench/fact-log/facts.ts';
import { Talk } from '../../bench/fact-log/talk.ts';

const LONGEST = 12;

/** The first of so many talks that goes wrong, if any. */
function firstWrong(talks: number, ...without: readonly Rule[]): string | undefined {
  const off = new Set(without);
  for (let seed = 1; seed <= talks; seed++) {
    const talk = new Talk(seed, off, LONGEST);
    const [wrong] = talk.run();
    if (wrong !== undefined) return `seed ${seed} (${talk.story}): ${wrong.what}`;
  }
  return undefined;
}

describe('the prototype of a log of facts', () => {
  it('keeps what really happened in random talks under faults', () =>
    assert.equal(firstWrong(100), undefined));

  it('is judged by talks that go wrong without one of its rules', () => {
    for (const rule of ['closing', 'floor'] as const)
      assert.notEqual(firstWrong(250, rule), undefined, rule);
  });
});

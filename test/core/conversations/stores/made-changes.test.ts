import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  isLost, withChange, type MadeChange,
} from '../../../../src/core/conversations/stores/made-changes.ts';

function made(version: string, more: Partial<MadeChange> = {}): MadeChange {
  const state = { from: '{"n":1}', to: '{"n":2}' };
  return {
    version, behind: undefined, ...state, erasedAt: 0, atMs: performance.now(), ...more,
  };
}

const SIXTEEN = Array.from({ length: 16 }, (_, index) => `v${index}`);

describe('a change to the state', () => {
  for (const [what, change, versions, isGone] of [
    ['is there if its version is listed', made('v3'), SIXTEEN, false],
    ['is lost if none of a few versions is its own', made('x'), ['v1', 'v2'], true],
    ['may just be older than sixteen versions', made('x', { behind: 'y' }), SIXTEEN, false],
    ['is lost if it follows a version that is there', made('x', { behind: 'v3' }), SIXTEEN, true],
    ['is not looked for after five minutes', made('x', { atMs: performance.now() - 300_001 }), [],
      false],
  ] as const)
    it(what, () => assert.equal(isLost(change, versions), isGone));
});

describe('the changes that a process remembers', () => {
  it('are the last eight from five minutes', () => {
    const all = SIXTEEN.map((version) => made(version));
    all[14] = made('v14', { atMs: performance.now() - 300_001 });
    const versions = withChange(all, made('x')).map(({ version }) => version);
    assert.deepEqual(versions, [...SIXTEEN.slice(8, 14), 'v15', 'x']);
  });

  for (const [what, length, kept] of [
    ['have at most 8,192 code units together', 4_000, ['v2', 'x']],
    ['include the last one, however long', 10_000, ['x']],
  ] as const)
    it(what, () => {
      const long = { to: 'x'.repeat(length) };
      const all = ['v1', 'v2'].map((version) => made(version, long));
      const versions = withChange(all, made('x', long)).map(({ version }) => version);
      assert.deepEqual(versions, kept);
    });
});

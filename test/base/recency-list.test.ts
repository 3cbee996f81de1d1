import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RecencyList, type RecencyEntry } from '../../src/base/recency-list.ts';

interface Entry extends RecencyEntry<Entry> {
  readonly name: string;
}

function entry(name: string): Entry {
  return { name, older: undefined, newer: undefined };
}

function listOf(...entries: readonly Entry[]): RecencyList<Entry> {
  const list = new RecencyList<Entry>();
  for (const one of entries) list.add(one);
  return list;
}

/** The names from the oldest to the newest. Reading them backwards must give the same. */
function namesIn({ oldest, newest }: RecencyList<Entry>): string {
  let forwards = '';
  for (let one = oldest; one !== undefined; one = one.newer) forwards += one.name;
  let backwards = '';
  for (let one = newest; one !== undefined; one = one.older) backwards = one.name + backwards;
  assert.equal(backwards, forwards);
  return forwards;
}

describe('a recency list', () => {
  for (const [which, touched, left] of [
    ['a', 'bca', 'bc'], ['b', 'acb', 'ac'], ['c', 'abc', 'ab'],
  ] as const) {
    it(`of abc becomes ${touched} when ${which} is touched, and ${left} when it is removed`, () => {
      const find = (entries: readonly Entry[]): Entry =>
        entries.find(({ name }) => name === which) ?? assert.fail();
      const [first, second] = [['a', 'b', 'c'].map(entry), ['a', 'b', 'c'].map(entry)];
      const [one, other] = [listOf(...first), listOf(...second)];
      one.touch(find(first));
      other.remove(find(second));
      assert.deepEqual([namesIn(one), namesIn(other)], [touched, left]);
      const { older, newer } = find(second);
      assert.deepEqual([older, newer], [undefined, undefined]);
    });
  }

  it('is empty when its only entry is removed, and when it is cleared', () => {
    const only = entry('a');
    const list = listOf(only);
    list.remove(only);
    assert.equal(namesIn(list), '');
    list.add(only);
    assert.equal(namesIn(list), 'a');
    list.clear();
    assert.equal(namesIn(list), '');
  });
});

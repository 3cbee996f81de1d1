import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BoundedMap } from '../../src/base/bounded-map.ts';

function filled(maxEntries: number, ...keys: string[]): BoundedMap<string, number> {
  const map = new BoundedMap<string, number>(maxEntries);
  for (const [index, key] of keys.entries()) map.set(key, index);
  return map;
}

function held(map: BoundedMap<string, number>): string[] {
  return ['a', 'b', 'c', 'd'].filter((key) => map.get(key) !== undefined);
}

describe('BoundedMap', () => {
  it('holds exactly the limit, and for one more drops the entry that was set longest ago', () => {
    assert.deepEqual(held(filled(3, 'a', 'b', 'c')), ['a', 'b', 'c']);
    assert.deepEqual(held(filled(3, 'a', 'b', 'c', 'd')), ['b', 'c', 'd']);
  });

  it('counts setting a key again as use, and has the newer value', () => {
    const map = filled(3, 'a', 'b', 'c', 'a', 'd');
    assert.deepEqual([held(map), map.get('a')], [['a', 'c', 'd'], 3]);
  });

  it('has room again after a deletion', () => {
    const map = filled(2, 'a', 'b');
    map.delete('b');
    map.set('c', 2);
    assert.deepEqual([held(map), [...map]], [['a', 'c'], [['a', 0], ['c', 2]]]);
  });

  it('also drops an entry whose key is undefined', () => {
    const map = new BoundedMap<string | undefined, number>(1);
    map.set(undefined, 1);
    map.set('a', 2);
    assert.deepEqual([[...map], map.get(undefined)], [[['a', 2]], undefined]);
  });

  it('continues an iteration even if each entry is deleted as it comes', () => {
    const map = filled(3, 'a', 'b', 'c');
    for (const [key] of map) map.delete(key);
    assert.equal(map.size, 0);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BoundedMap } from '../../src/base/bounded-map.ts';

describe('BoundedMap', () => {
  it('holds as many entries as it says', () => {
    const map = new BoundedMap<string, number>(2).set('a', 1).set('b', 2);
    assert.deepEqual([...map], [['a', 1], ['b', 2]]);
  });

  it('forgets the entry that was set longest ago for one more', () => {
    const map = new BoundedMap<string, number>(2).set('a', 1).set('b', 2).set('c', 3);
    assert.deepEqual([...map.keys()], ['b', 'c']);
  });

  it('takes an entry that is set again for the latest', () => {
    const map = new BoundedMap<string, number>(2).set('a', 1).set('b', 2).set('a', 3).set('c', 4);
    assert.deepEqual([...map], [['a', 3], ['c', 4]]);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { applyDifferences, differencesOf, merge, patch } from '../../src/base/json-difference.ts';

/**
 * What changing the first value to the second makes of the third: the fourth. An array is that of
 * `l`.
 */
const MERGES: readonly (readonly [what: string, ...values: readonly object[]])[] = [
  ['sets a name and keeps one added meanwhile', { a: 1 }, { a: 2 }, { a: 1, b: 3 }, { a: 2, b: 3 }],
  [
    'sets a name inside another',
    { a: { b: 1 } }, { a: { b: 2 } }, { a: { b: 1, c: 3 } }, { a: { b: 2, c: 3 } },
  ],
  ['adds a name', {}, { a: 1 }, { b: 2 }, { b: 2, a: 1 }],
  ['removes a name', { a: 1, b: 2 }, { b: 2 }, { a: 1, b: 3 }, { b: 3 }],
  ['removes a name that is already gone', { a: 1 }, {}, { b: 2 }, { b: 2 }],
  ['adds an object that is already there', {}, { a: { b: 1 } }, { a: { c: 2 } }, { a: { b: 1 } }],
  ['appends after what came meanwhile', [1], [1, 2], [1, 3], [1, 3, 2]],
  ['appends to an array that was empty', [], [2], [3], [3, 2]],
  ['appends an equal element again', [1], [1, 1], [1, 1], [1, 1, 1]],
  ['removes an element that has moved', [1, 2], [1], [0, 1, 2], [0, 1]],
  ['removes the nearest of equal elements', [1, 0, 1], [1, 0], [1, 0, 0, 1], [1, 0, 0]],
  ['removes nothing if the element is gone', [1, 2], [1], [1], [1]],
  ['removes several elements', [1, 2, 3, 4], [2, 4], [1, 2, 3, 4, 5], [2, 4, 5]],
  [
    'finds the element to replace by its old value',
    [{ n: 1 }, 2], [{ n: 5 }, 2], [0, { n: 1 }, 2], [0, { n: 5 }, 2],
  ],
  ['replaces one and appends one', [1, 2], [1, 3, 4], [1, 2, 9], [1, 3, 9, 4]],
  ['removes the first and appends one', [1, 2], [2, 3], [1, 2, 9], [2, 9, 3]],
  ['inserts elements at the start', [1], [0, 1], [1, 2], [0, 1, 2]],
  ['inserts elements between two that moved', [1, 2], [1, 5, 6, 2], [0, 1, 2], [0, 1, 5, 6, 2]],
  ['inserts elements even if the next is gone', [1, 2], [1, 5, 2], [1], [1, 5]],
  ['adds a list to one that is already there', {}, { l: [1] }, { l: [2] }, { l: [2, 1] }],
  ['replaces nothing if the array is gone', { l: [1] }, { l: [2] }, {}, {}],
  [
    'appends nothing to what is no longer an array',
    { l: [1] }, { l: [1, 2] }, { l: 'x' }, { l: 'x' },
  ],
  ['sets nothing inside an object that is gone', { a: { b: 1 } }, { a: { b: 2 } }, {}, {}],
  ['makes an array of a non-array', { l: 'x' }, { l: [1] }, { l: 'x', m: 1 }, { l: [1], m: 1 }],
];

describe('merge', () => {
  for (const [what, ...values] of MERGES) {
    it(what, () => {
      const [from = '', to = '', onto = '', expected = ''] = values.map((value) =>
        JSON.stringify(Array.isArray(value) ? { l: value } : value));
      assert.deepEqual(JSON.parse(merge(from, to, onto).text), JSON.parse(expected));
      assert.deepEqual(JSON.parse(merge(from, to, from).text), JSON.parse(to));
    });
  }

  for (const [what, from, to, onto, collisions, misses] of [
    ['that nobody else changed', '{"a":1}', '{"a":2}', '{"a":1,"b":1}', [], []],
    ['that somebody else set to the same', '{"a":1}', '{"a":2}', '{"a":2,"b":1}', [], []],
    [
      'that somebody else set to something else',
      '{"a":{"b":1}}', '{"a":{"b":2}}', '{"a":{"b":3}}', ['/a/b'], [],
    ],
    ['that somebody else added, too', '{}', '{"a":2}', '{"a":3}', ['/a'], []],
    ['that was removed elsewhere', '{"a":{"b":1}}', '{"a":{"b":2}}', '{"c":1}', [], ['/a/b']],
    ['whose element is gone', '{"l":[1]}', '{"l":[]}', '{"l":[2]}', [], ['/l']],
  ] as const) {
    it(`tells whether it found what it expected at a place ${what}`, () => {
      const merged = merge(from, to, onto);
      assert.deepEqual([merged.collisions, merged.misses], [collisions, misses]);
    });
  }

  it('treats __proto__ like any other name', () => {
    const { text } = merge('{"a":1}', '{"a":1,"__proto__":{"x":1}}', '{"a":1,"b":1}');
    assert.equal(text, '{"a":1,"b":1,"__proto__":{"x":1}}');
    assert.equal(Object.hasOwn(Object.prototype, 'x'), false);
  });

  it('does not change a text that is not a JSON object', () => {
    for (const onto of ['nothing', '[1]', 'null'])
      assert.equal(merge('{}', '{"a":1}', onto).text, onto);
  });
});

describe('differencesOf', () => {
  it('finds what turns any array into any other', () => {
    const lists = [0, 1, 2, 3, 4].flatMap((length) =>
      Array.from({ length: 3 ** length }, (_, code) =>
        Array.from({ length }, (_, place) => Math.floor(code / 3 ** place) % 3)));
    for (const from of lists) {
      for (const to of lists) {
        const live = { list: [...from] };
        patch(live, { list: from }, { list: to });
        assert.deepEqual(live.list, to, `${JSON.stringify(from)} to ${JSON.stringify(to)}`);
      }
    }
  });

  it('finds nothing between objects with the same names in another order', () => {
    assert.deepEqual(differencesOf({ a: 1, b: { c: 1, d: 2 } }, { b: { d: 2, c: 1 }, a: 1 }), []);
  });
});

describe('applyDifferences, to undo a change,', () => {
  for (const [what, before, after, found, expected] of [
    ['leaves a value that has changed since', { a: 1 }, { a: 2 }, { a: 3 }, { a: 3 }],
    ['leaves what others put into a list', {}, { l: [1] }, { l: [1, 2] }, { l: [2] }],
    [
      'leaves what others put into a map',
      {}, { m: { a: 1 } }, { m: { a: 1, b: 2 } }, { m: { b: 2 } },
    ],
    ['restores a list into a new one', { l: [1] }, {}, { l: [2] }, { l: [2, 1] }],
    [
      'puts an element back in its place',
      { l: [1, 2] }, { l: [2] }, { l: [2, 3] }, { l: [1, 2, 3] },
    ],
  ] as const) {
    it(what, () => {
      const root = structuredClone(found);
      applyDifferences(root, differencesOf(after, before), true);
      assert.deepEqual(root, expected);
    });
  }
});

function listOf<T>(length: number, make: (index: number) => T): T[] {
  return Array.from({ length }, (_, index) => make(index));
}

function nested(levels: number, inner: unknown): object {
  let root: unknown = inner;
  for (let level = 0; level < levels; level++) root = { a: level % 2 === 0 ? root : [root] };
  return { root };
}

/** Three versions of a state that is as long as it may be, or nearly. */
const LONG_STATES = {
  'one list': (n) => ({ list: listOf(30_000, () => n) }),
  'one list of objects': (n) => ({ list: listOf(7_000, () => ({ n })) }),
  'lists of a hundred': (n) =>
    Object.fromEntries(listOf(300, (name) => [`${name}`, listOf(100, () => n)])),
  'a hundred elements among others': (n) =>
    ({ list: [...listOf(n === 3 ? 0 : 100, () => n), ...listOf(15_000, () => [n === 3 ? n : 0])] }),
  'many names': (n) => Object.fromEntries(listOf(6_000, (name) => [`n${name}`, n])),
  'a deep list': (n) => nested(400, listOf(30_000, () => n)),
  'a deep object': (n) => nested(400, Object.fromEntries(listOf(6_000, (i) => [`n${i}`, n]))),
} satisfies Record<string, (n: number) => object>;

/** The least CPU time of five runs, in milliseconds: others use the machine, too. */
function costOf(work: () => void): number {
  return Math.min(...listOf(5, () => {
    const from = process.cpuUsage();
    work();
    return process.cpuUsage(from).user / 1_000;
  }));
}

describe('a state that is as long as it may be', () => {
  for (const [what, make] of Object.entries(LONG_STATES)) {
    const versions = [1, 2, 3].map((n) => JSON.stringify(make(n)));
    const [from = '', to = '', onto = ''] = versions;

    it(`does not hold up other calls when it is merged: ${what}`, () => {
      for (const text of versions) assert.ok(text.length <= 65_536, `${text.length}`);
      const cost = costOf(() => merge(from, to, onto));
      assert.ok(cost < 50, `${cost} ms`);
    });

    for (const [change, before] of [['changed', from], ['made', '{}']] as const)
      it(`does not hold up other calls when a turn that ${change} it is undone: ${what}`, () => {
        const cost = costOf(() => {
          const [after, earlier, found] = [to, before, onto].map((text) => JSON.parse(text));
          applyDifferences(found, differencesOf(after, earlier), true);
        });
        assert.ok(cost < 50, `${cost} ms`);
      });
  }
});

describe('a list that has changed in more than 100 elements in a row', () => {
  const other = { a: 1 };
  for (const [length, expected] of [[100, [0, 'new']], [101, ['new']]] as const)
    it(`counts as set, and one of ${length} elements has ${expected.length} left`, () => {
      const [from, to] = ['old', 'new'].map((text) => listOf(length, () => text));
      const merged = merge(
        JSON.stringify({ list: from }), JSON.stringify({ list: to }),
        JSON.stringify({ ...other, list: [0, ...from ?? []] }),
      );
      const { list, ...others } = JSON.parse(merged.text);
      assert.deepEqual([[...new Set(list)], others], [expected, other]);
      assert.deepEqual(merged.collisions, length === 100 ? [] : ['/list']);
    });

  it('is still only added to if nothing else has changed', () => {
    const added = listOf(500, (n) => n);
    const [from, to, onto] = [[7], [7, ...added], [7, 8]].map((list) => JSON.stringify({ list }));
    assert.deepEqual(JSON.parse(merge(from ?? '', to ?? '', onto ?? '').text).list,
      [7, 8, ...added]);
  });
});

describe('patch', () => {
  it('keeps the objects that somebody holds, and changes them in place', () => {
    const line = { name: 'cola', count: 1 };
    const live = { cart: [line], total: 2, notes: { a: 1 } };
    const { cart, notes } = live;
    const from = structuredClone(live);
    const lines = [{ name: 'cola', count: 3 }, { name: 'tea', count: 1 }];
    patch(live, from, { cart: lines, total: 7, notes: { a: 1 } });
    assert.deepEqual(live, { cart: lines, total: 7, notes: { a: 1 } });
    assert.equal(live.cart, cart);
    assert.equal(live.cart[0], line);
    assert.equal(live.notes, notes);
  });

  it('leaves alone a value whose JSON is different, such as a redacted one', () => {
    const live = { card: '4242', total: 1 };
    patch(live, { card: '[card 1]', total: 1 }, { card: '[card 1]', total: 2 });
    assert.deepEqual(live, { card: '4242', total: 2 });
  });
});

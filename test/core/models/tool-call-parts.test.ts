import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ToolCallParts } from '../../../src/core/models/tool-call-parts.ts';

interface Piece {
  readonly index?: number;
  readonly id?: string | null;
  readonly name?: string | null;
  readonly args?: unknown;
}

function join(pieces: readonly Piece[]): ToolCallParts {
  const parts = new ToolCallParts();
  for (const { index, id, name, args } of pieces) {
    parts.add({ index, id, function: { name, arguments: args } });
  }
  return parts;
}

/** Each call as `name args`, and its id where the vendor gave it. */
function calls(pieces: readonly Piece[]): string[] {
  return join(pieces).finish().map(({ id, name, args }) => {
    return `${/^call_[0-9a-f]{32}$/.test(id) ? '' : `${id}: `}${name} ${args}`;
  });
}

const cases: readonly (readonly [what: string, pieces: readonly Piece[], calls: string[]])[] = [
  [
    'by index, interleaved',
    [
      { index: 0, id: 'x', name: 'a', args: '{"n"' },
      { index: 1, id: 'y', name: 'b', args: '{"m"' },
      { index: 0, args: ':1' },
      { index: 1, args: ':2}' },
      { index: 0, args: '}' },
    ],
    ['x: a {"n":1}', 'y: b {"m":2}'],
  ],
  [
    'by index where each piece brings a new id and no name',
    [
      { index: 0, id: 'x', name: 'a', args: '{"n"' },
      { index: 0, id: 'x2', args: ':1}' },
      { index: 1, id: 'y', name: 'b', args: '' },
      { index: 1, id: 'y2', name: '', args: '{}' },
    ],
    ['x: a {"n":1}', 'y: b {}'],
  ],
  [
    'in order if there is no index and each piece brings a new id',
    [
      { id: 'x', name: 'a', args: '{' },
      { id: 'x2', args: '}' },
      { id: 'y', name: 'b', args: '{}' },
    ],
    ['x: a {}', 'y: b {}'],
  ],
  [
    'by id, interleaved, where there is no index',
    [
      { id: 'x', name: 'a', args: '{' },
      { id: 'y', name: 'b', args: '{"m"' },
      { id: 'x', args: '}' },
      { id: 'y', args: ':2}' },
    ],
    ['x: a {}', 'y: b {"m":2}'],
  ],
  [
    'by name and id where every call has index 0',
    [
      { index: 0, id: 'x', name: 'a', args: '' },
      { index: 0, id: '', name: null, args: '{}' },
      { index: 0, id: 'y', name: 'a', args: '' },
      { index: 0, id: '', name: null, args: '{"n":1}' },
    ],
    ['x: a {}', 'y: a {"n":1}'],
  ],
  [
    'by id, interleaved, where every call has index 0',
    [
      { index: 0, id: 'x', name: 'a', args: '{' },
      { index: 0, id: 'y', name: 'b', args: '{"m"' },
      { index: 0, id: 'x', args: '}' },
      { index: 0, id: 'y', args: ':2}' },
    ],
    ['x: a {}', 'y: b {"m":2}'],
  ],
  [
    'whole, without an id, where every call has index 0',
    [
      { index: 0, name: 'a', args: '{"n":1}' },
      { index: 0, name: 'b', args: '{}' },
      { index: 0, name: 'b', args: '{}' },
    ],
    ['a {"n":1}', 'b {}', 'b {}'],
  ],
  [
    'where every piece repeats the name',
    [
      { index: 0, name: 'a', args: '' },
      { index: 0, name: 'a', args: '{"n"' },
      { index: 0, name: 'a', args: ':1}' },
      { index: 0, name: 'a', args: '' },
    ],
    ['a {"n":1}'],
  ],
  [
    'as one broken call if a piece repeats all of it: nothing must run twice',
    [{ index: 0, id: 'x', name: 'a', args: '{}' }, { index: 0, id: 'x', name: 'a', args: '{}' }],
    ['x: a {}{}'],
  ],
  [
    'whose id comes after the name, and whose index only at first',
    [{ index: 0, name: 'a', args: '{' }, { index: 0, id: 'x' }, { id: 'x', args: '}' }],
    ['x: a {}'],
  ],
  [
    'with an id of ours if two calls have the same id',
    [{ index: 0, id: 'x', name: 'a', args: '{}' }, { index: 1, id: 'x', name: 'b', args: '{}' }],
    ['x: a {}', 'b {}'],
  ],
  [
    'with an id of ours if the vendor gave none',
    [{ index: 0, name: 'a', args: '{}' }, { index: 1, id: ' ', name: 'b', args: '{}' }],
    ['a {}', 'b {}'],
  ],
  [
    'and drops empty nameless ones',
    [{ index: 0, id: 'x', name: '', args: '' }, { index: 1, id: 'y', name: 'b', args: '{}' }],
    ['y: b {}'],
  ],
  ['and keeps a nameless one with arguments', [{ index: 0, id: 'x', args: '{}' }], ['x:  {}']],
  ['with arguments sent as an object', [{ id: 'x', name: 'a', args: { n: 1 } }], ['x: a {"n":1}']],
];

describe('ToolCallParts', () => {
  for (const [what, pieces, expected] of cases) {
    it(`joins calls ${what}`, () => assert.deepEqual(calls(pieces), expected));
  }

  it('does not mistake an empty piece for a call', () => {
    assert.equal(join([{ index: 0, id: 'x', name: '', args: '' }]).hasBegun, false);
    assert.equal(join([{ index: 0, name: 'a' }]).hasBegun, true);
    assert.equal(join([{ index: 0, args: '{' }]).hasBegun, true);
  });

  it('does not parse long arguments again and again if their name is in every piece', () => {
    const from = process.cpuUsage();
    const begun = { index: 0, name: 'a', args: '{"n":"' };
    join([begun, ...Array<Piece>(50_000).fill({ index: 0, name: 'a', args: 'xxxx}' })]);
    const cost = process.cpuUsage(from).user / 1_000;
    assert.ok(cost < 2_500, `${cost} ms`); // parsed with each piece: 4,500
  });

  it('makes ids that every vendor accepts', () => {
    const [call] = join([{ name: 'a' }]).finish();
    assert.match(call?.id ?? '', /^\w{1,40}$/);
  });
});

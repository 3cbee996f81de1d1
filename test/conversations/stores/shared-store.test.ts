// What SharedStore makes of a store of parts: round trips, conflicts between processes, and calls
// that go on while the store does not answer.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { setState } from '../../../src/conversations/agent-state.ts';
import { clearTurns } from '../../../src/conversations/conversation.ts';
import type { SharedStore } from '../../../src/conversations/stores/shared-store.ts';
import { openTurn } from '../../../src/conversations/turn-opening.ts';
import { settleTurn } from '../../../src/conversations/turn-settlement.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { push, storeContract } from '../store-contract.ts';
import { turnContract } from '../turn-contract.ts';
import {
  BOUNDS,
  machine,
  machines,
  said,
  sharing,
  texts,
  turn,
  written,
  type Machine,
} from './machines.ts';
import { partStoreContract } from './part-store-contract.ts';
import { PartsInMemory, type SharedParts } from './parts-in-memory.ts';

storeContract('SharedStore over parts that answer at once', () => sharing(new PartsInMemory()));
storeContract('SharedStore over parts that answer with promises', () =>
  sharing(new PartsInMemory(new Map(), { isSlow: true })));
turnContract('SharedStore over parts that answer at once', () => sharing(new PartsInMemory()));
turnContract('SharedStore over parts that answer with promises', () =>
  sharing(new PartsInMemory(new Map(), { isSlow: true })));

let parts = new PartsInMemory();
partStoreContract(
  'PartsInMemory',
  () => (parts = new PartsInMemory()),
  (ms) => {
    parts.nowMs += ms;
  },
);

describe('round trips of a shared store', () => {
  it('needs two for a turn of a conversation that this process saw last', async (t) => {
    const { parts, store } = machine(t);
    await turn(store, 'c', 't1');
    parts.calls.length = 0;
    await turn(store, 'c', 't2');
    assert.deepEqual(parts.calls, ['write', 'write']);
  });

  it('needs three for a turn of a conversation that another process changed', async (t) => {
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    await turn(a.store, 'c', 't1');
    await turn(b.store, 'c', 't2');
    a.parts.calls.length = 0;
    await turn(a.store, 'c', 't3');
    assert.deepEqual(a.parts.calls, ['write', 'write', 'write']);
    b.parts.calls.length = 0;
    await turn(b.store, 'd', 't1');
    assert.deepEqual(b.parts.calls, ['read', 'write', 'write']);
  });

  it('writes as much for the hundredth turn as for the second', async (t) => {
    const { parts, store } = machine(t, { maxRemembered: 1 });
    for (let n = 1; n <= 100; n++) await turn(store, 'c', `t${String(n).padStart(3, '0')}`);
    const size = (from: number): number =>
      parts.changes.slice(from, from + 2)
        .flatMap(({ set, remove }) => [...set].flat().concat(remove))
        .reduce((sum, text) => sum + text.length, 0);
    assert.ok(size(198) < size(2) * 1.1, `${size(198)} and ${size(2)} characters`);
  });

  it('writes the state only if it has changed', async (t) => {
    const { store, parts } = machine(t);
    await turn(store, 'c', 't1');
    await store.update('c', (conversation) => setState(conversation, '{"cart":[]}'));
    await turn(store, 'c', 't2');
    assert.deepEqual(
      parts.changes.map(({ set }) => set.has('state')),
      [false, false, true, false, false],
    );
    assert.equal((await sharing(parts).read('c'))?.state, '{"cart":[]}');
  });

  it('removes the parts of turns that were trimmed', async (t) => {
    const { store, parts } = machine(t);
    for (let n = 1; n <= 130; n++) await turn(store, 'c', `t${n}`);
    const stored = await parts.read('c');
    assert.ok(typeof stored === 'object');
    const kept = await store.read('c');
    assert.equal(stored.parts.size, 1 + (kept?.turns.length ?? 0));
  });
});

describe('a conversation that several processes change', () => {
  it('holds the turns of both, in the order in which they were written', async (t) => {
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    await turn(a.store, 'c', 't1');
    await turn(b.store, 'c', 't2');
    await turn(a.store, 'c', 't3');
    await turn(b.store, 'c', 't4');
    assert.deepEqual(await texts(a.store, 'c'), said('t1', 't2', 't3', 't4'));
  });

  it('loses nothing when all change it at once', async (t) => {
    const all = machines(t, 4);
    await turn(all[0]?.store ?? assert.fail(), 'c', 't0');
    await Promise.all(
      all.flatMap(({ store }, m) =>
        [1, 2, 3].map(async (n) =>
          store.update('c', push({
            id: `m${m}-${n}`, state: 'completed', runId: n, words: 'a', reply: 'b',
          })))),
    );
    const kept = await all[0]?.store.read('c');
    assert.equal(kept?.turns.length, 13);
    assert.ok(all.some(({ store }) => store.health().conflicts > 0));
  });

  it('is read as it was, even if another change is under way', async (t) => {
    const { store } = machine(t);
    await turn(store, 'c', 't1');
    const read = store.read('c');
    const changed = store.update('c', push({
      id: 't2', state: 'open', runId: 2, words: 'a', reply: '',
    }));
    const kept = await read;
    await changed;
    assert.deepEqual(kept?.turns.map(({ id }) => id), ['t1']);
  });

  it('is read again by a change that changes nothing', async (t) => {
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    await turn(a.store, 'c', 't1');
    await turn(b.store, 'c', 't2');
    const seen = await a.store.update('c', ({ turns }) => turns.length);
    assert.equal(seen, 2);
  });

  it('is not what a failed change made of it when the change is made again', async (t) => {
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    const open = (store: SharedStore, turnId: string, runId: number, process: string, more = {}) =>
      store.update('c', (conversation) =>
        openTurn(conversation, { turnId, runId, text: turnId, process, ...more }, BOUNDS));
    await open(b.store, 't1', 901, 'b');
    await a.store.update('c', () => undefined); // knows it as it is
    await b.store.update('c', (conversation) => setState(conversation, '{}'));
    const opened = await open(a.store, 't2', 902, 'a', {
      interruption: { textHeard: 'words', turnId: 't1' },
    });
    assert.deepEqual(opened.kind === 'opened' && opened.endedElsewhere, [
      { process: 'b', runId: 901 },
    ]);
  });

  // Seed 98600068 of the torture with machines: what was heard of a reply that this process did not
  // know of was also taken for that of a turn whose process was gone.
  for (const isLost of [false, true])
    it(`has what was heard in the right turn, even if the process did not know that one${
      isLost ? ', and the store has lost the others' : ''}`, async (t) => {
      const shared: SharedParts = new Map();
      const [a, b] = machines(t, 2, {}, shared);
      assert.ok(a && b);
      const open = (store: SharedStore, turnId: string, runId: number, by: string, more = {}) =>
        store.update('c', (conversation) => {
          const of = { turnId, runId, text: turnId, process: by, isAlive: () => false };
          openTurn(conversation, { ...of, ...more }, BOUNDS);
        });
      const say = (store: SharedStore, turnId: string, runId: number, words: readonly string[]) =>
        store.update('c', (conversation) => {
          const messages = words.map((content) =>
            ({ role: 'assistant', content, turnId, state: 'completed' }) as const);
          settleTurn(conversation, { turnId, runId, state: 'completed', messages }, BOUNDS);
        });
      await open(b.store, 'crashed', 901, 'gone');
      await open(a.store, 'silent', 902, 'a');
      await say(a.store, 'silent', 902, []);
      if (isLost) shared.clear();
      await open(b.store, 'speaking', 903, 'b');
      await say(b.store, 'speaking', 903, ['Well, I think']);
      const interruption = { textHeard: 'Well, I', turnId: 'an-id-of-the-platform' };
      await open(a.store, 'next', 904, 'a', { interruption });
      const { turns = [] } = (await a.store.read('c')) ?? {};
      assert.deepEqual(turns.flatMap(({ id, reply }) => reply ? [id, reply] : []), [
        'speaking', 'Well, I',
      ]);
    });

  it('is gone for all when one of them clears it', async (t) => {
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    await turn(a.store, 'c', 't1');
    await b.store.update('c', clearTurns);
    assert.deepEqual(await texts(a.store, 'c'), []);
    await turn(a.store, 'c', 't2');
    assert.deepEqual(await texts(b.store, 'c'), said('t2'));
  });

  it('keeps what a newer version wrote and this one does not know', async (t) => {
    const { parts, store, lines } = machine(t);
    const set = new Map([
      ['head', '{"format":1,"updatedAt":1,"mood":"good"}'],
      ['3', '{"id":"t1","state":"completed","runId":1,"words":"a","reply":"b","lang":"de"}'],
      ['notes', 'not even JSON'],
    ]);
    await parts.write('c', { from: undefined, to: 'v', set, remove: [], ttlMs: 60_000 });
    await turn(store, 'c', 't2');
    await store.update('c', (conversation) => {
      openTurn(conversation, { turnId: 't3', runId: 3, text: 'x', interruption: {
        textHeard: 'reply', turnId: 't2' } }, BOUNDS);
    });
    const stored = await parts.read('c');
    assert.ok(typeof stored === 'object');
    assert.match(stored.parts.get('head') ?? '', /"mood":"good"/);
    assert.match(stored.parts.get('3') ?? '', /"lang":"de"/);
    assert.deepEqual([...stored.parts.keys()], ['head', '3', 'notes', '4', '5']);
    assert.deepEqual(lines, []);
  });

  it('goes on without a part that is not JSON, says so, and leaves it there', async (t) => {
    const { parts, store, lines } = machine(t);
    await turn(store, 'c', 't1');
    const stored = await parts.read('c');
    assert.ok(typeof stored === 'object');
    await parts.write('c', {
      from: stored.version, to: 'v', set: new Map([['7', '{"id":']]), remove: [], ttlMs: 60_000,
    });
    await turn(store, 'c', 't2');
    assert.deepEqual(await texts(store, 'c'), said('t1', 't2'));
    const after = await parts.read('c');
    assert.deepEqual(typeof after === 'object' && [...after.parts.keys()], ['head', '0', '7', '8']);
    assert.match(lines.join(''), /"parts of a stored conversation cannot be read and were left out"/);
  });
});

/** Parts that are JSON, but no part of a conversation. */
const STRANGE: Readonly<Record<string, readonly [name: string, text: string]>> = {
  'an empty object': ['7', '{}'],
  'a list': ['7', '[]'],
  'a turn without its state': ['7', '{"id":"t9","runId":1,"words":"a","reply":"b"}'],
  'a turn whose messages are no list': [
    '7', '{"id":"t9","state":"completed","runId":1,"words":null,"reply":null,"messages":{}}',
  ],
  'a turn that was added at no time': [
    '7', '{"id":"t9","state":"completed","runId":1,"words":null,"reply":null,"addedAt":"now"}',
  ],
  'a part of another kind': ['summary', '{"id":"t9"}'],
};

describe('a stored conversation with a part that this version cannot read', () => {
  for (const [what, [name, text]] of Object.entries(STRANGE)) {
    it(`goes on without it, and leaves it there: ${what}`, async (t) => {
      const { parts, store } = machine(t);
      await turn(store, 'c', 't1');
      const stored = await parts.read('c');
      assert.ok(typeof stored === 'object');
      const set = new Map([[name, text]]);
      const { version: from } = stored;
      await parts.write('c', { from, to: 'v', set, remove: [], ttlMs: 60_000 });
      await turn(store, 'c', 't2');
      await turn(store, 'c', 't3');
      assert.deepEqual(await texts(sharing(parts), 'c'), said('t1', 't2', 't3'));
      const after = await parts.read('c');
      assert.equal(typeof after === 'object' && after.parts.get(name), text);
    });
  }
});

describe('a stored conversation that this version cannot read at all', () => {
  async function strange(t: TestContext): Promise<Machine> {
    const only = machine(t);
    const set = new Map([['head', '{"format":2}'], ['0', '{"id":"t9","state":"paused"}']]);
    const begin = { from: undefined, to: 'v', set, remove: [], ttlMs: 60_000 };
    await only.parts.write('c', begin);
    return only;
  }

  it('is not removed by a change that changes nothing', async (t) => {
    const { parts, store } = await strange(t);
    await store.update('c', () => undefined);
    const kept = await parts.read('c');
    assert.equal(typeof kept === 'object' && kept.parts.get('0'), '{"id":"t9","state":"paused"}');
  });

  it('leaves nothing but the mark of an erasure when it is cleared', async (t) => {
    const { parts, store } = await strange(t);
    await store.update('c', clearTurns);
    const left = await parts.read('c');
    assert.ok(typeof left === 'object');
    assert.deepEqual([...left.parts.keys()], ['head']);
    const head: unknown = JSON.parse(left.parts.get('head') ?? '');
    assert.deepEqual(Object.keys(head ?? {}), ['format', 'updatedAt', 'erasedAt', 'revision']);
  });
});

describe('what a shared store remembers', () => {
  const long = (turnId: string) => push({
    id: turnId, state: 'completed', runId: 1, words: 'a'.repeat(1_000), reply: 'b',
  });

  it('has a limit in characters: the least recently used is read again', async (t) => {
    const { parts, store } = machine(t, { maxCharacters: 2_500 });
    for (const id of ['c', 'd', 'e']) await store.update(id, long('t1'));
    parts.calls.length = 0;
    await store.update('e', long('t2'));
    assert.deepEqual(parts.calls, ['write']);
    parts.calls.length = 0;
    await store.update('c', long('t2'));
    assert.deepEqual(parts.calls, ['read', 'write']);
  });

  it('is forgotten when it expires: no turn goes on from it when the store fails', async (t) => {
    const { parts, store } = machine(t, { ttlMs: 60_000 });
    await turn(store, 'c', 't1');
    const now = Date.now();
    t.mock.method(Date, 'now', () => now + 60_001);
    parts.failWith = new Error('connection refused');
    await turn(store, 'c', 't2');
    assert.deepEqual(await texts(store, 'c'), said('t2'));
  });
});

describe('the order of turns that processes add without knowing of each other', () => {
  /**
   * Each turn is of the process whose letter it has, at a second of that process's clock. `a`
   * cannot reach the store until all is said.
   */
  async function joined(
    t: TestContext,
    turns: readonly (readonly [id: string, second: number])[],
  ): Promise<readonly [inMemory: string[], stored: string[]]> {
    const timers = mockTimers(t, ['setTimeout']);
    let now = 1_764_000_000_000;
    t.mock.method(Date, 'now', () => now);
    const [a, b, c] = machines(t, 3);
    assert.ok(a && b && c);
    await turn(b.store, 'c', 'b0');
    await turn(a.store, 'c', 'a0');
    a.parts.failWith = new Error('connection refused');
    for (const [id, second] of turns) {
      now = 1_764_000_000_000 + 1_000 * second;
      await turn(id.startsWith('a') ? a.store : b.store, 'c', id);
    }
    a.parts.failWith = undefined;
    timers.tick(250);
    await written(a.store);
    const ids = async ({ store }: Machine): Promise<string[]> =>
      (await store.read('c'))?.turns.map(({ id }) => id) ?? [];
    return [await ids(a), await ids(c)];
  }

  for (const [title, turns, order] of [
    ['is that of the call', [['a1', 1], ['b2', 2], ['a3', 3], ['b4', 4]], 'a1 b2 a3 b4'],
    [
      'keeps what each process knew, whatever its clock says',
      [['a1', 9], ['b2', 2], ['a3', 3], ['b4', 1]],
      'b2 b4 a1 a3',
    ],
    [
      'leaves what both knew in front, though one of the clocks is an hour behind',
      [['a1', -3_600], ['b2', 2], ['a3', -3_598]],
      'a1 a3 b2',
    ],
  ] as const) {
    it(title, async (t) => {
      const expected = ['b0', 'a0', ...order.split(' ')];
      assert.deepEqual(await joined(t, turns), [expected, expected]);
    });
  }

  it('is the order in which they were written, if no process missed one', async (t) => {
    let now = 1_764_000_000_000;
    t.mock.method(Date, 'now', () => now);
    const [ahead, behind, other] = machines(t, 3);
    assert.ok(ahead && behind && other);
    for (const [n, { store }] of [ahead, behind, ahead, behind].entries()) {
      now = 1_764_000_000_000 + (store === ahead.store ? 3_600_000 : 0) + n;
      await turn(store, 'c', `t${n}`);
    }
    assert.deepEqual(await texts(other.store, 'c'), said('t0', 't1', 't2', 't3'));
  });

  it('is that of their parts, if they were written by a version that noted no time', async (t) => {
    const { parts, store } = machine(t);
    const old = (id: string): string =>
      `{"id":"${id}","state":"completed","runId":1,"words":"words of ${id}","reply":null}`;
    const set = new Map([['head', '{"format":1}'], ['1', old('t2')], ['0', old('t1')]]);
    await parts.write('c', { from: undefined, to: 'v', set, remove: [], ttlMs: 60_000 });
    await turn(store, 'c', 't3');
    assert.deepEqual(await texts(sharing(parts), 'c'), [
      'words of t1', 'words of t2', ...said('t3'),
    ]);
    const stored = await parts.read('c');
    assert.equal(typeof stored === 'object' && stored.parts.get('0'), old('t1'));
  });
});

// What SharedStore makes of a store of parts: round trips, conflicts between processes, and calls
// that go on while the store does not answer.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { setState } from '../../../../src/core/conversations/agent-state.ts';
import { clearTurns } from '../../../../src/core/conversations/conversation.ts';
import { newTurn, type TurnRecord } from '../../../../src/core/conversations/turn-record.ts';
import { settleTurn } from '../../../../src/core/conversations/turn-settlement.ts';
import { push, storeContract } from '../store-contract.ts';
import { BOUNDS, no, reply } from '../talk.ts';
import { turnContract } from '../turn-contract.ts';
import {
  DOWN, inStores, machine, machines, outages, said, sharing, two, type Machine,
} from './machines.ts';
import { partStoreContract } from './part-store-contract.ts';
import { PartsInMemory } from './parts-in-memory.ts';

for (const [how, isSlow] of [['at once', false], ['with promises', true]] as const) {
  const open = () => sharing(new PartsInMemory(new Map(), { isSlow }));
  storeContract(`SharedStore over parts that answer ${how}`, open);
  turnContract(`SharedStore over parts that answer ${how}`, open);
}

let parts = new PartsInMemory();
partStoreContract('PartsInMemory', () => (parts = new PartsInMemory()), (ms) => {
  parts.nowMs += ms;
});

function plain(id: string, state: TurnRecord['state'] = 'completed', words = 'a'): TurnRecord {
  return { ...newTurn(id, state, 1), words, reply: 'b' };
}

describe('a shared store', () => {
  it('needs two round trips per turn if this process saw the conversation last', async (t) => {
    const a = machine(t);
    await a.turns('t1');
    a.parts.calls.length = 0;
    await a.turns('t2');
    assert.deepEqual(a.parts.calls, ['write', 'write']);
  });

  it('needs three round trips per turn if another process changed the conversation', async (t) => {
    const [a, b] = two(t);
    await a.turns('t1');
    await b.turns('t2');
    for (const { parts } of [a, b]) parts.calls.length = 0;
    await a.turns('t3');
    assert.deepEqual(a.parts.calls, ['write', 'write', 'write']);
    await b.turns('t1', 'd');
    assert.deepEqual(b.parts.calls, ['read', 'write', 'write']);
  });
});

describe('a conversation that several processes change', () => {
  it('loses nothing when all change it at once', async (t) => {
    const all = machines(t, 4);
    const [first = assert.fail()] = all;
    await first.turns('t0');
    await Promise.all(all.flatMap((process, m) =>
      [1, 2, 3].map((n) => process.update(push(plain(`m${m}-${n}`))))));
    assert.equal((await first.ids())?.length, 13);
    assert.ok(all.some(({ store }) => store.health().conflicts > 0));
  });

  it('is read as it was while a change is under way', inStores(async ({ a }) => {
    await a.turns('t1');
    const read = a.ids();
    const changed = a.update(push(plain('t2', 'open')));
    assert.deepEqual(await read, ['t1']);
    await changed;
  }));

  it('is read again by a change that changes nothing', inStores(async ({ a, b }) => {
    await a.turns('t1');
    await b.turns('t2');
    assert.equal(await a.update(({ turns }) => turns.length), 2);
  }));

  it('has no trace of a failed change when that change is made again', async (t) => {
    const [a, b] = two(t);
    await b.open('t1', 901, { process: 'b' });
    await a.update(() => undefined); // knows it as it is
    await b.update((conversation) => setState(conversation, '{}'));
    const interruption = { textHeard: 'words', turnId: 't1' };
    const opened = await a.open('t2', 902, { process: 'a', interruption });
    assert.ok(opened.kind === 'opened');
    assert.deepEqual(opened.endedElsewhere, [{ process: 'b', runId: 901 }]);
  });

  // Seed 98600068 of the torture with machines: what was heard of a reply that this process did not
  // know of also counted as heard of a turn whose process was gone.
  for (const isLost of [false, true])
    it(`has what was heard in the right turn, even if the process did not know that turn${
      isLost ? ', and the store has lost the others' : ''}`, async (t) => {
      const [a, b, shared] = two(t);
      const end = (by: Machine, turnId: string, runId: number, words: readonly string[]) =>
        by.update((conversation) => {
          const messages = words.map((content) => reply(turnId, content));
          settleTurn(conversation, { turnId, runId, state: 'completed', messages }, BOUNDS);
        });
      await b.open('crashed', 901, { process: 'gone', isAlive: no });
      await a.open('silent', 902, { process: 'a', isAlive: no });
      await end(a, 'silent', 902, []);
      if (isLost) shared.clear();
      await b.open('speaking', 903, { process: 'b', isAlive: no });
      await end(b, 'speaking', 903, ['Well, I think']);
      const interruption = { textHeard: 'Well, I', turnId: 'an-id-of-the-platform' };
      await a.open('next', 904, { process: 'a', isAlive: no, interruption });
      const { turns = [] } = (await a.read()) ?? {};
      const replies = turns.flatMap(({ id, reply }) => (reply ? [`${id}: ${reply}`] : []));
      assert.deepEqual(replies, ['speaking: Well, I']);
    });

  it('keeps what a newer version wrote and this one does not know', inStores(async ({ a }) => {
    await a.write({
      head: '{"format":1,"updatedAt":1,"mood":"good"}', notes: 'not even JSON',
      3: '{"id":"t1","state":"completed","runId":1,"words":"a","reply":"b","lang":"de"}',
    });
    await a.turns('t2');
    await a.open('t3', 3, { interruption: { textHeard: 'reply', turnId: 't2' } });
    const stored = await a.stored();
    assert.match(stored.get('head') ?? '', /"mood":"good"/);
    assert.match(stored.get('3') ?? '', /"lang":"de"/);
    assert.deepEqual([...stored.keys()].toSorted(), ['3', '4', '5', 'head', 'notes']);
    assert.deepEqual(a.lines, []);
  }));
});

/** Parts that do not belong in a conversation. */
const STRANGE: readonly (readonly [what: string, name: string, text: string])[] = [
  ['text that is not JSON', '7', '{"id":'],
  ['an empty object', '7', '{}'],
  ['a list', '7', '[]'],
  ['a turn without its state', '7', '{"id":"t9","runId":1,"words":"a","reply":"b"}'],
  ['a turn whose messages are not a list', '7',
    '{"id":"t9","state":"completed","runId":1,"words":null,"reply":null,"messages":{}}'],
  ['a turn that was added at an invalid time', '7',
    '{"id":"t9","state":"completed","runId":1,"words":null,"reply":null,"addedAt":"now"}'],
  ['a part of another kind', 'summary', '{"id":"t9"}'],
];

describe('a stored conversation with a part that this version cannot read', () => {
  for (const [what, name, text] of STRANGE)
    it(`goes on without that part, and leaves it there: ${what}`, inStores(async ({ a }) => {
      await a.turns('t1');
      const known = await a.parts.read('c');
      assert.ok(typeof known === 'object');
      await a.write({ [name]: text }, known.version);
      await a.turns('t2 t3');
      assert.deepEqual(await a.fresh().texts(), said('t1 t2 t3'));
      assert.equal((await a.stored()).get(name), text);
      const unread = /"parts of a stored conversation cannot be read and were left out"/;
      if (name === '7') assert.match(a.lines.join(''), unread);
    }));
});

describe('a stored conversation that this version cannot read at all', () => {
  async function strange(t: TestContext): Promise<Machine> {
    const only = machine(t);
    await only.write({ head: '{"format":2}', 0: '{"id":"t9","state":"paused"}' });
    return only;
  }

  it('is not removed by a change that changes nothing', async (t) => {
    const a = await strange(t);
    await a.update(() => undefined);
    assert.equal((await a.stored()).get('0'), '{"id":"t9","state":"paused"}');
  });

  it('leaves nothing but the mark of an erasure when it is cleared', async (t) => {
    const a = await strange(t);
    await a.update(clearTurns);
    const left = await a.stored();
    assert.deepEqual([...left.keys()], ['head']);
    const head: unknown = JSON.parse(left.get('head') ?? '');
    assert.deepEqual(Object.keys(head ?? {}), ['format', 'updatedAt', 'erasedAt', 'revision']);
  });
});

describe('what a shared store remembers', () => {
  it('has a limit in characters: the least recently used conversation is read again', async (t) => {
    const { parts, store } = machine(t, { maxCharacters: 2_500 });
    const long = (id: string) => push(plain(id, 'completed', 'a'.repeat(1_000)));
    for (const id of ['c', 'd', 'e']) await store.update(id, long('t1'));
    for (const [id, calls] of [['e', ['write']], ['c', ['read', 'write']]] as const) {
      parts.calls.length = 0;
      await store.update(id, long('t2'));
      assert.deepEqual(parts.calls, calls);
    }
  });

  it('is forgotten when it expires: no turn goes on from it when the store fails', async (t) => {
    const a = machine(t, { ttlMs: 60_000 });
    await a.turns('t1');
    const now = Date.now();
    t.mock.method(Date, 'now', () => now + 60_001);
    a.parts.failWith = DOWN;
    await a.turns('t2');
    assert.deepEqual(await a.texts(), said('t2'));
  });
});

describe('the order of turns that processes add without knowing of each other', () => {
  const START_MS = 1_764_000_000_000;
  const HOUR_S = 3_600;

  /** Sets the clock, to a second from the start. */
  function clock(t: TestContext): (second: number) => void {
    let now = START_MS;
    t.mock.method(Date, 'now', () => now);
    return (second) => (now = START_MS + 1_000 * second);
  }

  // Each turn is one of the process whose letter it has, at a second of that process's clock. `a`
  // cannot reach the store until all is said.
  for (const [title, turns, order] of [
    ['is that of the call', [['a1', 1], ['b2', 2], ['a3', 3], ['b4', 4]], 'a1 b2 a3 b4'],
    ['keeps what each process knew, whatever its clock says',
      [['a1', 9], ['b2', 2], ['a3', 3], ['b4', 1]], 'b2 b4 a1 a3'],
    ['keeps what both knew first, even if one of the clocks is an hour slow',
      [['a1', -HOUR_S], ['b2', 2], ['a3', 2 - HOUR_S]], 'a1 a3 b2'],
  ] as const)
    it(title, async (t) => {
      const outage = outages(t);
      const setClock = clock(t);
      const [a, b] = two(t);
      await b.turns('b0');
      await a.turns('a0');
      outage.begin(a);
      for (const [id, second] of turns) {
        setClock(second);
        await (id.startsWith('a') ? a : b).turns(id);
      }
      await outage.end(a);
      for (const process of [a, a.fresh()])
        assert.deepEqual(await process.ids(), ['b0', 'a0', ...order.split(' ')]);
    });
});

import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';

import { MemoryStore, type MemoryStoreOptions } from '../../src/conversations/memory-store.ts';
import type { TurnRecord } from '../../src/conversations/turn-record.ts';
import { mockTimers } from '../fixtures/clock.ts';
import { onceCall, onceKey } from './once-calls.ts';
import { storeContract } from './store-contract.ts';

storeContract('MemoryStore', () => new MemoryStore({ ttlMs: 3_600_000, maxConversations: 1_000 }));

describe('MemoryStore', () => {
  const stores: MemoryStore[] = [];
  let time = 0;
  afterEach(() => {
    for (const store of stores.splice(0)) store.close();
  });

  function create(options: Partial<MemoryStoreOptions> = {}): MemoryStore {
    time = 1_000_000;
    const store = new MemoryStore({
      ttlMs: 1_000,
      maxConversations: 100,
      now: () => time,
      ...options,
    });
    stores.push(store);
    return store;
  }

  /** A change of the conversation, which leaves it with an open turn or with none. */
  function change(store: MemoryStore, id: string, state: TurnRecord['state'] = 'completed'): void {
    store.update(id, (conversation) => {
      conversation.turns = [{ id: 't1', state, runId: 1, words: null, reply: null }];
      conversation.openTurns = state === 'open' ? 1 : 0;
    });
  }

  function held(store: MemoryStore, ...ids: string[]): string[] {
    return ids.filter((id) => store.read(id) !== undefined);
  }

  it('answers at once', () => {
    const store = create();
    assert.equal(
      store.update('a', () => 5),
      5,
    );
    assert.equal(store.read('a'), undefined);
    assert.equal(store.count(), 0);
    assert.equal(store.close(), undefined);
  });

  it('notes the time of the last change', (t) => {
    let day = 1_700_000_000_000;
    t.mock.method(Date, 'now', () => day);
    const store = create();
    change(store, 'a');
    day += 500;
    assert.equal(store.read('a')?.updatedAt, 1_700_000_000_000);
    change(store, 'a');
    assert.equal(store.read('a')?.updatedAt, 1_700_000_000_500);
  });

  it('forgets nothing early, and keeps nothing longer, when the clock jumps', (t) => {
    // Was: a wall clock set forward during a call, and the call was forgotten.
    let day = 1_700_000_000_000;
    t.mock.method(Date, 'now', () => day);
    const store = create();
    change(store, 'a');
    day += 86_400_000;
    assert.deepEqual(held(store, 'a'), ['a']);
    day -= 2 * 86_400_000;
    time += 1_001;
    assert.deepEqual(held(store, 'a'), []);
  });

  describe('by time', () => {
    it('keeps a conversation for exactly its time and not a millisecond more', () => {
      const store = create();
      change(store, 'a');
      time += 1_000;
      assert.deepEqual(held(store, 'a'), ['a']);
      time += 1;
      assert.deepEqual(held(store, 'a'), []);
    });

    it('counts from the last change, not from the first one nor from the last read', () => {
      const store = create();
      change(store, 'a');
      time += 900;
      change(store, 'a');
      time += 900;
      assert.deepEqual(held(store, 'a'), ['a']);
      time += 101;
      assert.deepEqual(held(store, 'a'), []);
    });

    it('starts an expired conversation again', () => {
      const store = create();
      change(store, 'a');
      time += 1_001;
      store.update('a', (conversation) => {
        assert.equal(conversation.turns.length, 0);
        conversation.turns.push({
          id: 't2',
          state: 'completed',
          runId: 2,
          words: null,
          reply: null,
        });
      });
      assert.deepEqual(
        store.read('a')?.turns.map(({ id }) => id),
        ['t2'],
      );
      assert.equal(store.count(), 1);
    });

    it('never drops a conversation with an open turn', () => {
      const store = create();
      change(store, 'a', 'open');
      time += 1_000_000;
      assert.deepEqual(held(store, 'a'), ['a']);
      store.update('a', ({ turns }) => assert.equal(turns.length, 1));
    });

    for (const state of ['running', 'unknown'] as const)
      it(`drops a conversation an hour after the claim of a once call that is ${state}`, (t) => {
        let day = 1_700_000_000_000;
        t.mock.method(Date, 'now', () => day);
        const store = create();
        store.update('a', (conversation) => {
          conversation.onceCalls = { [onceKey(1)]: onceCall({ state, claimedAt: day }) };
        });
        time += 1_000_000;
        day += 3_599_999;
        assert.deepEqual(held(store, 'a'), ['a']);
        day += 1;
        assert.deepEqual(held(store, 'a'), []);
      });

    it('drops an expired conversation whose once calls have all completed', () => {
      const store = create();
      const completed = onceCall({ state: 'completed', claimedAt: Date.now() });
      store.update('a', (conversation) => {
        conversation.onceCalls = { [onceKey(1)]: completed };
      });
      time += 1_001;
      assert.deepEqual(held(store, 'a'), []);
    });

    it('frees memory even if nobody asks, and keeps open and young conversations', (t) => {
      const clock = mockTimers(t, ['setInterval']);
      const store = create();
      change(store, 'old');
      change(store, 'open', 'open');
      change(store, 'old too');
      time += 1_001;
      change(store, 'young');
      assert.equal(store.count(), 4);
      clock.tick(60_000);
      assert.equal(store.count(), 2);
      assert.deepEqual(held(store, 'old', 'open', 'old too', 'young'), ['open', 'young']);
    });

    it('drops an expired conversation once its long turn has ended', (t) => {
      const clock = mockTimers(t, ['setInterval']);
      const store = create();
      change(store, 'a', 'open');
      time += 5_000;
      clock.tick(60_000);
      change(store, 'a', 'completed');
      time += 1_000;
      clock.tick(60_000);
      assert.equal(store.count(), 1);
      time += 1;
      clock.tick(60_000);
      assert.equal(store.count(), 0);
    });

    it('stops sweeping when it is closed', (t) => {
      const clock = mockTimers(t, ['setInterval']);
      let readings = 0;
      const store = create({ now: () => (readings += 1) });
      change(store, 'a');
      store.close();
      const before = readings;
      clock.tick(600_000);
      assert.equal(readings, before);
    });
  });

  describe('by number', () => {
    it('holds exactly the limit, and for one more drops the one changed longest ago', () => {
      const store = create({ maxConversations: 3 });
      for (const id of ['a', 'b', 'c']) change(store, id);
      assert.deepEqual(held(store, 'a', 'b', 'c'), ['a', 'b', 'c']);
      change(store, 'd');
      assert.deepEqual(held(store, 'a', 'b', 'c', 'd'), ['b', 'c', 'd']);
      assert.equal(store.count(), 3);
    });

    it('counts a change as use, but not a read', () => {
      const store = create({ maxConversations: 3 });
      for (const id of ['a', 'b', 'c', 'a']) change(store, id);
      store.read('b');
      change(store, 'd');
      assert.deepEqual(held(store, 'a', 'b', 'c', 'd'), ['a', 'c', 'd']);
    });

    for (const used of ['a', 'b', 'c']) {
      it(`keeps its order when the ${{ a: 'oldest', b: 'middle', c: 'newest' }[used]} of three is used, and when it is dropped`, () => {
        const store = create({ maxConversations: 3 });
        for (const id of ['a', 'b', 'c', used]) change(store, id);
        const order = ['a', 'b', 'c'].filter((id) => id !== used).concat(used);
        for (const id of ['d', 'e', 'f']) {
          change(store, id);
          order.push(id);
          order.shift();
          assert.deepEqual(held(store, ...order), order);
          assert.equal(store.count(), 3);
        }
        const cleared = create({ maxConversations: 3 });
        for (const id of ['a', 'b', 'c']) change(cleared, id);
        cleared.update(used, (conversation) => (conversation.turns = []));
        assert.equal(cleared.count(), 2);
        for (const id of ['d', 'e']) change(cleared, id);
        assert.equal(cleared.count(), 3);
        const left = ['a', 'b', 'c'].filter((id) => id !== used).slice(1);
        assert.deepEqual(held(cleared, 'a', 'b', 'c', 'd', 'e'), [...left, 'd', 'e']);
      });
    }

    it('never drops a conversation with an open turn, and takes the next one', () => {
      const store = create({ maxConversations: 3 });
      change(store, 'a', 'open');
      for (const id of ['b', 'c', 'd']) change(store, id);
      assert.deepEqual(held(store, 'a', 'b', 'c', 'd'), ['a', 'c', 'd']);
    });

    it('exceeds the limit by the number of open ones, and returns to it', () => {
      const store = create({ maxConversations: 2 });
      for (const id of ['a', 'b', 'c', 'd']) change(store, id, 'open');
      assert.equal(store.count(), 4);
      for (const id of ['a', 'b', 'c', 'd']) change(store, id);
      change(store, 'e');
      assert.equal(store.count(), 2);
      assert.deepEqual(held(store, 'd', 'e'), ['d', 'e']);
    });

    it('keeps to the limit over many more, with memory only for those it holds', () => {
      const store = create({ maxConversations: 10 });
      for (let count = 0; count < 5_000; count++) {
        change(store, `c${count}`, count % 7 === 0 ? 'open' : 'completed');
        if (count % 7 === 0) change(store, `c${count}`);
        assert.ok(store.count() <= 10);
      }
      assert.deepEqual(
        held(store, ...Array.from({ length: 20 }, (_, index) => `c${4_980 + index}`)),
        Array.from({ length: 10 }, (_, index) => `c${4_990 + index}`),
      );
    });

    it('holds one conversation at the lowest limit', () => {
      const store = create({ maxConversations: 1 });
      change(store, 'a');
      change(store, 'b');
      assert.deepEqual(held(store, 'a', 'b'), ['b']);
    });

    it('does not walk through many open turns for each change', () => {
      const store = create({ maxConversations: 1 });
      let looks = 0;
      for (let count = 0; count < 1_000; count++) {
        store.update(`open${count}`, (conversation) => {
          conversation.turns = [{ id: 't1', state: 'open', runId: 1, words: null, reply: null }];
          Object.defineProperty(conversation, 'openTurns', { get: () => (looks += 1) });
        });
      }
      looks = 0;
      change(store, 'another', 'open');
      assert.deepEqual([store.count(), looks <= 100], [1_001, true], String(looks));
    });

    it('forgets all of them when it is closed', () => {
      const store = create();
      change(store, 'a');
      store.close();
      assert.equal(store.count(), 0);
      assert.equal(store.read('a'), undefined);
    });
  });

  describe('by characters', () => {
    /** A conversation of that many characters. */
    function fill(
      store: MemoryStore,
      id: string,
      characters: number,
      state: TurnRecord['state'] = 'completed',
    ): void {
      store.update(id, (conversation) => {
        conversation.turns = [
          { id: 't1', state, runId: 1, words: 'x'.repeat(characters), reply: null },
        ];
        conversation.openTurns = state === 'open' ? 1 : 0;
        conversation.textLength = characters;
      });
    }

    it('holds exactly the limit, and for one more drops the one changed longest ago', () => {
      const store = create({ maxCharacters: 30 });
      for (const id of ['a', 'b', 'c']) fill(store, id, 10);
      assert.deepEqual(held(store, 'a', 'b', 'c'), ['a', 'b', 'c']);
      fill(store, 'c', 11);
      assert.deepEqual(held(store, 'a', 'b', 'c'), ['b', 'c']);
    });

    it('drops as many as necessary', () => {
      const store = create({ maxCharacters: 30 });
      for (const id of ['a', 'b', 'c']) fill(store, id, 10);
      fill(store, 'd', 20);
      assert.deepEqual(held(store, 'a', 'b', 'c', 'd'), ['c', 'd']);
    });

    it('counts what a conversation lost once: by a change, by its end or by its time', () => {
      const store = create({ maxCharacters: 30 });
      for (const id of ['a', 'b', 'c']) fill(store, id, 10);
      fill(store, 'a', 5);
      store.update('b', (conversation) =>
        Object.assign(conversation, { turns: [], textLength: 0 }),
      );
      fill(store, 'd', 15);
      assert.deepEqual(held(store, 'a', 'c', 'd'), ['a', 'c', 'd']);
      time += 1_001;
      for (const id of ['a', 'c', 'd']) fill(store, id, 10); // each begins anew
      assert.deepEqual(held(store, 'a', 'c', 'd'), ['a', 'c', 'd']);
    });

    it('never drops one with an open turn, and takes the next one', () => {
      const store = create({ maxCharacters: 30 });
      fill(store, 'a', 10, 'open');
      for (const id of ['b', 'c', 'd']) fill(store, id, 10);
      assert.deepEqual(held(store, 'a', 'b', 'c', 'd'), ['a', 'c', 'd']);
    });

    it('keeps the latest one even if it is larger than the limit', () => {
      const store = create({ maxCharacters: 30 });
      fill(store, 'a', 10);
      fill(store, 'b', 31);
      assert.deepEqual(held(store, 'a', 'b'), ['b']);
      fill(store, 'c', 1);
      assert.deepEqual(held(store, 'b', 'c'), ['c']);
    });

    it('starts again when it is closed', () => {
      const store = create({ maxCharacters: 30 });
      fill(store, 'a', 30);
      store.close();
      for (const id of ['b', 'c']) fill(store, id, 10);
      assert.deepEqual(held(store, 'b', 'c'), ['b', 'c']);
    });

    it('holds 67,108,864 characters by default', () => {
      const store = create();
      for (const id of ['a', 'b', 'c', 'd']) fill(store, id, 16_777_216);
      assert.equal(store.count(), 4);
      fill(store, 'd', 16_777_217);
      assert.equal(store.count(), 3);
    });
  });

  // What the list of least recent use is after an eviction: what is dropped next, and whether
  // anything is left out.
  it('drops in the order of the last change after an eviction that skipped open turns', () => {
    const store = create({ maxConversations: 4 });
    change(store, 'open', 'open');
    for (const id of ['b', 'c', 'd', 'e']) change(store, id); // drops b; `open` moves behind e
    assert.deepEqual(held(store, 'open', 'b', 'c', 'd', 'e'), ['open', 'c', 'd', 'e']);
    change(store, 'open'); // completed now
    for (const [added, dropped] of [
      ['f', 'c'],
      ['g', 'd'],
      ['h', 'e'],
      ['i', 'open'],
      ['j', 'f'],
    ] as const) {
      assert.deepEqual(held(store, dropped), [dropped], `${dropped} before ${added}`);
      change(store, added);
      assert.deepEqual(held(store, dropped), [], `${dropped} after ${added}`);
      assert.equal(store.count(), 4);
    }
  });

  it('counts once calls as room that a conversation takes', () => {
    const store = create({ maxCharacters: 2_500 });
    const content = JSON.stringify('a'.repeat(2_000));
    const calls = { [onceKey(1)]: onceCall({ state: 'completed', content }) };
    for (const id of ['a', 'b']) {
      change(store, id);
      store.update(id, (conversation) => {
        conversation.onceCalls = calls;
      });
    }
    assert.deepEqual(held(store, 'a', 'b'), ['b']);
    store.update('b', (conversation) => {
      delete conversation.onceCalls;
    });
    change(store, 'c');
    assert.deepEqual(held(store, 'b', 'c'), ['b', 'c']);
  });

  it('has no trace left of a conversation that was used and then cleared', () => {
    const store = create({ maxConversations: 3 });
    for (const id of ['a', 'b', 'a']) change(store, id);
    store.update('a', (conversation) => (conversation.turns = []));
    for (const id of ['c', 'd', 'e', 'f']) change(store, id);
    assert.deepEqual(
      [held(store, 'a', 'b', 'c', 'd', 'e', 'f'), store.count()],
      [['d', 'e', 'f'], 3],
    );
  });

  it('holds exactly one after evictions down to one, and the list still works', () => {
    const store = create({ maxConversations: 1 });
    for (const id of ['a', 'b', 'b', 'c']) change(store, id);
    store.update('c', (conversation) => (conversation.turns = []));
    assert.equal(store.count(), 0);
    for (const id of ['d', 'e']) change(store, id);
    assert.deepEqual(held(store, 'a', 'b', 'c', 'd', 'e'), ['e']);
  });
});

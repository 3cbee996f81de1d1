import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { MemoryStore, type MemoryStoreOptions } from '../../src/conversations/memory-store.ts';
import type { TurnRecord } from '../../src/conversations/turn-record.ts';
import { mockTimers } from '../fixtures/clock.ts';
import { onceCall, onceKey } from './once-calls.ts';
import { storeContract } from './store-contract.ts';

storeContract('MemoryStore', () => new MemoryStore({ ttlMs: 3_600_000, maxConversations: 1_000 }));

const DAY_MS = 86_400_000;

/** A store for a second, with a clock of its own and a calendar, both moved by hand. */
class Stage {
  timeMs = 1_000_000;
  dateMs = 1_700_000_000_000;
  readonly store: MemoryStore;

  constructor(t: TestContext, options: Partial<MemoryStoreOptions> = {}) {
    t.mock.method(Date, 'now', () => this.dateMs);
    const now = (): number => this.timeMs;
    this.store = new MemoryStore({ ttlMs: 1_000, maxConversations: 100, now, ...options });
    t.after(() => this.store.close());
  }

  /** Changes them one after the other, which leaves each with an open turn or with none. */
  change(ids: string, state: TurnRecord['state'] = 'completed', characters = 0): void {
    for (const id of ids.split(' '))
      this.store.update(id, (conversation) => {
        const words = 'x'.repeat(characters);
        conversation.turns = [{ id: 't1', state, runId: 1, words, reply: null }];
        conversation.openTurns = state === 'open' ? 1 : 0;
        conversation.textLength = characters;
      });
  }

  fill(ids: string, characters: number): void {
    this.change(ids, 'completed', characters);
  }

  empty(id: string): void {
    this.store.update(id, (conversation) => {
      Object.assign(conversation, { turns: [], textLength: 0 });
    });
  }

  /** Those of them that the store still has. */
  held(ids: string): string {
    return ids.split(' ').filter((id) => this.store.read(id) !== undefined).join(' ');
  }

  get count(): number {
    return this.store.count();
  }
}

describe('MemoryStore', () => {
  it('answers at once', (t) => {
    const { store } = new Stage(t);
    assert.equal(store.update('a', () => 5), 5);
    assert.equal(store.read('a'), undefined);
    assert.equal(store.count(), 0);
    assert.equal(store.close(), undefined);
  });

  it('notes the time of the last change', (t) => {
    const stage = new Stage(t);
    stage.change('a');
    stage.dateMs += 500;
    assert.equal(stage.store.read('a')?.updatedAt, 1_700_000_000_000);
    stage.change('a');
    assert.equal(stage.store.read('a')?.updatedAt, 1_700_000_000_500);
  });

  // Was: a wall clock set forward during a call, and the call was forgotten.
  it('forgets nothing early, and keeps nothing longer, when the clock jumps', (t) => {
    const stage = new Stage(t);
    stage.change('a');
    stage.dateMs += DAY_MS;
    assert.equal(stage.held('a'), 'a');
    stage.dateMs -= 2 * DAY_MS;
    stage.timeMs += 1_001;
    assert.equal(stage.held('a'), '');
  });
});

describe('MemoryStore by time', () => {
  it('keeps a conversation for exactly its time since the last change or read', (t) => {
    const stage = new Stage(t);
    stage.change('a');
    stage.timeMs += 900;
    stage.change('a');
    stage.timeMs += 1_000;
    assert.equal(stage.held('a'), 'a');
    stage.timeMs += 1; // a read counts for nothing
    assert.equal(stage.held('a'), '');
  });

  it('starts an expired conversation again', (t) => {
    const stage = new Stage(t);
    stage.change('a');
    stage.timeMs += 1_001;
    stage.store.update('a', ({ turns }) => {
      assert.equal(turns.length, 0);
      turns.push({ id: 't2', state: 'completed', runId: 2, words: null, reply: null });
    });
    assert.deepEqual(stage.store.read('a')?.turns.map(({ id }) => id), ['t2']);
    assert.equal(stage.count, 1);
  });

  it('never drops a conversation with an open turn', (t) => {
    const stage = new Stage(t);
    stage.change('a', 'open');
    stage.timeMs += 1_000_000;
    assert.equal(stage.held('a'), 'a');
    stage.store.update('a', ({ turns }) => assert.equal(turns.length, 1));
  });

  for (const [state, keptMs] of [
    ['running', 3_600_000], ['unknown', 3_600_000], ['completed', 0],
  ] as const)
    it(`drops a conversation ${keptMs} ms after the claim of a once call that is ${state}`, (t) => {
      const stage = new Stage(t);
      stage.store.update('a', (conversation) => {
        conversation.onceCalls = { [onceKey(1)]: onceCall({ state, claimedAt: stage.dateMs }) };
      });
      stage.timeMs += 1_001;
      stage.dateMs += keptMs - 1;
      assert.equal(stage.held('a'), keptMs === 0 ? '' : 'a');
      stage.dateMs += 1;
      assert.equal(stage.held('a'), '');
    });

  it('frees memory even if nobody asks, and keeps open and young conversations', (t) => {
    const clock = mockTimers(t, ['setInterval']);
    const stage = new Stage(t);
    stage.change('old');
    stage.change('open', 'open');
    stage.change('too');
    stage.timeMs += 1_001;
    stage.change('young');
    assert.equal(stage.count, 4);
    clock.tick(60_000);
    assert.equal(stage.count, 2);
    assert.equal(stage.held('old open too young'), 'open young');
  });

  it('drops an expired conversation once its long turn has ended', (t) => {
    const clock = mockTimers(t, ['setInterval']);
    const stage = new Stage(t);
    stage.change('a', 'open');
    stage.timeMs += 5_000;
    clock.tick(60_000);
    stage.change('a');
    for (const [passedMs, count] of [[1_000, 1], [1, 0]] as const) {
      stage.timeMs += passedMs;
      clock.tick(60_000);
      assert.equal(stage.count, count);
    }
  });

  it('stops sweeping when it is closed', (t) => {
    const clock = mockTimers(t, ['setInterval']);
    let readings = 0;
    const stage = new Stage(t, { now: () => (readings += 1) });
    stage.change('a');
    stage.store.close();
    const before = readings;
    clock.tick(600_000);
    assert.equal(readings, before);
  });
});

describe('MemoryStore by number', () => {
  it('holds exactly the limit, and for one more drops the one changed longest ago', (t) => {
    const stage = new Stage(t, { maxConversations: 3 });
    stage.change('a b c');
    assert.equal(stage.held('a b c'), 'a b c');
    stage.change('d');
    assert.equal(stage.held('a b c d'), 'b c d');
    assert.equal(stage.count, 3);
  });

  it('counts a change as use, but not a read', (t) => {
    const stage = new Stage(t, { maxConversations: 3 });
    stage.change('a b c a');
    stage.store.read('b');
    stage.change('d');
    assert.equal(stage.held('a b c d'), 'a c d');
  });

  for (const [which, used, left] of [
    ['oldest', 'a', ['b', 'c']], ['middle', 'b', ['a', 'c']], ['newest', 'c', ['a', 'b']],
  ] as const) {
    it(`keeps its order when the ${which} of three is used`, (t) => {
      const stage = new Stage(t, { maxConversations: 3 });
      stage.change(`a b c ${used}`);
      const order = [...left, used, 'd', 'e', 'f'];
      for (const [dropped, id] of ['d', 'e', 'f'].entries()) {
        stage.change(id);
        const expected = order.slice(dropped + 1, dropped + 4).join(' ');
        assert.equal(stage.held(order.join(' ')), expected);
        assert.equal(stage.count, 3);
      }
    });

    it(`keeps its order when the ${which} of three is cleared`, (t) => {
      const stage = new Stage(t, { maxConversations: 3 });
      stage.change('a b c');
      stage.empty(used);
      assert.equal(stage.count, 2);
      stage.change('d e');
      assert.equal(stage.count, 3);
      assert.equal(stage.held('a b c d e'), `${left[1]} d e`);
    });
  }

  it('exceeds the limit by the number of open ones, and returns to it', (t) => {
    const stage = new Stage(t, { maxConversations: 2 });
    stage.change('a b c d', 'open');
    assert.equal(stage.count, 4);
    stage.change('a b c d e');
    assert.equal(stage.count, 2);
    assert.equal(stage.held('d e'), 'd e');
  });

  it('keeps to the limit over many more, with memory only for those it holds', (t) => {
    const stage = new Stage(t, { maxConversations: 10 });
    const ids = Array.from({ length: 5_000 }, (_, count) => `c${count}`);
    for (const [count, id] of ids.entries()) {
      if (count % 7 === 0) stage.change(id, 'open');
      stage.change(id);
      assert.ok(stage.count <= 10);
    }
    assert.equal(stage.held(ids.slice(-20).join(' ')), ids.slice(-10).join(' '));
  });

  it('holds one conversation at the lowest limit, also after one was cleared', (t) => {
    const stage = new Stage(t, { maxConversations: 1 });
    stage.change('a b b c');
    assert.equal(stage.held('a b c'), 'c');
    stage.empty('c');
    assert.equal(stage.count, 0);
    stage.change('d e');
    assert.equal(stage.held('a b c d e'), 'e');
  });

  it('does not walk through many open turns for each change', (t) => {
    const stage = new Stage(t, { maxConversations: 1 });
    let looks = 0;
    for (let count = 0; count < 1_000; count++)
      stage.store.update(`open${count}`, (conversation) => {
        conversation.turns = [{ id: 't1', state: 'open', runId: 1, words: null, reply: null }];
        Object.defineProperty(conversation, 'openTurns', { get: () => (looks += 1) });
      });
    looks = 0;
    stage.change('another', 'open');
    assert.deepEqual([stage.count, looks <= 100], [1_001, true], String(looks));
  });

  it('forgets all of them when it is closed', (t) => {
    const stage = new Stage(t);
    stage.change('a');
    stage.store.close();
    assert.equal(stage.count, 0);
    assert.equal(stage.held('a'), '');
  });

  it('drops in the order of the last change after an eviction that skipped open turns', (t) => {
    const stage = new Stage(t, { maxConversations: 4 });
    stage.change('open', 'open');
    stage.change('b c d e'); // drops b; `open` moves behind e
    assert.equal(stage.held('open b c d e'), 'open c d e');
    stage.change('open'); // completed now
    for (const [added, dropped] of [
      ['f', 'c'], ['g', 'd'], ['h', 'e'], ['i', 'open'], ['j', 'f'],
    ] as const) {
      assert.equal(stage.held(dropped), dropped, `${dropped} before ${added}`);
      stage.change(added);
      assert.equal(stage.held(dropped), '', `${dropped} after ${added}`);
      assert.equal(stage.count, 4);
    }
  });

  it('has no trace left of a conversation that was used and then cleared', (t) => {
    const stage = new Stage(t, { maxConversations: 3 });
    stage.change('a b a');
    stage.empty('a');
    stage.change('c d e f');
    assert.deepEqual([stage.held('a b c d e f'), stage.count], ['d e f', 3]);
  });
});

describe('MemoryStore by characters', () => {
  it('holds exactly the limit, and for one more drops the one changed longest ago', (t) => {
    const stage = new Stage(t, { maxCharacters: 30 });
    stage.fill('a b c', 10);
    assert.equal(stage.held('a b c'), 'a b c');
    stage.fill('c', 11);
    assert.equal(stage.held('a b c'), 'b c');
  });

  it('drops as many as necessary', (t) => {
    const stage = new Stage(t, { maxCharacters: 30 });
    stage.fill('a b c', 10);
    stage.fill('d', 20);
    assert.equal(stage.held('a b c d'), 'c d');
  });

  it('counts what a conversation lost once: by a change, by its end or by its time', (t) => {
    const stage = new Stage(t, { maxCharacters: 30 });
    stage.fill('a b c', 10);
    stage.fill('a', 5);
    stage.empty('b');
    stage.fill('d', 15);
    assert.equal(stage.held('a c d'), 'a c d');
    stage.timeMs += 1_001;
    stage.fill('a c d', 10); // each begins anew
    assert.equal(stage.held('a c d'), 'a c d');
  });

  it('never drops one with an open turn, and takes the next one', (t) => {
    const stage = new Stage(t, { maxCharacters: 30 });
    stage.change('a', 'open', 10);
    stage.fill('b c d', 10);
    assert.equal(stage.held('a b c d'), 'a c d');
  });

  it('keeps the latest one even if it is larger than the limit', (t) => {
    const stage = new Stage(t, { maxCharacters: 30 });
    stage.fill('a', 10);
    stage.fill('b', 31);
    assert.equal(stage.held('a b'), 'b');
    stage.fill('c', 1);
    assert.equal(stage.held('b c'), 'c');
  });

  it('starts again when it is closed', (t) => {
    const stage = new Stage(t, { maxCharacters: 30 });
    stage.fill('a', 30);
    stage.store.close();
    stage.fill('b c', 10);
    assert.equal(stage.held('b c'), 'b c');
  });

  it('holds 67,108,864 characters by default', (t) => {
    const stage = new Stage(t);
    stage.fill('a b c d', 16_777_216);
    assert.equal(stage.count, 4);
    stage.fill('d', 16_777_217);
    assert.equal(stage.count, 3);
  });

  it('counts once calls as room that a conversation takes', (t) => {
    const stage = new Stage(t, { maxCharacters: 2_500 });
    const content = JSON.stringify('a'.repeat(2_000));
    for (const id of ['a', 'b'])
      stage.store.update(id, (conversation) => {
        conversation.onceCalls = { [onceKey(1)]: onceCall({ state: 'completed', content }) };
      });
    assert.equal(stage.held('a b'), 'b');
    stage.change('b');
    stage.store.update('b', (conversation) => {
      delete conversation.onceCalls;
    });
    stage.change('c');
    assert.equal(stage.held('b c'), 'b c');
  });
});

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import {
  MemoryStore, type MemoryStoreOptions,
} from '../../../src/core/conversations/memory-store.ts';
import { newTurn } from '../../../src/core/conversations/turn-record.ts';
import { mockTimers, type Clock } from '../../fixtures/clock.ts';
import { onceCall, onceKey } from './once-calls.ts';
import { storeContract } from './store-contract.ts';

storeContract('MemoryStore', () => new MemoryStore({ ttlMs: 3_600_000, maxConversations: 1_000 }));

const START = 1_700_000_000_000;

/** A store that keeps conversations for a second, with a clock and a calendar moved by hand. */
class Stage {
  timeMs = 1_000_000;
  dateMs = START;
  readonly store: MemoryStore;
  readonly #timers: Clock;

  constructor(t: TestContext, options: Partial<MemoryStoreOptions> = {}) {
    t.mock.method(Date, 'now', () => this.dateMs);
    this.#timers = mockTimers(t, ['setInterval']);
    const now = (): number => this.timeMs;
    this.store = new MemoryStore({ ttlMs: 1_000, maxConversations: 100, now, ...options });
    t.after(() => this.store.close());
  }

  /**
   * Each step changes a conversation: `a` leaves it with a turn that has ended, `a:open` with one
   * that has not, `a:10` with that many characters, `a:empty` without any turn, and `a:paid` with a
   * once call of 2,000 characters. `+1000` lets that many milliseconds pass, `sweep` fires the
   * store's own timer, `close` closes the store.
   */
  take(steps: string): void {
    for (const step of steps.split(' ')) {
      if (step.startsWith('+')) this.timeMs += Number(step);
      else if (step === 'sweep') this.#timers.tick(60_000);
      else if (step === 'close') this.store.close();
      else this.#change(...(step.split(':') as [string, string?]));
    }
  }

  #change(id: string, what?: string): void {
    this.store.update(id, (conversation) => {
      const textLength = Number(what) || 0;
      const turn = newTurn('t1', what === 'open' ? 'open' : 'completed', 1);
      const content = JSON.stringify('a'.repeat(2_000));
      const paid = { [onceKey(1)]: onceCall({ state: 'completed', content }) };
      Object.assign(conversation, {
        turns: what === 'empty' ? [] : [turn], openTurns: what === 'open' ? 1 : 0, textLength,
        onceCalls: what === 'paid' ? paid : undefined,
      });
    });
  }

  /** Those of the ids that the store still has. */
  held(ids: string): string {
    return ids.split(' ').filter((id) => this.store.read(id) !== undefined).join(' ');
  }
}

/** What it does, its limits, the steps, and which ids of which are then held: `a b of a b c`. */
type Told = readonly [
  name: string, limits: Partial<MemoryStoreOptions>, steps: string, held: string,
];

function tell(stories: readonly Told[]): void {
  for (const [name, limits, steps, expected] of stories)
    it(name, (t) => {
      const stage = new Stage(t, limits);
      stage.take(steps);
      const [held = '', all = ''] = expected.split('of ');
      assert.equal(stage.held(all), held.trim());
      assert.equal(stage.store.count(), held.trim() === '' ? 0 : held.trim().split(' ').length);
    });
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
    stage.take('a');
    stage.dateMs += 500;
    assert.equal(stage.store.read('a')?.updatedAt, START);
    stage.take('a');
    assert.equal(stage.store.read('a')?.updatedAt, START + 500);
  });

  // Previously a wall clock that was set forward during a call made the store forget the call.
  it('forgets nothing too early, and keeps nothing too long, when the clock jumps', (t) => {
    const stage = new Stage(t);
    stage.take('a');
    stage.dateMs += 86_400_000;
    assert.equal(stage.held('a'), 'a');
    stage.dateMs -= 2 * 86_400_000;
    stage.take('+1001');
    assert.equal(stage.held('a'), '');
  });
});

describe('MemoryStore limited by time', () => {
  it('keeps a conversation for exactly that time after its last change, even if read', (t) => {
    const stage = new Stage(t);
    stage.take('a +900 a +1000');
    assert.equal(stage.held('a'), 'a');
    stage.take('+1');
    assert.equal(stage.held('a'), '');
  });

  it('begins an expired conversation anew', (t) => {
    const stage = new Stage(t);
    stage.take('a +1001');
    stage.store.update('a', ({ turns }) => {
      assert.equal(turns.length, 0);
      turns.push(newTurn('t2', 'completed', 2));
    });
    assert.deepEqual(stage.store.read('a')?.turns.map(({ id }) => id), ['t2']);
    assert.equal(stage.store.count(), 1);
  });

  it('gives a conversation with an open turn, however old, to the next change', (t) => {
    const stage = new Stage(t);
    stage.take('a:open +1000000');
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
      stage.take('+1001');
      stage.dateMs += keptMs - 1;
      assert.equal(stage.held('a'), keptMs === 0 ? '' : 'a');
      stage.dateMs += 1;
      assert.equal(stage.held('a'), '');
    });

  tell([
    ['frees memory even if nobody asks, and keeps open and young conversations', {},
      'old open:open too +1001 young sweep', 'open young of old open too young'],
    ['keeps a conversation for its time once its long turn has ended', {},
      'a:open +5000 sweep a +1000 sweep', 'a of a'],
    ['drops an expired conversation once its long turn has ended', {},
      'a:open +5000 sweep a +1000 sweep +1 sweep', 'of a'],
  ]);

  it('stops sweeping when it is closed', (t) => {
    let readings = 0;
    const stage = new Stage(t, { now: () => (readings += 1) });
    stage.take('a close');
    const before = readings;
    stage.take('sweep sweep');
    assert.equal(readings, before);
  });
});

describe('MemoryStore limited by the number of conversations', () => {
  const THREE = { maxConversations: 3 };
  tell([
    ['holds exactly the limit', THREE, 'a b c', 'a b c of a b c'],
    ['drops the least recently changed conversation', THREE, 'a b c d', 'b c d of a b c d'],
    // How the list keeps its order: test/base/recency-list.test.ts.
    ['moves a changed conversation to the end', THREE, 'a b c b d e', 'b d e of a b c d e'],
    ['has room after a conversation is cleared', THREE, 'a b c b:empty d e', 'c d e of a b c d e'],
    ['has no trace left of a conversation that was used and then cleared', THREE,
      'a b a a:empty c d e f', 'd e f of a b c d e f'],
    ['drops the next conversation instead of one with an open turn', THREE, 'a:open b c d',
      'a c d of a b c d'],
    ['exceeds the limit if all conversations have open turns', { maxConversations: 2 },
      'a:open b:open c:open d:open', 'a b c d of a b c d'],
    ['returns to the limit when open turns have ended', { maxConversations: 2 },
      'a:open b:open c:open d:open a b c d e', 'd e of a b c d e'],
    ['holds one conversation at the lowest limit', { maxConversations: 1 }, 'a b b c',
      'c of a b c'],
    ['forgets all conversations when it is closed', {}, 'a close', 'of a'],
  ]);

  it('does not count a read as a use', (t) => {
    const stage = new Stage(t, THREE);
    stage.take('a b c');
    stage.store.read('a');
    stage.take('d');
    assert.equal(stage.held('a b c d'), 'b c d');
  });

  it('keeps to the limit over many conversations, and holds the last ten', (t) => {
    const stage = new Stage(t, { maxConversations: 10 });
    const ids = Array.from({ length: 5_000 }, (_, count) => `c${count}`);
    for (const [count, id] of ids.entries()) {
      stage.take(count % 7 === 0 ? `${id}:open ${id}` : id);
      assert.ok(stage.store.count() <= 10);
    }
    assert.equal(stage.held(ids.slice(-20).join(' ')), ids.slice(-10).join(' '));
  });

  it('does not walk through many open turns for each change', (t) => {
    const stage = new Stage(t, { maxConversations: 1 });
    let looks = 0;
    for (let count = 0; count < 1_000; count++)
      stage.store.update(`open${count}`, (conversation) => {
        conversation.turns = [newTurn('t1', 'open', 1)];
        Object.defineProperty(conversation, 'openTurns', { get: () => (looks += 1) });
      });
    looks = 0;
    stage.take('another:open');
    assert.deepEqual([stage.store.count(), looks <= 100], [1_001, true], String(looks));
  });

  it('drops in the order of last changes, even after it has skipped an open turn', (t) => {
    const stage = new Stage(t, { maxConversations: 4 });
    stage.take('open:open b c d e'); // drops b; `open` moves after e
    assert.equal(stage.held('open b c d e'), 'open c d e');
    stage.take('open'); // completed now
    for (const [added, dropped] of [
      ['f', 'c'], ['g', 'd'], ['h', 'e'], ['i', 'open'], ['j', 'f'],
    ] as const) {
      assert.equal(stage.held(dropped), dropped, `${dropped} before ${added}`);
      stage.take(added);
      assert.equal(stage.held(dropped), '', `${dropped} after ${added}`);
      assert.equal(stage.store.count(), 4);
    }
  });
});

describe('MemoryStore limited by characters', () => {
  const THIRTY = { maxCharacters: 30 };
  tell([
    ['holds exactly the limit', THIRTY, 'a:10 b:10 c:10', 'a b c of a b c'],
    ['drops the least recently changed when another grows', THIRTY, 'a:10 b:10 c:10 c:11',
      'b c of a b c'],
    ['drops as many conversations as necessary', THIRTY, 'a:10 b:10 c:10 d:20', 'c d of a b c d'],
    ['subtracts what a conversation loses only once, by a change or by its end', THIRTY,
      'a:10 b:10 c:10 a:5 b:empty d:15', 'a c d of a b c d'],
    ['subtracts what expired conversations lose only once, though each begins anew', THIRTY,
      'a:10 b:10 c:10 +1001 a:10 b:10 c:10', 'a b c of a b c'],
    ['keeps the latest conversation even if it exceeds the limit', THIRTY, 'a:10 b:31', 'b of a b'],
    ['drops a conversation over the limit for the next', THIRTY, 'a:10 b:31 c:1', 'c of a b c'],
    ['starts again from zero when it is closed', THIRTY, 'a:30 close b:10 c:10', 'b c of a b c'],
    ['holds 67,108,864 characters by default', {},
      'a:16777216 b:16777216 c:16777216 d:16777216', 'a b c d of a b c d'],
    ['holds not one character more by default', {}, 'a:16777216 b:16777216 c:16777216 d:16777217',
      'b c d of a b c d'],
    ['counts once calls as part of a conversation', { maxCharacters: 2_500 },
      'a:paid b:paid', 'b of a b'],
    ['does not count once calls that are gone', { maxCharacters: 2_500 }, 'b:paid b c:paid',
      'b c of b c'],
  ]);
});

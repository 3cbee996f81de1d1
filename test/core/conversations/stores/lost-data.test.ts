// What a store has lost is put back from memory, and what was erased is not.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { keepState, setState } from '../../../../src/core/conversations/agent-state.ts';
import {
  addTurn, clearTurns, findTurn, type Conversation,
} from '../../../../src/core/conversations/conversation.ts';
import { takePlace } from '../../../../src/core/conversations/discarded-turns.ts';
import { noteHeard } from '../../../../src/core/conversations/heard.ts';
import { newTurn } from '../../../../src/core/conversations/turn-record.ts';
import { jumpingClock } from '../../../fixtures/clock.ts';
import { freeKey, onceCall, onceKey } from '../once-calls.ts';
import { change } from '../state-writes.ts';
import {
  outages, restore, storesWith, two as twoFor, written, type Machine,
} from './machines.ts';
import { PartsInMemory, type SharedParts } from './parts-in-memory.ts';
import { tell } from './story.ts';

/** Not an hour, because an open turn or an erasure is kept for an hour longer. */
const TTL_MS = 55 * 60_000;
const HOUR_MS = 3_600_000;

const inStores = storesWith({ ttlMs: TTL_MS });

function two(t: TestContext): readonly [Machine, Machine, SharedParts] {
  return twoFor(t, { ttlMs: TTL_MS });
}

function state(text: string): (conversation: Conversation) => void {
  return (conversation) => setState(conversation, text);
}

/** Another process changes the conversation before each of the next writes of this one. */
function outrun({ parts }: Machine, by: Machine, writes = Infinity): void {
  const { write } = PartsInMemory.prototype;
  let others = 0;
  parts.write = async (id, made) => {
    others += 1;
    if (others <= writes) await by.turns(`other${others}`);
    return write.call(parts, id, made);
  };
}

/** Everything that a conversation has besides turns. */
const FILLS = 'a counts 1; a hands over to billing; a is called by +1; a claims call-1';
const FILLED = 'n 1, billing, +1, running call-1';

describe('a conversation that the store has lost', () => {
  tell([
    ['is put back whole by the next change, even if no command ever failed',
      `a says t1; ${FILLS}; the store loses all; a says t2`, `b finds t1 t2, ${FILLED}`],
    ['is put back by a mere read', 'a says t1; the store loses all; a reads', 'b finds t1'],
    ['is put back by a change that changes nothing', 'a says t1; the store loses all; a looks',
      'b finds t1'],
    ['is put back if only its shard came back empty',
      'a says t1 d/t1; the store loses c; a says d/t2 t2', 'c finds t1 t2'],
    ['is joined with what another process has started again',
      'a says t1; the store loses all; b says t2; a says t3', 'b finds t1 t2 t3'],
    ['accepts the end of its turn as if nothing had happened',
      'a says t1; a opens t2; the store loses all; a ends t2', 'c finds t1 t2'],
    ['gets its last writes back after a failover, even by a read',
      `a says t1; the store is copied; a says t2; ${FILLS}; the store fails over; a reads`,
      `b finds t1 t2, ${FILLED}`],
    ['gets a missing state back, regardless of who wrote it',
      'a says t1; the store is copied; a counts 1; a is called by +1; the store fails over; '
        + 'b hands over to x; b hands over to y; a reads', 'b finds t1, n 1, y, +1'],
    ['gets back a state that another process knows',
      'a says t1; the store is copied; b opens t2; b counts 1; the store fails over; a opens t3; '
        + 'b reads', 'a finds t1 t2 (open) t3 (open), n 1'],
    ['gets its changes to the state back, with what another process has changed since',
      'a says t1; a orders tea; the store is copied; a orders cola; a orders tea; '
        + 'the store fails over; b orders cake; a reads', 'b finds t1, n ["tea","cola","tea","cake"]'],
    ['gets its changes to the state back if the store has begun with another state',
      'a says t1; a orders tea; the store loses all; b says t2; b orders cake; a reads',
      'b finds t1 t2, n ["cake","tea"]'],
    ['gets its changes to the state back from each process, only once',
      'a says t1; a orders tea; b orders cake; a orders cola; the store loses all; a reads; '
        + 'b reads; a reads; b orders tea; a reads', 'c finds t1, n ["tea","cake","cola","tea"]'],
    ['gets back what the process that writes the state first does not know',
      'a says t1; a orders tea; b orders cake; the store loses all; a reads; b reads; a reads',
      'c finds t1, n ["tea","cake"]'],
    ['gets no changes back that another process has erased',
      'a says t1; a orders tea; b erases; b says t2; b orders cake; a reads',
      'c finds t2, n ["cake"]'],
    ['gets no changes back from before its own erasure',
      'a says t1; a orders tea; a erases; a says t2; the store is copied; a orders cola; '
        + 'the store fails over; b orders cake; a reads', 'c finds t2, n ["cake","cola"]'],
    // Another process had meanwhile given the first call up as lost.
    ['keeps what a tool returned if the next change is another result',
      'a opens t1; a calls x y; the store is copied; a gets the result of x; the store fails over; '
        + 'b opens t2; a gets the result of y',
      'b finds t1 (x completed, y completed, broken) t2 (open)'],
    ['keeps how a turn ended if the next change is a late result in it',
      'a opens t1; a calls x; the store is copied; a ends t1; the store fails over; '
        + 'a gets the result of x', 'b finds t1 (x completed)'],
    ['keeps the last run of a turn if the next change is a late result in it',
      'a opens t1; a calls x; a opens t2; the store is copied; a says t1; the store fails over; '
        + 'a gets the result of x', 'b finds t1 (x completed) t2 (open)'],
    ['is not put back once it has expired, counted from its own last change',
      'a says t1; 56 minutes pass; a says t2', 'a finds t2'],
    ['is put back for an hour longer if a turn is open', 'a opens t1; 114 minutes pass',
      'a finds t1 (open)'],
    ['is not put back after that extra hour', 'a opens t1; 116 minutes pass', 'a finds nothing'],
  ], { ttlMs: TTL_MS });

  it('knows whose turn another process takes over', inStores(async ({ a, b, shared }) => {
    await a.turns('t1');
    const replica = new Map(shared);
    await a.open('t2', 2, { process: 'a' });
    await b.read();
    restore(shared, replica);
    const opened = await b.open('t2', 3, { process: 'b' });
    assert.ok(opened.kind === 'opened');
    assert.deepEqual(opened.endedElsewhere, [{ process: 'a', runId: 2 }]);
  }));

  it('is put back once if two processes remember it', inStores(async ({ a, b, shared }) => {
    await a.turns('t1');
    await b.turns('t2');
    shared.clear();
    await Promise.all([a.turns('t3'), b.turns('t4')]);
    assert.deepEqual((await a.fresh().ids())?.toSorted(), ['t1', 't2', 't3', 't4']);
  }));

  // Seed 179611911 of the fleet: the report waited, and the turn came back as if there were none.
  it('gets a turn back as it was heard if its report came while the store lacked the turn',
    inStores(async ({ a, b, shared }) => {
      await a.turns('t1');
      await b.turns('t2');
      const replica = new Map(shared);
      await a.turns('t3');
      restore(shared, replica);
      await b.set({ reports: [{ turnId: 't3', textHeard: 'reply' }] });
      await a.read();
      assert.equal((await b.read())?.turns.at(-1)?.reply, 'reply');
    }));

  // Seed 179611561 of the fleet.
  it('gets back a report that waits for its turn', inStores(async ({ a, b, shared }) => {
    await a.turns('t1');
    const replica = new Map(shared);
    const reports = [{ turnId: 't2', textHeard: '' }];
    await a.set({ reports });
    restore(shared, replica);
    await a.read();
    assert.deepEqual((await b.read())?.reports, reports);
  }));

  // Seed 179611717 of the fleet.
  it('gets what was heard of a turn back even if another process is faster',
    inStores(async ({ a, b, shared }) => {
      await a.turns('t1');
      await b.turns('t2');
      const replica = new Map(shared);
      await b.update((conversation) =>
        noteHeard(conversation, { turnId: 't1', textHeard: 'reply' }));
      restore(shared, replica);
      await a.turns('t3');
      outrun(b, a, 2);
      await b.turns('t4');
      assert.equal((await a.read())?.turns[0]?.reply, 'reply');
    }));

  it('gets a state back even if another process is faster twice',
    inStores(async ({ a, b, shared }) => {
      await a.turns('t1');
      await b.turns('t2');
      const replica = new Map(shared);
      await a.update(state('{"n":1}'));
      restore(shared, replica);
      await b.turns('t3');
      outrun(a, b, 2);
      await a.turns('t4');
      assert.equal((await b.read())?.state, '{"n":1}');
    }));

  // Play 396 of a model of stores: nothing tried to write it again.
  it('gets a state back later if another process is faster each time',
    inStores(async ({ a, b, shared, outage }) => {
      await a.turns('t1');
      const replica = new Map(shared);
      await a.update(state('{"n":1}'));
      restore(shared, replica);
      outrun(a, b);
      await a.read();
      assert.equal(a.store.health().turnsWaiting, 1);
      a.parts.write = PartsInMemory.prototype.write;
      outage.pass(2_000);
      await written(a.store);
      assert.equal((await b.read())?.state, '{"n":1}');
    }));

  it('expires even if the wall clock is set back', inStores(async ({ a, b }, t) => {
    const jump = jumpingClock(t);
    await a.turns('t1');
    jump(TTL_MS + 1);
    for (const { parts } of [a, b]) parts.nowMs += TTL_MS + 1;
    t.mock.method(Date, 'now', () => 0);
    assert.deepEqual(await a.texts(), []);
  }));

  it('does not get back what was trimmed elsewhere', inStores(async ({ a, b }) => {
    for (let n = 1; n <= 90; n++) await a.turns(`t${n}`);
    for (let n = 91; n <= 220; n++) await b.turns(`t${n}`);
    const left = (await b.ids())?.length ?? 0;
    await a.turns('last');
    assert.equal((await a.ids())?.length, left + 1);
  }));
});

describe('a conversation that was erased', () => {
  tell([
    ['stays erased for a process that remembers it',
      'a says t1; b erases; b says t2; a says t3', 'b finds t2 t3'],
    ['stays erased even if a command timed out before',
      'a says t1; a is not answered; a says t2; b erases; a is back; a says t3', 'b finds t3'],
    ['accepts nothing of what was waiting, not even the state',
      'a says t1; a is away; a says t2; a counts 1; a is called by +1; b erases; b says t3; '
        + 'a is back', 'b finds t3'],
    ['is erased again in a store that has lost the erasure',
      'a says t1; the store is copied; a erases; the store fails over; a reads', 'b finds nothing'],
    ['is erased again if another process put it back meanwhile',
      'a says t1; b says t2; a erases; a says t3; the store loses all; b says t4; a says t5',
      'b finds t3 t5'],
    ['keeps what has been said since if the store has lost the erasure',
      'a says t1; a counts 1; the store is copied; a erases; a says t2; a counts 2; '
        + 'the store fails over; a reads', 'b finds t2, n 2'],
    ['does not get its earlier state back if it was erased in an outage',
      'a says t1; the store is copied; a counts 1; a is away; a erases; a says t2; '
        + 'the store fails over; a is back', 'b finds t2'],
    ['loses even the older state to which the store has gone back',
      'a says t1; a counts 1; the store is copied; a counts 2; the store fails over; a erases; '
        + 'b says t2', 'c finds t2'],
    ['is gone from a process that was cut off for longer than the mark is kept',
      'a says t1; a counts 1; a is away; a says t2; b erases; 50 minutes pass; a says t3; '
        + '50 minutes pass; a says t4; 50 minutes pass; a says t5; b says t9; a is back',
      'c finds t3 t4 t5 t9'],
    ['is not given up while its erasure waits, as long as anything else can be given up',
      'a says t1; a is away; a erases; a says d/t1 e/t1 f/t1 g/t1 h/t1; a is back',
      'c finds nothing', { maxTurnsWaiting: 3 }],
    ['has a later mark each time, whatever the clock says',
      'a says t1; a erases; a says t2; the clock goes back; b erases; a says t3', 'b finds t3'],
    ['remembers that a call which it left as running has acted',
      'a claims call-1; a is away; a pays call-1; b erases; a is back',
      'b finds completed call-1 (erased)'],
    ['remembers that a call claimed later, and lost by the store, has acted',
      'a says t1; a is away; a erases; b pays call-1; the store loses all; a is back; b says t2',
      'a finds t2, completed call-1 (erased)'],
  ], { ttlMs: TTL_MS });

  it('leaves a mark for as long as anybody may remember it', inStores(async ({ a, b }) => {
    await a.turns('t1');
    const turns = a.parts.changes.length;
    await a.update(clearTurns);
    await a.turns('t2');
    const lives = a.parts.changes.slice(turns).map(({ ttlMs }) => ttlMs);
    assert.deepEqual(lives, [TTL_MS + HOUR_MS, TTL_MS + HOUR_MS, TTL_MS + HOUR_MS]);
    await b.turns('t1', 'd');
    assert.deepEqual(b.parts.changes.map(({ ttlMs }) => ttlMs), [TTL_MS + HOUR_MS, TTL_MS]);
  }));

  it('keeps only which once calls may act, and none of their words', inStores(async ({ a, b }) => {
    await a.turns('t1');
    const content = '"words"';
    await a.set({ onceCalls: {
      [onceKey(1)]: onceCall({ content }), [onceKey(2)]: onceCall({ state: 'unknown', content }),
      [onceKey(3)]: onceCall({ state: 'completed', content }),
    } });
    await a.update((conversation) => freeKey(conversation, onceKey(3)));
    await a.update(clearTurns);
    assert.deepEqual((await b.read())?.onceCalls, {
      [onceKey(1)]: onceCall(),
      [onceKey(2)]: onceCall({ state: 'unknown', content: '{"error":"outcome unknown"}' }),
    });
    const names = [...(await b.stored()).keys()].toSorted();
    assert.deepEqual(names, ['head', `once-${onceKey(1)}`, `once-${onceKey(2)}`]);
  }));

  it('keeps which once calls may act, even if only one process knows', async (t) => {
    const [a, b, shared] = two(t);
    await a.turns('t1');
    const replica = new Map(shared);
    await a.set({ onceCalls: {
      [onceKey(1)]: onceCall({ content: '"words"' }),
      [onceKey(2)]: onceCall({ toolCallId: 'b', state: 'completed', content: '"words"' }),
    } });
    restore(shared, replica);
    await b.update(clearTurns);
    await a.turns('t2');
    assert.deepEqual((await b.read())?.onceCalls, { [onceKey(1)]: onceCall() });
  });

  // Seed 81001743 of the fleet: a payment that was made meanwhile was made again.
  it('remembers that calls acted if an erasure that waited did not know of them', async (t) => {
    const outage = outages(t);
    const [a, b] = two(t);
    const before = onceCall({ state: 'completed', content: '"before"' });
    await a.set({ onceCalls: { [onceKey(1)]: before } });
    outage.begin(a);
    await a.update(clearTurns);
    const since = onceCall({ toolCallId: 'b', state: 'completed', content: '"since"' });
    await b.set({ onceCalls: { [onceKey(1)]: before, [onceKey(2)]: since } });
    await outage.end(a);
    const { onceCalls } = (await b.read()) ?? {};
    assert.deepEqual(onceCalls, { [onceKey(2)]: { ...since, content: 'null' } });
  });

  it('leaves nothing of what a later version wrote', inStores(async ({ a }) => {
    await a.write({
      head: '{"format":1,"mood":"good"}', notes: 'words',
      3: '{"id":"t1","state":"completed","runId":1,"words":"a","reply":"b"}',
    });
    await a.update(clearTurns);
    const stored = await a.stored();
    assert.deepEqual([...stored.keys()], ['head']);
    assert.doesNotMatch(stored.get('head') ?? '', /mood/);
  }));
});

describe('a conversation', () => {
  it('is kept for longer while a once call is running', inStores(async ({ a }) => {
    for (const state of ['running', 'completed'] as const)
      await a.set({ onceCalls: { [onceKey(1)]: onceCall({ state, claimedAt: Date.now() }) } });
    const lives = a.parts.changes.map(({ ttlMs }) => ttlMs);
    assert.deepEqual(lives, [TTL_MS + HOUR_MS, TTL_MS]);
  }));
});

describe('a change to the state that waited for the store', () => {
  const [tea, both] = ['{"cart":["tea"]}', '{"cart":["tea","cola"]}'];
  const discard = (conversation: Conversation): void => {
    const discarded = findTurn(conversation, 't1') ?? assert.fail();
    Object.assign(discarded, { isDiscarded: true, state: 'interrupted' });
    conversation.touched?.add(discarded);
    const record = { ...newTurn('t2', 'open', 2), number: 1 };
    addTurn(conversation, record);
    takePlace(conversation, record, [discarded], 0);
  };

  for (const [when, isLate] of [['afterwards', false], ['meanwhile', true]] as const)
    it(`is taken back with its turn, which another process discards ${when}`, async (t) => {
      const outage = outages(t);
      const [a, b] = two(t);
      await a.update((conversation) => {
        conversation.state = tea;
        addTurn(conversation, { ...newTurn('t1', 'open', 1), number: 1 });
      });
      await b.read();
      outage.begin(a);
      await a.update((conversation) =>
        keepState(conversation, findTurn(conversation, 't1') ?? assert.fail(), {
          agentState: change(tea, both),
        }));
      if (isLate) await b.update(discard);
      else await b.turns('t3');
      await outage.end(a);
      if (!isLate) await b.update(discard);
      assert.equal((await b.read())?.state, tea);
    });
});

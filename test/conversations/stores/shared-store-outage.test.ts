import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { setState } from '../../../src/conversations/agent-state.ts';
import { clearTurns, keepCaller } from '../../../src/conversations/conversation.ts';
import { ConversationManager } from '../../../src/conversations/manager.ts';
import type { SharedStore } from '../../../src/conversations/stores/shared-store.ts';
import { openTurn } from '../../../src/conversations/turn-opening.ts';
import { settleTurn } from '../../../src/conversations/turn-settlement.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import {
  BOUNDS,
  logged,
  machine,
  machines,
  said,
  sharing,
  texts,
  turn,
  written,
} from './machines.ts';
import { PartsInMemory, type SharedParts } from './parts-in-memory.ts';

describe('a store that does not answer', () => {
  const down = new Error('connection refused');

  it('holds up no caller: turns go on from what is remembered', async (t) => {
    const { parts, store, lines } = machine(t);
    await turn(store, 'c', 't1');
    parts.failWith = down;
    await turn(store, 'c', 't2');
    assert.deepEqual(await texts(store, 'c'), said('t1', 't2'));
    assert.deepEqual(store.health(), {
      isDegraded: true, turnsWaiting: 1, failures: 1, conflicts: 0, stateCollisions: 0,
    });
    await logged({ parts, store, lines }, 1);
    assert.match(lines[0] ?? '', /"the conversation store failed; calls continue from memory"/);
  });

  it('is asked once for many turns, so that not each of them waits for its time-out', async (t) => {
    const { parts, store } = machine(t);
    parts.failWith = down;
    await turn(store, 'c', 't1');
    const asked = parts.calls.length;
    for (let n = 2; n < 20; n++) await turn(store, 'c', `t${n}`);
    assert.equal(parts.calls.length, asked);
  });

  it('gets what it missed when it is back', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const { parts, store, lines } = machine(t);
    await turn(store, 'c', 't1');
    parts.failWith = down;
    await turn(store, 'c', 't2');
    await turn(store, 'd', 't1');
    await logged({ parts, store, lines }, 1);
    parts.failWith = undefined;
    timers.tick(250);
    await written(store);
    const other = sharing(parts);
    assert.deepEqual(await texts(other, 'c'), said('t1', 't2'));
    assert.deepEqual(await texts(other, 'd'), said('t1'));
    assert.match(lines.at(-1) ?? '', /"the conversation store answers again"/);
  });

  it('gets a state that changed meanwhile', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const { parts, store } = machine(t);
    await turn(store, 'c', 't1');
    await store.update('c', (conversation) => setState(conversation, '{"n":1}'));
    parts.failWith = down;
    await store.update('c', (conversation) => setState(conversation, '{"n":2}'));
    parts.failWith = undefined;
    timers.tick(250);
    await written(store);
    assert.equal((await sharing(parts).read('c'))?.state, '{"n":2}');
  });

  it('gets the agent that a conversation was handed over to meanwhile', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    await turn(a.store, 'c', 't1');
    a.parts.failWith = down;
    await turn(a.store, 'c', 't2');
    await a.store.update('c', (conversation) => void (conversation.agent = 'billing'));
    await turn(b.store, 'c', 't3');
    a.parts.failWith = undefined;
    timers.tick(250);
    await written(a.store);
    assert.equal((await b.store.read('c'))?.agent, 'billing');
  });

  it('keeps the agent that another process handed over to meanwhile', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    await turn(a.store, 'c', 't1');
    await a.store.update('c', (conversation) => void (conversation.agent = 'sales'));
    a.parts.failWith = down;
    await turn(a.store, 'c', 't2');
    await b.store.update('c', (conversation) => void (conversation.agent = 'billing'));
    a.parts.failWith = undefined;
    timers.tick(250);
    await written(a.store);
    assert.equal((await b.store.read('c'))?.agent, 'billing');
  });

  it('is merged with if another process went on meanwhile', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    await turn(a.store, 'c', 't1');
    a.parts.failWith = down;
    await turn(a.store, 'c', 't2');
    await turn(b.store, 'c', 't3');
    a.parts.failWith = undefined;
    timers.tick(250);
    await written(a.store);
    assert.deepEqual((await texts(b.store, 'c')).toSorted(), said('t1', 't2', 't3').toSorted());
  });

  it('may have done what it did not confirm, which is not done twice', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const { parts, store } = machine(t);
    await turn(store, 'c', 't1');
    parts.failWith = down;
    parts.failsAfterWriting = true;
    await turn(store, 'c', 't2');
    parts.failWith = undefined;
    timers.tick(250);
    await written(store);
    assert.deepEqual(await texts(sharing(parts), 'c'), said('t1', 't2'));
  });

  it('loses nothing that a live process remembers when it comes back older', async (t) => {
    const shared: SharedParts = new Map();
    const parts = new PartsInMemory(shared, { isSlow: true });
    const store = sharing(parts);
    t.after(() => store.close());
    await turn(store, 'c', 't1');
    const replica = new Map(shared);
    await turn(store, 'c', 't2');
    for (const [id, kept] of replica) shared.set(id, kept); // it failed over and lost a second
    await turn(store, 'c', 't3');
    assert.deepEqual(await texts(sharing(parts), 'c'), said('t1', 't2', 't3'));
  });

  it('loses no running turn when it comes back older', async (t) => {
    const shared: SharedParts = new Map();
    const parts = new PartsInMemory(shared, { isSlow: true });
    const store = sharing(parts);
    t.after(() => store.close());
    await turn(store, 'c', 't1');
    const replica = new Map(shared);
    await store.update('c', (conversation) =>
      openTurn(conversation, { turnId: 't2', runId: 900, text: 'words of t2' }, BOUNDS));
    for (const [id, kept] of replica) shared.set(id, kept);
    const reply = { role: 'assistant', content: 'reply to t2', turnId: 't2' } as const;
    await store.update('c', (conversation) =>
      settleTurn(
        conversation,
        {
          turnId: 't2',
          runId: 900,
          state: 'completed',
          messages: [{ ...reply, state: 'completed' }],
        },
        BOUNDS,
      ));
    assert.deepEqual(await texts(sharing(parts), 'c'), said('t1', 't2'));
  });

  /** A store that has written a turn of c, and lost it in a restart, during which another came. */
  async function restarted(
    t: TestContext, ...meanwhile: readonly [id: string, turnId: string]
  ): Promise<{ readonly parts: PartsInMemory; readonly store: SharedStore }> {
    const timers = mockTimers(t, ['setTimeout']);
    const shared: SharedParts = new Map();
    const parts = new PartsInMemory(shared, { isSlow: true });
    const store = sharing(parts);
    t.after(() => store.close());
    await turn(store, 'c', 't1');
    parts.failWith = down;
    await turn(store, ...meanwhile);
    shared.clear();
    parts.failWith = undefined;
    timers.tick(250);
    await written(store);
    return { parts, store };
  }

  it('gets a conversation back that it lost in a restart', async (t) => {
    const { parts, store } = await restarted(t, 'd', 't1');
    await turn(store, 'c', 't2');
    assert.deepEqual(await texts(sharing(parts), 'c'), said('t1', 't2'));
  });

  it('gets back all of a conversation that went on during the restart', async (t) => {
    const { parts } = await restarted(t, 'c', 't2');
    assert.deepEqual(await texts(sharing(parts), 'c'), said('t1', 't2'));
  });

  it('forgets a conversation that was cleared meanwhile, even if unknown here', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    await turn(a.store, 'c', 't1');
    b.parts.failWith = down;
    await b.store.update('c', clearTurns);
    assert.equal(await b.store.read('c'), undefined);
    b.parts.failWith = undefined;
    timers.tick(250);
    await written(b.store);
    assert.deepEqual(await texts(a.store, 'c'), []);
  });

  // It looks as if the store had lost it, which gets back what it has lost.
  it('has not lost what another process cleared, even if it has failed before', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    await turn(a.store, 'c', 't1');
    await turn(a.store, 'd', 't1');
    a.parts.failWith = down;
    await turn(a.store, 'e', 't1');
    a.parts.failWith = undefined;
    timers.tick(250);
    await written(a.store);
    await b.store.update('c', clearTurns);
    await turn(a.store, 'c', 't2');
    assert.deepEqual(await texts(a.store, 'c'), said('t2'));
  });

  it('forgets a cleared conversation even if a timed-out write was made after all', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const { parts, store } = machine(t);
    await turn(store, 'c', 't1');
    parts.failWith = down;
    parts.failsAfterWriting = true;
    await turn(store, 'c', 't2');
    await store.update('c', clearTurns);
    parts.failWith = undefined;
    timers.tick(250);
    await written(store);
    assert.equal(await sharing(parts).read('c'), undefined);
  });

  it('forgets the state of a conversation that was cleared and started again', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const { parts, store } = machine(t);
    await turn(store, 'c', 't1');
    await store.update('c', (conversation) => setState(conversation, '{"cart":["ring"]}'));
    parts.failWith = down;
    await store.update('c', clearTurns);
    await turn(store, 'c', 't2');
    parts.failWith = undefined;
    timers.tick(250);
    await written(store);
    const kept = await sharing(parts).read('c');
    assert.deepEqual([kept?.turns.map(({ id }) => id), kept?.state], [['t2'], undefined]);
  });

  it('does not keep a turn waiting that was trimmed before it could be written', async (t) => {
    const { parts, store } = machine(t);
    await turn(store, 'c', 't0');
    parts.failWith = down;
    for (let n = 1; n <= 1_000; n++) await turn(store, 'c', `t${n}`);
    assert.ok(store.health().turnsWaiting <= 101, String(store.health().turnsWaiting));
  });

  it('fills no memory with conversations that do not exist', async (t) => {
    const { parts, store } = machine(t, { maxRemembered: 2 });
    await turn(store, 'c', 't1');
    parts.failWith = down;
    for (let n = 0; n < 10; n++) await store.update(`nobody ${n}`, () => undefined);
    assert.deepEqual(await texts(store, 'c'), said('t1'));
  });

  it('loses no turn of a conversation that goes on before it is written back', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    a.parts.failWith = down;
    await turn(a.store, 'd', 't1');
    await turn(a.store, 'c', 't1');
    await turn(b.store, 'c', 't2');
    a.parts.failWith = undefined;
    timers.tick(250);
    while (a.store.health().isDegraded) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(a.store.health().turnsWaiting, 2);
    await turn(a.store, 'c', 't3');
    await written(a.store);
    assert.deepEqual((await texts(b.store, 'c')).toSorted(), said('t1', 't2', 't3').toSorted());
  });

  it('gets the others back if it refuses one conversation for good', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const { parts, store } = machine(t);
    parts.failWith = down;
    for (const id of ['bad', 'c', 'd']) await turn(store, id, 't1');
    parts.failWith = undefined;
    parts.refuses = 'bad';
    for (let tries = 0; tries < 5; tries++) {
      timers.tick(2_000);
      for (let turns = 0; turns < 20; turns++) await new Promise((go) => setImmediate(go));
    }
    const other = sharing(parts);
    assert.deepEqual(await texts(other, 'c'), said('t1'));
    assert.deepEqual(await texts(other, 'd'), said('t1'));
  });

  it('may hold the interrupted turn: a reply known here stays whole', async (t) => {
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    await turn(a.store, 'c', 't1');
    a.parts.failWith = down;
    await turn(a.store, 'd', 't1'); // so that it knows
    await turn(b.store, 'c', 't2');
    const interruption = { textHeard: 'I heard', turnId: 't2' };
    const open = { turnId: 't3', runId: 903, text: 'words of t3', interruption };
    await a.store.update('c', (conversation) => openTurn(conversation, open, BOUNDS));
    assert.deepEqual((await texts(a.store, 'c')).slice(0, 2), said('t1'));
    assert.equal('isBehind' in ((await a.store.read('c')) ?? {}), false);
  });

  // Was: only a process that knew of the outage before kept the words from an older reply.
  for (const report of ['begins a turn', 'begins none'] as const)
    it(`may hold it even if the outage begins with the report, which ${report}`, async (t) => {
      const [a, b] = machines(t, 2);
      assert.ok(a && b);
      await turn(a.store, 'c', 't1');
      await turn(b.store, 'c', 't2');
      a.parts.failWith = down;
      const manager = new ConversationManager(a.store);
      const interruption = { textHeard: 'I heard', turnId: 't2' };
      if (report === 'begins none') await manager.cutTurn('c', interruption);
      else await manager.openTurn('c', { turnId: 't3', runId: 903, text: 't3', interruption });
      assert.deepEqual((await texts(a.store, 'c')).slice(0, 2), said('t1'));
    });

  // Was: a line every two seconds, as each try to write failed anew.
  it('is in one outage while it can be read but not written, as on a full disk', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const { parts, store, lines } = machine(t);
    parts.isFull = true;
    await turn(store, 'c', 't1');
    for (let tries = 0; tries < 5; tries++) {
      timers.tick(2_000);
      for (let turns = 0; turns < 20; turns++) await new Promise((go) => setImmediate(go));
    }
    assert.equal(lines.length, 1, lines.join(''));
    parts.isFull = false;
    timers.tick(2_000);
    await written(store);
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? '', /"the conversation store answers again"/);
  });

  it('counts as failed after its time-out', async (t) => {
    const { parts, store } = machine(t, { timeoutMs: 20 });
    parts.hold();
    await turn(store, 'c', 't1');
    assert.deepEqual(store.health().isDegraded, true);
    parts.release();
  });

  it('has a limit for what waits: the oldest is given up, and the log says so', async (t) => {
    const { parts, store, lines } = machine(t, { maxTurnsWaiting: 3 });
    parts.failWith = down;
    for (let n = 1; n <= 5; n++) await turn(store, `c${n}`, 't1');
    assert.equal(store.health().turnsWaiting, 3);
    assert.equal(lines.filter((line) => /history lost: too much is waiting/.test(line)).length, 2);
  });

  it('never gives up the latest conversation, however much of it waits', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const { parts, store, lines } = machine(t, { maxTurnsWaiting: 2 });
    parts.failWith = down;
    for (let n = 1; n <= 5; n++) await turn(store, 'c', `t${n}`);
    await logged({ parts, store, lines }, 1);
    assert.equal(store.health().turnsWaiting, 5);
    parts.failWith = undefined;
    timers.tick(250);
    await written(store);
    assert.deepEqual(await texts(sharing(parts), 'c'), said('t1', 't2', 't3', 't4', 't5'));
  });

  it('has the version of what was written back: the next turn has no conflict', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const { parts, store } = machine(t);
    parts.failWith = down;
    await turn(store, 'c', 't1');
    parts.failWith = undefined;
    timers.tick(250);
    await written(store);
    parts.calls.length = 0;
    await turn(store, 'c', 't2');
    assert.deepEqual([parts.calls, store.health().conflicts], [['write', 'write'], 0]);
  });

  it('gets the caller of a call that began meanwhile', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    await turn(a.store, 'c', 't1');
    a.parts.failWith = down;
    const caller = { sessionId: 's', from: '+1', to: '+2' };
    await a.store.update('c', (conversation) => keepCaller(conversation, caller));
    await turn(b.store, 'c', 't2');
    a.parts.failWith = undefined;
    timers.tick(250);
    await written(a.store);
    assert.deepEqual((await b.store.read('c'))?.caller, caller);
  });

  it('gets what waits when the process closes', async (t) => {
    const { parts, store } = machine(t);
    parts.failWith = down;
    await turn(store, 'c', 't1');
    parts.failWith = undefined;
    await store.close();
    assert.deepEqual(await texts(sharing(parts), 'c'), said('t1'));
  });

  it('ends no process that asks how many conversations there are', async (t) => {
    const { parts, store } = machine(t);
    parts.failWith = down;
    assert.equal(await store.count(), NaN);
  });

  it('has not failed if it cannot be counted, and is not counted while it fails', async (t) => {
    const { parts, store } = machine(t);
    let asked = 0;
    parts.count = () => {
      asked += 1;
      throw down;
    };
    await store.count();
    assert.equal(store.health().isDegraded, false);
    parts.failWith = down;
    await turn(store, 'c', 't1');
    await store.count();
    assert.deepEqual([store.health().isDegraded, asked], [true, 1]);
  });
});

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { soon } from '../../../src/base/awaitable.ts';
import { setState } from '../../../src/conversations/agent-state.ts';
import { clearTurns, keepCaller } from '../../../src/conversations/conversation.ts';
import { ConversationManager } from '../../../src/conversations/manager.ts';
import { settleTurn } from '../../../src/conversations/turn-settlement.ts';
import { BOUNDS, reply } from '../talk.ts';
import {
  DOWN, machine, outages, restore, said, two, type Machine, type Outages,
} from './machines.ts';

/** Ten seconds, in which what waits is tried again and again. */
async function passTries({ pass }: Outages): Promise<void> {
  for (let tries = 0; tries < 5; tries++) {
    pass(2_000);
    for (let turns = 0; turns < 20; turns++) await soon();
  }
}

describe('a store that does not answer', () => {
  it('holds up no caller: turns go on from what is remembered', async (t) => {
    const a = machine(t);
    await a.turns('t1');
    a.parts.failWith = DOWN;
    await a.turns('t2');
    assert.deepEqual(await a.texts(), said('t1 t2'));
    assert.deepEqual(a.store.health(), {
      isDegraded: true, turnsWaiting: 1, failures: 1, conflicts: 0, stateCollisions: 0,
    });
    await a.logged(1);
    assert.match(a.lines[0] ?? '', /"the conversation store failed; calls continue from memory"/);
  });

  it('is asked once for many turns, so that not each of them waits for its time-out', async (t) => {
    const a = machine(t);
    a.parts.failWith = DOWN;
    await a.turns('t1');
    const asked = a.parts.calls.length;
    for (let n = 2; n < 20; n++) await a.turns(`t${n}`);
    assert.equal(a.parts.calls.length, asked);
  });

  it('gets what it missed when it is back, without a conflict afterwards', async (t) => {
    const outage = outages(t);
    const a = machine(t);
    await a.turns('t1');
    await a.update((conversation) => setState(conversation, '{"n":1}'));
    outage.begin(a);
    await a.turns('t2');
    await a.turns('t1', 'd');
    await a.update((conversation) => setState(conversation, '{"n":2}'));
    await a.logged(1);
    await outage.end(a);
    const other = a.fresh();
    assert.deepEqual(await other.texts(), said('t1 t2'));
    assert.deepEqual(await other.texts('d'), said('t1'));
    assert.equal((await other.read())?.state, '{"n":2}');
    assert.match(a.lines.at(-1) ?? '', /"the conversation store answers again"/);
    a.parts.calls.length = 0;
    await a.turns('t3');
    assert.deepEqual([a.parts.calls, a.store.health().conflicts], [['write', 'write'], 0]);
  });

  for (const [what, by] of [['this process', 'a'], ['another process', 'b']] as const)
    it(`has the agent that ${what} handed a conversation over to meanwhile`, async (t) => {
      const outage = outages(t);
      const [a, b] = two(t);
      await a.turns('t1');
      await a.set({ agent: 'sales' });
      outage.begin(a);
      await a.turns('t2');
      await { a, b }[by].set({ agent: 'billing' });
      await b.turns('t3');
      await outage.end(a);
      assert.equal((await b.read())?.agent, 'billing');
    });

  it('is merged with if another process went on meanwhile', async (t) => {
    const outage = outages(t);
    const [a, b] = two(t);
    await a.turns('t1');
    outage.begin(a);
    await a.turns('t2');
    await b.turns('t3');
    await outage.end(a);
    assert.deepEqual((await b.texts()).toSorted(), said('t1 t2 t3').toSorted());
  });

  it('may have done what it did not confirm, which is not done twice', async (t) => {
    const outage = outages(t);
    const a = machine(t);
    await a.turns('t1');
    outage.begin(a, { failsAfterWriting: true });
    await a.turns('t2');
    await outage.end(a);
    assert.deepEqual(await a.fresh().texts(), said('t1 t2'));
  });

  it('loses nothing that a live process remembers when it comes back older', async (t) => {
    const [a, , shared] = two(t);
    await a.turns('t1');
    const replica = new Map(shared);
    await a.turns('t2');
    restore(shared, replica); // it failed over and lost a second
    await a.turns('t3');
    assert.deepEqual(await a.fresh().texts(), said('t1 t2 t3'));
  });

  it('loses no running turn when it comes back older', async (t) => {
    const [a, , shared] = two(t);
    await a.turns('t1');
    const replica = new Map(shared);
    await a.open('t2', 900);
    restore(shared, replica);
    const messages = [reply('t2', 'reply to t2')];
    const end = { turnId: 't2', runId: 900, state: 'completed', messages } as const;
    await a.update((conversation) => settleTurn(conversation, end, BOUNDS));
    assert.deepEqual(await a.fresh().texts(), said('t1 t2'));
  });

  /** A store that has written a turn of c, and lost it in a restart, during which another came. */
  async function restarted(t: TestContext, turnId: string, id: string): Promise<Machine> {
    const outage = outages(t);
    const [a, , shared] = two(t);
    await a.turns('t1');
    outage.begin(a);
    await a.turns(turnId, id);
    shared.clear();
    await outage.end(a);
    return a;
  }

  it('gets a conversation back that it lost in a restart', async (t) => {
    const a = await restarted(t, 't1', 'd');
    await a.turns('t2');
    assert.deepEqual(await a.fresh().texts(), said('t1 t2'));
  });

  it('gets back all of a conversation that went on during the restart', async (t) => {
    const a = await restarted(t, 't2', 'c');
    assert.deepEqual(await a.fresh().texts(), said('t1 t2'));
  });

  it('forgets a conversation that was cleared meanwhile, even if unknown here', async (t) => {
    const outage = outages(t);
    const [a, b] = two(t);
    await a.turns('t1');
    outage.begin(b);
    await b.update(clearTurns);
    assert.equal(await b.read(), undefined);
    await outage.end(b);
    assert.deepEqual(await a.texts(), []);
  });

  // It looks as if the store had lost it, which gets back what it has lost.
  it('has not lost what another process cleared, even if it has failed before', async (t) => {
    const outage = outages(t);
    const [a, b] = two(t);
    await a.turns('t1');
    await a.turns('t1', 'd');
    outage.begin(a);
    await a.turns('t1', 'e');
    await outage.end(a);
    await b.update(clearTurns);
    await a.turns('t2');
    assert.deepEqual(await a.texts(), said('t2'));
  });

  it('forgets a cleared conversation even if a timed-out write was made after all', async (t) => {
    const outage = outages(t);
    const a = machine(t);
    await a.turns('t1');
    outage.begin(a, { failsAfterWriting: true });
    await a.turns('t2');
    await a.update(clearTurns);
    await outage.end(a);
    assert.equal(await a.fresh().read(), undefined);
  });

  it('forgets the state of a conversation that was cleared and started again', async (t) => {
    const outage = outages(t);
    const a = machine(t);
    await a.turns('t1');
    await a.update((conversation) => setState(conversation, '{"cart":["ring"]}'));
    outage.begin(a);
    await a.update(clearTurns);
    await a.turns('t2');
    await outage.end(a);
    const kept = await a.fresh().read();
    assert.deepEqual([kept?.turns.map(({ id }) => id), kept?.state], [['t2'], undefined]);
  });

  it('does not keep a turn waiting that was trimmed before it could be written', async (t) => {
    const a = machine(t);
    await a.turns('t0');
    a.parts.failWith = DOWN;
    for (let n = 1; n <= 1_000; n++) await a.turns(`t${n}`);
    assert.ok(a.store.health().turnsWaiting <= 101, String(a.store.health().turnsWaiting));
  });

  it('fills no memory with conversations that do not exist', async (t) => {
    const a = machine(t, { maxRemembered: 2 });
    await a.turns('t1');
    a.parts.failWith = DOWN;
    for (let n = 0; n < 10; n++) await a.store.update(`nobody ${n}`, () => undefined);
    assert.deepEqual(await a.texts(), said('t1'));
  });

  it('loses no turn of a conversation that goes on before it is written back', async (t) => {
    const outage = outages(t);
    const [a, b] = two(t);
    outage.begin(a);
    await a.turns('t1', 'd');
    await a.turns('t1');
    await b.turns('t2');
    a.parts.failWith = undefined;
    outage.pass(250);
    while (a.store.health().isDegraded) await soon();
    assert.equal(a.store.health().turnsWaiting, 2);
    await a.turns('t3');
    await outage.end(a);
    assert.deepEqual((await b.texts()).toSorted(), said('t1 t2 t3').toSorted());
  });

  it('gets the others back if it refuses one conversation for good', async (t) => {
    const outage = outages(t);
    const a = machine(t);
    outage.begin(a);
    for (const id of ['bad', 'c', 'd']) await a.turns('t1', id);
    Object.assign(a.parts, { failWith: undefined, refuses: 'bad' });
    await passTries(outage);
    for (const id of ['c', 'd']) assert.deepEqual(await a.fresh().texts(id), said('t1'));
  });

  it('may hold the interrupted turn: a reply known here stays whole', async (t) => {
    const [a, b] = two(t);
    await a.turns('t1');
    a.parts.failWith = DOWN;
    await a.turns('t1', 'd'); // so that it knows
    await b.turns('t2');
    await a.open('t3', 903, { interruption: { textHeard: 'I heard', turnId: 't2' } });
    assert.deepEqual((await a.texts()).slice(0, 2), said('t1'));
    assert.equal('isBehind' in ((await a.read()) ?? {}), false);
  });

  // Was: only a process that knew of the outage before kept the words from an older reply.
  for (const report of ['begins a turn', 'begins none'] as const)
    it(`may hold it even if the outage begins with the report, which ${report}`, async (t) => {
      const [a, b] = two(t);
      await a.turns('t1');
      await b.turns('t2');
      a.parts.failWith = DOWN;
      const manager = new ConversationManager(a.store);
      const interruption = { textHeard: 'I heard', turnId: 't2' };
      if (report === 'begins none') await manager.cutTurn('c', interruption);
      else await manager.openTurn('c', { turnId: 't3', runId: 903, text: 't3', interruption });
      assert.deepEqual((await a.texts()).slice(0, 2), said('t1'));
    });

  // Was: a line every two seconds, as each try to write failed anew.
  it('is in one outage while it can be read but not written, as on a full disk', async (t) => {
    const outage = outages(t);
    const a = machine(t);
    a.parts.isFull = true;
    await a.turns('t1');
    await passTries(outage);
    assert.equal(a.lines.length, 1, a.lines.join(''));
    a.parts.isFull = false;
    await outage.end(a);
    assert.equal(a.lines.length, 2);
    assert.match(a.lines[1] ?? '', /"the conversation store answers again"/);
  });

  it('counts as failed after its time-out', async (t) => {
    const a = machine(t, { timeoutMs: 20 });
    a.parts.hold();
    await a.turns('t1');
    assert.equal(a.store.health().isDegraded, true);
    a.parts.release();
  });

  it('has a limit for what waits: the oldest is given up, and the log says so', async (t) => {
    const a = machine(t, { maxTurnsWaiting: 3 });
    a.parts.failWith = DOWN;
    for (let n = 1; n <= 5; n++) await a.turns('t1', `c${n}`);
    assert.equal(a.store.health().turnsWaiting, 3);
    const lost = a.lines.filter((line) => /history lost: too much is waiting/.test(line));
    assert.equal(lost.length, 2);
  });

  it('never gives up the latest conversation, however much of it waits', async (t) => {
    const outage = outages(t);
    const a = machine(t, { maxTurnsWaiting: 2 });
    outage.begin(a);
    await a.turns('t1 t2 t3 t4 t5');
    assert.equal(a.store.health().turnsWaiting, 5);
    await outage.end(a);
    assert.deepEqual(await a.fresh().texts(), said('t1 t2 t3 t4 t5'));
  });

  it('gets the caller of a call that began meanwhile', async (t) => {
    const outage = outages(t);
    const [a, b] = two(t);
    await a.turns('t1');
    outage.begin(a);
    const caller = { sessionId: 's', from: '+1', to: '+2' };
    await a.update((conversation) => keepCaller(conversation, caller));
    await b.turns('t2');
    await outage.end(a);
    assert.deepEqual((await b.read())?.caller, caller);
  });

  it('gets what waits when the process closes', async (t) => {
    const a = machine(t);
    a.parts.failWith = DOWN;
    await a.turns('t1');
    a.parts.failWith = undefined;
    await a.store.close();
    assert.deepEqual(await a.fresh().texts(), said('t1'));
  });

  it('ends no process that asks how many conversations there are', async (t) => {
    const a = machine(t);
    a.parts.failWith = DOWN;
    assert.equal(await a.store.count(), NaN);
  });

  it('has not failed if it cannot be counted, and is not counted while it fails', async (t) => {
    const a = machine(t);
    const count = t.mock.method(a.parts, 'count', () => {
      throw DOWN;
    });
    await a.store.count();
    assert.equal(a.store.health().isDegraded, false);
    a.parts.failWith = DOWN;
    await a.turns('t1');
    await a.store.count();
    assert.deepEqual([a.store.health().isDegraded, count.mock.callCount()], [true, 1]);
  });
});

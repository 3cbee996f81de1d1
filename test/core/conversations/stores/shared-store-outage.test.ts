import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { soon } from '../../../../src/base/awaitable.ts';
import { setState } from '../../../../src/core/conversations/agent-state.ts';
import { ConversationManager } from '../../../../src/core/conversations/manager.ts';
import { push } from '../store-contract.ts';
import { DOWN, inStores, machine, outages, said, two, type Outages } from './machines.ts';
import { tell } from './story.ts';

/** Ten seconds, in which whatever waits is tried again and again. */
async function passTries({ pass }: Outages): Promise<void> {
  for (let tries = 0; tries < 5; tries++) {
    pass(2_000);
    for (let turns = 0; turns < 20; turns++) await soon();
  }
}

describe('a store that does not answer', () => {
  it('holds up no caller: turns go on from what is remembered', inStores(async ({ a }) => {
    await a.turns('t1');
    a.parts.failWith = DOWN;
    await a.turns('t2');
    assert.deepEqual(await a.texts(), said('t1 t2'));
    assert.deepEqual(a.store.health(), {
      isDegraded: true, turnsWaiting: 1, failures: 1, conflicts: 0, stateCollisions: 0,
    });
    await a.logged(1);
    assert.match(a.lines[0] ?? '', /"the conversation store failed; calls continue from memory"/);
  }));

  it('is asked once for many turns, so that they do not all wait for its time-out', async (t) => {
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

  tell([
    ['gets the agent that a conversation was handed over to meanwhile',
      'a says t1; a is away; a says t2; a hands over to billing; b says t3; a is back',
      'b finds t1 t2 t3, billing'],
    ['gets the caller of a call that began meanwhile, and merges it',
      'a says t1; a is away; a is called by +1; b says t2; a says t3; a is back',
      'b finds t1 t2 t3, +1'],
    ['may have done what it did not confirm, which is not done twice',
      'a says t1; a is not answered; a says t2; a is back', 'c finds t1 t2'],
    ['gets back a conversation that it lost in a restart',
      'a says t1; a is away; a says d/t1; the store loses all; a is back; a says t2',
      'c finds t1 t2'],
    ['forgets a conversation that was cleared meanwhile, even one that is unknown here',
      'a says t1; b is away; b erases; b reads; b is back', 'a finds nothing'],
    // It looks as if the store had lost it, and a store gets back what it has lost.
    ['has not lost what another process cleared, even if it has failed before',
      'a says t1 d/t1; a is away; a says e/t1; a is back; b erases; a says t2', 'a finds t2'],
    ['forgets the state of a conversation that was cleared and started again',
      'a says t1; a counts 1; a is away; a erases; a says t2; a is back', 'c finds t2'],
    ['gets all of the latest conversation, however much of it is waiting',
      'a is away; a says t1 t2 t3 t4 t5; a is back', 'c finds t1 t2 t3 t4 t5',
      { maxTurnsWaiting: 2 }],
  ]);

  it('leaves no turn waiting that was trimmed before it could be written', async (t) => {
    const a = machine(t);
    await a.turns('t0');
    a.parts.failWith = DOWN;
    for (let n = 1; n <= 1_000; n++) await a.turns(`t${n}`);
    assert.ok(a.store.health().turnsWaiting <= 101, String(a.store.health().turnsWaiting));
  });

  it('does not fill the memory with conversations that do not exist', async (t) => {
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

  it('may have the interrupted turn, so a known reply stays whole', inStores(async ({ a, b }) => {
    await a.turns('t1');
    a.parts.failWith = DOWN;
    await a.turns('t1', 'd'); // so that `a` knows
    await b.turns('t2');
    await a.open('t3', 903, { interruption: { textHeard: 'I heard', turnId: 't2' } });
    assert.deepEqual((await a.texts()).slice(0, 2), said('t1'));
    assert.equal('isBehind' in ((await a.read()) ?? {}), false);
  }));

  // Previously only a process that knew of the outage kept the words out of an older reply.
  for (const report of ['begins a turn', 'begins none'] as const)
    it(`may have the interrupted turn if the outage begins as a report ${report}`, async (t) => {
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

  // Previously there was a line every two seconds, because each attempt to write failed anew.
  it('is in a single outage while it can be read but not written, as on a full disk', async (t) => {
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

  // Previously the first word of a call that the process did not know took twice as long.
  it('is not asked again by a turn that has already waited for its time-out', async (t) => {
    const a = machine(t, { timeoutMs: 20 });
    a.parts.hold();
    const turn = { id: 't1', state: 'completed', runId: 1, words: 'Hi', reply: null } as const;
    await a.store.update('c', push(turn), { isPatient: true });
    const written = a.parts.changes.flatMap(({ set }) => [...set.values()]);
    assert.deepEqual(written.filter((text) => text.includes('t1')), []);
    a.parts.release();
  });

  it('has a limit on what waits for it: the oldest is given up, and the log says so', async (t) => {
    const a = machine(t, { maxTurnsWaiting: 3 });
    a.parts.failWith = DOWN;
    for (let n = 1; n <= 5; n++) await a.turns('t1', `c${n}`);
    assert.equal(a.store.health().turnsWaiting, 3);
    const lost = a.lines.filter((line) => /history lost: too much is waiting/.test(line));
    assert.equal(lost.length, 2);
  });

  it('gets what is waiting when the process closes', inStores(async ({ a }) => {
    a.parts.failWith = DOWN;
    await a.turns('t1');
    a.parts.failWith = undefined;
    await a.store.close();
    assert.deepEqual(await a.fresh().texts(), said('t1'));
  }));

  it('has not failed if it cannot be counted, and is not counted while it fails', async (t) => {
    const a = machine(t);
    const count = t.mock.method(a.parts, 'count', () => {
      throw DOWN;
    });
    assert.equal(await a.store.count(), NaN);
    assert.equal(a.store.health().isDegraded, false);
    a.parts.failWith = DOWN;
    await a.turns('t1');
    await a.store.count();
    assert.deepEqual([a.store.health().isDegraded, count.mock.callCount()], [true, 1]);
  });
});

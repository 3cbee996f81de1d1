// Which processes a store considers gone. Processes and the store share one clock, which the test
// moves.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it, type TestContext } from 'node:test';

import { soon } from '../../../../src/base/awaitable.ts';
import { processAddress } from '../../../../src/base/process-address.ts';
import { jumpingClock, mockTimers } from '../../../fixtures/clock.ts';
import { DOWN, machine, two, type Machine } from './machines.ts';

/** Two processes, `a` and `b`, and what lets time pass for them and their store. */
async function beating(t: TestContext): Promise<{
  readonly a: Machine; readonly b: Machine; pass(ms: number): Promise<void>;
}> {
  const clock = mockTimers(t, ['setInterval']);
  const [a, b] = two(t);
  let nowMs = 0;
  for (const { parts } of [a, b]) parts.now = () => nowMs;
  a.store.runsAt('a');
  b.store.runsAt('b');
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 500) {
      nowMs += 500;
      clock.tick(500);
      for (let turns = 0; turns < 5; turns++) await soon();
    }
  };
  await pass(7_500);
  return { a, b, pass };
}

describe('a process that shares a store', () => {
  it('counts as dead five seconds after its last heartbeat, and not before', async (t) => {
    const { a, b, pass } = await beating(t);
    b.parts.isSilent = true;
    await pass(3_000);
    assert.equal(await a.store.mayLive('b'), true);
    await pass(2_500);
    assert.equal(await a.store.mayLive('b'), false);
  });

  // Seeds 179612259 and 179611903 of the fleet: for up to three seconds it counted as dead.
  it('is alive again as soon as its store answers, before it has written what was waiting',
    async (t) => {
      const { a, b, pass } = await beating(t);
      b.parts.hold();
      const opened = b.store.update('c', (conversation) => void (conversation.erasedTo = 1));
      await pass(8_000);
      assert.equal(await a.store.mayLive('b'), false);
      b.parts.release();
      for (let round = 0; round < 40; round++) await soon();
      await opened;
      assert.equal(await a.store.mayLive('b'), true);
    });

  it('is alive again with the first heartbeat that finds its key lost', async (t) => {
    const { a, b, pass } = await beating(t);
    b.parts.failWith = DOWN;
    await pass(6_000);
    b.parts.failWith = undefined;
    await pass(1_500);
    assert.equal(await a.store.mayLive('b'), true);
  });

  it('counts as dead at once when it has closed', async (t) => {
    const { a, b } = await beating(t);
    await b.store.close();
    assert.equal(await a.store.mayLive('b'), false);
  });

  it('counts as dead at once if the machine says so', async (t) => {
    const { a } = await beating(t);
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    const address = processAddress().replace(/^\d+/, String(pid));
    assert.equal(await a.store.mayLive(address), false);
  });

  it('writes nothing once nothing has changed for an hour, and is alive again with the next change',
    async (t) => {
      const jump = jumpingClock(t);
      const { a, b, pass } = await beating(t);
      jump(3_600_001);
      await a.update(() => undefined);
      await pass(7_000);
      assert.equal(await a.store.mayLive('b'), false);
      const { parts } = b;
      const order: string[] = [];
      const write = parts.write.bind(parts);
      t.mock.method(parts, 'write', (...given: Parameters<typeof write>) => {
        order.push(given[0].startsWith('\theartbeat') ? 'its address' : 'its change');
        return write(...given);
      });
      await b.set({ erasedTo: 1 });
      assert.deepEqual(order, ['its address', 'its change']);
      assert.equal(await a.store.mayLive('b'), true);
    });

  it('counts as alive even if the store has just lost both heartbeats', async (t) => {
    const { a } = await beating(t);
    a.parts.loseAll();
    assert.equal(await a.store.mayLive('b'), true);
  });

  it('does not count as a conversation', async (t) => {
    const { a } = await beating(t);
    assert.equal(await a.store.count(), 0);
  });

  it('counts as alive for a process that started less than five seconds ago', async (t) => {
    const { b, pass } = await beating(t);
    const late = machine(t);
    late.parts.now = b.parts.now;
    late.store.runsAt('late');
    await pass(3_000);
    assert.equal(await late.store.mayLive('nobody'), true);
    await pass(4_500);
    assert.equal(await late.store.mayLive('nobody'), false);
  });

  for (const [what, ails] of [
    ['whose store does not answer', ({ parts }: Machine) => void (parts.failWith = DOWN)],
    ['that cannot write to its store', ({ parts }: Machine) => void (parts.isFull = true)],
    ['whose own key was lost', ({ parts }: Machine) => parts.loseAll()],
  ] as const)
    it(`counts as alive for a process ${what}, and for five seconds afterwards`, async (t) => {
      const { a, pass } = await beating(t);
      assert.equal(await a.store.mayLive('nobody'), false);
      ails(a);
      await pass(2_000);
      assert.equal(await a.store.mayLive('nobody'), true);
      Object.assign(a.parts, { failWith: undefined, isFull: false });
      await pass(4_000);
      assert.equal(await a.store.mayLive('nobody'), true);
      await pass(4_000);
      assert.equal(await a.store.mayLive('nobody'), false);
    });
});

// One conversation that the store cannot read or write, among others that it can.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { soon } from '../../../../src/base/awaitable.ts';
import { mockTimers } from '../../../fixtures/clock.ts';
import { DOWN, inStores, machine, said, written, type Machine } from './machines.ts';

/** Moves timers and the monotonic clock together, this many times. */
function passing(t: TestContext): (ms: number, times?: number) => Promise<void> {
  const timers = mockTimers(t, ['setTimeout']);
  let passed = 0;
  const start = performance.now();
  t.mock.method(performance, 'now', () => start + passed);
  return async (ms, times = 1) => {
    for (; times > 0; times -= 1) {
      passed += ms;
      timers.tick(ms);
      for (let turns = 0; turns < 20; turns++) await soon();
    }
  };
}

const FAILS = 'the store fails for one conversation, which continues from memory';
const MUST = { mustBeStored: true };

function messages({ lines }: Machine): string[] {
  return lines.map((line) => (JSON.parse(line) as { msg: string }).msg);
}

function condition({ store }: Machine): { readonly isDegraded: boolean; readonly waits: number } {
  const { isDegraded, turnsWaiting } = store.health();
  return { isDegraded, waits: turnsWaiting };
}

describe('a conversation that the store refuses', () => {
  it('continues from memory, while others are stored', inStores(async ({ a, b }) => {
    await a.turns('t1', 'bad');
    a.parts.refuses = 'bad';
    await a.turns('t2', 'bad');
    while (a.store.health().isDegraded) await soon();
    await a.turns('t1');
    assert.deepEqual(await b.texts(), said('t1'));
    assert.equal(await a.update(() => 1, MUST), 1);
    await a.turns('t3', 'bad');
    assert.deepEqual(await a.texts('bad'), said('t1 t2 t3'));
    assert.deepEqual(condition(a), { isDegraded: false, waits: 2 });
  }));

  it('is tried again less and less often, without holding up anything else', async (t) => {
    const pass = passing(t);
    const a = machine(t);
    a.parts.refuses = 'bad';
    await a.turns('t1', 'bad');
    await pass(0);
    const tries: number[] = [];
    for (let second = 0; second < 240; second++) {
      const before = a.parts.calls.length;
      await pass(1_000);
      if (a.parts.calls.length > before) tries.push(second);
      assert.equal(a.store.health().isDegraded, false);
    }
    assert.ok(tries.length < 14, `tried ${tries.length} times`);
    assert.ok((tries.at(-1) ?? 0) > 170, 'tried to the end');
  });

  it('is written when the store accepts it again', async (t) => {
    const pass = passing(t);
    const a = machine(t);
    a.parts.refuses = 'bad';
    await a.turns('t1', 'bad');
    await pass(2_000, 5);
    a.parts.refuses = undefined;
    await pass(60_000);
    await written(a.store);
    assert.deepEqual(await a.fresh().texts('bad'), said('t1'));
    await a.turns('t2', 'bad');
    assert.deepEqual(await a.fresh().texts('bad'), said('t1 t2'));
    assert.deepEqual(messages(a), [FAILS, 'the store works again for that conversation']);
    assert.match(a.lines[0] ?? '', /"conversationId":"bad".*it cannot be written/);
  });

  it('is read no more often than it is written', async (t) => {
    const pass = passing(t);
    const a = machine(t);
    a.parts.cannotUse = 'bad';
    await a.turns('t1', 'bad');
    await pass(300);
    const asked = a.parts.calls.length;
    for (let n = 2; n < 10; n++) assert.equal((await a.texts('bad')).length, 2);
    assert.equal(a.parts.calls.length, asked);
    assert.equal(a.lines.length, 1);
  });

  it('is logged once, even if it is only read', inStores(async ({ a }) => {
    a.parts.cannotUse = 'bad';
    for (let n = 0; n < 5; n++) assert.equal(await a.store.read('bad'), undefined);
    assert.deepEqual([a.lines.length, a.store.health().isDegraded], [1, false]);
  }));

  it('keeps no other conversation from the store, even for a moment', inStores(async ({ a }) => {
    a.parts.cannotUse = 'bad';
    const changing = a.turns('t1', 'bad');
    assert.equal(a.store.health().isDegraded, false);
    assert.equal(await a.update(() => 1, MUST), 1);
    await changing;
    assert.deepEqual(messages(a), [FAILS]);
  }));

  it('is logged once, even if others failed with it before the store worked again', async (t) => {
    const pass = passing(t);
    const a = machine(t);
    a.parts.isFull = true;
    for (let n = 0; n < 5; n++) await a.turns('t1', `d${n}`);
    await a.logged(1);
    Object.assign(a.parts, { isFull: false, refuses: 'd2' });
    await pass(2_000, 10);
    assert.deepEqual(await a.fresh().texts('d4'), said('t1'));
    assert.deepEqual(messages(a), [
      'the conversation store failed; calls continue from memory', FAILS,
      'the conversation store answers again',
    ]);
    assert.equal(a.store.health().isDegraded, false);
  });

  it('makes others wait for a moment if the error does not say that it fails alone', async (t) => {
    const pass = passing(t);
    const a = machine(t);
    a.parts.failsFor = 'bad';
    await a.turns('t1', 'bad');
    await a.turns('t1');
    await pass(250, 4);
    assert.deepEqual(condition(a), { isDegraded: false, waits: 1 });
    assert.deepEqual(await a.fresh().texts(), said('t1'));
    await pass(1_000, 240);
    assert.ok(a.lines.length < 28, `${a.lines.length} lines`);
    const distinct = new Set(messages(a));
    assert.deepEqual([...distinct], [
      'a command of the conversation store failed, but the store works',
    ]);
    a.parts.failsFor = undefined;
    await pass(60_000);
    await written(a.store);
    assert.deepEqual(await a.fresh().texts('bad'), said('t1'));
  });

  it('does not keep an outage from ending', async (t) => {
    const pass = passing(t);
    const a = machine(t);
    a.parts.isFull = true;
    for (let n = 0; n < 5; n++) await a.turns('t1', `d${n}`);
    await a.logged(1);
    a.parts.failsFor = 'd2';
    await pass(2_000, 5);
    a.parts.isFull = false;
    await pass(2_000, 5);
    assert.deepEqual(await a.fresh().texts('d4'), said('t1'));
    assert.deepEqual(condition(a), { isDegraded: false, waits: 1 });
    assert.equal(messages(a).filter((line) => line.includes('answers again')).length, 1);
  });

  it('does not live longer because it is tried again', async (t) => {
    const pass = passing(t);
    const a = machine(t, { ttlMs: 120_000 });
    a.parts.refuses = 'bad';
    await a.turns('t1', 'bad');
    await pass(10_000, 13);
    assert.deepEqual(await a.texts('bad'), []);
    a.parts.refuses = undefined;
    await pass(60_000);
    assert.deepEqual(await a.fresh().texts('bad'), []);
  });

  it('does not hide a failure of the store itself', async (t) => {
    const pass = passing(t);
    const a = machine(t);
    a.parts.refuses = 'bad';
    await a.turns('t1', 'bad');
    await pass(0);
    a.parts.failWith = DOWN;
    await a.turns('t1');
    await pass(0);
    assert.equal(a.store.health().isDegraded, true);
    assert.match(a.lines.at(-1) ?? '', /the conversation store failed.*connection refused/);
  });
});

// One conversation that the store cannot read or write, beside all others that it can.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { soon } from '../../../src/base/awaitable.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import {
  logged, machine, machines, said, sharing, texts, turn, written, type Machine,
} from './machines.ts';

/** Moves timers and the monotonic clock together. */
function passing(t: TestContext): (ms: number) => Promise<void> {
  const timers = mockTimers(t, ['setTimeout']);
  let passed = 0;
  const start = performance.now();
  t.mock.method(performance, 'now', () => start + passed);
  return async (ms) => {
    passed += ms;
    timers.tick(ms);
    for (let turns = 0; turns < 20; turns++) await soon();
  };
}

async function settled({ store }: Machine): Promise<void> {
  for (let turns = 0; store.health().isDegraded; turns++) {
    assert.ok(turns < 1_000, 'still degraded');
    await soon();
  }
}

describe('a conversation that the store refuses', () => {
  it('continues from memory, while others are stored', async (t) => {
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    await turn(a.store, 'bad', 't1');
    a.parts.refuses = 'bad';
    await turn(a.store, 'bad', 't2');
    await settled(a);
    await turn(a.store, 'c', 't1');
    assert.deepEqual(await texts(b.store, 'c'), said('t1'));
    assert.equal(await a.store.update('c', () => 1, { mustBeStored: true }), 1);
    await turn(a.store, 'bad', 't3');
    assert.deepEqual(await texts(a.store, 'bad'), said('t1', 't2', 't3'));
    assert.deepEqual([a.store.health().isDegraded, a.store.health().turnsWaiting], [false, 2]);
  });

  it('is tried again less and less often, without holding up anything else', async (t) => {
    const pass = passing(t);
    const { parts, store } = machine(t);
    parts.refuses = 'bad';
    await turn(store, 'bad', 't1');
    await pass(0);
    const tries: number[] = [];
    let isDegraded = false;
    for (let second = 0; second < 240; second++) {
      const before = parts.calls.length;
      await pass(1_000);
      if (parts.calls.length > before) tries.push(second);
      isDegraded ||= store.health().isDegraded;
    }
    assert.equal(isDegraded, false);
    assert.ok(tries.length < 14, `tried ${tries.length} times`);
    assert.ok((tries.at(-1) ?? 0) > 170, 'tried to the end');
  });

  it('is written when the store accepts it again', async (t) => {
    const pass = passing(t);
    const { parts, store, lines } = machine(t);
    parts.refuses = 'bad';
    await turn(store, 'bad', 't1');
    for (let tries = 0; tries < 5; tries++) await pass(2_000);
    parts.refuses = undefined;
    await pass(60_000);
    await written(store);
    assert.deepEqual(await texts(sharing(parts), 'bad'), said('t1'));
    await turn(store, 'bad', 't2');
    assert.deepEqual(await texts(sharing(parts), 'bad'), said('t1', 't2'));
    assert.deepEqual(lines.map((line) => (JSON.parse(line) as { msg: string }).msg), [
      'the store fails for one conversation, which continues from memory',
      'the store works again for that conversation',
    ]);
    assert.match(lines[0] ?? '', /"conversationId":"bad".*it cannot be written/);
  });

  it('is read no more often than it is written', async (t) => {
    const pass = passing(t);
    const { parts, store, lines } = machine(t);
    parts.cannotUse = 'bad';
    await turn(store, 'bad', 't1');
    await pass(300);
    const asked = parts.calls.length;
    for (let n = 2; n < 10; n++) assert.equal((await texts(store, 'bad')).length, 2);
    assert.equal(parts.calls.length, asked);
    assert.equal(lines.length, 1);
  });

  it('is logged once, also if it is only read', async (t) => {
    const pass = passing(t);
    const { parts, store, lines } = machine(t);
    parts.cannotUse = 'bad';
    for (let n = 0; n < 5; n++) assert.equal(await store.read('bad'), undefined);
    assert.deepEqual([lines.length, store.health().isDegraded], [1, false]);
    await turn(store, 'bad', 't1');
    parts.cannotUse = undefined;
    await pass(60_000);
    await written(store);
    assert.deepEqual(await texts(sharing(parts), 'bad'), said('t1'));
    assert.equal(lines.length, 2);
  });

  it('keeps no other from the store, not even for a moment', async (t) => {
    const pass = passing(t);
    const { parts, store, lines } = machine(t);
    parts.cannotUse = 'bad';
    const changing = turn(store, 'bad', 't1');
    assert.equal(store.health().isDegraded, false);
    assert.equal(await store.update('c', () => 1, { mustBeStored: true }), 1);
    await changing;
    assert.deepEqual(lines.map((line) => (JSON.parse(line) as { msg: string }).msg), [
      'the store fails for one conversation, which continues from memory',
    ]);
    parts.cannotUse = undefined;
    await pass(60_000);
    await written(store);
    assert.deepEqual(await texts(sharing(parts), 'bad'), said('t1'));
  });

  it('is logged once, even if others failed with it and the store works again', async (t) => {
    const pass = passing(t);
    const { parts, store, lines } = machine(t);
    await turn(store, 'c', 't1');
    parts.isFull = true;
    for (let n = 0; n < 5; n++) await turn(store, `d${n}`, 't1');
    await logged({ parts, store, lines }, 1);
    parts.isFull = false;
    parts.refuses = 'd2';
    for (let tries = 0; tries < 10; tries++) await pass(2_000);
    assert.deepEqual(await texts(sharing(parts), 'd4'), said('t1'));
    assert.deepEqual(lines.map((line) => (JSON.parse(line) as { msg: string }).msg), [
      'the conversation store failed; calls continue from memory',
      'the store fails for one conversation, which continues from memory',
      'the conversation store answers again',
    ]);
    assert.equal(store.health().isDegraded, false);
  });

  it('makes others wait for a moment if the error does not say that it is alone', async (t) => {
    const pass = passing(t);
    const { parts, store, lines } = machine(t);
    parts.failsFor = 'bad';
    await turn(store, 'bad', 't1');
    await turn(store, 'c', 't1');
    for (let times = 0; times < 4; times++) await pass(250);
    assert.deepEqual([store.health().isDegraded, store.health().turnsWaiting], [false, 1]);
    assert.deepEqual(await texts(sharing(parts), 'c'), said('t1'));
    for (let second = 0; second < 240; second++) await pass(1_000);
    const { length } = lines;
    assert.ok(length < 28, `${length} lines`);
    const message = /"a command of the conversation store failed, but the store works"/;
    for (const line of lines) assert.match(line, message);
    parts.failsFor = undefined;
    await pass(60_000);
    await written(store);
    assert.deepEqual(await texts(sharing(parts), 'bad'), said('t1'));
  });

  it('keeps no outage from its end', async (t) => {
    const pass = passing(t);
    const { parts, store, lines } = machine(t);
    parts.isFull = true;
    for (let n = 0; n < 5; n++) await turn(store, `d${n}`, 't1');
    await logged({ parts, store, lines }, 1);
    parts.failsFor = 'd2';
    for (let tries = 0; tries < 5; tries++) await pass(2_000);
    parts.isFull = false;
    for (let tries = 0; tries < 5; tries++) await pass(2_000);
    assert.deepEqual(await texts(sharing(parts), 'd4'), said('t1'));
    assert.deepEqual([store.health().isDegraded, store.health().turnsWaiting], [false, 1]);
    assert.equal(lines.filter((line) => line.includes('store answers again')).length, 1);
  });

  it('is tried once more when the process closes', async (t) => {
    const pass = passing(t);
    const { parts, store } = machine(t);
    parts.refuses = 'bad';
    await turn(store, 'bad', 't1');
    for (let tries = 0; tries < 5; tries++) await pass(2_000);
    parts.refuses = undefined;
    await store.close();
    assert.deepEqual(await texts(sharing(parts), 'bad'), said('t1'));
  });

  it('does not live longer for being tried again', async (t) => {
    const pass = passing(t);
    const { parts, store } = machine(t, { ttlMs: 120_000 });
    parts.refuses = 'bad';
    await turn(store, 'bad', 't1');
    for (let seconds = 0; seconds < 130; seconds += 10) await pass(10_000);
    assert.deepEqual(await texts(store, 'bad'), []);
    parts.refuses = undefined;
    await pass(60_000);
    assert.equal(await sharing(parts).read('bad'), undefined);
  });

  it('does not hide that the store itself fails', async (t) => {
    const pass = passing(t);
    const { parts, store, lines } = machine(t);
    parts.refuses = 'bad';
    await turn(store, 'bad', 't1');
    await pass(0);
    parts.failWith = new Error('connection refused');
    await turn(store, 'c', 't1');
    await pass(0);
    assert.equal(store.health().isDegraded, true);
    assert.match(lines.at(-1) ?? '', /the conversation store failed.*connection refused/);
  });
});

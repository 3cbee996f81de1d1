// Changes that must be stored before their caller goes on: `update` with `mustBeStored`.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { soon } from '../../../src/base/awaitable.ts';
import type { Conversation } from '../../../src/conversations/conversation.ts';
import { UnsafeClaim } from '../../../src/conversations/store.ts';
import { StoreError } from '../../../src/conversations/stores/store-error.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { push } from '../store-contract.ts';
import { machine, machines, sharing, turn, written } from './machines.ts';
import { PartsInMemory } from './parts-in-memory.ts';

const down = new Error('connection refused');
const MUST = { mustBeStored: true };

function added(id: string): (conversation: Conversation) => number {
  return push({ id, state: 'completed', runId: 1, words: 'a', reply: 'b' });
}

describe('a change that must be stored', () => {
  it('resolves like any other once the store has confirmed it', async (t) => {
    const { store, parts } = machine(t);
    assert.equal(await store.update('c', added('t1'), MUST), 1);
    assert.equal(await store.update('c', added('t2'), MUST), 2);
    assert.equal((await sharing(parts).read('c'))?.turns.length, 2);
  });

  it('resolves after conflicts', async (t) => {
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    await turn(a.store, 'c', 't1');
    await turn(b.store, 'c', 't2');
    assert.equal(await a.store.update('c', added('t3'), MUST), 3);
  });

  it('rejects if its write fails, and stays in memory like any other', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const { store, parts } = machine(t);
    await turn(store, 'c', 't1');
    parts.failWith = down;
    await assert.rejects(async () => store.update('c', added('t2'), MUST), StoreError);
    parts.failWith = undefined;
    timers.tick(250);
    await written(store);
    const stored = await sharing(parts).read('c');
    assert.deepEqual(stored?.turns.map(({ id }) => id), ['t1', 't2']);
  });

  it('rejects if the write of a store that answers at once fails', async (t) => {
    const parts = new PartsInMemory();
    const store = sharing(parts);
    t.after(() => store.close());
    await turn(store, 'c', 't1');
    parts.failWith = down;
    await assert.rejects(async () => store.update('c', added('t2'), MUST), StoreError);
  });

  it('rejects at once while the store does not answer, and is not made', async (t) => {
    const { store, parts } = machine(t);
    await turn(store, 'c', 't1');
    parts.failWith = down;
    await turn(store, 'd', 't1');
    const asked = parts.calls.length;
    let changes = 0;
    const change = (): void => void (changes += 1);
    for (const id of ['c', 'd', 'new'])
      await assert.rejects(async () => store.update(id, change, MUST), StoreError);
    assert.deepEqual([changes, parts.calls.length], [0, asked]);
  });

  it('rejects without being made if the store fails to read the conversation', async (t) => {
    const { store, parts } = machine(t);
    parts.failWith = down;
    let changes = 0;
    const change = (): void => void (changes += 1);
    await assert.rejects(async () => store.update('new', change, MUST), StoreError);
    assert.equal(changes, 0);
  });

  it('is made after the waiting changes of its conversation', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const { store, parts } = machine(t);
    await turn(store, 'c', 't1');
    parts.failWith = down;
    await turn(store, 'b', 't1');
    await turn(store, 'c', 't2');
    parts.failWith = undefined;
    timers.tick(250);
    while (store.health().isDegraded) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(store.health().turnsWaiting > 0);
    assert.equal(await store.update('c', added('t3'), MUST), 3);
  });

  it('rejects without being made while those cannot be written', async (t) => {
    const { store, parts } = machine(t);
    await turn(store, 'c', 't1');
    parts.refuses = 'c';
    await turn(store, 'c', 't2');
    await assert.rejects(async () => store.update('c', () => assert.fail(), MUST), StoreError);
  });

  it('rejects if it changed nothing and the store cannot confirm the version it saw', async (t) => {
    const { store, parts } = machine(t);
    await turn(store, 'c', 't1');
    assert.equal(await store.update('c', ({ turns }) => turns.length, MUST), 1);
    parts.failWith = down;
    const count = ({ turns }: Conversation): number => turns.length;
    await assert.rejects(async () => store.update('c', count, MUST), StoreError);
  });

  it('rejects if other processes keep changing the conversation', async (t) => {
    const [a, b] = machines(t, 2);
    assert.ok(a && b);
    await turn(a.store, 'c', 't0');
    let others = 0;
    a.parts.write = async (id, change) => {
      others += 1;
      await b.store.update(id, added(`other ${others}`));
      return PartsInMemory.prototype.write.call(a.parts, id, change);
    };
    await assert.rejects(
      async () => a.store.update('c', added('t1'), MUST),
      { name: 'StoreError', message: 'the store has not confirmed the change' },
    );
    assert.equal(others, 21);
    assert.equal(a.store.health().turnsWaiting, 1);
  });

});

describe('SharedStore', () => {
  it('says that other processes may share it', (t) => {
    assert.equal(machine(t).store.isShared, true);
  });
});

describe('a claim', () => {
  const CLAIM = { ...MUST, isClaim: true };

  it('is not confirmed if the store may lose it, but is stored', async (t) => {
    const { store, parts } = machine(t);
    await turn(store, 'c', 't1');
    parts.losesClaims = true;
    await assert.rejects(async () => store.update('c', added('t2'), CLAIM), UnsafeClaim);
    assert.equal(await store.update('c', added('t3'), MUST), 3);
    const { isDegraded, turnsWaiting } = store.health();
    assert.deepEqual([isDegraded, turnsWaiting], [false, 0]);
  });

  it('is waited for as long as the store waits for its replicas', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const { store, parts } = machine(t);
    await turn(store, 'c', 't1');
    parts.claimsWaitMs = 1_500;
    parts.hold();
    const claiming = Promise.resolve(store.update('c', added('t2'), CLAIM));
    timers.tick(2_400);
    await soon();
    parts.release();
    assert.equal(await claiming, 2);
  });

  it('is given up after that', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const { store, parts } = machine(t);
    await turn(store, 'c', 't1');
    parts.claimsWaitMs = 1_500;
    parts.hold();
    const claiming = Promise.resolve(store.update('c', added('t2'), CLAIM));
    timers.tick(2_500);
    await assert.rejects(claiming, StoreError);
    parts.release();
  });
});

// Changes that must be stored before their caller goes on: `update` with `mustBeStored`.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { soon } from '../../../../src/base/awaitable.ts';
import type { Conversation } from '../../../../src/core/conversations/conversation.ts';
import { UnsafeClaim } from '../../../../src/core/conversations/store.ts';
import { StoreError } from '../../../../src/core/conversations/stores/store-error.ts';
import { newTurn } from '../../../../src/core/conversations/turn-record.ts';
import { push } from '../store-contract.ts';
import { DOWN, inStores, machine, outages } from './machines.ts';
import { PartsInMemory } from './parts-in-memory.ts';

const MUST = { mustBeStored: true };

function added(id: string): (conversation: Conversation) => number {
  return push(newTurn(id, 'completed', 1));
}

/** A change that must not be made. */
function unmade(): never {
  return assert.fail('it was made');
}

describe('a change that must be stored', () => {
  it('is made in spite of conflicts', inStores(async ({ a, b }) => {
    await a.turns('t1');
    await b.turns('t2');
    assert.equal(await a.update(added('t3'), MUST), 3);
  }));

  it('is rejected if its write fails, and stays in memory like any other', async (t) => {
    const outage = outages(t);
    const a = machine(t);
    await a.turns('t1');
    outage.begin(a);
    await assert.rejects(a.update(added('t2'), MUST), StoreError);
    await outage.end(a);
    assert.deepEqual(await a.fresh().ids(), ['t1', 't2']);
  });

  it('is rejected at once, and not made, while the store is silent', inStores(async ({ a }) => {
    await a.turns('t1');
    a.parts.failWith = DOWN;
    await a.turns('t1', 'd');
    const asked = a.parts.calls.length;
    for (const id of ['c', 'd', 'new'])
      await assert.rejects(async () => a.store.update(id, unmade, MUST), StoreError);
    assert.equal(a.parts.calls.length, asked);
  }));

  it('is rejected, and not made, if the store fails to read the conversation', async (t) => {
    const a = machine(t);
    a.parts.failWith = DOWN;
    await assert.rejects(a.update(unmade, MUST), StoreError);
  });

  it('is made after the waiting changes to its conversation', inStores(async ({ outage, a }) => {
    await a.turns('t1');
    outage.begin(a);
    await a.turns('t1', 'b');
    await a.turns('t2');
    a.parts.failWith = undefined;
    outage.pass(250);
    while (a.store.health().isDegraded) await soon();
    assert.ok(a.store.health().turnsWaiting > 0);
    assert.equal(await a.update(added('t3'), MUST), 3);
  }));

  it('is rejected, and not made, while earlier ones cannot be written', inStores(async ({ a }) => {
    await a.turns('t1');
    a.parts.refuses = 'c';
    await a.turns('t2');
    await assert.rejects(a.update(unmade, MUST), StoreError);
  }));

  it('is rejected if it changed nothing and the store cannot confirm what it saw', async (t) => {
    const a = machine(t);
    await a.turns('t1');
    const count = ({ turns }: Conversation): number => turns.length;
    assert.equal(await a.update(count, MUST), 1);
    a.parts.failWith = DOWN;
    await assert.rejects(a.update(count, MUST), StoreError);
  });

  it('is rejected if other processes keep changing the conversation', inStores(async ({ a, b }) => {
    await a.turns('t0');
    let others = 0;
    a.parts.write = async (id, change) => {
      others += 1;
      await b.update(added(`other ${others}`));
      return PartsInMemory.prototype.write.call(a.parts, id, change);
    };
    await assert.rejects(a.update(added('t1'), MUST), {
      name: 'StoreError', message: 'the store has not confirmed the change',
    });
    assert.equal(others, 21);
    assert.equal(a.store.health().turnsWaiting, 1);
  }));
});

describe('a claim', () => {
  const CLAIM = { ...MUST, isClaim: true };

  it('is not confirmed if the store may lose it, but is stored', inStores(async ({ a }) => {
    await a.turns('t1');
    a.parts.losesClaims = true;
    await assert.rejects(a.update(added('t2'), CLAIM), UnsafeClaim);
    assert.equal(await a.update(added('t3'), MUST), 3);
    const { isDegraded, turnsWaiting } = a.store.health();
    assert.deepEqual([isDegraded, turnsWaiting], [false, 0]);
  }));

  for (const [what, waitedMs] of [
    ['is waited for as long as the store waits for its replicas', 2_400],
    ['is given up after a longer wait', 2_500],
  ] as const)
    it(what, inStores(async ({ outage, a }) => {
      await a.turns('t1');
      a.parts.claimsWaitMs = 1_500;
      a.parts.hold();
      const claiming = Promise.allSettled([a.update(added('t2'), CLAIM)]);
      outage.pass(waitedMs);
      await soon();
      a.parts.release();
      const [claimed] = await claiming;
      assert.equal(claimed.status, waitedMs < 2_500 ? 'fulfilled' : 'rejected');
      if (claimed.status === 'rejected') assert.ok(claimed.reason instanceof StoreError);
    }));
});

// Claims that a store has lost: when others are safe again, and who puts them back.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { soon } from '../../../../src/base/awaitable.ts';
import { clearTurns } from '../../../../src/core/conversations/conversation.ts';
import {
  claimOnce, releaseOnce, settleOnce, type ClaimOutcome,
} from '../../../../src/core/conversations/once-rules.ts';
import { UnsafeClaim } from '../../../../src/core/conversations/store.ts';
import { jumpingClock, mockTimers } from '../../../fixtures/clock.ts';
import { onceKey } from '../once-calls.ts';
import { two, type Machine } from './machines.ts';
import { PartsInMemory } from './parts-in-memory.ts';

const KEY = onceKey(15);

/** Two processes over one store. */
class Stage {
  readonly a: Machine;
  readonly b: Machine;
  readonly #clock: ReturnType<typeof mockTimers>;

  constructor(t: TestContext) {
    this.#clock = mockTimers(t, ['setInterval']);
    [this.a, this.b] = two(t);
    this.a.store.runsAt('a');
    this.b.store.runsAt('b');
  }

  /** Each process learns of its store's condition. */
  async beat(): Promise<void> {
    this.#clock.tick(1_500);
    for (let turns = 0; turns < 50; turns++) await soon();
  }

  /** What the store says about itself from now on. */
  says(id: string, restMs: number): void {
    for (const { parts } of [this.a, this.b]) parts.epochNow = () => ({ id, restMs });
  }

  /** The store loses everything, and is then another server. */
  lose(restMs = 10_000): void {
    this.a.parts.loseAll();
    this.says('second', restMs);
  }

  async claim(process: 'a' | 'b', id = 'c'): Promise<ClaimOutcome> {
    const claimer = { turnId: 't', runId: process.charCodeAt(0), process };
    const call = { key: KEY, tool: 'pay', toolCallId: 'x', nth: 1, isRepeatable: false };
    const claim = { ...call, isRunningHere: () => false };
    return this[process].store.update(
      id, (conversation) => claimOnce(conversation, claimer, claim),
      { mustBeStored: true, isClaim: true },
    );
  }

  /** The first process claims, acts, and forgets the conversation, because it has many others. */
  async payAndForget(): Promise<void> {
    await this.claim('a');
    await this.a.update((conversation) => {
      const claimer = { turnId: 't', runId: 'a'.charCodeAt(0), process: 'a' };
      const result = { key: KEY, tool: 'pay', state: 'completed', content: '"paid"' } as const;
      settleOnce(conversation, claimer, 'x', result, true);
    });
    for (let count = 0; count < 1_100; count++) // more than it remembers
      await this.a.store.update(`c${count}`, (conversation) => {
        conversation.erasedTo = 1;
      });
    assert.equal(this.a.store.remembered('c'), undefined);
  }

  /** Who has the key, as the second process sees it. */
  async holder(machine = this.b): Promise<string | undefined> {
    const call = (await machine.read())?.onceCalls?.[KEY];
    return call && `${call.process} ${call.state}`;
  }
}

describe('a claim in a store that may have lost others', () => {
  it('is not safe until lost claims can be back, and the error says when', async (t) => {
    const stage = new Stage(t);
    stage.says('first', 2_000);
    await assert.rejects(stage.claim('a'), (error) =>
      error instanceof UnsafeClaim && error.safeInMs === 2_000);
    assert.equal(await stage.holder(), 'a running', 'its process gives it back');
    stage.says('first', 0);
    assert.equal((await stage.claim('a')).kind, 'claimed');
  });

  it('is not safe if the store does not say whether it may have lost any', async (t) => {
    const stage = new Stage(t);
    stage.a.parts.epochNow = () => assert.fail('it does not say');
    await assert.rejects(stage.claim('a'), (error) =>
      error instanceof UnsafeClaim && error.safeInMs === 0);
  });
});

describe('a claim that the store has lost', () => {
  for (const [what, id, restMs] of [
    ['is another server now', 'second', 10_000], ['has lost the key of its epoch', 'first', 3_000],
  ] as const)
    it(`is put back by its process when the store ${what}`, async (t) => {
      const stage = new Stage(t);
      await stage.claim('a');
      await stage.beat();
      stage.a.parts.loseAll();
      assert.equal(await stage.holder(), undefined);
      stage.says(id, restMs);
      await stage.beat();
      assert.equal(await stage.holder(), 'a running');
    });

  it('is put back even if another process claimed its key meanwhile', async (t) => {
    const stage = new Stage(t);
    await stage.claim('a');
    await stage.beat();
    stage.lose();
    await assert.rejects(stage.claim('b'), UnsafeClaim);
    await stage.beat(); // the last beat within those ten seconds
    stage.says('second', 0);
    await stage.b.update((conversation) =>
      releaseOnce(conversation, KEY, { runId: 'b'.charCodeAt(0), toolCallId: 'x' }));
    await stage.beat();
    assert.equal(await stage.holder(), 'a running');
  });

  for (const [what, goesOn] of [
    ['with its outcome, for a conversation that is not remembered', false],
    ['even if its conversation went on before anybody noticed', true],
  ] as const)
    it(`is put back ${what}`, async (t) => {
      const stage = new Stage(t);
      await stage.payAndForget();
      stage.a.parts.loseAll();
      if (goesOn) await stage.a.set({ erasedTo: 1 });
      stage.says('second', 10_000);
      await stage.beat();
      assert.equal(await stage.holder(), 'a completed');
    });

  // Previously, if a read failed, as on a busy machine, the claim was never put back.
  it('is put back with the next heartbeat if the store fails at first', async (t) => {
    const stage = new Stage(t);
    await stage.claim('a');
    await stage.beat();
    const { parts } = stage.a;
    stage.lose(0);
    const failing = t.mock.method(parts, 'read', (id: string, known?: string) => {
      if (id === 'c') throw new Error('WRONGTYPE');
      return PartsInMemory.prototype.read.call(parts, id, known);
    });
    await stage.beat();
    assert.equal(await stage.holder(), undefined);
    failing.mock.restore();
    await stage.beat();
    assert.equal(await stage.holder(), 'a running');
  });

  it('is put back with all others in one heartbeat', async (t) => {
    const stage = new Stage(t);
    const ids = Array.from({ length: 50 }, (_, index) => `c${index}`);
    for (const id of ids) await stage.claim('a', id);
    await stage.beat();
    stage.lose();
    await stage.beat();
    for (const id of ids) assert.equal((await stage.b.store.read(id))?.turns.length, 0);
  });

  it('stays erased after the mark of the erasure is gone', async (t) => {
    const stage = new Stage(t);
    const jump = jumpingClock(t);
    for (const { parts } of [stage.a, stage.b]) parts.now = () => performance.now();
    await stage.payAndForget();
    await stage.b.update((conversation) => clearTurns(conversation, Date.now()));
    jump(10 * 3_600_000);
    stage.says('second', 10_000);
    await stage.beat();
    assert.equal(await stage.holder(stage.a), undefined);
  });
});

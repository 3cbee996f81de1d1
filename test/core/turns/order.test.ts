// Turns are in the order of their arrival, on every machine: not in the order of stores' answers.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { PROMPT_MS } from '../../../src/core/conversations/turn-order.ts';
import { deferred, until } from '../../fixtures/app.ts';
import { jumpingClock } from '../../fixtures/clock.ts';
import type { HeldReply } from '../conversations/asking-back.ts';
import { hold, machines, says, type Machine } from './machines.ts';

/** Makes both processes know the conversation. */
async function met(a: Machine, b: Machine): Promise<void> {
  await says(a, 'Hello');
  await says(b, 'Hi');
}

describe('a turn that its own slow store holds up', () => {
  it("neither cuts short another process's newer reply nor comes after it", async (t) => {
    const [jump, now] = [jumpingClock(t), Date.now.bind(Date)];
    let aheadMs = 0;
    t.mock.method(Date, 'now', () => now() + aheadMs);
    const pass = (ms: number): void => (jump(ms), void (aheadMs += ms));
    const { a, b } = machines(t);
    await met(a, b);
    pass(10); // or the last words may have come in the same millisecond
    a.parts.hold();
    const slow = says(a, 'slow');
    await until(() => a.parts.calls.filter((name) => name === 'write').length === 3, 'the write');
    pass(2 * PROMPT_MS);
    const held = await hold(b, 'hold new');
    a.parts.release();
    assert.equal(await slow, '');
    b.go('hold new');
    assert.deepEqual(await held.rest(), [' Done.', 'response.end']);
    const history = await b.history('c');
    const words = history.filter(([role]) => role === 'user').map(([, text]) => text);
    assert.deepEqual(words, ['Hello', 'Hi', 'slow', 'hold new']);
    assert.deepEqual(history.at(-1), ['assistant', 'hold new? Done.', 'completed']);
  });
});

describe('a complete reply', () => {
  interface Leaving {
    readonly a: Machine;
    readonly b: Machine;
    readonly held: HeldReply;
    /** Sends the last words at once. The store holds up the end from then on. */
    readonly completes: () => Promise<void>;
  }

  /** The first process is about to complete its reply. */
  async function leaving(t: TestContext, environment = {}): Promise<Leaving> {
    const { a, b } = machines(t, {}, environment);
    await says(a, 'Hello');
    const held = await hold(a);
    const completes = async (): Promise<void> => {
      a.parts.hold();
      a.go('hold');
      assert.equal(await held.next(), ' Done.');
    };
    return { a, b, held, completes };
  }

  it('is in the history of another process before its last event leaves', async (t) => {
    const { a, b, held, completes } = await leaving(t);
    await completes();
    let hasEnded = false;
    const rest = held.rest().finally(() => {
      hasEnded = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(hasEnded, false);
    a.parts.release();
    assert.deepEqual(await rest, ['response.end']);
    assert.deepEqual((await b.history('c')).at(-1), ['assistant', 'hold? Done.', 'completed']);
  });

  // Seed 5003328 of the fleet: history had the whole reply, as interrupted.
  for (const [how, isFailing] of [['opens', false], ['fails to open at first', true]] as const)
    it(`stays complete if, while it is leaving, the next turn ${how}`, async (t) => {
      const { a, held, completes } = await leaving(t, { STORE_TIMEOUT_MS: '5000' });
      const failing = deferred();
      // a call of another process, which has to be asked before the next turn can open
      const ids = { runId: 1, turnId: 't', toolCallId: 'x', process: 'gone' };
      const call = { ...ids, state: 'running', tool: 'pay', claimedAt: 0, content: '' } as const;
      if (!isFailing)
        await a.store.update('c', (conversation) => {
          conversation.onceCalls = { k: call };
        });
      const { mock: updates } = t.mock.method(a.store, 'update');
      if (isFailing)
        updates.mockImplementationOnce(async () => {
          await failing.promise;
          throw new Error('too many conflicts');
        });
      const next = says(a, 'next');
      await until(() => updates.callCount() === 1, 'the question, or the opening that fails');
      await completes();
      if (isFailing) await until(() => updates.callCount() === 2, 'the end of the first');
      failing.resolve();
      await until(() => updates.callCount() === 3, 'the opening of the next');
      a.parts.release();
      assert.deepEqual(await held.rest(), ['response.end']);
      await next;
      const replies = (await a.history('c')).filter(([role]) => role === 'assistant');
      assert.deepEqual(replies[1], ['assistant', 'hold? Done.', 'completed']);
    });

  it('ends after STORE_TIMEOUT_MS even if the store does not answer', async (t) => {
    const { a, held, completes } = await leaving(t, { STORE_TIMEOUT_MS: '50' });
    await completes();
    assert.deepEqual(await held.rest(), ['response.end']);
    a.parts.release();
  });

  it('is kept as interrupted if its connection breaks before the end', async (t) => {
    const { a, b, held, completes } = await leaving(t);
    await completes();
    held.drop();
    await until(() => a.outcomes()['interrupted'] === 1, 'the drop');
    a.parts.release();
    await until(() => a.app.runningTurns === 0, 'the end');
    await a.app.conversations.getHistory('c');
    assert.deepEqual((await b.history('c')).at(-1), ['assistant', 'hold? Done.', 'interrupted']);
  });
});

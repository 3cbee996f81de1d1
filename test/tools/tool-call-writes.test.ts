// Claims that the store does not confirm, with a real list of running calls.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createLogger } from '../../src/log.ts';
import { storeCalls } from '../../src/tools/tool-call-writes.ts';
import type { ToolCallingTurn, ToolHost } from '../../src/tools/tool-calling-turn.ts';
import { NotedToolCalls } from '../../src/tools/tool-calls-noted.ts';
import { RunningToolCalls } from '../../src/tools/tool-calls-running.ts';
import { jumpingClock, mockTimers } from '../fixtures/clock.ts';

describe('a claim that the store has not confirmed', () => {
  it('counts as running for an hour in which it cannot be taken back, and no longer', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const jump = jumpingClock(t);
    const down = (): Promise<never> => Promise.reject(new Error('down'));
    const withdrawClaims = t.mock.fn(down);
    const conversations = {
      noteProgress: down, withdrawClaims, keyOf: (id: string) => id, remembered: () => undefined,
    };
    const calls = new RunningToolCalls();
    const host = { conversations, calls, track: () => undefined } as unknown as ToolHost;
    const turn = {
      host,
      conversationId: 'c', turnId: 't', place: 't', runId: 1, isStored: true, isOver: false,
      spoken: { speaker: undefined, filler: undefined, messages: () => [] },
      work: { noteStore: () => undefined },
      log: createLogger({ level: 'silent', write: () => undefined }),
    } as unknown as ToolCallingTurn;
    const owner = { runId: 1, process: undefined };
    const noted = new NotedToolCalls(turn, owner, host.conversations, []);
    const pass = async (ms: number): Promise<void> => {
      jump(ms);
      clock.tick(ms);
      await new Promise((resolve) => setImmediate(resolve));
    };
    const refused = async (id: string): Promise<string> => {
      const [call] = noted.add([{ id, name: 'pay', args: `{"order":"${id}"}` }]);
      assert.ok(call !== undefined);
      call.isOnce = true;
      await storeCalls(turn, [call]);
      return call.key;
    };
    const first = await refused('x');
    for (let minutes = 0; minutes < 59; minutes++) await pass(60_000);
    const later = await refused('y');
    const triesBefore = withdrawClaims.mock.callCount();
    await pass(2_000);
    assert.equal(withdrawClaims.mock.callCount(), triesBefore + 1, 'one try for both');
    assert.deepEqual([calls.isRunning(first), calls.isRunning(later)], [true, true]);
    await pass(60_000);
    await pass(2_000);
    assert.deepEqual([calls.isRunning(first), calls.isRunning(later)], [false, true]);
    withdrawClaims.mock.mockImplementation(() => Promise.resolve() as Promise<never>);
    await pass(2_000);
    assert.equal(calls.isRunning(later), false);
    assert.equal(calls.withdrawals.size, 0);
  });
});

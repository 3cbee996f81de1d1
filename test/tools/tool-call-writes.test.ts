// Claims that the store does not confirm, with a real list of running calls.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createLogger } from '../../src/log.ts';
import { storeCalls } from '../../src/tools/tool-call-writes.ts';
import type { ToolCallingTurn, ToolHost } from '../../src/tools/tool-calling-turn.ts';
import { NotedToolCalls } from '../../src/tools/tool-calls-noted.ts';
import { RunningToolCalls } from '../../src/tools/tool-calls-running.ts';
import { mockTimers } from '../fixtures/clock.ts';

describe('a claim that the store has not confirmed', () => {
  it('counts as running for an hour in which it cannot be taken back, and no longer', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const down = (): Promise<never> => Promise.reject(new Error('down'));
    const withdrawClaims = t.mock.fn(down);
    const conversations = { noteProgress: down, withdrawClaims, keyOf: (id: string) => id };
    const calls = new RunningToolCalls();
    const turn = {
      conversationId: 'c', turnId: 't', place: 't', runId: 1, isStored: true, isOver: false,
      spoken: { speaker: undefined, filler: undefined, messages: () => [] },
      log: createLogger({ level: 'silent', write: () => undefined }),
    } as unknown as ToolCallingTurn;
    const host = { conversations, calls, track: () => undefined } as unknown as ToolHost;
    const owner = { runId: 1, process: undefined };
    const noted = new NotedToolCalls(turn, owner, host.conversations, []);
    const [call] = noted.add([{ id: 'x', name: 'pay', args: '{}' }]);
    assert.ok(call !== undefined);
    call.isOnce = true;
    await storeCalls(turn, host, [call]);
    for (let seconds = 0; seconds < 3_600; seconds += 2) {
      assert.equal(calls.isRunning(call.key), true, `after ${seconds} seconds`);
      clock.tick(2_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (let more = 0; more < 5; more++) {
      clock.tick(2_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(withdrawClaims.mock.callCount(), 1_802);
    assert.equal(calls.isRunning(call.key), false);
  });
});

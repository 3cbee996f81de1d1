// What a call that waits for one of another process makes of its answers and of the record.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { hostname } from 'node:os';
import { describe, it, type TestContext } from 'node:test';

import { emptyConversation, type Conversation } from '../../src/conversations/conversation.ts';
import type { OnceCall } from '../../src/conversations/once-call.ts';
import { outcomeElsewhere, type ToolCallElsewhere } from '../../src/tools/tool-call-elsewhere.ts';
import type { ToolCallResult } from '../../src/tools/tool-calls-running.ts';
import type { Answers } from '../../src/tools/tool-question.ts';
import { quickClock } from '../fixtures/clock.ts';

const CALL = {
  conversationId: 'c', turnId: 't', runId: 1, toolCallId: 'x', key: 'k', process: 'a',
  isOnce: true,
} as const;
const CLAIM: OnceCall = {
  turnId: 't', runId: 1, toolCallId: 'x', process: 'a', tool: 'pay', claimedAt: 0,
  state: 'running', content: '{"status":"still running"}',
};
const RUNS = { isRunning: true, isAlive: true };
const SILENT = { isRunning: false, isAlive: false };
/** It does not run the call. */
const DENIES = { isRunning: false, isAlive: true };
/** Its silence proves nothing: after an outage it may not be connected again yet. */
const DOUBTFUL = { isRunning: true, isAlive: false };

/**
 * The outcome, if its process answers so, and the record then has these claims, in that order:
 * null is none.
 */
function outcomeOf(
  t: TestContext,
  answers: readonly (typeof RUNS)[],
  claims: readonly (Partial<OnceCall> | null)[],
  call: ToolCallElsewhere = CALL,
): Promise<ToolCallResult | undefined> {
  quickClock(t);
  let asked = 0;
  const ask = async (): Promise<Answers> => {
    const { isRunning, isAlive } = answers[asked] ?? SILENT;
    asked += 1;
    return {
      isCallRunning: () => isRunning, isAlive: () => isAlive, isIdle: () => false,
      runnerOf: () => undefined,
    };
  };
  const read = async (): Promise<Conversation> => {
    const claim = claims[Math.min(asked, claims.length) - 1];
    const onceCalls = claim === null ? {} : { k: { ...CLAIM, ...claim } };
    return { ...emptyConversation('c'), onceCalls };
  };
  const others = {
    ask,
    askAll: () => assert.fail('only its process is asked'),
    awaitCall: () => undefined,
    stopAwaiting: () => undefined,
  };
  const { signal } = new AbortController();
  return outcomeElsewhere(call, { conversations: { read }, others }, signal);
}

const PAID = { state: 'completed', content: '"paid"' } as const;

describe('outcomeElsewhere', () => {
  it('is unknown once the process was silent three times in a row', async (t) => {
    const outcome = await outcomeOf(t, [SILENT, SILENT, SILENT], [{}, {}, {}, PAID]);
    assert.equal(outcome?.state, 'unknown');
  });

  // A process that another one knew from its answer alone was busy for 150 ms: what had not begun
  // was unknown for good.
  it('waits for three silences even if the record has no such call yet', async (t) => {
    const outcome = await outcomeOf(t, [SILENT, SILENT, RUNS], [null, null, {}, PAID]);
    assert.equal(outcome?.content, '"paid"');
  });

  it('is unknown if the record has no such call after three silences', async (t) => {
    const outcome = await outcomeOf(t, [SILENT, SILENT, SILENT], [null]);
    assert.equal(outcome?.state, 'unknown');
  });

  // A caller heard nothing until the turn's time was up: 120 s.
  it('is unknown without messages once its process on this machine is gone', async () => {
    const { pid } = spawnSync(process.execPath, ['--version']);
    const call = { ...CALL, process: `${pid}@${hostname()}#gone` };
    let reads = 0;
    const read = async (): Promise<Conversation> => {
      reads += 1;
      return { ...emptyConversation('c'), onceCalls: { k: { ...CLAIM, process: call.process } } };
    };
    const { signal } = new AbortController();
    const waiting = { conversations: { read }, others: undefined };
    assert.equal((await outcomeElsewhere(call, waiting, signal))?.state, 'unknown');
    assert.equal(reads, 1, 'it is not asked three times: the machine says so for sure');
  });

  it('is unknown at once if its process says that it does not run it', async (t) => {
    const outcome = await outcomeOf(t, [DENIES], [{}, PAID]);
    assert.equal(outcome?.state, 'unknown');
  });

  it('is what the record says of its end, though its process is silent', async (t) => {
    const outcome = await outcomeOf(t, [SILENT], [PAID, null]);
    assert.equal(outcome?.content, '"paid"');
  });

  it('is that of another process that has completed it, though its own denies it', async (t) => {
    const untold = { ...CALL, turnId: '', runId: 0, toolCallId: '' };
    const outcome = await outcomeOf(t, [DENIES], [{ ...PAID, process: 'b' }], untold);
    assert.equal(outcome?.content, '"paid"');
  });

  it('is waited for as long as the silence of its process proves nothing', async (t) => {
    const outcome = await outcomeOf(t, [DOUBTFUL, DOUBTFUL, DOUBTFUL], [{}, {}, {}, PAID]);
    assert.equal(outcome?.content, '"paid"');
  });

  it('is unknown without messages if the record has no such call, on any machine', async () => {
    const waiting = { conversations: { read: () => emptyConversation('c') }, others: undefined };
    const { signal } = new AbortController();
    assert.equal((await outcomeElsewhere(CALL, waiting, signal))?.state, 'unknown');
  });

  it('counts the silence anew after each answer', async (t) => {
    const outcome = await outcomeOf(t, [SILENT, SILENT, RUNS, SILENT], [{}, {}, {}, {}, PAID]);
    assert.equal(outcome?.content, '"paid"');
  });

  it('is that of another run under the same key once that is final', async (t) => {
    const other = { ...PAID, turnId: 'u', runId: 2, process: 'b' };
    const outcome = await outcomeOf(t, [RUNS, RUNS], [{}, other]);
    assert.equal(outcome?.content, '"paid"');
  });
});

// What other processes may ask of the turns of this one, and what becomes of their tools.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Conversation } from '../../src/conversations/conversation.ts';
import { jumpingClock, mockTimers } from '../fixtures/clock.ts';
import { Booking, CONVERSATION, Process } from './plain-deliveries.ts';

/** A process with a turn that may take 3 s, and the signal of its tool. */
async function booking(
  t: TestContext, whenInterrupted: 'abort' | 'finish',
): Promise<{ readonly process: Process; readonly signal: AbortSignal }> {
  const tool = new Booking();
  const onMessage = tool.onMessage({ whenInterrupted });
  const process = new Process(t, { onMessage }, { process: 'a', turnTimeoutMs: 3_000 });
  process.deliver('t1', 'Book');
  const { context: { signal }, resolve } = await tool.begun();
  t.after(() => resolve('"ended"'));
  return { process, signal };
}

describe('a tool of a turn that another process takes over', () => {
  it('goes on, so that the other run gets its result', async (t) => {
    const { process: { turns, store }, signal } = await booking(t, 'abort');
    const conversation = (await store.read(CONVERSATION)) as Conversation;
    const [record = assert.fail()] = conversation.turns;
    const turn = { ...record, runId: (record.runId ?? 0) + 1 };
    turns.compare(CONVERSATION, { ...conversation, turns: [turn] });
    assert.equal(signal.aborted, false);
  });

  it('is aborted if the turn is interrupted instead', async (t) => {
    const { process, signal } = await booking(t, 'abort');
    process.turns.interruptOwn(CONVERSATION, 'a newer turn began');
    assert.equal(signal.aborted, true);
  });
});

describe('a tool that finishes after its turn', () => {
  it("has the rest of the turn's time, and no more", async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const jump = jumpingClock(t);
    const { process, signal } = await booking(t, 'finish');
    jump(2_000);
    process.turns.interruptOwn(CONVERSATION, 'a newer turn began');
    clock.tick(900);
    assert.equal(signal.aborted, false);
    clock.tick(100);
    assert.equal(signal.aborted, true);
  });
});

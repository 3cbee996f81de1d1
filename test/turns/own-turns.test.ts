// What other processes may ask of the turns of this one, and what becomes of their tools.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../src/agents/define-agent.ts';
import type { Conversation } from '../../src/conversations/conversation.ts';
import { ConversationManager } from '../../src/conversations/manager.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import { createLogger } from '../../src/log.ts';
import * as agentWork from '../../src/turns/agent-work.ts';
import { Turns } from '../../src/turns/turns.ts';
import { deferred, fired } from '../fixtures/app.ts';
import { jumpingClock, mockTimers } from '../fixtures/clock.ts';
import { callerMessage } from '../fixtures/turns.ts';

/** Turns of process `a`, of which one runs a tool that ends when its signal fires. */
async function withTool(t: TestContext, whenInterrupted: 'abort' | 'finish'): Promise<{
  readonly turns: Turns;
  readonly store: MemoryStore;
  readonly runId: number;
  readonly signal: AbortSignal;
}> {
  const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 1 });
  const begun = deferred<AbortSignal>();
  const turns = new Turns({
    agentWork,
    agent: defineAgent({
      name: 'tested',
      async onMessage({ journal }) {
        const call = { id: 'x', name: 'book', args: '{}' };
        await journal.runTools([call], () => ({
          whenInterrupted,
          async run({ signal }) {
            begun.resolve(signal);
            await fired(signal);
            return '"ended"';
          },
        }));
      },
    }),
    conversations: new ConversationManager(store), process: 'a',
    turnTimeoutMs: 3_000, firstWordTimeoutMs: 3_000,
  });
  t.after(() => {
    turns.interruptAll('the test is over');
    store.close();
  });
  turns.start({
    event: callerMessage('t1', 'Book'),
    headers: {}, unsent: 0, isOpen: true, turn: undefined,
    log: createLogger({ level: 'silent', write: () => undefined }),
    send: () => true, end: () => true, onOutcome: () => undefined,
  });
  const signal = await begun.promise;
  return { turns, store, runId: store.read('c-1')?.turns[0]?.runId ?? assert.fail(), signal };
}

describe('a tool of a turn that another process takes over', () => {
  it('goes on, so that the other run gets its result', async (t) => {
    const { turns, store, runId, signal } = await withTool(t, 'abort');
    const conversation = store.read('c-1');
    const [record] = conversation?.turns ?? [];
    assert.ok(record !== undefined);
    const turn = { ...record, runId: runId + 1 };
    turns.compare('c-1', { ...conversation, turns: [turn] } as Conversation);
    assert.equal(signal.aborted, false);
  });

  it('is aborted if the turn is interrupted instead', async (t) => {
    const { turns, signal } = await withTool(t, 'abort');
    turns.interruptOwn('c-1', 'a newer turn began');
    assert.equal(signal.aborted, true);
  });
});

describe('a tool that finishes after its turn', () => {
  it("has the rest of the turn's time, and no more", async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const jump = jumpingClock(t);
    const { turns, signal } = await withTool(t, 'finish');
    jump(2_000);
    turns.interruptOwn('c-1', 'a newer turn began');
    clock.tick(900);
    assert.equal(signal.aborted, false);
    clock.tick(100);
    assert.equal(signal.aborted, true);
  });
});

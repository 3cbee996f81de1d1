// What a call that waits for one in another process makes of the record.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import {
  emptyConversation, type Conversation,
} from '../../../src/core/conversations/conversation.ts';
import type { OnceCall } from '../../../src/core/conversations/once-call.ts';
import { outcomeElsewhere } from '../../../src/core/tools/tool-call-elsewhere.ts';
import type { ToolCallResult } from '../../../src/core/tools/tool-calls-running.ts';
import { quickClock } from '../../fixtures/clock.ts';

const CALL = {
  conversationId: 'c', turnId: 't', runId: 1, toolCallId: 'x', key: 'k', process: 'a',
  isOnce: true,
} as const;
const CLAIM: OnceCall = {
  turnId: 't', runId: 1, toolCallId: 'x', process: 'a', tool: 'pay', claimedAt: 0,
  state: 'running', content: '{"status":"still running"}',
};
const PAID = { state: 'completed', content: '"paid"' } as const;

/**
 * The outcome if its process lives for this many seconds, and the record has these claims, one per
 * second: null for no claim.
 */
function outcomeOf(
  t: TestContext,
  livesForSeconds: number,
  claims: readonly (Partial<OnceCall> | null)[],
): Promise<ToolCallResult | undefined> {
  quickClock(t);
  let seconds = 0;
  const conversations = {
    goneAmong: async () => {
      seconds += 1;
      return new Set(seconds > livesForSeconds ? ['a'] : []);
    },
    read: async (): Promise<Conversation> => {
      const claim = claims[Math.min(seconds, claims.length) - 1];
      const onceCalls = claim === null ? {} : { k: { ...CLAIM, ...claim } };
      return { ...emptyConversation('c'), onceCalls };
    },
  };
  return outcomeElsewhere(CALL, { conversations, others: undefined }, new AbortController().signal);
}

describe('outcomeElsewhere', () => {
  it('is unknown once the process is gone, and not before', async (t) => {
    assert.equal((await outcomeOf(t, 2, [{}, {}, {}, PAID]))?.state, 'unknown');
  });

  it("is what the record says about the call's end, even if its process is gone", async (t) => {
    assert.equal((await outcomeOf(t, 0, [PAID]))?.content, '"paid"');
  });

  for (const [what, then] of [
    ['was given back', { state: 'released' }], ['is gone', null],
  ] as const)
    it(`is undefined if the claim ${what}`, async (t) => {
      assert.equal(await outcomeOf(t, 9, [{}, then]), undefined);
    });

  it('is that of another run under the same key once that is final', async (t) => {
    const other = { ...PAID, turnId: 'u', runId: 2, process: 'b' };
    assert.equal((await outcomeOf(t, 9, [{}, other]))?.content, '"paid"');
  });

  it('is looked up at once when a message says that there is news', async (t) => {
    const clock = quickClock(t);
    clock.stop();
    let told = (): void => undefined;
    let reads = 0;
    const waiting = {
      conversations: {
        goneAmong: async () => new Set<string>(),
        read: async () => {
          reads += 1;
          setImmediate(() => told());
          const onceCalls = { k: { ...CLAIM, ...(reads > 1 ? PAID : {}) } };
          return { ...emptyConversation('c'), onceCalls };
        },
      },
      others: {
        awaitCall: (_id: string, process: string, listener: () => void) => {
          assert.equal(process, 'a');
          told = listener;
          return () => undefined;
        },
        callEnded: () => undefined,
      },
    };
    const outcome = await outcomeElsewhere(CALL, waiting, new AbortController().signal);
    assert.equal(outcome?.content, '"paid"');
  });
});

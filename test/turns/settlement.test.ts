import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ConversationManager } from '../../src/conversations/manager.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import { createLogger } from '../../src/log.ts';
import { correctSettlement, storeProvisionally } from '../../src/turns/settlement.ts';
import { SpokenReply } from '../../src/turns/spoken-reply.ts';
import type { TurnHost } from '../../src/turns/turn-host.ts';

describe('a settlement that is corrected', () => {
  it('keeps the figures of the first one, which does not include the wait', async (t) => {
    const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 10 });
    t.after(() => store.close());
    const conversations = new ConversationManager(store);
    const turn = {
      turnId: 't', runId: 1, conversationId: 'c', spoken: new SpokenReply(), liveState: undefined,
      event: { type: 'message', text: 'Hello', turn_id: 't', session_id: 's' },
      delivery: { unsent: 0 }, startedAtMs: performance.now(), firstSpeechMs: 1, usage: undefined,
      log: createLogger({ level: 'silent', write: () => undefined }),
    } as const;
    const host = { conversations, recordsCalls: true } as unknown as TurnHost;
    await conversations.openTurn('c', { turnId: 't', runId: 1, text: 'Hello' });
    storeProvisionally(turn, host);
    const durationMs = async (): Promise<number | undefined> =>
      (await conversations.read('c'))?.turns[0]?.figures?.durationMs;
    const before = await durationMs();
    assert.ok(before !== undefined);
    const later = { ...turn, startedAtMs: turn.startedAtMs - 3_000 };
    assert.equal(correctSettlement(later, 'completed', host), true);
    assert.equal(await durationMs(), before);
  });
});

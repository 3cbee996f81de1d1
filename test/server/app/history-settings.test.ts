// The server keeps to the bounds on history that an operator sets.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { messageEvent, serve, type Served } from '../../fixtures/app.ts';
import { jumpingClock } from '../../fixtures/clock.ts';

interface Answering extends Served {
  /** The reply to these words in a conversation. */
  say(conversation: string, text?: string): Promise<string>;
}

function served(t: TestContext, environment: Readonly<Record<string, string>>): Answering {
  const answering = serve(t, {
    onMessage: ({ text, history }) => (text === 'count' ? String(history.length) : 'Yes.'),
  }, { environment });
  return {
    ...answering,
    async say(conversation, text = 'Hello?') {
      const ids = { conversation_id: conversation, turn_id: null };
      return (await answering.client.post(messageEvent({ ...ids, text }))).text();
    },
  };
}

describe('history', () => {
  it('keeps at most MAX_CONVERSATIONS, evicting the least recently used', async (t) => {
    const { app, say } = served(t, { MAX_CONVERSATIONS: '2' });
    for (const conversation of ['a', 'b', 'a', 'c']) await say(conversation);
    assert.equal(await app.conversations.count(), 2);
    assert.deepEqual([await say('a', 'count'), await say('b', 'count')], ['5', '1']);
  });

  it('keeps at most MAX_HISTORY_CHARACTERS, across all conversations', async (t) => {
    const { app, say } = served(t, { MAX_HISTORY_CHARACTERS: '20' });
    await say('a'); // 10 characters
    await say('b');
    assert.equal(await app.conversations.count(), 2);
    await say('c');
    assert.deepEqual([await app.conversations.count(), await say('a', 'count')], [2, '1']);
  });

  it('is kept for CONVERSATION_TTL_SECONDS after the last turn', async (t) => {
    const pass = jumpingClock(t);
    const { say } = served(t, { CONVERSATION_TTL_SECONDS: '100' });
    await say('a');
    pass(99_000);
    assert.equal(await say('a', 'count'), '3');
    pass(101_000);
    assert.equal(await say('a', 'count'), '1');
  });
});

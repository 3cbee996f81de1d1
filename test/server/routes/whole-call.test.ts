import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../../src/index.ts';
import { recordLog, SECRET, serve, signed, type Served } from '../../fixtures/kernel.ts';

describe('the log of a whole call', () => {
  const post = async (served: Served, event: object): Promise<void> => {
    await (
      await served.fetch('/api/agent?key=query-swordfish', signed(JSON.stringify(event)))
    ).text();
  };

  /** The log after a call in which everything happens. */
  async function logOfCall(t: TestContext, level: 'info' | 'debug'): Promise<string> {
    const recorded = recordLog({ level, secrets: [SECRET, 'lk_live_key_0123456789'] });
    const served = await serve(t, {
      log: recorded.log,
      settings: {
        layercodeApiKey: 'lk_live_key_0123456789',
        layercodeApiUrl: 'http://127.0.0.1:9',
      },
      agent: defineAgent({
        name: 'talkative',
        welcome: 'agent-welcome-walrus',
        async *onMessage({ text }, reply) {
          reply.data({ shown: 'agent-data-walrus' });
          yield 'agent-says-walrus';
          if (text.includes('fail')) throw new Error('tool failed');
        },
        onData: ({ data }) => ({ echoed: data['word'] ?? null }),
      }),
    });
    const ids = { session_id: 's1', conversation_id: 'c1' };
    await post(served, {
      type: 'session.start',
      ...ids,
      turn_id: 't0',
      custom_metadata: { name: 'metadata-walrus' },
      from_phone_number: '+15550walrus',
    });
    await post(served, { type: 'message', ...ids, turn_id: 't1', text: 'caller-says-walrus' });
    await post(served, { type: 'message', ...ids, turn_id: 't1', text: 'caller-says-walrus' });
    await post(served, {
      type: 'message',
      ...ids,
      turn_id: 't2',
      text: 'caller-walrus-fail',
      interruption_context: { previous_turn_interrupted: true, text_heard: 'heard-walrus' },
    });
    await post(served, { type: 'data', ...ids, turn_id: 't3', data: { word: 'data-walrus' } });
    await post(served, {
      type: 'user.transcript.interim_delta',
      ...ids,
      content: 'unknown-walrus',
    });
    await post(served, { type: 'message', ...ids, text: 7, spoken: 'refused-walrus' });
    await post(served, {
      type: 'session.end',
      ...ids,
      transcript: [{ role: 'user', text: 'transcript-walrus' }],
    });
    await post(served, { type: 'transcript', call_id: 'k1', transcript: 'call-walrus' });
    await post(served, { type: 'call_ended', call_id: 'k1', transcript: 'ended-walrus' });
    await (
      await served.fetch('/api/agent', signed('{"type":"message","text":"broken-walrus'))
    ).text();
    await (
      await served.fetch('/api/agent', { ...signed('forged-walrus'), body: 'forged-walrus!' })
    ).text();
    await (
      await served.fetch('/api/authorize', {
        method: 'POST',
        body: '{"agent_id":"a","metadata":{"m":"authorize-walrus"}}',
      })
    ).text();
    await recorded.wait('request', 13);
    return recorded.text();
  }

  it('has no word from the call at level info', async (t) =>
    assert.deepEqual((await logOfCall(t, 'info')).match(/[\w-]*walrus[\w-]*/g), null));

  it('has no secret, key, signature or query at level debug', async (t) => {
    const text = await logOfCall(t, 'debug');
    assert.deepEqual(text.match(/whsec_\w+|lk_live_\w+|v1=[0-9a-f]+|Bearer \S+|swordfish/g), null);
  });
});

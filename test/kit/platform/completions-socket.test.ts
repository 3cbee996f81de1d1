// The local platform's socket when its session speaks Chat Completions.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { MessageTurn } from '../../../src/core/agents/agent.ts';
import type { CompletionEvent } from '../../../src/core/wires/chat-completions/events.ts';
import type { Settings } from '../../../src/server/settings/settings.ts';
import { stage as stageOf } from './local-stage.ts';

/** An agent without a key for Chat Completions. */
async function stage(t: TestContext, settings: Partial<Settings> = {}) {
  const turns: MessageTurn[] = [];
  const { origin, open } = await stageOf(t, {
    name: 'the agent / of tests',
    welcome: 'Hi!',
    onMessage: (turn) => {
      turns.push(turn);
      return `You said: ${turn.text}`;
    },
  }, { playground: false, settings });
  return {
    turns,
    origin,
    open: (fields: Readonly<Record<string, unknown>>, query?: string) =>
      open(query, { wire: 'chat-completions', ...fields }),
  };
}

describe('a socket whose session speaks Chat Completions', () => {
  it('talks to an agent that has no Chat Completions key', async (t) => {
    const { open, turns } = await stage(t);
    const browser = await open({ profile: 'vapi', conversation_id: 'call-7' });
    browser.send({ type: 'client.ready' });
    assert.equal((await browser.next('response.text')).content, 'Hi!');
    browser.send({ type: 'client.response.text', content: 'Hello' });
    assert.equal((await browser.next('user.transcript')).content, 'Hello');
    assert.equal((await browser.next('response.text')).content, 'You said: Hello');
    assert.deepEqual(
      turns.map(({ wire, conversationId, text }) => [wire, conversationId, text]),
      [['chat-completions', 'call-7', 'Hello']],
    );
  });

  it('adds to the same metric series as turns that come another way', async (t) => {
    const key = 'k'.repeat(32);
    const { origin, open } = await stage(t, { chatCompletionsKeys: [key] });
    const browser = await open({ profile: 'vapi' });
    browser.send({ type: 'client.response.text', content: 'Hello' });
    await browser.next('response.text');
    const response = await fetch(`${origin}/api/agent/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'Hello' }] }),
    });
    assert.match(await response.text(), /You said/);
    const metrics = await (await fetch(`${origin}/metrics`)).text();
    const series = metrics.split('\n').filter((line) => /^[a-z]/.test(line))
      .map((line) => line.slice(0, line.lastIndexOf(' ')));
    assert.ok(series.some((name) => name.includes('wire="chat-completions"')));
    assert.deepEqual(series.filter((name, index) => series.indexOf(name) !== index), []);
  });

  it('resends the call when a caller reconnects, without a second welcome', async (t) => {
    const { open, turns } = await stage(t);
    for (const [content, reply] of [
      ['', 'Hi!'], ['One', 'You said: One'], ['Two', 'You said: Two'],
    ]) {
      const call = { profile: 'generic', conversation_id: 'call-8' };
      const browser = await open(call, '&trace=true');
      browser.send({ type: 'client.ready' });
      browser.send({ type: 'client.response.text', content });
      assert.equal((await browser.next('response.text')).content, reply);
      const posted = browser.frames.all.filter(({ type }) => type === 'local.request');
      assert.equal(posted.length, 1);
      browser.send({ type: 'trigger.response.audio.replay_finished' });
      browser.send({ type: 'local.end' });
    }
    const { messages } = turns[1]?.event as CompletionEvent;
    const said = messages.slice(1).map(({ content }) => content);
    assert.deepEqual(said, ['Hi!', 'One', 'You said: One', 'Two']);
  });

  it('sends a trace to a client that asks for one, with the figures of a turn', async (t) => {
    const { open } = await stage(t);
    const browser = await open({ profile: 'livekit' }, '&trace=true');
    browser.send({ type: 'client.response.text', content: 'Hello' });
    const { delivery } = await browser.next('local.request');
    const turn = await browser.next('local.turn');
    assert.deepEqual([turn.delivery, turn.outcome], [delivery, 'completed']);
  });

  it('is refused with a wrong key, and does not reach the agent', async (t) => {
    const { open, turns } = await stage(t);
    const browser = await open({}, '&trace=true');
    browser.send({ type: 'local.forge', signature: 'wrong' });
    assert.equal((await browser.next('local.answer')).status, 401);
    assert.equal(turns.length, 0);
  });

  for (const [fields, message] of [
    [{ wire: 'pigeon' }, 'wire must be "layercode" or "chat-completions"'],
    [
      { profile: 'toString' },
      'profile must be one of generic, vapi, elevenlabs, livekit, cartesia',
    ],
  ] as const)
    it(`is refused a key for ${JSON.stringify(fields)}`, async (t) => {
      const { origin } = await stage(t);
      const response = await fetch(`${origin}/api/authorize`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ agent_id: 'a', wire: 'chat-completions', ...fields }),
      });
      assert.deepEqual([response.status, await response.json()], [400, { error: message }]);
    });

  it('has routes that refuse clients without the key of the process', async (t) => {
    const { origin, turns } = await stage(t);
    const statuses = [];
    for (const path of ['vapi/0', 'vapi/1', 'vapi/-1', 'pigeon/0']) {
      const response = await fetch(`${origin}/playground/completions/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer guessed' },
        body: '{"messages":[]}',
      });
      statuses.push(response.status);
    }
    assert.deepEqual([statuses, turns.length], [[401, 404, 404, 404], 0]);
  });
});

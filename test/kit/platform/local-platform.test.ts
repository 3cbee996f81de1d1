// The local platform through a real server: keys, the socket and what passes over it, who is let
// in.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Agent } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { LocalPlatform } from '../../../src/kit/platform/local-platform.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { createTestClient } from '../../../src/kit/test-client.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { SECRET, serve, settingsWith } from '../../fixtures/kernel.ts';
import { authorize } from './browser.ts';
import { openBrowser, stage } from './local-stage.ts';

describe('authorize without an API key, outside production,', () => {
  it('answers with a key, a conversation and what the official client needs', async (t) => {
    const { origin } = await stage(t);
    const { client_session_key, conversation_id, config } = await authorize(origin);
    // some clients put it into a URL as it is
    assert.match(client_session_key, /^[A-Za-z0-9._~-]{40,}$/);
    assert.match(conversation_id, /^[0-9a-f-]{36}$/);
    assert.deepEqual(config, { transcription: { trigger: 'automatic' } });
  });

  const number = /^from_phone_number must be a string of 1 to 64 characters$/;
  const refused: readonly (readonly [what: string, fields: object, message: RegExp])[] = [
    ['an empty number', { from_phone_number: '' }, number],
    ['a number that is not a string', { from_phone_number: 7 }, number],
    ['a number that is too long', { from_phone_number: '+'.repeat(65) }, number],
    ['a header for signatures', { custom_headers: { 'Layercode-Signature': 'x' } },
      /must not contain Layercode-Signature/],
    ['a header for framing', { custom_headers: { 'content-length': '1' } },
      /must not contain content-length/],
    ['a header that is not a string', { custom_headers: { 'x-a': 1 } },
      /custom_headers\.x-a must be a string/],
    ['a header with a line break', { custom_headers: { 'x-a': 'b\r\nc: d' } },
      /custom_headers\.x-a is not a header/],
    ['a header with an invalid name', { custom_headers: { 'x a': 'b' } },
      /custom_headers\.x a is not a header/],
  ];
  for (const [what, fields, message] of refused) {
    it(`refuses ${what}`, async (t) => {
      const { fetch } = await stage(t);
      const response = await fetch('/api/authorize', {
        method: 'POST', body: JSON.stringify({ agent_id: 'a', ...fields }),
      });
      assert.equal(response.status, 400);
      assert.match(((await response.json()) as { error: string }).error, message);
    });
  }
});

describe('the local platform for several agents', () => {
  const OWN_SECRET = 'whsec_of_support_0123456789';

  const agree: Agent['onMessage'] = () => 'Yes.';

  async function stageTwo(t: TestContext, sell = agree): Promise<string> {
    const agents = Object.fromEntries(
      ['sales', 'support'].map((name) => [
        name,
        defineAgent({
          name,
          welcome: `This is ${name}.`,
          onMessage: name === 'sales' ? sell : agree,
        }),
      ]),
    );
    const settings = settingsWith({ agentSecrets: { support: [OWN_SECRET] } });
    const app = createApp(settings, agents, { platform: new LocalPlatform({ playground: true }) });
    const { port } = await app.listen({ host: '127.0.0.1', port: 0 });
    t.after(() => app.close());
    return `http://127.0.0.1:${port}`;
  }

  for (const [agentId, welcome] of [
    ['sales', 'This is sales.'],
    ['support', 'This is support.'],
    ['any other', 'This is sales.'],
  ] as const) {
    it(`calls the right agent for the agent_id "${agentId}"`, async (t) => {
      const origin = await stageTwo(t);
      const fields = { agent_id: agentId, conversation_id: 'c-1' };
      const browser = await openBrowser(t, origin, '', fields);
      browser.send({ type: 'client.ready' });
      const { content } = await browser.next('response.text');
      assert.equal(content, welcome);
      const query = new URLSearchParams({ agent_id: agentId });
      const history = await fetch(`${origin}/playground/history/c-1?${query}`);
      const messages = [{ role: 'assistant', content: welcome }];
      assert.deepEqual(await history.json(), { messages });
    });
  }

  it('shows a client that asks for a trace which agents spoke, after a hand-over', async (t) => {
    const origin = await stageTwo(t, async ({ journal }) => {
      await journal.runTools([{ id: 'c', name: 'transfer', args: '{}' }], () => ({
        run: async ({ toolCallId }) => {
          await journal.handOver(toolCallId, 'support');
          return 'null';
        },
      }));
    });
    const browser = await openBrowser(t, origin, '&trace=true', { agent_id: 'sales' });
    browser.send({ type: 'client.response.text', content: 'Hello' });
    assert.deepEqual((await browser.next('local.turn')).speakers, ['sales', 'support']);
  });
});

describe('authorize with an API key', () => {
  it('asks LayerCode, and issues no key of its own', async (t) => {
    const platform = new LocalPlatform({ playground: true });
    const { fetch } = await serve(t, {
      platform,
      settings: { layercodeApiKey: 'lk_test_0123456789', layercodeApiUrl: 'http://127.0.0.1:9' },
    });
    const response = await fetch('/api/authorize', { method: 'POST', body: '{"agent_id":"a"}' });
    assert.deepEqual(
      [response.status, await response.json()],
      [502, { error: 'LayerCode could not authorize the session' }],
    );
  });
});

describe("the playground's routes", () => {
  it('serve the page with a strict policy', async (t) => {
    const { fetch } = await stage(t);
    const response = await fetch('/playground');
    assert.deepEqual(
      [
        response.status,
        response.headers.get('content-type'),
        response.headers.get('x-content-type-options'),
      ],
      [200, 'text/html; charset=utf-8', 'nosniff'],
    );
    const policy = response.headers.get('content-security-policy') ?? '';
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; /);
    assert.doesNotMatch(policy, /unsafe|\*/);
  });

  it('are where the root redirects to', async (t) => {
    const { fetch } = await stage(t);
    const response = await fetch('/', { redirect: 'manual' });
    assert.deepEqual(
      [response.status, response.headers.get('location'), response.headers.get('cache-control')],
      [302, '/playground', 'no-store'],
    );
  });

  it('serve the files that the page needs, and no others', async (t) => {
    const { fetch } = await stage(t);
    const html = await (await fetch('/playground')).text();
    const files = [...html.matchAll(/(?:src|href)="(\/playground\/[^"]+)"/g)].map(
      ([, path = '']) => path,
    );
    assert.ok(files.length >= 2, html);
    for (const path of files) assert.equal((await fetch(path)).status, 200, path);
    for (const name of [
      'nothing.js',
      '..%2fpackage.json',
      '%2e%2e%2f',
      'tsconfig.json',
      '.%2Findex.html',
      'page.js%00',
      'constructor',
    ]) {
      assert.equal((await fetch(`/playground/${name}`)).status, 404, name);
    }
  });

  it('give a key for the conversation that is asked for', async (t) => {
    const { fetch } = await stage(t);
    const response = await fetch('/playground/session', {
      method: 'POST',
      body: '{"agent_id":"playground","conversation_id":"conv-1"}',
    });
    assert.deepEqual(
      [response.status, ((await response.json()) as { conversation_id: string }).conversation_id],
      [200, 'conv-1'],
    );
  });

  it('show the history as a model sees it', async (t) => {
    const { fetch, app } = await stage(t);
    await app.conversations.addMessage('c/1', { role: 'user', content: 'One' });
    await app.conversations.addMessage('c/1', { role: 'user', content: 'Two' });
    const response = await fetch('/playground/history/c%2F1');
    assert.deepEqual(await response.json(), { messages: [{ role: 'user', content: 'One\nTwo' }] });
  });

  it('show what models were sent and what they answered, next to the history', async (t) => {
    const model = scriptedModel(['Yes.']);
    const agent = defineAgent({ name: 'tested', prompt: 'Sell bread.', model });
    const { origin } = await serve(t, {
      agent, platform: new LocalPlatform({ playground: true }),
    });
    const client = createTestClient(origin, { secret: SECRET });
    await (await client.say('Rye?')).text();
    const response = await fetch(`${origin}/playground/history/${client.conversationId}`);
    const { requests } = (await response.json()) as { requests: readonly unknown[] };
    const messages = [
      { role: 'system', content: 'Sell bread.' }, { role: 'user', content: 'Rye?' },
    ];
    assert.deepEqual(requests.map((one) => ({ ...(one as object), turnId: '' })), [{
      turnId: '',
      sent: { model: 'scripted:model', messages },
      answered: { text: 'Yes.', calls: [] },
    }]);
  });

  it('are closed to pages of other sites, and to rebound names', async (t) => {
    const { fetch, raw } = await stage(t);
    assert.equal(
      (await fetch('/playground/history/c1', { headers: { origin: 'https://evil.example' } }))
        .status,
      403,
    );
    const connection = await raw();
    connection.send(
      'GET /playground HTTP/1.1\r\nhost: evil.example:8000\r\nconnection: close\r\n\r\n',
    );
    const { status, body } = await connection.lastAnswer();
    assert.equal(status, 403);
    assert.match(body, /the host header is not localhost/);
  });

  it('do not exist if the playground is off', async (t) => {
    const { fetch } = await stage(t, {}, { playground: false });
    for (const path of ['/', '/playground', '/playground/page.js', '/playground/history/c1']) {
      assert.equal((await fetch(path)).status, 404);
    }
    assert.equal((await fetch('/v1/agents/web/websocket')).status, 426);
  });
});

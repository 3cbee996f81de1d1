// Authorize against a platform of our own on a real socket.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { authorize } from '../../../../src/core/wires/layercode/authorize.ts';
import { RestClient } from '../../../../src/core/wires/layercode/rest-client.ts';
import { signPayload } from '../../../../src/core/wires/layercode/signature.ts';
import type { Settings } from '../../../../src/server/settings/settings.ts';
import {
  answerHtml, answerJson, hangsUp, neverAnswers, stalls, startRestServer, type RestAnswer,
  type RestServer,
} from '../../../faults/rest-server.ts';
import { deferred, within } from '../../../fixtures/app.ts';
import {
  recordLog, SECRET, serve, type RecordedLog, type Served,
} from '../../../fixtures/kernel.ts';

const KEY = 'lk_live_0123456789abcdef';
const SESSION = {
  client_session_key: 'csk_1',
  conversation_id: 'conv_1',
  config: { transcription: { trigger: 'automatic' } },
};

/** The platform's answer to a valid request. */
const AUTHORIZED = answerJson(200, SESSION);

/** A platform that gives this answer to everything. */
async function startPlatform(t: TestContext, answer: RestAnswer): Promise<RestServer> {
  const platform = await startRestServer();
  platform.fault = () => answer;
  t.after(() => platform.close());
  return platform;
}

interface Stage extends Served {
  readonly platform: RestServer;
  readonly recorded: RecordedLog;
  readonly ask: (body?: string, headers?: Record<string, string>) => Promise<Response>;
}

/** A server whose platform gives this answer. */
async function stage(
  t: TestContext, answer: RestAnswer, settings: Partial<Settings> = {},
): Promise<Stage> {
  const platform = await startPlatform(t, answer);
  const recorded = recordLog();
  const served = await serve(t, {
    log: recorded.log,
    settings: { layercodeApiKey: KEY, layercodeApiUrl: platform.url, ...settings },
  });
  const path = settings.authorizeRoute ?? '/api/authorize';
  return {
    ...served,
    platform,
    recorded,
    ask: (body = '{"agent_id":"agent_1"}', headers = {}) => served.fetch(path, {
      method: 'POST', body, headers: { 'content-type': 'application/json', ...headers },
    }),
  };
}

describe('authorize', () => {
  it('asks the platform once, with the key, and hands back its answer', async (t) => {
    const { ask, platform } = await stage(t, AUTHORIZED);
    const response = await ask();
    assert.deepEqual([response.status, await response.json()], [200, SESSION]);
    assert.equal(response.headers.get('cache-control'), 'no-store');
    const [request, ...others] = platform.requests;
    assert.deepEqual(others, []);
    const { method, path, headers: { authorization, 'content-type': type } = {} } = request ?? {};
    assert.deepEqual([method, path, authorization, type], [
      'POST', '/v1/agents/web/authorize_session', `Bearer ${KEY}`, 'application/json',
    ]);
  });

  it("passes on the whole request, but none of the browser's headers", async (t) => {
    const { ask, platform } = await stage(t, AUTHORIZED);
    const request = {
      agent_id: 'a', conversation_id: null, metadata: { user: 'é' }, config: {}, sdk_version: '2',
      custom_headers: { 'x-a': 'b' }, later: [1],
    };
    const headers = {
      cookie: 'a=b', 'x-forwarded-for': '192.0.2.1', authorization: 'Bearer stolen',
    };
    await ask(JSON.stringify(request), headers);
    assert.deepEqual(JSON.parse(platform.requests[0]?.body ?? ''), request);
    const passed = platform.requests[0]?.headers ?? {};
    assert.deepEqual(
      Object.keys(headers).map((name) => passed[name]), [undefined, undefined, `Bearer ${KEY}`],
    );
  });

  it('accepts a body of any content type: some pages send none', async (t) => {
    const { ask } = await stage(t, AUTHORIZED);
    for (const type of ['text/plain;charset=UTF-8', 'application/x-www-form-urlencoded'])
      assert.equal((await ask(undefined, { 'content-type': type })).status, 200);
  });

  it('is served at AUTHORIZE_ROUTE', async (t) => {
    const { ask } = await stage(t, AUTHORIZED, { authorizeRoute: '/session' });
    assert.equal((await ask()).status, 200);
  });

  it('answers 503 without an API key', async (t) => {
    const served = await serve(t);
    const init = { method: 'POST', body: '{"agent_id":"a"}' };
    const response = await served.fetch('/api/authorize', init);
    const error = 'LAYERCODE_API_KEY is not set on the server';
    assert.deepEqual([response.status, await response.json()], [503, { error }]);
  });
});

describe('an answer from the platform', () => {
  const FAILED = 'LayerCode could not authorize the session';
  const REFUSED = "LayerCode refused the server's key; see LAYERCODE_API_KEY";
  const inner = { error: 'inner words' };
  for (const [what, answer, status, error] of [
    ['is 400 with a message', answerJson(400, { error: 'No agent' }), 400, 'No agent'],
    ['is 402 with a message', answerJson(402, { error: 'No balance' }), 402, 'No balance'],
    ['is 429 with a message', answerJson(429, { error: 'Slow down' }), 429, 'Slow down'],
    ['is 400 without a message', answerHtml(400), 400, 'LayerCode refused the request'],
    ['is 402 without a message', answerHtml(402), 402, 'the LayerCode account has no balance'],
    ['is 429 without a message', answerHtml(429), 429, 'too many requests to LayerCode'],
    ['is 401', answerJson(401, inner), 502, REFUSED],
    ['is 403', answerJson(403, inner), 502, REFUSED],
    ['is 404', answerJson(404, inner), 502, FAILED],
    ['is 409', answerJson(409, inner), 502, FAILED],
    ['is 500', answerJson(500, inner), 502, FAILED],
    ['is 503', answerJson(503, inner), 502, FAILED],
    ['is HTML', answerHtml(200), 502, FAILED],
    ['has no session key', answerJson(200, { conversation_id: 'c' }), 502, FAILED],
    ['has an odd key', answerJson(200, { ...SESSION, client_session_key: 7 }), 502, FAILED],
    ['has no conversation', answerJson(200, { client_session_key: 'k' }), 502, FAILED],
    ['never comes because the connection breaks', hangsUp, 502, FAILED],
  ] as const)
    it(`becomes ${status} when it ${what}`, async (t) => {
      const response = await (await stage(t, answer)).ask();
      assert.deepEqual([response.status, await response.json()], [status, { error }]);
    });

  for (const [status, given, passed] of [
    [429, '17', '17'],
    [429, 'Wed, 21 Oct 2026 07:28:00 GMT', 'Wed, 21 Oct 2026 07:28:00 GMT'],
    [429, '<b>', null],
    [400, '17', null],
  ] as const)
    it(`with ${status} and Retry-After ${given} passes on ${passed ?? 'nothing'}`, async (t) => {
      const answer = answerJson(status, { error: 'x' }, { 'retry-after': given });
      const response = await (await stage(t, answer)).ask();
      assert.deepEqual([response.status, response.headers.get('retry-after')], [status, passed]);
    });

  // Many an API quotes what it refuses: the key, or the name of a caller in the metadata.
  for (const [status, errors] of [[400, []], [401, [401]], [500, [500]]] as const)
    it(`shows no key or caller, and is an error only if it is our fault: ${status}`, async (t) => {
      const answer = answerJson(status, { error: `not valid: Ada Lovelace, ${KEY}` });
      const { ask, recorded } = await stage(t, answer);
      assert.doesNotMatch(await (await ask()).text(), new RegExp(KEY));
      await recorded.next('request');
      assert.doesNotMatch(recorded.text(), new RegExp(`Lovelace|${KEY}`));
      const logged = recorded.records().filter(({ level }) => level === 'error');
      assert.deepEqual(logged.map((record) => record['status']), errors);
    });

  for (const [what, answer] of [
    ['never comes', neverAnswers],
    ['stops in the middle', stalls],
  ] as const) {
    it(`becomes 504 when it ${what}`, async (t) => {
      const { url } = await startPlatform(t, answer);
      const platform = new RestClient({ url, apiKey: KEY, timeoutMs: 50 });
      const handler = authorize({ platform, agentIds: [] });
      const served = await serve(t);
      served.app.post('/authorize', handler);
      const init = { method: 'POST', body: '{"agent_id":"a"}' };
      const response = await served.fetch('/authorize', init);
      const error = 'LayerCode did not answer in time';
      assert.deepEqual([response.status, await response.json()], [504, { error }]);
    });
  }
});

describe('a caller who leaves', () => {
  it('ends the request to the platform, which is not an error', async (t) => {
    const [asked, ended] = [deferred(), deferred()];
    const { raw, recorded } = await stage(t, (response) => {
      response.on('close', () => ended.resolve());
      asked.resolve();
    });
    const client = await raw();
    client.send(
      'POST /api/authorize HTTP/1.1\r\nhost: x\r\ncontent-length: 16\r\n\r\n{"agent_id":"a"}',
    );
    await asked.promise;
    client.destroy();
    await within(ended.promise, 'the end of the call');
    await recorded.next('request');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(recorded.records().filter(({ level }) => level === 'error'), []);
  });
});

describe('authorize as a guard', () => {
  const listed = { layercodeAgentIds: ['agent_1', 'agent_2'] };
  const one = { layercodeAgentIds: ['agent_1'] };
  const pages = { corsOrigins: ['https://app.example'] };
  const body = '{"agent_id":"agent_1"}';

  for (const [what, settings, body, status] of [
    ['an agent that is not listed', listed, '{"agent_id":"agent_3"}', 403],
    ['a listed agent', listed, '{"agent_id":"agent_2"}', 200],
    ['an agent other than the only one', one, '{"agent_id":"agent_2"}', 403],
  ] as const)
    it(`answers ${status} to ${what}, and asks the platform only if that is 200`, async (t) => {
      const { ask, platform } = await stage(t, AUTHORIZED, settings);
      assert.equal((await ask(body)).status, status);
      assert.equal(platform.requests.length, status === 200 ? 1 : 0);
    });

  it('checks and sends the last of two agent_id fields', async (t) => {
    const { ask, platform } = await stage(t, AUTHORIZED, listed);
    await ask('{"agent_id":"agent_3","agent_id":"agent_1"}');
    assert.equal(platform.requests[0]?.body, body);
  });

  for (const [what, settings, headers, status, allowed] of [
    ['a page elsewhere', pages, { origin: 'https://evil.example' }, 403, null],
    ['a page with origin null', pages, { origin: 'null' }, 403, null],
    ['a page at a longer origin', pages, { origin: 'https://app.example.evil.example' }, 403, null],
    ['a listed page', pages, { origin: 'https://app.example' }, 200, 'https://app.example'],
    ["a user's server, which has no origin", pages, {}, 200, null],
    ['a page on the web outside production', {}, { origin: 'https://app.example' }, 403, null],
    ['a page on localhost', {}, { origin: 'http://localhost:3000' }, 200, 'http://localhost:3000'],
    ['a page on 127.0.0.1', {}, { origin: 'https://127.0.0.1' }, 200, 'https://127.0.0.1'],
    ['a page on [::1]', {}, { origin: 'http://[::1]:5173' }, 200, 'http://[::1]:5173'],
    ['any page in production', { production: true }, { origin: 'https://app.example' }, 200, '*'],
    ['a valid signature', {}, { 'layercode-signature': signPayload(body, SECRET) }, 200, null],
    ['a wrong signature', {}, { 'layercode-signature': signPayload('{}', SECRET) }, 401, null],
  ] as const)
    it(`answers ${status} to ${what}, and asks the platform only if that is 200`, async (t) => {
      const { ask, platform } = await stage(t, AUTHORIZED, settings);
      const response = await ask(body, headers);
      assert.equal(response.status, status);
      assert.equal(response.headers.get('access-control-allow-origin'), allowed);
      assert.equal(platform.requests.length, status === 200 ? 1 : 0);
    });
});

describe('a bad authorize request', () => {
  const bad: readonly (readonly [what: string, body: string, message: RegExp])[] = [
    ['without agent_id', '{}', /agent_id/],
    ['with agent_id null', '{"agent_id":null}', /agent_id/],
    ['with an empty agent_id', '{"agent_id":""}', /agent_id/],
    ['with a numeric agent_id', '{"agent_id":7}', /agent_id/],
    ['with an agent_id of 257 characters', `{"agent_id":"${'a'.repeat(257)}"}`, /agent_id/],
    ['with a line break in agent_id', '{"agent_id":"a\\nb"}', /agent_id/],
    ['with agent_id on the prototype only', '{"__proto__":{"agent_id":"a"}}', /agent_id/],
    ['with a numeric conversation_id', '{"agent_id":"a","conversation_id":7}', /conversation_id/],
    ['with metadata that is an array', '{"agent_id":"a","metadata":[]}', /metadata/],
    ['with custom_headers as text', '{"agent_id":"a","custom_headers":"x"}', /custom_headers/],
    ['with a config that is true', '{"agent_id":"a","config":true}', /config/],
    ['with a numeric sdk_version', '{"agent_id":"a","sdk_version":2}', /sdk_version/],
    ['that is not JSON', '{"agent_id":', /not JSON/],
    [
      'that is nested 2,000 deep',
      `{"agent_id":"a","metadata":${'{"a":'.repeat(2_000)}1${'}'.repeat(2_001)}`,
      /nested too deeply/,
    ],
  ];
  for (const [what, body, message] of bad) {
    it(`gets a 400 that names the fault: ${what}`, async (t) => {
      const { ask, platform } = await stage(t, AUTHORIZED);
      const response = await ask(body);
      assert.deepEqual([response.status, platform.requests.length], [400, 0]);
      assert.match(((await response.json()) as { error: string }).error, message);
    });
  }

  it('gets a 413 beyond 16,384 bytes; exactly that many are accepted', async (t) => {
    const { ask, platform } = await stage(t, AUTHORIZED);
    const fixed = '{"agent_id":"a","metadata":{"a":""}}'.length;
    const bodyOf = (bytes: number): string =>
      `{"agent_id":"a","metadata":{"a":"${'x'.repeat(bytes - fixed)}"}}`;
    assert.equal((await ask(bodyOf(16_384))).status, 200);
    const refused = await ask(bodyOf(16_385));
    const error = 'the body is larger than 16384 bytes';
    assert.deepEqual([refused.status, await refused.json()], [413, { error }]);
    assert.equal(platform.requests.length, 1);
  });

  it('gets a 413 beyond MAX_BODY_BYTES if that is less', async (t) => {
    const { ask } = await stage(t, AUTHORIZED, { maxBodyBytes: 100 });
    assert.equal((await ask(`{"agent_id":"${'a'.repeat(100)}"}`)).status, 413);
  });
});

// Authorize against a platform of our own on a real socket.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { authorize } from '../../../src/wires/layercode/authorize.ts';
import { RestClient } from '../../../src/wires/layercode/rest-client.ts';
import { signPayload } from '../../../src/wires/layercode/signature.ts';
import {
  answerHtml,
  answerJson,
  hangsUp,
  neverAnswers,
  stalls,
  startRestServer,
  type RestAnswer,
  type RestServer,
} from '../../faults/rest-server.ts';
import { within } from '../../fixtures/app.ts';
import {
  deferred,
  recordLog,
  SECRET,
  serve,
  type RecordedLog,
  type Served,
  type ServeOptions,
} from '../../fixtures/kernel.ts';

const KEY = 'lk_live_0123456789abcdef';
const SESSION = {
  client_session_key: 'csk_1',
  conversation_id: 'conv_1',
  config: { transcription: { trigger: 'automatic' } },
};

/** The platform's answer to a request that is right. */
const AUTHORIZED = answerJson(200, SESSION);

/** A platform that answers all that it is asked so. */
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

/** A server whose platform answers so. */
async function stage(
  t: TestContext,
  answer: RestAnswer,
  options: ServeOptions = {},
): Promise<Stage> {
  const platform = await startPlatform(t, answer);
  const recorded = recordLog();
  const settings = { layercodeApiKey: KEY, layercodeApiUrl: platform.url, ...options.settings };
  const served = await serve(t, { log: recorded.log, ...options, settings });
  return {
    ...served,
    platform,
    recorded,
    ask: (body = '{"agent_id":"agent_1"}', headers = {}) =>
      served.fetch('/api/authorize', {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json', ...headers },
      }),
  };
}

describe('authorize', () => {
  it('hands back what the platform answered', async (t) => {
    const response = await (await stage(t, AUTHORIZED)).ask();
    assert.deepEqual([response.status, await response.json()], [200, SESSION]);
  });

  it('asks the platform once, at its path, with the key', async (t) => {
    const { ask, platform } = await stage(t, AUTHORIZED);
    await ask();
    assert.deepEqual(
      platform.requests.map(({ method, path, headers }) => [
        method,
        path,
        headers.authorization,
        headers['content-type'],
      ]),
      [['POST', '/v1/agents/web/authorize_session', `Bearer ${KEY}`, 'application/json']],
    );
  });

  it('passes on the whole request, with fields that it does not know', async (t) => {
    const { ask, platform } = await stage(t, AUTHORIZED);
    const request = {
      agent_id: 'a',
      conversation_id: null,
      metadata: { user: 'é' },
      custom_headers: { 'x-a': 'b' },
      config: {},
      sdk_version: '2',
      later: [1],
    };
    await ask(JSON.stringify(request));
    assert.deepEqual(JSON.parse(platform.requests[0]?.body ?? ''), request);
  });

  it('takes a body of any content type: some pages send none', async (t) => {
    const { ask } = await stage(t, AUTHORIZED);
    const types = ['text/plain;charset=UTF-8', 'application/x-www-form-urlencoded'];
    const answers = await Promise.all(
      types.map((type) => ask(undefined, { 'content-type': type })),
    );
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200],
    );
  });

  it('passes on no header of the browser', async (t) => {
    const { ask, platform } = await stage(t, AUTHORIZED);
    await ask(undefined, {
      cookie: 'a=b',
      'x-forwarded-for': '192.0.2.1',
      authorization: 'Bearer stolen',
    });
    const {
      cookie,
      'x-forwarded-for': forwarded,
      authorization,
    } = platform.requests[0]?.headers ?? {};
    assert.deepEqual([cookie, forwarded, authorization], [undefined, undefined, `Bearer ${KEY}`]);
  });

  it('is not to be cached', async (t) => {
    assert.equal(
      (await (await stage(t, AUTHORIZED)).ask()).headers.get('cache-control'),
      'no-store',
    );
  });

  it('is served at AUTHORIZE_ROUTE', async (t) => {
    const { fetch } = await stage(t, AUTHORIZED, {
      settings: { authorizeRoute: '/session' },
    });
    assert.equal(
      (await fetch('/session', { method: 'POST', body: '{"agent_id":"a"}' })).status,
      200,
    );
  });

  it('is 503 without an API key', async (t) => {
    const served = await serve(t);
    const response = await served.fetch('/api/authorize', {
      method: 'POST',
      body: '{"agent_id":"a"}',
    });
    assert.deepEqual(
      [response.status, await response.json()],
      [503, { error: 'LAYERCODE_API_KEY is not set on the server' }],
    );
  });
});

describe('an answer of the platform', () => {
  for (const [status, message] of [
    [400, 'Agent not found'],
    [402, 'Insufficient balance'],
    [429, 'Slow down'],
  ] as const) {
    it(`passes with its message when it is ${status}`, async (t) => {
      const response = await (await stage(t, answerJson(status, { error: message }))).ask();
      assert.deepEqual([response.status, await response.json()], [status, { error: message }]);
    });

    it(`passes with words of our own when it is ${status} without a message`, async (t) => {
      const response = await (await stage(t, answerHtml(status))).ask();
      assert.deepEqual(
        [response.status, typeof ((await response.json()) as { error: unknown }).error],
        [status, 'string'],
      );
    });
  }

  for (const retryAfter of ['17', 'Wed, 21 Oct 2026 07:28:00 GMT']) {
    it(`passes its Retry-After on with 429: ${retryAfter}`, async (t) => {
      const response = await (
        await stage(t, answerJson(429, { error: 'x' }, { 'retry-after': retryAfter }))
      ).ask();
      assert.equal(response.headers.get('retry-after'), retryAfter);
    });
  }

  it('passes no Retry-After on with another status', async (t) => {
    const response = await (
      await stage(t, answerJson(400, { error: 'x' }, { 'retry-after': '17' }))
    ).ask();
    assert.deepEqual([response.status, response.headers.get('retry-after')], [400, null]);
  });

  it('passes no strange Retry-After on', async (t) => {
    const response = await (
      await stage(t, answerJson(429, { error: 'x' }, { 'retry-after': '<b>' }))
    ).ask();
    assert.equal(response.headers.get('retry-after'), null);
  });

  for (const status of [401, 403, 404, 409, 418, 500, 502, 503, 504]) {
    it(`becomes 502 without its message when it is ${status}`, async (t) => {
      const response = await (await stage(t, answerJson(status, { error: 'inner words' }))).ask();
      assert.deepEqual(
        [response.status, (await response.text()).includes('inner words')],
        [502, false],
      );
    });
  }

  for (const status of [401, 403]) {
    it(`points the operator at the key when it is ${status}`, async (t) => {
      assert.match(
        await (await (await stage(t, answerJson(status, {}))).ask()).text(),
        /LAYERCODE_API_KEY/,
      );
    });
  }

  const broken: readonly (readonly [title: string, answer: RestAnswer])[] = [
    ['is HTML', answerHtml(200)],
    ['has no client_session_key', answerJson(200, { conversation_id: 'c' })],
    [
      'has a client_session_key that is no string',
      answerJson(200, { ...SESSION, client_session_key: 7 }),
    ],
    ['has no conversation_id', answerJson(200, { client_session_key: 'k' })],
    ['never comes because the connection breaks', hangsUp],
  ];
  for (const [title, answer] of broken) {
    it(`becomes 502 when it ${title}`, async (t) => {
      const response = await (await stage(t, answer)).ask();
      assert.deepEqual(
        [response.status, await response.json()],
        [502, { error: 'LayerCode could not authorize the session' }],
      );
    });
  }

  it('has no key in the log, whatever becomes of it', async (t) => {
    const { ask, recorded } = await stage(t, answerJson(401, { error: 'no' }));
    await ask();
    await recorded.next('request');
    assert.equal(recorded.text().includes(KEY), false);
  });

  // "400 (bad key, agent or conversation)", says the platform's page; many an API quotes the key
  // that it refuses.
  it('never lets the browser see the key, though the platform quotes it', async (t) => {
    const { ask } = await stage(t, answerJson(400, { error: `Invalid API key: ${KEY}` }));
    const response = await ask();
    assert.equal((await response.text()).includes(KEY), false);
  });

  it('is in the log with its status when it becomes 502', async (t) => {
    const { ask, recorded } = await stage(t, answerJson(500, { error: 'database on fire' }));
    await ask();
    const { status, level } = await recorded.next('LayerCode did not authorize');
    assert.deepEqual([status, level], [500, 'error']);
  });

  // An API may quote what it was sent, and that is a caller's: their name in custom_metadata, for
  // instance.
  for (const status of [400, 500]) {
    it(`leaves no word of its body in the log when it is ${status}`, async (t) => {
      const answer = answerJson(status, { error: 'not valid: Ada Lovelace' });
      const { ask, recorded } = await stage(t, answer);
      await ask();
      await recorded.next('request');
      assert.equal(recorded.text().includes('Lovelace'), false, recorded.text());
    });
  }

  it("is no error in the log when it is the browser's fault", async (t) => {
    const { ask, recorded } = await stage(t, answerJson(400, { error: 'no such agent' }));
    await ask();
    await recorded.next('request');
    assert.deepEqual(
      recorded.records().filter(({ level }) => level === 'error'),
      [],
    );
  });

  for (const [what, answer] of [
    ['never comes', neverAnswers],
    ['stops in the middle', stalls],
  ] as const) {
    it(`becomes 504 when it ${what}`, async (t) => {
      const platform = await startPlatform(t, answer);
      const client = new RestClient({ url: platform.url, apiKey: KEY, timeoutMs: 50 });
      const served = await serve(t, {
        setUp: (app) =>
          app.post('/authorize', authorize({ platform: client, agentIds: [] })),
      });
      const response = await served.fetch('/authorize', {
        method: 'POST',
        body: '{"agent_id":"a"}',
      });
      assert.deepEqual(
        [response.status, await response.json()],
        [504, { error: 'LayerCode did not answer in time' }],
      );
    });
  }
});

describe('a caller who leaves', () => {
  it('ends the call of the platform', async (t) => {
    const asked = deferred();
    const ended = deferred();
    const { ask, raw } = await stage(t, (response) => {
      response.on('close', () => ended.resolve());
      asked.resolve();
    });
    void ask;
    const client = await raw();
    client.send(
      'POST /api/authorize HTTP/1.1\r\nhost: x\r\ncontent-length: 16\r\n\r\n{"agent_id":"a"}',
    );
    await asked.promise;
    client.destroy();
    await within(ended.promise, 'the end of the call');
  });

  it('is no error in the log', async (t) => {
    const asked = deferred();
    const { raw, recorded } = await stage(t, () => asked.resolve());
    const client = await raw();
    client.send(
      'POST /api/authorize HTTP/1.1\r\nhost: x\r\ncontent-length: 16\r\n\r\n{"agent_id":"a"}',
    );
    await asked.promise;
    client.destroy();
    await recorded.next('request');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(
      recorded.records().filter(({ level }) => level === 'error'),
      [],
    );
  });
});

describe('who may authorize', () => {
  it('is 403 for an agent that is not listed, and the platform is not asked', async (t) => {
    const { ask, platform } = await stage(t, AUTHORIZED, {
      settings: { layercodeAgentIds: ['agent_1', 'agent_2'] },
    });
    assert.deepEqual(
      [(await ask('{"agent_id":"agent_3"}')).status, platform.requests.length],
      [403, 0],
    );
  });

  it('is 403 for any other agent where one alone is listed', async (t) => {
    const { ask, platform } = await stage(t, AUTHORIZED, {
      settings: { layercodeAgentIds: ['agent_1'] },
    });
    const statuses = [
      (await ask('{"agent_id":"agent_2"}')).status,
      (await ask('{"agent_id":"agent_1"}')).status,
    ];
    assert.deepEqual([statuses, platform.requests.length], [[403, 200], 1]);
  });

  it('is 200 for each agent that is listed', async (t) => {
    const { ask } = await stage(t, AUTHORIZED, {
      settings: { layercodeAgentIds: ['agent_1', 'agent_2'] },
    });
    assert.deepEqual(
      [(await ask('{"agent_id":"agent_1"}')).status, (await ask('{"agent_id":"agent_2"}')).status],
      [200, 200],
    );
  });

  it('takes the last of two agent_id for the one it checks and the one it sends', async (t) => {
    const { ask, platform } = await stage(t, AUTHORIZED, {
      settings: { layercodeAgentIds: ['agent_1'] },
    });
    await ask('{"agent_id":"agent_3","agent_id":"agent_1"}');
    assert.equal(platform.requests[0]?.body, '{"agent_id":"agent_1"}');
  });

  for (const origin of ['https://evil.example', 'null', 'https://app.example.evil.example']) {
    it(`is 403 for a page of ${origin}, and the platform is not asked`, async (t) => {
      const { ask, platform } = await stage(t, AUTHORIZED, {
        settings: { corsOrigins: ['https://app.example'] },
      });
      const response = await ask(undefined, { origin });
      assert.deepEqual(
        [
          response.status,
          response.headers.get('access-control-allow-origin'),
          platform.requests.length,
        ],
        [403, null, 0],
      );
    });
  }

  it('is 200 for a page of a listed origin', async (t) => {
    const { ask } = await stage(t, AUTHORIZED, {
      settings: { corsOrigins: ['https://app.example'] },
    });
    const response = await ask(undefined, { origin: 'https://app.example' });
    assert.deepEqual(
      [response.status, response.headers.get('access-control-allow-origin')],
      [200, 'https://app.example'],
    );
  });

  it('is 403 outside production for a page elsewhere, unless its origin is listed', async (t) => {
    const { ask, platform } = await stage(t, AUTHORIZED);
    const elsewhere = await ask(undefined, { origin: 'https://app.example' });
    assert.equal(elsewhere.status, 403);
    assert.match(await elsewhere.text(), /see CORS_ORIGINS/);
    assert.equal(platform.requests.length, 0);
    for (const origin of ['http://localhost:3000', 'https://127.0.0.1', 'http://[::1]:5173'])
      assert.equal((await ask(undefined, { origin })).status, 200, origin);
  });

  it('is 200 in production for a page of any origin by default', async (t) => {
    const { ask } = await stage(t, AUTHORIZED, { settings: { production: true } });
    assert.equal((await ask(undefined, { origin: 'https://app.example' })).status, 200);
  });

  it("is 200 without an origin: a server of the user's asks", async (t) => {
    assert.equal(
      (
        await (
          await stage(t, AUTHORIZED, { settings: { corsOrigins: ['https://app.example'] } })
        ).ask()
      ).status,
      200,
    );
  });

  it('is 200 with a right signature', async (t) => {
    const body = '{"agent_id":"a"}';
    assert.equal(
      (
        await (
          await stage(t, AUTHORIZED)
        ).ask(body, { 'layercode-signature': signPayload(body, SECRET) })
      ).status,
      200,
    );
  });

  it('is 401 with a wrong signature, and the platform is not asked', async (t) => {
    const { ask, platform } = await stage(t, AUTHORIZED);
    const signature = signPayload('{"agent_id":"b"}', SECRET);
    const response = await ask(undefined, { 'layercode-signature': signature });
    assert.deepEqual(
      [response.status, await response.json(), platform.requests.length],
      [401, { error: 'Invalid signature' }, 0],
    );
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
    [
      'with custom_headers that are text',
      '{"agent_id":"a","custom_headers":"x"}',
      /custom_headers/,
    ],
    ['with a config that is true', '{"agent_id":"a","config":true}', /config/],
    ['with a numeric sdk_version', '{"agent_id":"a","sdk_version":2}', /sdk_version/],
    ['that is not JSON', '{"agent_id":', /not JSON/],
    [
      'nested 2,000 deep',
      `{"agent_id":"a","metadata":${'{"a":'.repeat(2_000)}1${'}'.repeat(2_001)}`,
      /nested too deeply/,
    ],
  ];
  for (const [what, body, message] of bad) {
    it(`is 400 that names the fault: ${what}`, async (t) => {
      const { ask, platform } = await stage(t, AUTHORIZED);
      const response = await ask(body);
      const { error } = (await response.json()) as { error: string };
      assert.deepEqual(
        [response.status, message.test(error), platform.requests.length],
        [400, true, 0],
        error,
      );
    });
  }

  it('is 413 beyond 16,384 bytes, and one of exactly so many is accepted', async (t) => {
    const { ask, platform } = await stage(t, AUTHORIZED);
    const fixed = '{"agent_id":"a","metadata":{"a":""}}'.length;
    const bodyOf = (bytes: number): string =>
      `{"agent_id":"a","metadata":{"a":"${'x'.repeat(bytes - fixed)}"}}`;
    assert.equal((await ask(bodyOf(16_384))).status, 200);
    const refused = await ask(bodyOf(16_385));
    assert.deepEqual(
      [refused.status, await refused.json(), platform.requests.length],
      [413, { error: 'the body is larger than 16384 bytes' }, 1],
    );
  });

  it('is 413 beyond MAX_BODY_BYTES, where that is less', async (t) => {
    const { ask } = await stage(t, AUTHORIZED, { settings: { maxBodyBytes: 100 } });
    assert.equal((await ask(`{"agent_id":"${'a'.repeat(100)}"}`)).status, 413);
  });
});

// The REST client against a LayerCode of our own. authorize.test.ts tests how authorize uses it.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { PlatformError, RestClient } from '../../../../src/core/wires/layercode/rest-client.ts';
import {
  answerHtml,
  answerJson,
  hangsUp,
  neverAnswers,
  REST_KEY,
  SHAPES,
  stalls,
  startRestServer,
  type RestAnswer,
  type RestServer,
} from '../../../faults/rest-server.ts';

const PRODUCTION = 'https://voice.example/api/agent';

let rest: RestServer;
let client: RestClient;

/** Starts a server and a client for each test of a `describe`. */
function useRestServer(): void {
  beforeEach(async () => {
    rest = await startRestServer({ 'ag-1': PRODUCTION, 'ag-none': null });
    client = new RestClient({ url: rest.url, apiKey: REST_KEY });
  });
  afterEach(() => rest.close());
}

/** What was asked of the server. */
function asked(): readonly unknown[][] {
  return rest.requests.map(({ method, path, headers, body }) =>
    [method, path, headers.authorization, headers['content-type'], body]);
}

async function failureOf(promise: Promise<unknown>): Promise<PlatformError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof PlatformError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: 'it should have failed' });
}

describe('webhookUrl', () => {
  useRestServer();

  for (const [place, shape] of Object.entries(SHAPES)) {
    it(`is read from ${place}`, async () => {
      rest.shape = shape;
      assert.equal(await client.webhookUrl('ag-1'), PRODUCTION);
    });

    it(`is undefined when ${place} has none`, async () => {
      rest.shape = shape;
      assert.equal(await client.webhookUrl('ag-none'), undefined);
    });
  }

  it('asks once, with GET, the key and no body', async () => {
    await client.webhookUrl('ag-1');
    assert.deepEqual(asked(), [['GET', '/v1/agents/ag-1', `Bearer ${REST_KEY}`, undefined, '']]);
  });

  const plugin = (use: string, url?: unknown): object => ({
    use,
    ...(url === undefined ? {} : { options: { url } }),
  });
  const clear: readonly (readonly [what: string, agent: object, url: string | undefined])[] = [
    ['webhook_url is empty', { webhook_url: '' }, undefined],
    [
      'webhook_url and config.endpoint are null',
      { webhook_url: null, config: { endpoint: null } },
      undefined,
    ],
    [
      'nothing in the pipeline answers',
      { config: { plugins: [plugin('stt.deepgram'), plugin('tts.rime')] } },
      undefined,
    ],
    ['the plugin has no URL yet', { config: { plugins: [plugin('agent.webhook')] } }, undefined],
    [
      'all three places agree',
      {
        webhook_url: PRODUCTION,
        config: { endpoint: PRODUCTION, plugins: [plugin('agent.webhook', PRODUCTION)] },
      },
      PRODUCTION,
    ],
    [
      'two places are empty',
      {
        webhook_url: null,
        config: { endpoint: '', plugins: [plugin('agent.webhook', PRODUCTION)] },
      },
      PRODUCTION,
    ],
    [
      'there are other plugins with URLs',
      {
        config: {
          plugins: [plugin('stt.own', 'https://stt.example'), plugin('agent.webhook', PRODUCTION)],
        },
      },
      PRODUCTION,
    ],
    [
      'the list has entries that are not plugins',
      { config: { plugins: [null, 7, [], { use: 7 }, plugin('agent.webhook', PRODUCTION)] } },
      PRODUCTION,
    ],
  ];
  for (const [what, agent, url] of clear) {
    it(`is ${url === undefined ? 'undefined' : 'clear'} when ${what}`, async () => {
      rest.fault = () => answerJson(200, agent);
      assert.equal(await client.webhookUrl('ag-1'), url);
    });
  }

  const OTHER = 'https://other.example/hook';
  const unclear: readonly (readonly [what: string, agent: object, why: RegExp])[] = [
    [
      'the agent has none of the three places',
      {},
      /neither webhook_url nor config\.plugins nor config\.endpoint/,
    ],
    ['config is a string', { config: 'x' }, /neither/],
    ['the plugins are not a list', { config: { plugins: { use: 'agent.webhook' } } }, /neither/],
    [
      'a hosted model answers',
      { webhook_url: null, config: { plugins: [plugin('agent.llm')] } },
      /has the plugin agent\.llm instead of agent\.webhook/,
    ],
    [
      'a WebSocket answers, though a webhook was set once',
      { webhook_url: PRODUCTION, config: { plugins: [plugin('agent.ws', 'wss://a.example')] } },
      /agent\.ws/,
    ],
    [
      'two places differ',
      { webhook_url: OTHER, config: { plugins: [plugin('agent.webhook', PRODUCTION)] } },
      /2 different webhooks: https:\/\/voice.* and https:\/\/other/,
    ],
    [
      'two plugins differ',
      {
        config: { plugins: [plugin('agent.webhook', OTHER), plugin('agent.webhook', PRODUCTION)] },
      },
      /2 different webhooks/,
    ],
    ['webhook_url is not a string', { webhook_url: 7 }, /not a string/],
    [
      'the plugin\'s URL is not a string',
      { config: { plugins: [plugin('agent.webhook', { href: OTHER })] } },
      /not a string/,
    ],
  ];
  for (const [what, agent, why] of unclear) {
    it(`is refused as unclear when ${what}`, async () => {
      rest.fault = () => answerJson(200, agent);
      const { kind, message } = await failureOf(client.webhookUrl('ag-1'));
      assert.equal(kind, 'unclear webhook');
      assert.match(message, why);
    });
  }

  it('asks even for an id that a URL would take apart', async () => {
    const id = 'a/b?c#d%2e é';
    rest.webhooks.set(id, PRODUCTION);
    assert.equal(await client.webhookUrl(id), PRODUCTION);
    assert.equal(rest.requests[0]?.path, `/v1/agents/${encodeURIComponent(id)}`);
  });

  // `new URL('https://host/v1/agents/..')` is https://host/v1/, even with %2E%2E.
  for (const id of ['', '.', '..']) {
    it(`does not ask for an agent named ${JSON.stringify(id)}`, async () => {
      await assert.rejects(client.webhookUrl(id), TypeError);
      await assert.rejects(client.setWebhookUrl(id, PRODUCTION), TypeError);
      assert.equal(rest.requests.length, 0);
    });
  }
});

describe('setWebhookUrl', () => {
  useRestServer();

  it('posts webhook_url alone, with the key, and reads it back', async () => {
    await client.setWebhookUrl('ag-none', PRODUCTION);
    const [path, key] = ['/v1/agents/ag-none', `Bearer ${REST_KEY}`];
    assert.deepEqual(asked(), [
      ['POST', path, key, 'application/json', JSON.stringify({ webhook_url: PRODUCTION })],
      ['GET', path, key, undefined, ''],
    ]);
  });

  for (const url of [undefined, '']) {
    it(`posts null for ${JSON.stringify(url)}`, async () => {
      await client.setWebhookUrl('ag-1', url);
      assert.equal(rest.webhooks.get('ag-1'), null);
    });
  }

  const vain: readonly (readonly [what: string, read: RestAnswer, why: RegExp])[] = [
    [
      'is not what is read back',
      answerJson(200, { webhook_url: null }),
      /^it was set to https:\/\/voice\.example\/api\/agent, but is still none$/,
    ],
    [
      'cannot be read back',
      answerJson(500, {}),
      /^it was set to .*, but reading it back failed: GET \/v1\/agents\/ag-1 was refused with 500$/,
    ],
  ];
  for (const [what, read, why] of vain) {
    it(`rejects as unclear when what was accepted ${what}`, async () => {
      rest.fault = ({ method }) => (method === 'GET' ? read : undefined);
      const { kind, message } = await failureOf(client.setWebhookUrl('ag-1', PRODUCTION));
      assert.equal(kind, 'unclear webhook');
      assert.match(message, why);
    });
  }
});

const calls = {
  webhookUrl: (agent: RestClient, signal?: AbortSignal) => agent.webhookUrl('ag-1', signal),
  setWebhookUrl: (agent: RestClient, signal?: AbortSignal) =>
    agent.setWebhookUrl('ag-1', PRODUCTION, signal),
};

for (const [name, call] of Object.entries(calls)) {
  describe(`a failure of ${name}`, () => {
    useRestServer();

    it('has the status and the platform\'s own words when the request is refused', async () => {
      rest.fault = () => answerJson(429, { error: 'Slow down' }, { 'retry-after': '17' });
      const { kind, status, reason, retryAfter } = await failureOf(call(client));
      assert.deepEqual([kind, status, reason, retryAfter], ['refused', 429, 'Slow down', '17']);
    });

    it('does not contain the key, even if the platform quotes it', async () => {
      rest.fault = ({ headers }) => answerJson(401, { error: `not ${headers.authorization}` });
      const error = await failureOf(call(client));
      assert.equal(error.reason, 'not Bearer [redacted]');
      assert.equal(JSON.stringify([error, error.message, error.stack]).includes(REST_KEY), false);
    });

    const malformed: readonly (readonly [what: string, answer: RestAnswer])[] = [
      ['HTML', answerHtml(200)],
      ['an array', answerJson(200, [])],
      ['nothing', (response) => response.writeHead(204).end()],
      ['more than 1 MiB', answerJson(200, { name: 'x'.repeat(1_100_000) })],
    ];
    for (const [what, answer] of malformed) {
      it(`is of the kind "malformed answer" if the platform answers with ${what}`, async () => {
        rest.fault = () => answer;
        assert.equal((await failureOf(call(client))).kind, 'malformed answer');
      });
    }

    for (const [what, answer] of [
      ['never comes', neverAnswers],
      ['stops in the middle', stalls],
    ] as const) {
      it(`is a timeout when the answer ${what}`, async () => {
        rest.fault = () => answer;
        const hasty = new RestClient({ url: rest.url, apiKey: REST_KEY, timeoutMs: 30 });
        assert.equal((await failureOf(call(hasty))).kind, 'timed out');
      });
    }

    it('is of the kind "unreachable" when the connection breaks', async () => {
      rest.fault = () => hangsUp;
      assert.equal((await failureOf(call(client))).kind, 'unreachable');
    });

    it('is of the kind "unreachable" after a redirect, and the key goes nowhere else', async () => {
      const elsewhere = await startRestServer({ 'ag-1': null });
      try {
        rest.fault =
          ({ path }) =>
          (response) =>
            response.writeHead(307, { location: elsewhere.url + path }).end();
        assert.equal((await failureOf(call(client))).kind, 'unreachable');
        assert.equal(elsewhere.requests.length, 0);
      } finally {
        await elsewhere.close();
      }
    });

    it('is the signal\'s reason when the signal fires', async () => {
      const controller = new AbortController();
      rest.fault = () => () => controller.abort('enough');
      assert.equal(
        await call(client, controller.signal).then(
          () => 'no failure',
          (reason: unknown) => reason,
        ),
        'enough',
      );
    });
  });
}

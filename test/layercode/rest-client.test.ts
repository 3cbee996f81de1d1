// The REST client against a LayerCode of our own. How authorize uses it is in test/authorize.test.ts.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { PlatformError, RestClient } from '../../src/layercode/rest-client.ts';
import {
  answerHtml, answerJson, hangsUp, neverAnswers, REST_KEY, stalls, startRestServer, type RestAnswer, type RestServer,
} from '../faults/rest-server.ts';

const PRODUCTION = 'https://voice.example/api/agent';

let rest: RestServer;
let client: RestClient;

beforeEach(async () => {
  rest = await startRestServer({ 'ag-1': PRODUCTION, 'ag-none': null });
  client = new RestClient({ url: rest.url, apiKey: REST_KEY });
});
afterEach(() => rest.close());

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
  it('is the agent\'s webhook_url', async () => assert.equal(await client.webhookUrl('ag-1'), PRODUCTION));

  it('asks once, with GET, the key and no body', async () => {
    await client.webhookUrl('ag-1');
    assert.deepEqual(
      rest.requests.map(({ method, path, headers, body }) => [method, path, headers.authorization, headers['content-type'], body]),
      [['GET', '/v1/agents/ag-1', `Bearer ${REST_KEY}`, undefined, '']],
    );
  });

  for (const [what, answer] of [['null', { webhook_url: null }], ['missing', {}], ['empty', { webhook_url: '' }], ['null twice', { config: { endpoint: null } }]] as const) {
    it(`is undefined when it is ${what}`, async () => {
      rest.fault = () => answerJson(200, answer);
      assert.equal(await client.webhookUrl('ag-1'), undefined);
    });
  }

  it('is found where LayerCode keeps it: config.endpoint', async () => {
    rest.fault = () => answerJson(200, { id: 'ag-1', config: { endpoint: PRODUCTION } });
    assert.equal(await client.webhookUrl('ag-1'), PRODUCTION);
  });

  it('refuses one that is not a string', async () => {
    rest.fault = () => answerJson(200, { webhook_url: 7 });
    assert.equal((await failureOf(client.webhookUrl('ag-1'))).kind, 'malformed answer');
  });

  it('asks for an id that a URL would take apart', async () => {
    const id = 'a/b?c#d%2e é';
    rest.webhooks.set(id, PRODUCTION);
    assert.equal(await client.webhookUrl(id), PRODUCTION);
    assert.equal(rest.requests[0]?.path, `/v1/agents/${encodeURIComponent(id)}`);
  });

  // `new URL('https://host/v1/agents/..')` is https://host/v1/, also with %2E%2E.
  for (const id of ['', '.', '..']) {
    it(`asks for no agent named ${JSON.stringify(id)}`, async () => {
      await assert.rejects(client.webhookUrl(id), TypeError);
      await assert.rejects(client.setWebhookUrl(id, PRODUCTION), TypeError);
      assert.equal(rest.requests.length, 0);
    });
  }
});

describe('setWebhookUrl', () => {
  it('posts webhook_url alone, with the key', async () => {
    await client.setWebhookUrl('ag-none', PRODUCTION);
    assert.deepEqual(
      rest.requests.map(({ method, path, headers, body }) => [method, path, headers.authorization, headers['content-type'], body]),
      [['POST', '/v1/agents/ag-none', `Bearer ${REST_KEY}`, 'application/json', JSON.stringify({ webhook_url: PRODUCTION })]],
    );
  });

  for (const url of [undefined, '']) {
    it(`posts null for ${JSON.stringify(url)}`, async () => {
      await client.setWebhookUrl('ag-1', url);
      assert.equal(rest.webhooks.get('ag-1'), null);
    });
  }
});

const calls = {
  webhookUrl: (agent: RestClient, signal?: AbortSignal) => agent.webhookUrl('ag-1', signal),
  setWebhookUrl: (agent: RestClient, signal?: AbortSignal) => agent.setWebhookUrl('ag-1', PRODUCTION, signal),
};

for (const [name, call] of Object.entries(calls)) {
  describe(`a failure of ${name}`, () => {
    it('has the status and the platform\'s own words when it is refused', async () => {
      rest.fault = () => answerJson(429, { error: 'Slow down' }, { 'retry-after': '17' });
      const { kind, status, reason, retryAfter } = await failureOf(call(client));
      assert.deepEqual([kind, status, reason, retryAfter], ['refused', 429, 'Slow down', '17']);
    });

    it('has no key in it, though the platform quotes it', async () => {
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
      it(`is a malformed answer when it is answered with ${what}`, async () => {
        rest.fault = () => answer;
        assert.equal((await failureOf(call(client))).kind, 'malformed answer');
      });
    }

    for (const [what, answer] of [['never comes', neverAnswers], ['stops in the middle', stalls]] as const) {
      it(`is a time-out when the answer ${what}`, async () => {
        rest.fault = () => answer;
        const hasty = new RestClient({ url: rest.url, apiKey: REST_KEY, timeoutMs: 30 });
        assert.equal((await failureOf(call(hasty))).kind, 'timed out');
      });
    }

    it('is unreachable when the connection breaks', async () => {
      rest.fault = () => hangsUp;
      assert.equal((await failureOf(call(client))).kind, 'unreachable');
    });

    it('is unreachable when it is sent elsewhere, and the key goes to nobody else', async () => {
      const elsewhere = await startRestServer({ 'ag-1': null });
      try {
        rest.fault = ({ path }) => (response) => response.writeHead(307, { location: elsewhere.url + path }).end();
        assert.equal((await failureOf(call(client))).kind, 'unreachable');
        assert.equal(elsewhere.requests.length, 0);
      } finally {
        await elsewhere.close();
      }
    });

    it('is the signal\'s reason when that fires', async () => {
      const controller = new AbortController();
      rest.fault = () => () => controller.abort('enough');
      assert.equal(await call(client, controller.signal).then(() => 'no failure', (reason: unknown) => reason), 'enough');
    });
  });
}

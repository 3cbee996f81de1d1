import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { signPayload } from '../../../src/core/wires/layercode/signature.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import type { Settings } from '../../../src/server/settings/settings.ts';
import {
  parseAnswer, quiet, SECRET, serve, settingsWith, signed, type Served,
} from '../../fixtures/kernel.ts';

describe('createApp', () => {
  it('refuses a misspelt option, and names what was meant', () => {
    const options = { stroe: undefined } as object;
    assert.throws(() => createApp(settingsWith(), quiet, options), {
      name: 'TypeError',
      message: 'the options of createApp: unknown field "stroe"; did you mean "store"?',
    });
  });

  it('refuses settings without a webhook secret', () => {
    assert.throws(() => createApp(settingsWith({ webhookSecrets: [] }), quiet), {
      name: 'TypeError',
      message: /LAYERCODE_WEBHOOK_SECRET/,
    });
  });

  it('refuses an empty webhook secret, with which anybody could sign', () => {
    assert.throws(() => createApp(settingsWith({ webhookSecrets: [SECRET, ''] }), quiet), {
      name: 'TypeError',
    });
  });
});

describe('an unknown path', () => {
  it('gets a 404 in JSON', async (t) => {
    const response = await (await serve(t)).fetch('/nothing');
    assert.deepEqual(
      [response.status, response.headers.get('content-type'), await response.json()],
      [404, 'application/json; charset=utf-8', { error: 'Not found' }],
    );
  });

  it('gets a 404 for an OPTIONS request that is not a preflight', async (t) => {
    assert.equal((await (await serve(t)).fetch('/nothing', { method: 'OPTIONS' })).status, 404);
  });
});

describe('a known path', () => {
  for (const [method, path, allow] of [
    ['POST', '/health', 'GET, HEAD, OPTIONS'],
    ['DELETE', '/ready', 'GET, HEAD, OPTIONS'],
    ['GET', '/api/agent', 'POST, OPTIONS'],
    ['HEAD', '/api/agent', 'POST, OPTIONS'],
    ['PUT', '/api/authorize', 'POST, OPTIONS'],
    ['PROPFIND', '/metrics', 'GET, HEAD, OPTIONS'],
  ] as const)
    it(`answers 405 to ${method} ${path}, and says what it allows`, async (t) => {
      const response = await (await serve(t)).fetch(path, { method });
      assert.deepEqual([response.status, response.headers.get('allow')], [405, allow]);
      const error = `${path} only allows ${allow}`;
      assert.equal(await response.text(), method === 'HEAD' ? '' : JSON.stringify({ error }));
    });

  for (const [method, path, status, allow, hasLength] of [
    ['OPTIONS', '/health', 204, 'GET, HEAD, OPTIONS', false],
    ['HEAD', '/health', 200, undefined, true],
    ['HEAD', '/ready', 200, undefined, true],
    ['HEAD', '/metrics', 200, undefined, true],
    ['HEAD', '/openapi.json', 200, undefined, true],
    ['HEAD', '/nothing', 404, undefined, true],
  ] as const)
    it(`answers ${method} ${path} with ${status} and no body`, async (t) => {
      const client = await (await serve(t)).raw();
      client.send(`${method} ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      const { headers, ...answer } = await client.lastAnswer();
      assert.deepEqual([answer.status, headers['allow'], answer.body], [status, allow, '']);
      assert.equal(Number(headers['content-length'] ?? 0) > 0, hasLength);
    });

  it('answers 400 if a parameter is not percent-encoded UTF-8', async (t) => {
    const served = await serve(t);
    served.app.get('/calls/:id', (context) => context.json(200, context.params));
    const response = await served.fetch('/calls/%FF');
    assert.deepEqual(
      [response.status, await response.json()],
      [400, { error: 'the path is not percent-encoded UTF-8' }],
    );
  });
});

describe('app.get and app.post', () => {
  it('give the handler the query', async (t) => {
    const served = await serve(t);
    served.app.get('/q', (context) => context.text(200, context.query));
    assert.equal(await (await served.fetch('/q?a=1?2')).text(), 'a=1?2');
  });

  it('refuse a route that already exists', () => {
    assert.throws(
      () => createApp(settingsWith(), quiet).get('/health', () => undefined),
      /GET \/health already/,
    );
  });
});

describe("a user's route below /api/", () => {
  async function serveRoutes(t: TestContext, settings?: Partial<Settings>): Promise<Served> {
    const served = await serve(t, { settings });
    served.app
      .post('/api/mine', (context) => context.text(200, 'mine'))
      .get('/api/mine', (context) => context.text(200, 'mine'))
      .get('/:area/x', (context) => context.text(200, `area ${context.params['area']}`))
      .get('/apiary', (context) => context.text(200, 'bees'));
    return served;
  }

  for (const [what, path, method, signedBody, status] of [
    ['served with a signature', '/api/mine', 'POST', '{}', 200],
    ['refused without a signature', '/api/mine', 'POST', undefined, 401],
    ['refused for GET without a signature', '/api/mine', 'GET', undefined, 401],
    ['refused for HEAD without a signature', '/api/mine', 'HEAD', undefined, 401],
    ['served for GET with a signature of the empty body', '/api/mine', 'GET', '', 200],
    ['refused through a pattern that matches there', '/api/x', 'GET', undefined, 401],
    // RFC 3986 §6.2.2.2: `/%61pi/x` and `/api/x` are one path, and the handler is handed `api`
    // either way.
    ['refused where "api" is percent-encoded', '/%61pi/x', 'GET', undefined, 401],
    ['refused in absolute form', 'http://x/api/x', 'GET', undefined, 401],
    ["open on a pattern's other paths", '/other/x', 'GET', undefined, 200],
    ['open on a path that only begins with /api', '/apiary', 'GET', undefined, 200],
  ] as const)
    it(`is ${what}`, async (t) => {
      const client = await (await serveRoutes(t)).raw();
      const signature = signedBody === undefined ? [] : [
        `layercode-signature: ${signPayload(signedBody, SECRET)}`,
      ];
      const body = signedBody ?? '';
      client.send([
        `${method} ${path} HTTP/1.1`, 'host: x', 'connection: close', ...signature,
        `content-length: ${body.length}`, '', body,
      ].join('\r\n'));
      assert.equal((await client.lastAnswer()).status, status);
    });

  it('is refused with any signature if the app has no webhook secret', async (t) => {
    const settings = { webhookSecrets: [], chatCompletionsKeys: ['a key of the other wire'] };
    const served = await serveRoutes(t, settings);
    for (const init of [{ method: 'POST', body: '{}' }, signed('{}')])
      assert.equal((await served.fetch('/api/mine', init)).status, 401);
  });
});

describe('app.use', () => {
  it('runs layers in the order they were added, even where nobody serves the path', async (t) => {
    const served = await serve(t);
    for (const name of ['a', 'b'])
      served.app.use((context, next) => {
        context.setHeader('x-layers', name);
        return next();
      });
    assert.equal((await served.fetch('/nothing')).headers.get('x-layers'), 'a, b');
  });

  // If only `compose()` found it, the listener would throw on every request: in a plain JavaScript
  // project one typo would end the process.
  it('refuses what is not a function', async (t) => {
    const { app } = await serve(t);
    for (const value of [{}, undefined, Promise.resolve()])
      assert.throws(() => app.use(value as never), /^TypeError: middleware must be a function/);
  });

  it('throws after the first request', async (t) => {
    const served = await serve(t);
    await served.fetch('/health');
    assert.throws(() => served.app.use((_context, next) => next()), /before the first request/);
  });
});

describe('app.listen', () => {
  it('rejects for a port that is taken', async (t) => {
    const { port } = await serve(t);
    await assert.rejects(createApp(settingsWith(), quiet).listen({ host: '127.0.0.1', port }), {
      code: 'EADDRINUSE',
    });
  });

  it('throws when it is called again', async (t) => {
    const { app } = await serve(t);
    assert.throws(() => app.listen({ port: 0 }), /listen\(\) has already been called/);
  });

  it('does not listen if the app is closed while code is still loading', async () => {
    const settings = settingsWith({ chatCompletionsKeys: ['key'] });
    const app = createApp(settings, quiet);
    const listening = app.listen({ host: '127.0.0.1', port: 0 });
    const refused = assert.rejects(listening, { message: 'the app was closed before it listened' });
    await app.close();
    await refused;
  });

  it('keeps a connection for the next request', async (t) => {
    const client = await (await serve(t)).raw();
    for (let count = 1; count <= 3; count++) {
      client.send('GET /health HTTP/1.1\r\nhost: x\r\n\r\n');
      await client.until(new RegExp(`(HTTP/1\\.1 200[^]*?\\}){${count}}$`));
    }
    assert.equal(parseAnswer(client.received).headers['keep-alive'], 'timeout=75');
  });
});

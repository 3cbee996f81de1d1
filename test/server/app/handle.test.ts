// An app as the listener of another server.

import assert from 'node:assert/strict';
import { createServer, ServerResponse, type IncomingMessage } from 'node:http';
import { describe, it, type TestContext } from 'node:test';

import type { App } from '../../../src/server/app/app.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { within } from '../../fixtures/app.ts';
import { messageEvent, quiet, RawConnection, settingsWith, signed } from '../../fixtures/kernel.ts';
import { listen } from '../../fixtures/listen.ts';

/** Serves requests with a listener of the test's own. */
async function serveWith(
  t: TestContext,
  listener: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  return (await listen(createServer(listener), t)).origin;
}

describe('app.handle', () => {
  it("answers a signed turn in somebody else's server, even if called unbound", async (t) => {
    const { handle } = createApp(settingsWith(), quiet);
    const response = await fetch(`${await serveWith(t, handle)}/api/agent`, signed(messageEvent()));
    assert.match(await response.text(), /"response\.tts","content":"Yes\."[^]*"response\.end"/);
  });

  it('keeps the connection of a client whose refused request has an empty body', async (t) => {
    const { port } = new URL(await serveWith(t, createApp(settingsWith(), quiet).handle));
    const client = await RawConnection.open(Number(port));
    t.after(() => client.destroy());
    for (let count = 1; count <= 2; count++) {
      client.send('POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n');
      await client.until(new RegExp(`(HTTP/1\\.1 404[^]*?\\}){${count}}$`));
    }
  });

  it('refuses new requests once the app is closed', async (t) => {
    const app = createApp(settingsWith(), quiet);
    const origin = await serveWith(t, app.handle);
    await app.close();
    assert.equal((await fetch(`${origin}/health`)).status, 503);
  });
});

describe('app.handle with next', () => {
  const THEIRS = 299;
  for (const [what, method, path, status] of [
    ['calls it for an unknown path', 'GET', '/theirs', THEIRS],
    ['calls it for another method of an unknown path', 'POST', '/theirs', THEIRS],
    ['calls it for a preflight of an unknown path', 'OPTIONS', '/theirs', THEIRS],
    ['calls it for a path whose case differs', 'GET', '/Health', THEIRS],
    ['calls it for a malformed path that is not a route', 'GET', '/%zz/theirs', THEIRS],
    ['answers a path of its own', 'GET', '/health', 200],
    ['answers another method of its own path', 'DELETE', '/health', 405],
    ['answers a preflight of its own path', 'OPTIONS', '/health', 204],
    ['answers a malformed parameter of its own path', 'GET', '/%zz/ours', 400],
  ] as const)
    it(what, async (t) => {
      const app = createApp(settingsWith(), quiet);
      app.get('/:id/ours', (context) => context.empty(204));
      const origin = await serveWith(t, (request, response) => {
        app.handle(request, response, () => response.writeHead(THEIRS).end());
      });
      const headers = { origin: 'https://a.example', 'access-control-request-method': 'GET' };
      assert.equal((await fetch(origin + path, { method, headers })).status, status);
    });

  it('calls it before returning, with nothing set and nothing counted', async (t) => {
    const app = createApp(settingsWith(), quiet);
    app.use((context) => context.empty(204));
    const found: unknown[] = [];
    const origin = await serveWith(t, (request, response) => {
      const watched = (): number[] => [
        response.listenerCount('close'), request.socket.listenerCount('close'),
        request.listenerCount('data'),
      ];
      const before = watched();
      app.handle(request, response, () => {
        found.push(response.getHeaderNames(), watched(), before);
      });
      found.push('returned');
      response.end();
    });
    await (await fetch(`${origin}/theirs`)).text();
    const [headers, after, before, last] = found;
    assert.deepEqual([headers, after, last], [[], before, 'returned']);
    assert.doesNotMatch(app.metrics.text(), /^http_requests_total\{/m);
  });
});

describe('app.handle below a path of another server', () => {
  /** As Express does: the path is cut off `url`. */
  function mount(path: string, app: App) {
    return (request: IncomingMessage, response: ServerResponse): void => {
      const { url = '' } = request;
      Object.assign(request, { originalUrl: url, url: url.slice(path.length) });
      app.handle(request, response);
    };
  }

  it('serves the path that was asked for', async (t) => {
    const app = createApp(settingsWith({ agentRoute: '/voice/agent' }), quiet);
    const origin = await serveWith(t, mount('/voice', app));
    const response = await fetch(`${origin}/voice/agent`, signed(messageEvent()));
    assert.match(await response.text(), /"content":"Yes\."/);
  });

  it('guards a path that was asked for below /api/', async (t) => {
    const app = createApp(settingsWith(), quiet);
    app.get('/:room/secrets', (context) => context.text(200, context.path));
    const origin = await serveWith(t, mount('/api', app));
    assert.equal((await fetch(`${origin}/api/secrets`)).status, 401);
  });
});

describe('app.handle after a layer that has read the body', () => {
  async function behindParser(
    t: TestContext,
    keep: (body: Buffer) => object,
  ): Promise<Response> {
    const app = createApp(settingsWith(), quiet);
    const origin = await serveWith(t, async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      app.handle(Object.assign(request, keep(Buffer.concat(chunks))), response);
    });
    return within(fetch(`${origin}/api/agent`, signed(messageEvent())), 'an answer');
  }

  it('answers the turn if the layer kept the bytes in rawBody', async (t) => {
    const answer = await behindParser(t, (rawBody) => ({ rawBody }));
    assert.match(await answer.text(), /"content":"Yes\."/);
  });

  it('answers 401 if rawBody is not what was signed', async (t) => {
    const answer = await behindParser(t, (body) => ({ rawBody: Buffer.from(`${body} `) }));
    assert.equal(answer.status, 401);
  });
});

// What the server does with bytes that are not an honest request, or are more than it accepts. Over
// raw TCP: `fetch` is too polite.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Context } from '../../../src/base/http/context.ts';
import { signPayload } from '../../../src/core/wires/layercode/signature.ts';
import { deferred, rawRequest, within } from '../../fixtures/app.ts';
import {
  messageEvent, parseAnswer, recordLog, SECRET, serve, type RawAnswer, type Served,
} from '../../fixtures/kernel.ts';

const LIMIT = 1_000;

function postHead(path: string, headers: Readonly<Record<string, string | number>>): string {
  return `POST ${path} HTTP/1.1\r\nhost: x\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;
}

function webhookHead(body: string, headers: Readonly<Record<string, string | number>>): string {
  return postHead('/api/agent', {
    'content-type': 'application/json',
    'layercode-signature': signPayload(body, SECRET),
    connection: 'close',
    ...headers,
  });
}

async function exchange(served: Served, bytes: string): Promise<RawAnswer> {
  const client = await served.raw();
  client.send(bytes);
  return client.lastAnswer();
}

describe('a server that refuses a body', () => {
  it('closes the connection after a 413, and does not read the rest as a request', async (t) => {
    const served = await serve(t, { settings: { maxBodyBytes: LIMIT } });
    const client = await served.raw();
    client.send(webhookHead('', { connection: 'keep-alive', 'content-length': 2 * LIMIT }));
    await client.until(/\}$/);
    client.send('GET /health HTTP/1.1\r\nhost: x\r\n\r\n'.padEnd(2 * LIMIT));
    await client.closed;
    assert.equal(client.received.match(/HTTP\/1\.1/g)?.length, 1);
  });

  for (const [when, handler] of [
    ['unread', () => undefined],
    ['read', (context: Context) => context.readRawBody()],
  ] as const) {
    it(`keeps the connection after a 400 if the body came with the head: ${when}`, async (t) => {
      const served = await serve(t);
      served.app.post('/refuse', (context) => {
        void handler(context);
        context.json(400, { error: 'no' });
      });
      const client = await served.raw();
      const head = { connection: 'keep-alive', 'content-length': 5 };
      client.send(`${postHead('/refuse', head)}hello`);
      await client.until(/"no"}$/);
      client.send(`${postHead('/refuse', { connection: 'close', 'content-length': 5 })}again`);
      await client.closed;
      assert.equal(client.received.match(/HTTP\/1\.1 400/g)?.length, 2);
    });
  }

  // Python's http.client, PHP's curl and others read nothing before everything is sent: a reset on
  // the way is all they would see.
  it('lets a client that reads only after sending 8 MB read its 413', async (t) => {
    const served = await serve(t);
    const client = await served.raw();
    client.socket.pause();
    client.send(webhookHead('', { 'content-length': 8_000_000 }));
    await new Promise((resolve) => client.socket.write(Buffer.alloc(8_000_000, 'x'), resolve));
    client.socket.resume();
    assert.match(await client.until(/\}$/), /^HTTP\/1\.1 413 /);
  });

  it('does not wait forever for a client that declares more than it sends', async (t) => {
    const served = await serve(t);
    const client = await served.raw();
    client.send(`${webhookHead('', { 'content-length': 100 })}{"type":`);
    client.socket.end();
    const { status } = await client.lastAnswer();
    assert.equal(status, 400);
  });
});

describe('a client that leaves in mid-body', () => {
  for (const how of ['resets', 'destroys'] as const) {
    it(`leaves a line in the access log but no error when it ${how} the connection`, async (t) => {
      const { log, records, wait } = recordLog();
      const served = await serve(t, { log });
      const client = await served.raw();
      client.send(`${webhookHead('', { 'content-length': 100 })}{"type":`);
      await served.fetch('/health'); // by now the head has been read
      if (how === 'resets') client.socket.resetAndDestroy();
      else client.destroy();
      const lines = await wait('request', 2);
      assert.equal(lines.find(({ path }) => path === '/api/agent')?.['isCutShort'], true);
      // By now the rest of the chain has run, too.
      assert.equal((await served.fetch('/health')).status, 200);
      assert.deepEqual(records().filter(({ level }) => level === 'error'), []);
    });
  }
});

describe('a malformed request', () => {
  const get = (target: string, headers = 'host: x\r\n'): string =>
    `GET ${target} HTTP/1.1\r\n${headers}\r\n`;
  const options = (target: string, hosts: string): string =>
    `OPTIONS ${target} HTTP/1.1\r\n${hosts}origin: https://a.example\r\n`
    + 'access-control-request-method: POST\r\n\r\n';
  const upgrade = 'host: x\r\nconnection: upgrade\r\n';
  const websocket = `${upgrade}upgrade: websocket\r\nsec-websocket-version: 13\r\n`;
  const lengths = postHead('/api/agent', { 'content-length': 5, 'Content-Length': 6 });
  const refused: readonly (readonly [title: string, bytes: string])[] = [
    ['a target with two slashes', get('//evil.example/health')],
    ['an absolute target with two slashes', get('http://x//health')],
    ['a target with a fragment', get('/health#x')],
    ['two Host headers', get('/health', 'host: x\r\nhost: y\r\n')],
    ['two Host headers that agree', get('/health', 'host: x\r\nHost: x\r\n')],
    ['two Host headers on a preflight', options('/health', 'host: x\r\nhost: y\r\n')],
    ['a malformed target on a preflight', options('//x', 'host: x\r\n')],
    ['no Host header in HTTP/1.1', get('/health', '')],
    ['HTTP/0.9', 'GET /health\r\n\r\n'],
    ['HTTP/0.9 by name', 'GET /health HTTP/0.9\r\n\r\n'],
    ['HTTP/2 without asking', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['HTTP/3.0', 'GET /health HTTP/3.0\r\nhost: x\r\n\r\n'],
    ['a WebSocket upgrade', get('/health', `${websocket}sec-websocket-key: x\r\n`)],
    ['a WebSocket upgrade among others', get('/health', `${upgrade}upgrade: h2c, WebSocket\r\n`)],
    ['a TLS hello', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003\r\n\r\n'],
    ['a folded header', get('/health', 'host: x\r\nx-y: a\r\n\tb\r\n')],
    [
      'a length beside chunks (request smuggling)',
      postHead('/api/agent', { 'content-length': 5, 'transfer-encoding': 'chunked' }) + '0\r\n\r\n',
    ],
    ['two lengths', lengths],
    ['a negative length', postHead('/api/agent', { 'content-length': -1 })],
    ['a length with a sign', postHead('/api/agent', { 'content-length': '+5' })],
    [
      'a chunk size that is not a number',
      postHead('/api/authorize', { 'transfer-encoding': 'chunked' }) + 'zz\r\n',
    ],
  ];
  for (const [title, bytes] of refused) {
    it(`is refused with a 4xx and a closed connection: ${title}`, async (t) => {
      const client = await (await serve(t)).raw();
      client.send(bytes);
      const { status } = parseAnswer(await client.until(/\r\n\r\n/));
      assert.equal(Math.floor(status / 100), 4);
      await within(client.closed, 'the connection to be closed');
    });
  }

  // RFC 9112 §3.2, and RFC 9110 §15.5.6: "The origin server MUST generate an Allow header field in
  // a 405 response".
  const allow = 'GET, HEAD, POST, OPTIONS';
  for (const [what, bytes, status, error, allowed] of [
    [
      'two Host headers', get('/health', 'host: x\r\nhost: y\r\n'),
      400, 'the request has more than one host header', undefined,
    ],
    ['TRACE', 'TRACE /health HTTP/1.1\r\nhost: x\r\n\r\n', 405, 'TRACE is not supported', allow],
    ['CONNECT', 'CONNECT x:443 HTTP/1.1\r\nhost: x:443\r\n\r\n', 405, 'Method Not Allowed', allow],
    ['bytes that never became a request', 'GARBAGE\r\n\r\n', 400, 'Bad Request', undefined],
  ] as const)
    it(`is answered with JSON, and a 405 has Allow: ${what}`, async (t) => {
      const answer = await exchange(await serve(t), bytes);
      assert.deepEqual([answer.status, answer.headers['allow']], [status, allowed]);
      assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8');
      assert.deepEqual(JSON.parse(answer.body), { error });
    });

  it('is not answered before the request that precedes it', async (t) => {
    const entered = deferred();
    const release = deferred();
    const served = await serve(t);
    served.app.get('/late', async (context) => {
      entered.resolve();
      await release.promise;
      context.text(200, 'late');
    });
    const client = await served.raw();
    client.send('GET /late HTTP/1.1\r\nhost: x\r\n\r\nGARBAGE\r\n\r\n');
    await entered.promise;
    await served.fetch('/health'); // by now the garbage has been read
    release.resolve();
    await client.closed;
    assert.doesNotMatch(client.received, /^HTTP\/1\.1 400/);
  });
});

describe('an unusual request', () => {
  const close = 'host: x\r\nconnection: close\r\n\r\n';
  for (const [title, bytes, status] of [
    ['an absolute target', `GET http://other.example/health HTTP/1.1\r\n${close}`, 200],
    ['an absolute target with a query', `GET https://x:8000/health?a=b HTTP/1.1\r\n${close}`, 200],
    ['HTTP/1.0', 'GET /health HTTP/1.0\r\n\r\n', 200],
    ['an empty line before the request', `\r\nGET /health HTTP/1.1\r\n${close}`, 200],
    ['an empty Host header', `GET /health HTTP/1.1\r\n${close.replace(' x', '')}`, 200],
    ['OPTIONS *', `OPTIONS * HTTP/1.1\r\n${close}`, 404],
  ] as const)
    it(`is answered with ${status}, and its connection closes: ${title}`, async (t) => {
      const answer = await exchange(await serve(t), bytes);
      assert.deepEqual([answer.status, answer.headers['connection']], [status, 'close']);
    });

  it('is served as HTTP/1.1, with its body, even if it offers h2c', async (t) => {
    const client = await (await serve(t)).raw();
    // What Java's HttpClient sends of its own accord.
    const headers = [
      'connection: upgrade, http2-settings', 'upgrade: h2c', 'http2-settings: AAMAAABkAAQAAP__',
    ];
    client.send(rawRequest(messageEvent(), { headers }));
    assert.match(await within(client.until(/response\.end/), 'the reply'), /"Yes\."/);
  });

  it('is answered without chunks if it uses HTTP/1.0', async (t) => {
    const request = rawRequest(messageEvent()).replace('HTTP/1.1', 'HTTP/1.0');
    const { headers, body } = await exchange(await serve(t), request);
    assert.deepEqual(
      [headers['transfer-encoding'], body.startsWith('data: {')],
      [undefined, true],
    );
  });

  it('is told to continue if it sends Expect: 100-continue', async (t) => {
    const body = messageEvent();
    const client = await (await serve(t)).raw();
    client.send(webhookHead(body, { 'content-length': body.length, expect: '100-continue' }));
    await client.until(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
    client.send(body);
    await client.closed;
    assert.match(client.received, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK[^]*"Yes\."/);
  });
});

describe('a long head', () => {
  const withHeader = (length: number): string =>
    `GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-long: ${'x'.repeat(length)}\r\n\r\n`;

  for (const [what, bytes, status] of [
    ['is accepted up to 15 KiB', withHeader(15 * 1_024), 200],
    ['gets 431 beyond 16 KiB', withHeader(17 * 1_024), 431],
    ['gets 431 for its target', `GET /${'x'.repeat(17 * 1_024)} HTTP/1.1\r\nhost: x\r\n\r\n`, 431],
  ] as const)
    it(what, async (t) => {
      const answer = await exchange(await serve(t), bytes);
      assert.deepEqual([answer.status, answer.headers['connection']], [status, 'close']);
      const { error } = JSON.parse(answer.body) as { error?: string };
      assert.equal(error, status === 200 ? undefined : 'Request Header Fields Too Large');
    });
});

describe("the server's limits", () => {
  it('are set when the server is created', async (t) => {
    const limits = {
      headersTimeout: 10_000,
      requestTimeout: 15_000,
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: 16_384,
      keepAliveTimeout: 75_000,
      noDelay: true,
      maxHeadersCount: 0,
      maxConnections: 11_024,
    };
    let server: Record<string, unknown> = {};
    const served = await serve(t);
    served.app.get('/server', (context) => {
      // Node's own, though undocumented
      ({ server } = context.request.socket as unknown as { server: typeof server });
      context.empty(204);
    });
    await served.fetch('/server');
    const set = Object.keys(limits).map((name) => [name, server[name]]);
    assert.deepEqual(Object.fromEntries(set), limits);
  });
});

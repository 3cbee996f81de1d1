import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { describe, it, type TestContext } from 'node:test';

import { BodyBudget, UncheckedBodies } from '../../../src/base/http/body-budgets.ts';
import { Context } from '../../../src/base/http/context.ts';
import { defineAgent } from '../../../src/index.ts';
import { deferred, rawRequest, within } from '../../fixtures/app.ts';
import { connectTo } from '../../fixtures/connect-to.ts';
import { messageEvent, recordLog, serve, signed } from '../../fixtures/kernel.ts';

/** What a handler finds in the context of a request made of these bytes. */
async function found<T>(
  t: TestContext,
  bytes: string,
  look: (context: Context) => T,
  trustProxy = false,
): Promise<T> {
  let value: T | undefined;
  const served = await serve(t, { settings: { trustProxy } });
  served.app.use((context, next) => {
    value = look(context);
    return next();
  });
  const client = await served.raw();
  client.send(bytes);
  await client.lastAnswer();
  return value as T;
}

function get(target: string, ...headers: readonly string[]): string {
  return ['GET ' + target + ' HTTP/1.1', ...headers, 'connection: close'].join('\r\n') + '\r\n\r\n';
}

describe('context.url', () => {
  const x = (...headers: readonly string[]): string => get('/', 'host: x', ...headers);
  for (const [what, bytes, trustProxy, url] of [
    [
      'the host header, path and query', get('/a/b?c=d&e', 'host: agent.example:8443'), false,
      'http://agent.example:8443/a/b?c=d&e',
    ],
    ['no question mark without a query', get('/a', 'host: a.example'), false, 'http://a.example/a'],
    ['localhost without a host header', 'GET /a HTTP/1.0\r\n\r\n', false, 'http://localhost/a'],
    [
      'the path of an absolute target, and the host header',
      get('http://other.example/a?b', 'host: a.example'), false, 'http://a.example/a?b',
    ],
    ['http where no proxy is trusted', x('x-forwarded-proto: https'), false, 'http://x/'],
    ['https from a trusted proxy', x('x-forwarded-proto: https'), true, 'https://x/'],
    ['http from a trusted proxy', x('x-forwarded-proto: http'), true, 'http://x/'],
    ['http for an odd scheme from a proxy', x('x-forwarded-proto: ftp'), true, 'http://x/'],
    ['http if a trusted proxy names no scheme', x(), true, 'http://x/'],
    ["the last scheme, the proxy's own", x('x-forwarded-proto: http, https'), true, 'https://x/'],
    ['the last scheme, not a forged one', x('x-forwarded-proto: https ,http'), true, 'http://x/'],
  ] as const)
    it(`has ${what}`, async (t) =>
      assert.equal(await found(t, bytes, (context) => context.url.href, trustProxy), url));

  it('has https over TLS', () => {
    const request = { url: '/a', headers: { host: 'x' }, socket: { encrypted: true } };
    const shared = {
      log: recordLog().log,
      maxBodyBytes: 1,
      trustProxy: false,
      bodies: new BodyBudget(1),
      uncheckedBodies: new UncheckedBodies(1, 1),
    };
    const given = request as unknown as IncomingMessage;
    const context = new Context(given, {} as ServerResponse, shared);
    assert.equal(context.url.href, 'https://x/a');
  });

  it('throws a 400 for a malformed host header, showing at most 100 characters', async (t) => {
    const served = await serve(t);
    served.app.get('/url', (context) => context.text(200, context.url.href));
    const client = await served.raw();
    client.send(get('/url', `host: a b${'c'.repeat(200)}`));
    const { status, body } = await client.lastAnswer();
    assert.deepEqual(
      [status, JSON.parse(body)],
      [400, { error: `the host header is malformed: "a b${'c'.repeat(97)}"` }],
    );
  });
});

describe('context.clientAddress', () => {
  it("is the peer's without a trusted proxy", async (t) => {
    const bytes = get('/', 'host: x', 'x-forwarded-for: 192.0.2.1');
    assert.equal(await found(t, bytes, (context) => context.clientAddress), '127.0.0.1');
  });

  it('is the last one that a trusted proxy names, without white space', async (t) => {
    const bytes = get('/', 'host: x', 'x-forwarded-for: 192.0.2.1 , 192.0.2.2 ');
    assert.equal(await found(t, bytes, (context) => context.clientAddress, true), '192.0.2.2');
  });
});

describe('context.header', () => {
  it('joins headers of one name as Node does, even those that Node keeps apart', async (t) => {
    const bytes = get('/', 'host: x', 'x-a: 1', 'x-a: 2', 'set-cookie: a=1', 'set-cookie: b=2');
    const headers = await found(t, bytes, (context) =>
      ['x-a', 'set-cookie', 'x-b'].map((name) => context.header(name)),
    );
    assert.deepEqual(headers, ['1, 2', 'a=1, b=2', undefined]);
  });
});

describe('context.empty', () => {
  for (const status of [204, 304]) {
    it(`sends no content-length where HTTP allows none: ${status}`, async (t) => {
      const served = await serve(t);
      served.app.get('/empty', (context) => context.empty(status));
      const client = (await served.raw()).send(get('/empty', 'host: x'));
      const answer = await client.lastAnswer();
      assert.deepEqual([answer.status, answer.headers['content-length']], [status, undefined]);
    });
  }
});

describe('context.switchProtocols', () => {
  it('throws if no other protocol is offered, and the request can still be answered', async (t) => {
    const served = await serve(t);
    served.app.get('/socket', (context) => {
      try {
        context.switchProtocols([]);
      } catch (error) {
        context.text(426, String(error));
      }
    });
    const response = await within(served.fetch('/socket'), 'an answer');
    const text = await response.text();
    const error = 'Error: GET /socket does not offer another protocol';
    assert.deepEqual([response.status, text], [426, error]);
  });
});

/** How many bytes are left. */
function left({ take }: { readonly take: (bytes: number) => boolean }): number {
  let bytes = 0;
  while (take(1)) bytes += 1;
  return bytes;
}

describe('the budgets for bodies', () => {
  // If bytes were given back twice, the budgets would grow with every turn.
  for (const when of ['before', 'after', 'never']) {
    it(`get a body's bytes back once when a turn streams; authenticated: ${when}`, async (t) => {
      const bodies = new BodyBudget(100);
      const uncheckedBodies = new UncheckedBodies(100, 100);
      const { log } = recordLog();
      const isClosed = deferred();
      const server = createServer((request, response) => {
        const context = new Context(request, response, {
          log,
          maxBodyBytes: 50,
          trustProxy: false,
          bodies,
          uncheckedBodies,
        });
        if (when === 'before') context.authenticated();
        context.onClose(() => isClosed.resolve());
        context.requestId = 'x';
        void Promise.resolve(context.takeRawBody()).then(() => {
          if (when === 'after') context.authenticated();
          const writer = context.eventWriter();
          writer.send('data: 1\n\n');
          writer.finish();
        });
      });
      const client = await connectTo(t, server);
      const head = 'POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked';
      client.send(`${head}\r\n\r\n3\r\nabc\r\n0\r\n\r\n`);
      await client.closed;
      await isClosed.promise;
      const unchecked = uncheckedBodies.share('127.0.0.1');
      assert.deepEqual([bodies, unchecked].map((budget) => left({
        take: (bytes) => budget.take(bytes),
      })), [100, 100]);
    });
  }
});

describe('a request that has been answered', () => {
  type Answering = readonly [what: string, answer: (context: Context) => unknown];
  const firsts: readonly Answering[] = [
    ['a stream', (context) => context.eventStream().end({ data: 'first' })],
    ['JSON', (context) => context.json(200, 'first')],
  ];
  const seconds: readonly Answering[] = [
    ['an event stream', (context) => context.eventStream()],
    ["a turn's stream", (context) => context.eventWriter()],
    ['JSON', (context) => context.json(200, {})],
    ['an empty answer', (context) => context.empty(204)],
  ];
  for (const [how, first] of firsts) {
    for (const [what, second] of seconds) {
      it(`with ${how} gets no second answer: ${what}`, async (t) => {
        let error: unknown;
        const served = await serve(t);
        served.app.get('/twice', (context) => {
          first(context);
          try {
            second(context);
          } catch (caught) {
            error = caught;
          }
        });
        assert.match(await (await served.fetch('/twice')).text(), /first/);
        assert.match(String(error), /GET \/twice has already been answered/);
      });
    }
  }
});

it("a turn's stream has a content-length, not chunks, if the reply ends at once", async (t) => {
  const client = await (await serve(t)).raw();
  const request = rawRequest(messageEvent(), { headers: ['connection: close'] });
  const answer = await client.send(request).lastAnswer();
  assert.equal(answer.headers['content-length'], String(answer.body.length));
  assert.equal(answer.headers['transfer-encoding'], undefined);
});

describe('the logged bytes of an answer', () => {
  it("are those that the reader of a turn's stream receives", async (t) => {
    const { log, next } = recordLog();
    const agent = defineAgent({
      name: 'accented',
      async *onMessage() {
        yield 'Être';
        await new Promise((resolve) => setImmediate(resolve));
        yield ' ou ne pas être';
      },
    });
    const served = await serve(t, { log, agent });
    const text = await (await served.fetch('/api/agent', signed(messageEvent()))).text();
    assert.equal((await next('request'))['bytes'], Buffer.byteLength(text));
  });

  it("are those that the reader of a user's own event stream receives", async (t) => {
    const { log, next } = recordLog();
    const served = await serve(t, { log });
    served.app.get('/stream', (context) => {
      const stream = context.eventStream();
      stream.write({ data: 'é' });
      stream.end({ data: 'b' });
    });
    const text = await (await served.fetch('/stream')).text();
    assert.equal((await next('request'))['bytes'], Buffer.byteLength(text));
  });

  it('are 0 for HEAD', async (t) => {
    const { log, next } = recordLog();
    await (await serve(t, { log })).fetch('/health', { method: 'HEAD' });
    assert.equal((await next('request'))['bytes'], 0);
  });
});

describe('context.isAnswered', () => {
  const ways: readonly (readonly [how: string, (context: Context) => unknown, boolean])[] = [
    ['nothing has been done', () => undefined, false],
    ['an answer has been sent', (context) => context.empty(204), true],
    ['a stream has begun but sent nothing yet', (context) => context.eventStream(), true],
    ['a layer has written the head itself', ({ response }) => response.writeHead(200), true],
    ['the response has been destroyed', ({ response }) => response.destroy(), true],
  ];
  for (const [how, act, isAnswered] of ways) {
    it(`is ${isAnswered} if ${how}`, async (t) => {
      let found: boolean | undefined;
      const served = await serve(t);
      served.app.get('/x', (context) => {
        act(context);
        found = context.isAnswered;
        context.response.destroy();
      });
      const client = await served.raw();
      client.send(get('/x', 'host: x'));
      await client.closed;
      assert.equal(found, isAnswered);
    });
  }
});

// Waiting for the body would make a turn a tenth slower.
for (const how of ['in its own server', 'mounted in another'] as const)
  it(`readRawBody returns at once a body that came with its head: ${how}`, async (t) => {
    let found: unknown;
    const served = await serve(t);
    served.app.post('/x', (context) => {
      found = context.readRawBody();
      context.empty(204);
    });
    const client = how === 'mounted in another'
      ? await connectTo(t, createServer(served.app.handle)) : await served.raw();
    const head = 'POST /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\n';
    assert.equal((await client.send(`${head}hello`).lastAnswer()).status, 204);
    assert.deepEqual(found, Buffer.from('hello'));
  });

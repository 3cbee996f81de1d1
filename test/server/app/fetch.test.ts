// What is particular to `app.fetch`. The tests of the wire run over it too: `npm run test:fetch`.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { BadRequest } from '../../../src/base/http/errors.ts';
import type { Agent } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { LocalPlatform } from '../../../src/kit/platform/local-platform.ts';
import type { AppOptions } from '../../../src/server/app/app-parts.ts';
import type { App } from '../../../src/server/app/app.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import type { Settings } from '../../../src/server/settings/settings.ts';
import { deferred, fired, until, within } from '../../fixtures/app.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { collectGarbage } from '../../fixtures/garbage.ts';
import {
  holding, messageEvent, quiet, recordLog, settingsWith, signed,
} from '../../fixtures/kernel.ts';

const ORIGIN = 'http://voice.example';

interface Stage {
  readonly agent?: Agent;
  readonly settings?: Partial<Settings>;
  readonly options?: AppOptions;
}

function open(t: TestContext, { agent = quiet, settings, options }: Stage = {}): App {
  const app = createApp(settingsWith(settings), agent, options);
  t.after(() => app.close());
  return app;
}

function turn(init: RequestInit & { readonly body?: string } = {}): Request {
  return new Request(`${ORIGIN}/api/agent`, { ...signed(init.body ?? messageEvent()), ...init });
}

function readerOf({ body }: Response): ReadableStreamDefaultReader<Uint8Array> {
  assert.ok(body);
  return body.getReader();
}

async function textOf(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string> {
  return Buffer.from((await within(reader.read(), 'a chunk')).value ?? []).toString();
}

/** An agent that says a word, and waits for the end of its turn. */
const HELD = defineAgent({
  name: 'held',
  async *onMessage({ signal }) {
    yield 'One.';
    await fired(signal);
  },
});

describe('app.fetch', () => {
  it('answers a turn, with the headers of an event stream, even if called unbound', async (t) => {
    const { fetch } = open(t);
    const response = await fetch(turn());
    assert.deepEqual(
      [response.status, response.headers.get('content-type')],
      [200, 'text/event-stream'],
    );
    assert.match(response.headers.get('x-request-id') ?? '', /./);
    assert.match(await response.text(), /"content":"Yes\."[^]*"response\.end"/);
  });

  it('streams: a word can be read before there is another', async (t) => {
    const { agent, release } = holding();
    const reader = readerOf(await open(t, { agent }).fetch(turn()));
    assert.match(await textOf(reader), /"One\."/);
    release();
    assert.match(await textOf(reader), /" Two\."/);
  });

  it('makes the agent wait for a reader that does not read', async (t) => {
    const piece = 'x'.repeat(10_000);
    const waited = deferred();
    let said = 0;
    const agent = defineAgent({
      name: 'long',
      async onMessage(_turn, reply) {
        for (; said < 50; said++) {
          const taken = reply.say(piece);
          if (taken instanceof Promise) waited.resolve();
          await taken;
        }
      },
    });
    const response = await open(t, { agent }).fetch(turn());
    await within(waited.promise, 'back-pressure');
    assert.ok(said < 10, String(said));
    assert.equal((await response.text()).split(piece).length - 1, 50);
  });

  it('keeps what the reader has taken of an interrupted reply', async (t) => {
    const agent = defineAgent({
      name: 'held',
      async *onMessage({ signal }) {
        yield 'One.';
        await taken.promise;
        yield ' Two.';
        await fired(signal);
      },
    });
    const taken = deferred();
    const app = open(t, { agent });
    const reader = readerOf(await app.fetch(turn()));
    await textOf(reader);
    taken.resolve();
    await until(() => app.runningTurns === 1, 'the second word');
    await new Promise((resolve) => setImmediate(resolve)); // by now it is waiting for a reader
    await reader.cancel();
    await until(() => app.runningTurns === 0, 'the end of the turn');
    const history = await app.conversations.getHistory('c1');
    assert.deepEqual(
      history.map((message) => [message.content, 'state' in message ? message.state : '']),
      [['Hello', ''], ['One.', 'interrupted']],
    );
  });

  it('cuts off a reader that asks for nothing for 30 seconds', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const begun = deferred();
    const interrupted = deferred();
    const agent = defineAgent({
      name: 'long',
      async onMessage({ signal }, reply) {
        signal.addEventListener('abort', () => interrupted.resolve());
        while (!reply.isOver) {
          const taken = reply.say('x'.repeat(10_000));
          if (taken instanceof Promise) begun.resolve();
          await taken;
        }
      },
    });
    const { body } = await open(t, { agent }).fetch(turn());
    await begun.promise;
    clock.tick(30_000);
    await interrupted.promise;
    assert.ok(body);
    await assert.rejects(body.getReader().read(), /the answer was cut short/);
  });

  it('does not cut off a reader that asks for a piece now and then', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const isSaid = deferred();
    const agent = defineAgent({
      name: 'long',
      async onMessage(_turn, reply) {
        for (let piece = 0; piece < 4; piece++) {
          void reply.say('x'.repeat(6_000));
          await new Promise((resolve) => setImmediate(resolve));
        }
        isSaid.resolve();
      },
    });
    const reader = readerOf(await open(t, { agent }).fetch(turn()));
    await isSaid.promise;
    let text = '';
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      text += Buffer.from(piece.value).toString();
      clock.tick(29_000);
    }
    assert.match(text, /"response\.end"/);
  });

  it('notices a request that is aborted before the first word, and rejects with its reason', async (t) => {
    const controller = new AbortController();
    const signalOfTurn = deferred<AbortSignal>();
    const agent = defineAgent({
      name: 'thinking',
      async onMessage({ signal }) {
        signalOfTurn.resolve(signal);
        await fired(signal);
      },
    });
    const answer = open(t, { agent }).fetch(turn({ signal: controller.signal }));
    const signal = await signalOfTurn.promise;
    await collectGarbage(); // on Node 20 the signal of a collected request does not fire
    controller.abort(new Error('the caller left'));
    await assert.rejects(answer, /the caller left/);
    await within(fired(signal), 'the signal of the turn');
  });

  it('rejects for a request that is already aborted', async (t) => {
    const answer = open(t).fetch(turn({ signal: AbortSignal.abort(new Error('too late')) }));
    await assert.rejects(within(answer, 'an end'), /too late/);
  });

  // Hosts ignore that reason, and print the stack of any other error.
  it('breaks off the body of an aborted request with its reason', async (t) => {
    const controller = new AbortController();
    const app = open(t, { agent: HELD });
    const reader = readerOf(await app.fetch(turn({ signal: controller.signal })));
    await textOf(reader);
    const rest = reader.read();
    controller.abort();
    await assert.rejects(within(rest, 'an end'), (reason) => reason === controller.signal.reason);
  });

  it('says that the body was cut short if it breaks off without an abort', async (t) => {
    const app = open(t);
    app.get('/cut', ({ response }) => {
      response.write('begun');
      setImmediate(() => response.destroy());
    });
    const reader = readerOf(await app.fetch(new Request(`${ORIGIN}/cut`)));
    await textOf(reader);
    await assert.rejects(within(reader.read(), 'an end'), /the answer was cut short/);
  });

  for (const status of [199, 600]) {
    it(`answers 500 if a handler answers ${status}, which no Response can have`, async (t) => {
      const { log, next } = recordLog();
      const app = open(t, { options: { log } });
      app.get('/odd', (context) => context.json(status, {}));
      assert.equal((await app.fetch(new Request(`${ORIGIN}/odd`))).status, 500);
      assert.match(JSON.stringify(await next('request failed')), /RangeError/);
    });
  }

  for (const status of [204, 205, 304]) {
    it(`sends no body with ${status}, whatever the handler gives`, async (t) => {
      const app = open(t);
      app.get('/none', (context) => context.text(status, 'ignored'));
      const response = await app.fetch(new Request(`${ORIGIN}/none`));
      assert.deepEqual([response.status, response.body], [status, null]);
    });
  }

  it('is not harmed if a body is cancelled after its end', async (t) => {
    const app = open(t);
    const reader = readerOf(await app.fetch(turn()));
    while (!(await reader.read()).done);
    await reader.cancel();
    await until(() => app.runningTurns === 0, 'the end of the turn');
    await new Promise((resolve) => setImmediate(resolve));
    const [, reply] = await app.conversations.getHistory('c1');
    assert.equal(reply !== undefined && 'state' in reply && reply.state, 'completed');
  });

  for (const [what, use] of [
    ['has been read', (request: Request) => request.text()],
    ['somebody else is reading', ({ body }: Request) => body?.getReader()],
  ] as const)
    it(`answers 500 for a body that ${what}, and the log names the remedy`, async (t) => {
      const { log, next } = recordLog();
      const app = open(t, { options: { log } });
      const request = turn();
      await use(request);
      assert.equal((await within(app.fetch(request), 'an answer')).status, 500);
      const { error } = await next('request failed');
      assert.match(JSON.stringify(error), /body has already been read/);
    });

  it('accepts a body of exactly the limit and refuses one byte more, streamed without a length', async (t) => {
    const length = messageEvent().length;
    for (const [maxBodyBytes, status] of [[length, 200], [length - 1, 413]] as const) {
      const app = open(t, { settings: { maxBodyBytes } });
      const bytes = new TextEncoder().encode(messageEvent());
      const stream = new ReadableStream({
        start(controller) {
          for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
          controller.close();
        },
      });
      const { headers } = turn();
      const init = { method: 'POST', headers, body: stream, duplex: 'half' };
      const request = new Request(`${ORIGIN}/api/agent`, init as RequestInit);
      assert.equal((await app.fetch(request)).status, status);
    }
  });

  const gone = new Error('gone');
  for (const [what, broken, causeOf] of [
    ['an error', gone, ({ cause }: Error) => cause],
    ['another value', 'gone', ({ cause }: Error) => (cause as Error).cause],
  ] as const) {
    it(`answers 400 for a body that breaks off; the error has the cause: ${what}`, async (t) => {
      const body = new ReadableStream({ pull: (controller) => controller.error(broken) });
      const init = { method: 'POST', headers: turn().headers, body, duplex: 'half' };
      const request = new Request(`${ORIGIN}/api/agent`, init as RequestInit);
      const failed = deferred<Error>();
      const app = open(t).onError(BadRequest, (error, context) => {
        failed.resolve(error);
        context.empty(error.status);
      });
      assert.equal((await within(app.fetch(request), 'an answer')).status, 400);
      assert.equal(causeOf(await failed.promise), broken);
    });
  }

  it('answers HEAD and a preflight without a body', async (t) => {
    const app = open(t);
    const head = await app.fetch(new Request(`${ORIGIN}/health`, { method: 'HEAD' }));
    const headers = { origin: 'https://a.example', 'access-control-request-method': 'POST' };
    const asked = new Request(`${ORIGIN}/api/authorize`, { method: 'OPTIONS', headers });
    const preflight = await app.fetch(asked);
    assert.deepEqual(
      [head.status, head.body, preflight.status, preflight.body],
      [200, null, 204, null],
    );
  });

  it('finishes the request after a short answer, whether or not anybody reads it', async (t) => {
    const { log, next } = recordLog();
    const app = open(t, { options: { log } });
    const response = await app.fetch(new Request(`${ORIGIN}/health`));
    const { status, bytes, isCutShort } = await within(next('request'), 'the end of the request');
    assert.deepEqual([status, isCutShort], [200, undefined]);
    assert.equal((await response.arrayBuffer()).byteLength, bytes);
  });

  it('leaves nothing open when the app is closed, even if nobody reads', async (t) => {
    const app = open(t, { agent: HELD });
    const reader = readerOf(await app.fetch(turn()));
    await app.close();
    await assert.rejects(reader.read(), /cut short/);
  });

  it('adds no content type to an answer without one', async (t) => {
    const app = open(t);
    app.get('/empty', (context) => context.empty(202));
    app.get('/raw', ({ response }) => void response.end('raw'));
    for (const [path, status] of [['/empty', 202], ['/raw', 200]] as const) {
      const response = await app.fetch(new Request(ORIGIN + path));
      assert.deepEqual([response.status, response.headers.get('content-type')], [status, null]);
    }
  });

  it('leaves the connection to the other server', async (t) => {
    const app = createApp(settingsWith({ drainDelaySeconds: 1 }), quiet);
    const clock = mockTimers(t, ['setTimeout']);
    const closed = app.close();
    const response = await app.fetch(new Request(`${ORIGIN}/health`));
    assert.deepEqual([response.status, response.headers.get('connection')], [200, null]);
    await response.text();
    clock.tick(1_000);
    await closed;
  });

  it('gives handlers the request as the client made it', async (t) => {
    const app = open(t);
    app.get('/calls/:id', (context) => context.json(200, [context.url, context.params['id']]));
    const response = await app.fetch(new Request('https://voice.example:8443/calls/a%20b?c=d'));
    assert.deepEqual(await response.json(), ['https://voice.example:8443/calls/a%20b?c=d', 'a b']);
  });

  it('limits clients by the address that the server reports', async (t) => {
    const settings = { authorizePerMinute: 1, layercodeApiKey: 'lk_0123456789' };
    const refuse = async (): Promise<Response> => Response.json({ error: 'no' }, { status: 400 });
    const app = open(t, { settings, options: { fetch: refuse } });
    const statuses: number[] = [];
    for (const clientAddress of ['192.0.2.1', '192.0.2.2', '192.0.2.1']) {
      const init = { method: 'POST', body: '{"agent_id":"a"}' };
      const request = new Request(`${ORIGIN}/api/authorize`, init);
      statuses.push((await app.fetch(request, { clientAddress })).status);
    }
    assert.deepEqual(statuses, [400, 400, 429]);
  });

  it('treats no client as local, whatever address the server reports', async (t) => {
    const app = open(t, { options: { platform: new LocalPlatform({ playground: true }) } });
    for (const [path, init] of [
      ['/playground', {}],
      ['/playground/history/c1', {}],
      ['/v1/agents/web/websocket', {}],
      ['/api/authorize', { method: 'POST', body: '{"agent_id":"a"}' }],
    ] as const) {
      const request = new Request(`http://localhost:8000${path}`, init);
      assert.equal((await app.fetch(request, { clientAddress: '127.0.0.1' })).status, 403, path);
    }
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { defineAgent } from '../../../src/index.ts';
import { deferred, rawRequest } from '../../fixtures/app.ts';
import { holding, messageEvent, serve, signed } from '../../fixtures/kernel.ts';

describe('context.readRawBody', () => {
  it('gives the same bytes each time, at once from the second time on', async (t) => {
    const served = await serve(t);
    served.app.post('/twice', async (context) => {
      const first = await context.readRawBody();
      context.json(200, { isSame: context.readRawBody() === first, text: first.toString() });
    });
    assert.deepEqual(
      await (await served.fetch('/twice', { method: 'POST', body: 'hello' })).json(),
      { isSame: true, text: 'hello' },
    );
  });

  it('gives the body again after next() to a layer that read it, even in mid-turn', async (t) => {
    const { agent, begun, release } = holding();
    const told = deferred<string>();
    const served = await serve(t, { agent });
    served.app.use(async (context, next) => {
      await context.readRawBody();
      await next();
      await begun;
      told.resolve((await context.readRawBody()).toString());
    });
    const reply = served
      .fetch('/api/agent', signed(messageEvent()))
      .then((response) => response.text());
    assert.equal(await told.promise, messageEvent());
    release();
    assert.match(await reply, /One\.[^]*Two\.[^]*response\.end/);
  });

  for (const pieces of [1, 2]) {
    it(`rejects once a turn is open, unless called before; pieces: ${pieces}`, async (t) => {
      const { agent, begun, release } = holding();
      t.after(release);
      const told = deferred<unknown>();
      const served = await serve(t, { agent });
      served.app.use(async (context, next) => {
        await next();
        if (context.method === 'GET') return;
        await begun;
        told.resolve(
          await Promise.resolve(context.readRawBody()).catch((error: unknown) => error),
        );
      });
      const client = await served.raw();
      const request = rawRequest(messageEvent());
      const [head = '', body = ''] = pieces === 1 ? [request] : request.split(/(?<=\r\n\r\n)/);
      client.send(head);
      await served.fetch('/health'); // by now the head has been read
      client.send(body);
      const found = await told.promise;
      assert.ok(
        found instanceof Error && /already been read/.test(found.message),
        String(found),
      );
    });
  }
});

describe('a webhook whose caller leaves before a layer calls next()', () => {
  it('does not count as an open stream, and its turn is interrupted', async (t) => {
    // A close before anybody asked used to go unheard, and MAX_STREAMS such callers closed
    // the server to all others.
    const [left, interrupted] = [deferred(), deferred<string>()];
    const served = await serve(t, {
      agent: defineAgent({
        name: 'slow',
        onMessage: ({ signal }) =>
          new Promise((_resolve, reject) =>
            signal.addEventListener('abort', () => reject(signal.reason)),
          ),
        onInterrupted: ({ turnId }) => interrupted.resolve(turnId),
      }),
    });
    served.app.use(async (context, next) => {
      await context.readRawBody();
      context.onClose(() => setImmediate(left.resolve));
      client.destroy();
      await left.promise;
      await next();
    });
    const client = await served.raw();
    client.send(rawRequest(messageEvent()));
    assert.equal(await interrupted.promise, 't1');
    assert.match(await (await served.fetch('/metrics')).text(), /^layercode_open_streams 0$/m);
  });
});

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { describe, it, type TestContext } from 'node:test';

import type { Handler } from '../../../src/base/http/compose.ts';
import { HttpError } from '../../../src/base/http/errors.ts';
import type { App } from '../../../src/server/app/app.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { deferred } from '../../fixtures/app.ts';
import { connectTo } from '../../fixtures/connect-to.ts';
import { quiet, recordLog, serve, settingsWith } from '../../fixtures/kernel.ts';

const INTERNAL = { error: 'Internal server error' };

describe('app.onError', () => {
  class Gone extends Error {}
  const failing = (app: App): App =>
    app.get('/fail', () => {
      throw new Gone('away');
    });

  it("handles errors of a class, and the server's own errors", async (t) => {
    const served = await serve(t);
    failing(served.app)
      .onError(Gone, (error, context) => context.json(410, { gone: error.message }))
      .onError(HttpError, (error, context) => context.text(error.status, error.message));
    const response = await served.fetch('/fail');
    assert.deepEqual([response.status, await response.json()], [410, { gone: 'away' }]);
    const unknown = await served.fetch('/nothing');
    assert.deepEqual([unknown.status, await unknown.text()], [404, 'Not found']);
  });

  it('leads to a 500 when the error handler answers nothing', async (t) => {
    const served = await serve(t);
    failing(served.app).onError(Gone, () => undefined);
    const response = await served.fetch('/fail');
    assert.deepEqual([response.status, await response.json()], [500, INTERNAL]);
  });
});

describe('a handler that fails', () => {
  it('is not logged as an error when its client has left', async (t) => {
    const begun = deferred();
    const failed = deferred();
    const { log, next, records } = recordLog();
    const served = await serve(t, { log });
    served.app.get('/wait', async (context) => {
      begun.resolve();
      await new Promise((resolve) => context.callerSignal.addEventListener('abort', resolve));
      failed.resolve();
      throw new Error('nobody is there');
    });
    const client = (await served.raw()).send('GET /wait HTTP/1.1\r\nhost: x\r\n\r\n');
    await begun.promise;
    client.destroy();
    await failed.promise;
    await next('request');
    assert.deepEqual(
      records().filter(({ level }) => level === 'error'),
      [],
    );
  });

  it('closes its connection and is logged if not even the error can be answered', async (t) => {
    const { log, next } = recordLog();
    const served = await serve(t, { log });
    served.app.get('/fail', (context) => {
      context.errorBody = () => {
        throw new Error('no body either');
      };
      throw new HttpError(418, 'short and stout');
    });
    await assert.rejects(served.fetch('/fail'), TypeError);
    const { error, requestId } = await next('request failed outside its error boundary');
    assert.match(JSON.stringify(error), /no body either/);
    assert.match(String(requestId), /\S/);
    assert.equal((await served.fetch('/health')).status, 200);
  });

  /**
   * What an app's listener lets escape to Node for one request; in a real server that ends the
   * process.
   */
  async function escapes(
    t: TestContext,
    handler: Handler,
  ): Promise<{ thrown: unknown; head: string }> {
    const app = createApp(settingsWith(), quiet).get('/fail', handler);
    let thrown: unknown;
    const client = await connectTo(t, createServer((request, response) => {
      try {
        app.handle(request, response);
      } catch (error) {
        thrown = error;
        response.destroy();
      }
    }));
    client.send('GET /fail HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    await client.closed;
    return { thrown, head: client.received };
  }

  for (const [what, handler] of [
    [
      'a header value that HTTP does not allow',
      (context) => context.json(200, {}, ['location', 'a\r\nset-cookie: b']),
    ],
    [
      'a header value outside Latin-1 set beforehand',
      (context) => {
        context.setHeader('x-name', 'Łukasz');
        context.json(200, {});
      },
    ],
    ['a status that HTTP does not have', (context) => context.json(42, {})],
    [
      'an error whose header HTTP does not allow',
      () => {
        throw new HttpError(404, 'x', { headers: ['location', 'a\nb'] });
      },
    ],
    [
      'an event stream that is opened and given up before its first event',
      (context) => {
        context.eventStream();
        throw new Error('no event yet');
      },
    ],
    ['a value that is not JSON', (context) => context.json(200, 1n)],
  ] as readonly (readonly [what: string, handler: Handler])[])
    it(`does not end the process with ${what}`, async (t) => {
      const { thrown, head } = await escapes(t, handler);
      assert.equal(thrown, undefined);
      if (!what.startsWith('an event stream')) assert.match(head, /^HTTP\/1\.1 500 /);
    });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { messageEvent, recordLog, serve, signed } from '../../fixtures/kernel.ts';

/** Matches ids that the server makes, and none of the ids below. */
const OURS = /^(?!x+$)[\w.-]{12,128}$/;

describe('x-request-id', () => {
  const insane = ['x'.repeat(129), 'a b', 'a"b', 'a/b', 'caf\u00e9', 'a\tb', ''];
  for (const id of ['a', 'A-Za-z0-9._-', 'x'.repeat(128), '01H.ABC_def-9', ...insane]) {
    const isSane = !insane.includes(id);
    const shown = JSON.stringify(id.slice(0, 20));
    it(`is ${isSane ? 'kept' : 'replaced'}: ${shown}, ${id.length} characters`, async (t) => {
      const response = await (await serve(t)).fetch('/health', { headers: { 'x-request-id': id } });
      const given = response.headers.get('x-request-id') ?? '';
      if (isSane) assert.equal(given, id);
      else assert.match(given, OURS);
    });
  }

  it('is replaced when it comes twice', async (t) => {
    const client = await (await serve(t)).raw();
    client.send(
      'GET /health HTTP/1.1\r\nhost: x\r\nx-request-id: a\r\nx-request-id: b\r\nconnection: close\r\n\r\n',
    );
    assert.match((await client.lastAnswer()).headers['x-request-id'] ?? '', OURS);
  });

  it('is different for each request', async (t) => {
    const served = await serve(t);
    const ids = await Promise.all(
      [1, 2, 3].map(async () => (await served.fetch('/health')).headers.get('x-request-id')),
    );
    assert.equal(new Set(ids).size, 3);
  });

  for (const [what, path, init] of [
    ['a 404', '/nothing', {}],
    ['a 401', '/api/agent', { method: 'POST', body: '{}' }],
    ['an event stream', '/api/agent', signed(messageEvent())],
    [
      'a preflight',
      '/api/authorize',
      {
        method: 'OPTIONS',
        headers: { origin: 'https://a.example', 'access-control-request-method': 'POST' },
      },
    ],
  ] as const) {
    it(`is returned with ${what}`, async (t) => {
      const response = await (
        await serve(t)
      ).fetch(path, { ...init, headers: { ...init.headers, 'x-request-id': 'mine' } });
      assert.equal(response.headers.get('x-request-id'), 'mine');
    });
  }

  it("is in every line that the request's logger writes", async (t) => {
    const { log, wait } = recordLog();
    const served = await serve(t, { log });
    served.app.get('/log', (context) => {
      context.log.info('one');
      context.log.child({ more: 1 }).warn('two');
      throw new Error('three');
    });
    await served.fetch('/log', { headers: { 'x-request-id': 'mine' } });
    const lines = (
      await Promise.all(['one', 'two', 'request failed', 'request'].map((message) => wait(message)))
    ).flat();
    assert.deepEqual(
      lines.map(({ requestId }) => requestId),
      ['mine', 'mine', 'mine', 'mine'],
    );
  });

  // Every answer carries the id, even an error's: with an id invalid in HTTP none could be sent.
  it('cannot be set to an invalid id: trying to is an error', async (t) => {
    const { log, next } = recordLog();
    const served = await serve(t, { log });
    served.app.use((context, next) => {
      context.requestId = 'a\nb';
      return next();
    });
    const response = await served.fetch('/health', { headers: { 'x-request-id': 'mine' } });
    assert.deepEqual([response.status, response.headers.get('x-request-id')], [500, 'mine']);
    assert.match(JSON.stringify((await next('request failed'))['error']), /a request id must be/);
  });
});

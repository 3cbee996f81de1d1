import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { allowedOrigins } from '../../../src/server/middleware/cors.ts';
import { messageEvent, serve, signed, type Served } from '../../fixtures/kernel.ts';

const ORIGIN = 'https://app.example';
const ORIGINS = [ORIGIN, 'http://localhost:3000'];

describe('allowedOrigins', () => {
  for (const [origin, isAllowed] of [
    ...ORIGINS.map((origin) => [origin, true] as const),
    ['https://app.example.evil.example', false],
    ['https://evil-app.example', false],
    ['https://evil.example/https://app.example', false],
    ['https://app.example/', false],
    ['https://app.exampl', false],
    ['https://APP.example', false],
    ['HTTPS://app.example', false],
    ['http://app.example', false],
    ['https://app.example:443', false],
    ['https://sub.app.example', false],
    ['http://localhost:30000', false],
    ['http://localhost', false],
    ['null', false],
    ['*', false],
    ['https://app.example, http://localhost:3000', false],
    ['https://appxexample', false],
  ] as const)
    it(`${isAllowed ? 'include' : 'do not include'} ${origin}`, () => {
      const origins = allowedOrigins({ corsOrigins: ORIGINS, production: false });
      assert.deepEqual([origins.isAll, origins.has(origin)], [false, isAllowed]);
    });

  it('are all origins for * in production', () => {
    const origins = allowedOrigins({ corsOrigins: ['*'], production: true });
    assert.deepEqual([origins.isAll, origins.has('null')], [true, true]);
  });

  // Otherwise any site that a developer visits could read the metrics.
  it('are those of this machine for * outside production', () => {
    const origins = allowedOrigins({ corsOrigins: ['*'], production: false });
    assert.equal(origins.isAll, false);
    for (const origin of ['https://anybody.example', 'http://localhost.example', 'null'])
      assert.equal(origins.has(origin), false, origin);
    for (const origin of ['http://localhost:3000', 'https://127.0.0.1', 'http://[::1]:5173'])
      assert.equal(origins.has(origin), true, origin);
  });
});

describe('cors', () => {
  const ask = (
    served: Served, path: string, init: RequestInit, origin?: string,
  ): Promise<Response> =>
    served.fetch(path, {
      ...init,
      headers: {
        ...(init.headers as Record<string, string>), ...(origin === undefined ? {} : { origin }),
      },
    });

  const listed = { corsOrigins: ORIGINS };
  const open = { production: true };
  for (const [what, settings, path, origin, allowed] of [
    ['listed origins', listed, '/health', ORIGIN, ORIGIN],
    ['listed origins', listed, '/health', 'https://other.example', null],
    ['listed origins', listed, '/health', undefined, null],
    ['*', open, '/health', 'https://anybody.example', '*'],
    ['*', open, '/health', 'null', '*'],
    ['* outside production', {}, '/metrics', 'http://localhost:3000', 'http://localhost:3000'],
    ['* outside production', {}, '/metrics', 'https://anybody.example', null],
  ] as const)
    it(`sends ${allowed ?? 'nothing'} to ${origin ?? 'bare requests'}, with ${what}`, async (t) => {
      const { headers } = await ask(await serve(t, { settings }), path, {}, origin);
      assert.equal(headers.get('access-control-allow-origin'), allowed);
      assert.equal(headers.get('access-control-allow-credentials'), null);
      assert.equal(headers.get('vary'), settings === open ? null : 'Origin');
      assert.equal(
        headers.get('access-control-expose-headers'),
        allowed === null ? null : 'x-request-id, retry-after',
      );
    });

  for (const [what, status, path, init] of [
    ['a 401', 401, '/api/agent', { method: 'POST', body: '{}' }],
    ['a 404', 404, '/nothing', {}],
    ['a 405', 405, '/health', { method: 'POST' }],
    ['a 413', 413, '/api/authorize', { method: 'POST', body: 'x'.repeat(2_000_000) }],
    ['a 500', 500, '/fail', {}],
    ['an event stream', 200, '/api/agent', signed(messageEvent())],
  ] as const)
    it(`covers ${what}`, async (t) => {
      const served = await serve(t, { settings: { corsOrigins: ORIGINS } });
      served.app.get('/fail', () => {
        throw new Error('x');
      });
      const { status: given, headers } = await ask(served, path, init, ORIGIN);
      assert.deepEqual([given, headers.get('access-control-allow-origin')], [status, ORIGIN]);
    });

  it('covers a 503 while the server is shutting down', async (t) => {
    const served = await serve(t, { settings: { corsOrigins: ORIGINS, drainDelaySeconds: 0.2 } });
    const closing = served.app.close();
    const { status, headers } = await ask(served, '/ready', {}, ORIGIN);
    await closing;
    assert.deepEqual([status, headers.get('access-control-allow-origin')], [503, ORIGIN]);
  });
});

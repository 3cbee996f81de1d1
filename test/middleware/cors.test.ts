import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Settings } from '../../src/settings/settings.ts';
import { messageEvent, serve, signed, type Served } from '../fixtures/kernel.ts';

const ORIGIN = 'https://app.example';
const LISTED = { settings: { corsOrigins: [ORIGIN, 'http://localhost:3000'] } } as const;

async function allowed(
  t: TestContext,
  origin: string,
  settings: Partial<Settings> = LISTED.settings,
  path = '/health',
): Promise<string | null> {
  const response = await (await serve(t, { settings })).fetch(path, { headers: { origin } });
  return response.headers.get('access-control-allow-origin');
}

function preflight(
  served: Served,
  origin: string,
  headers: Record<string, string> = {},
): Promise<Response> {
  return served.fetch('/api/authorize', {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'POST', ...headers },
  });
}

describe('cors', () => {
  for (const origin of LISTED.settings.corsOrigins) {
    it(`names a listed origin: ${origin}`, async (t) =>
      assert.equal(await allowed(t, origin), origin));
  }

  for (const origin of [
    'https://app.example.evil.example',
    'https://evil-app.example',
    'https://evil.example/https://app.example',
    'https://app.example/',
    'https://app.exampl',
    'https://APP.example',
    'HTTPS://app.example',
    'http://app.example',
    'https://app.example:443',
    'https://app.example:8443',
    'https://sub.app.example',
    'http://localhost:30000',
    'http://localhost',
    'null',
    '*',
    'https://app.example, http://localhost:3000',
    'https://appxexample',
  ]) {
    it(`gives nothing to an origin that is nearly listed: ${origin}`, async (t) =>
      assert.equal(await allowed(t, origin), null));
  }

  it('gives * to anybody in production by default', async (t) =>
    assert.equal(await allowed(t, 'https://anybody.example', { production: true }), '*'));

  it('does not reflect an origin under *', async (t) =>
    assert.equal(await allowed(t, 'null', { production: true }), '*'));

  // Any site that a developer visited could read these.
  for (const path of ['/metrics', '/ready', '/openapi.json'])
    it(`gives ${path} to pages of this machine alone outside production`, async (t) => {
      for (const origin of ['https://anybody.example', 'http://localhost.example', 'null'])
        assert.equal(await allowed(t, origin, {}, path), null, origin);
      for (const origin of ['http://localhost:3000', 'https://127.0.0.1', 'http://[::1]:5173'])
        assert.equal(await allowed(t, origin, {}, path), origin);
    });


  for (const corsOrigins of [['*'], [ORIGIN]]) {
    it(`never allows credentials, with ${corsOrigins[0]}`, async (t) => {
      const served = await serve(t, { settings: { corsOrigins } });
      const answers = [
        await preflight(served, ORIGIN),
        await served.fetch('/health', { headers: { origin: ORIGIN } }),
      ];
      assert.deepEqual(
        answers.map(({ headers }) => headers.get('access-control-allow-credentials')),
        [null, null],
      );
    });
  }

  for (const [whose, headers] of [
    ['a listed origin', { origin: ORIGIN }],
    ['another origin', { origin: 'https://other.example' }],
    ['no origin', {}],
  ] as const) {
    it(`varies by origin for ${whose}`, async (t) => {
      const response = await (await serve(t, LISTED)).fetch('/health', { headers: { ...headers } });
      assert.match(response.headers.get('vary') ?? '', /\bOrigin\b/i);
    });
  }

  it('gives no header to a request without an origin', async (t) => {
    const response = await (await serve(t, LISTED)).fetch('/health');
    assert.equal(response.headers.get('access-control-allow-origin'), null);
  });

  it("lets a page read the request's id and when to come back", async (t) => {
    const response = await (
      await serve(t, LISTED)
    ).fetch('/health', { headers: { origin: ORIGIN } });
    assert.equal(
      response.headers.get('access-control-expose-headers'),
      'x-request-id, retry-after',
    );
  });

  const answers: readonly (readonly [
    what: string,
    status: number,
    path: string,
    init: RequestInit,
  ])[] = [
    ['a 401', 401, '/api/agent', { method: 'POST', body: '{}' }],
    ['a 404', 404, '/nothing', {}],
    ['a 405', 405, '/health', { method: 'POST' }],
    ['a 413', 413, '/api/authorize', { method: 'POST', body: 'x'.repeat(2_000_000) }],
    ['a 500', 500, '/fail', {}],
    ['an event stream', 200, '/api/agent', signed(messageEvent())],
  ];
  for (const [what, status, path, init] of answers) {
    it(`is on ${what}`, async (t) => {
      const served = await serve(t, {
        ...LISTED,
        setUp: (app) =>
          app.get('/fail', () => {
            throw new Error('x');
          }),
      });
      const response = await served.fetch(path, {
        ...init,
        headers: { ...(init.headers as Record<string, string>), origin: ORIGIN },
      });
      assert.deepEqual(
        [response.status, response.headers.get('access-control-allow-origin')],
        [status, ORIGIN],
      );
    });
  }

  it('is on a 503 while the server goes down', async (t) => {
    const served = await serve(t, {
      ...LISTED,
      settings: { ...LISTED.settings, drainDelaySeconds: 0.2 },
    });
    const closing = served.app.close();
    const response = await served.fetch('/ready', { headers: { origin: ORIGIN } });
    await closing;
    assert.deepEqual(
      [response.status, response.headers.get('access-control-allow-origin')],
      [503, ORIGIN],
    );
  });
});

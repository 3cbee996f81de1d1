import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { serve, type Served } from '../../fixtures/kernel.ts';

const ORIGIN = 'https://app.example';
const LISTED = { settings: { corsOrigins: [ORIGIN, 'http://localhost:3000'] } } as const;

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

describe('a preflight', () => {
  it('is answered with 204 and no body', async (t) => {
    const client = await (await serve(t, LISTED)).raw();
    client.send(
      `OPTIONS /api/authorize HTTP/1.1\r\nhost: x\r\norigin: ${ORIGIN}\r\naccess-control-request-method: POST\r\nconnection: close\r\n\r\n`,
    );
    const { status, body, headers } = await client.lastAnswer();
    assert.deepEqual([status, body, headers['content-length']], [204, '', undefined]);
  });

  it('tells a listed origin what it may send, for ten minutes, and never credentials', async (t) => {
    const { headers } = await preflight(await serve(t, LISTED), ORIGIN, {
      'access-control-request-headers': 'content-type, x-mine',
    });
    const names = [
      'allow-origin', 'allow-methods', 'allow-headers', 'max-age', 'allow-credentials',
    ];
    assert.deepEqual(names.map((name) => headers.get(`access-control-${name}`)), [
      ORIGIN, 'GET, HEAD, POST, OPTIONS', 'content-type, x-mine', '600', null,
    ]);
    const vary = 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers';
    assert.equal(headers.get('vary'), vary);
  });

  it('does not echo a header list with strange characters', async (t) => {
    const { headers } = await preflight(await serve(t, LISTED), ORIGIN, {
      'access-control-request-headers': 'x<script>',
    });
    assert.equal(headers.get('access-control-allow-headers'), 'content-type');
  });

  it('tells another origin nothing', async (t) => {
    const { status, headers } = await preflight(await serve(t, LISTED), 'https://other.example');
    const told = [...headers.keys()].filter((name) => name.startsWith('access-control-'));
    assert.deepEqual([status, told], [204, []]);
  });

  // With only one of the two headers, a request is an OPTIONS request like any other, and its route
  // says which methods it takes.
  for (const [which, headers] of [
    ['an origin alone', { origin: ORIGIN }],
    ['a requested method alone', { 'access-control-request-method': 'POST' }],
  ] as const) {
    it(`is not recognised with ${which}`, async (t) => {
      const served = await serve(t, LISTED);
      const init = { method: 'OPTIONS', headers: { ...headers } };
      const known = await served.fetch('/api/authorize', init);
      assert.equal(known.headers.get('allow'), 'POST, OPTIONS');
      assert.equal(known.headers.get('access-control-allow-methods'), null);
      assert.equal((await served.fetch('/nothing', init)).status, 404);
    });
  }
});

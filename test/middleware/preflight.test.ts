import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { serve, type Served } from '../fixtures/kernel.ts';

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
  it('is 204 without a body', async (t) => {
    const client = await (await serve(t, LISTED)).raw();
    client.send(
      `OPTIONS /api/authorize HTTP/1.1\r\nhost: x\r\norigin: ${ORIGIN}\r\naccess-control-request-method: POST\r\nconnection: close\r\n\r\n`,
    );
    const { status, body, headers } = await client.lastAnswer();
    assert.deepEqual([status, body, headers['content-length']], [204, '', undefined]);
  });

  it('tells a listed origin what it may send', async (t) => {
    const { headers } = await preflight(await serve(t, LISTED), ORIGIN, {
      'access-control-request-headers': 'content-type, x-mine',
    });
    assert.deepEqual(
      ['origin', 'methods', 'headers'].map((name) => headers.get(`access-control-allow-${name}`)),
      [ORIGIN, 'GET, HEAD, POST, OPTIONS', 'content-type, x-mine'],
    );
  });

  it('may be remembered for ten minutes', async (t) => {
    assert.equal(
      (await preflight(await serve(t, LISTED), ORIGIN)).headers.get('access-control-max-age'),
      '600',
    );
  });

  it('varies by origin and by what was asked', async (t) => {
    const vary = (await preflight(await serve(t, LISTED), ORIGIN)).headers.get('vary');
    assert.equal(vary, 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers');
  });

  it('repeats no header list of strange characters', async (t) => {
    const { headers } = await preflight(await serve(t, LISTED), ORIGIN, {
      'access-control-request-headers': 'x<script>',
    });
    assert.equal(headers.get('access-control-allow-headers'), 'content-type');
  });

  it('tells another origin nothing', async (t) => {
    const { status, headers } = await preflight(await serve(t, LISTED), 'https://other.example');
    assert.deepEqual(
      [status, [...headers.keys()].filter((name) => name.startsWith('access-control-'))],
      [204, []],
    );
  });

  // With one of the two headers alone it is an OPTIONS request like any other, and its route says
  // what it takes.
  for (const [which, headers] of [
    ['an origin alone', { origin: ORIGIN }],
    ['a requested method alone', { 'access-control-request-method': 'POST' }],
  ] as const) {
    it(`is not taken for one with ${which}`, async (t) => {
      const served = await serve(t, LISTED);
      const known = await served.fetch('/api/authorize', {
        method: 'OPTIONS',
        headers: { ...headers },
      });
      const unknown = await served.fetch('/nothing', {
        method: 'OPTIONS',
        headers: { ...headers },
      });
      assert.deepEqual(
        [
          known.headers.get('allow'),
          known.headers.get('access-control-allow-methods'),
          unknown.status,
        ],
        ['POST, OPTIONS', null, 404],
      );
    });
  }
});

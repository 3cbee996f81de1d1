import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Context } from '../../../src/base/http/context.ts';
import { HttpError } from '../../../src/base/http/errors.ts';
import { localOnly } from '../../../src/server/middleware/local-only.ts';

type Headers = Readonly<Record<string, string>>;

/** Whether a request from that peer gets through. */
function letsIn(
  remoteAddress: string | undefined,
  headers: Headers = {},
  httpVersion = '1.1',
): boolean {
  const all: Headers = { host: 'localhost:8000', ...headers };
  const context = {
    request: { socket: { remoteAddress }, httpVersion },
    header: (name: string) => all[name],
  };
  try {
    localOnly()(context as unknown as Context);
    return true;
  } catch (error) {
    assert.ok(error instanceof HttpError && error.status === 403, String(error));
    return false;
  }
}

describe('localOnly', () => {
  for (const address of ['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1']) {
    it(`lets ${address} in`, () => assert.equal(letsIn(address), true));
  }

  for (const address of [
    '192.0.2.1',
    '10.0.0.1',
    '0.0.0.0',
    '::ffff:192.0.2.1',
    '2001:db8::1',
    '::',
    '1127.0.0.1',
    '127.0.0.1.evil',
    '',
    undefined,
  ]) {
    it(`keeps ${address === undefined ? 'a peer without an address' : JSON.stringify(address)} out`, () =>
      assert.equal(letsIn(address), false));
  }

  const strangers: readonly (readonly [who: string, headers: Headers])[] = [
    ['a page from another site', { origin: 'https://evil.example' }],
    ['a page without an origin of its own', { origin: 'null' }],
    ['a page whose name was rebound to this machine', { host: 'evil.example:8000' }],
    ['a page from a host whose name ends like ours', { host: 'evil-localhost' }],
    ['a caller behind a tunnel', { 'cf-connecting-ip': '203.0.113.7' }],
    ['a caller behind a proxy', { 'x-forwarded-for': '203.0.113.7, 127.0.0.1' }],
    ['a caller named in x-real-ip', { 'x-real-ip': '203.0.113.7' }],
    ['a caller named in true-client-ip', { 'true-client-ip': '203.0.113.7' }],
    ['a caller behind a proxy that names both', { forwarded: 'for=127.0.0.1;host=localhost' }],
    ['a caller behind a proxy that names only itself', { via: '1.1 proxy' }],
    ['a caller who asked a proxy for another host', { 'x-forwarded-host': 'agent.example' }],
    ['a host with a user', { host: 'evil.example@localhost' }],
    ['a host with a path', { host: 'localhost/;script-src *' }],
    ['an extension that calls itself localhost', { origin: 'chrome-extension://localhost' }],
  ];
  for (const [who, headers] of strangers) {
    it(`keeps ${who} out`, () => assert.equal(letsIn('127.0.0.1', headers), false));
  }

  const friends: readonly (readonly [who: string, headers: Headers])[] = [
    ['a page on another port of this machine', { origin: 'http://localhost:5173' }],
    ['a page on 127.0.0.1', { origin: 'http://127.0.0.1:3000', host: '127.0.0.1:8000' }],
    ['a page on ::1', { origin: 'http://[::1]:3000', host: '[::1]:8000' }],
    ['a page on a subdomain of localhost', { origin: 'http://app.localhost:3000' }],
    ['a proxy on this machine', { 'x-forwarded-for': '127.0.0.1' }],
    ['a proxy that names this machine in other headers', {
      'true-client-ip': '127.0.0.1', 'x-real-ip': '::1',
    }],
  ];
  for (const [who, headers] of friends) {
    it(`lets ${who} in`, () => assert.equal(letsIn('127.0.0.1', headers), true));
  }

  // This is what `proxy_pass http://127.0.0.1:8000` in nginx before 1.29.7 sends for anybody.
  it('keeps out HTTP/1.0, which no browser speaks but an older nginx does', () => {
    assert.equal(letsIn('127.0.0.1', {}, '1.0'), false);
  });
});

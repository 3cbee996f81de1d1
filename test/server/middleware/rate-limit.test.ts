import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Context } from '../../../src/base/http/context.ts';
import { HttpError } from '../../../src/base/http/errors.ts';
import { rateLimit } from '../../../src/server/middleware/rate-limit.ts';
import { serve } from '../../fixtures/kernel.ts';

/**
 * A limit whose clock stands still until it is moved; `ask` returns the error, or undefined for a
 * request that is let through.
 */
function limited(perMinute: number): {
  ask: (clientAddress?: string) => HttpError | undefined;
  pass: (ms: number) => void;
} {
  let time = 0;
  const limit = rateLimit({ perMinute, now: () => time });
  return {
    pass: (ms) => (time += ms),
    ask(clientAddress = '192.0.2.1') {
      try {
        limit({ clientAddress } as Context);
        return undefined;
      } catch (error) {
        assert.ok(error instanceof HttpError);
        return error;
      }
    },
  };
}

describe('rateLimit', () => {
  it("lets a minute's requests through at once, and not one more", () => {
    const { ask } = limited(3);
    assert.deepEqual(
      [ask(), ask(), ask(), ask()].map((error) => error?.status),
      [undefined, undefined, undefined, 429],
    );
  });

  it('says in whole seconds when the next request may pass, which then passes', () => {
    const { ask, pass } = limited(2);
    ask();
    ask();
    assert.deepEqual(ask()?.headers, ['retry-after', '30']);
    pass(29_500);
    assert.deepEqual(ask()?.headers, ['retry-after', '1']);
    pass(500);
    assert.deepEqual([ask()?.status, ask()?.status], [undefined, 429]);
  });

  it('does not punish clients that ask too early', () => {
    const { ask, pass } = limited(2);
    for (let count = 0; count < 50; count++) ask();
    pass(30_000);
    assert.equal(ask(), undefined);
  });

  it("saves up no more than a minute's requests", () => {
    const { ask, pass } = limited(2);
    ask();
    pass(3_600_000);
    assert.deepEqual(
      [ask(), ask(), ask()].map((error) => error?.status),
      [undefined, undefined, 429],
    );
  });

  const same: readonly (readonly [title: string, a: string, b: string])[] = [
    ['two addresses of one IPv6 /64', '2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff'],
    ['two spellings of one IPv6 address', '2001:db8::1', '2001:0DB8:0000:0000:0:0:0:1'],
    ['an IPv4 address and its IPv6 form', '192.0.2.7', '::ffff:192.0.2.7'],
    ['one link-local address on two interfaces', 'fe80::1%eth0', 'fe80::1%eth1'],
    // Azure's Application Gateway adds the port, which is new for each connection.
    ['one IPv4 address with two ports', '192.0.2.7:50001', '192.0.2.7:50002'],
    ['one IPv6 address with two ports', '[2001:db8::1]:50001', '[2001:db8::1]:50002'],
    ['an IPv4 address with a port and without', '192.0.2.7:50001', '192.0.2.7'],
    ['an IPv6 address with a port and without', '[2001:db8::1]:50001', '2001:db8::1'],
    ['an IPv6 address with brackets and without', '[2001:db8::1]', '2001:db8::1'],
    ['two addresses of the /64 that begins with zeros', '::1', '0:0:0:0:1::'],
    ['two spellings of the first group', '0db8::1', 'db8::2'],
  ];
  for (const [title, a, b] of same) {
    it(`counts ${title} as one client`, () => {
      const { ask } = limited(1);
      ask(a);
      assert.equal(ask(b)?.status, 429);
    });
  }

  const different: readonly (readonly [title: string, a: string, b: string])[] = [
    ['two IPv4 addresses', '192.0.2.1', '192.0.2.2'],
    ['two IPv4 addresses in their IPv6 form', '::ffff:192.0.2.1', '::ffff:192.0.2.2'],
    ['two IPv6 /64 networks', '2001:db8:1:2::1', '2001:db8:1:3::1'],
    ['two IPv6 addresses that differ only in the first group', '2001:db8::1', '2002:db8::1'],
    [
      'two IPv6 addresses with ports that differ only in the first group',
      '[2001:db8::1]:1',
      '[2002:db8::1]:1',
    ],
    ['an IPv6 /64 that begins with zeros, and one that does not', '::1', '1::'],
    ['two short IPv6 addresses', '2001:db8::1', '2001:db9::1'],
  ];
  for (const [title, a, b] of different) {
    it(`counts ${title} as two clients`, () => {
      const { ask } = limited(1);
      ask(a);
      assert.equal(ask(b), undefined);
    });
  }

  it('forgets the client seen longest ago if there are more than 10,000', () => {
    const { ask } = limited(1);
    ask('first');
    ask('second');
    for (let count = 0; count < 9_999; count++) ask(`client ${count}`);
    assert.deepEqual([ask('second')?.status, ask('first')?.status], [429, undefined]);
  });
});

describe('the limit on authorize', () => {
  const ask = async (origin: string, headers: Record<string, string> = {}): Promise<number> => {
    const response = await fetch(`${origin}/api/authorize`, {
      method: 'POST',
      body: '{"agent_id":"a"}',
      headers,
    });
    await response.arrayBuffer();
    return response.status;
  };

  it('answers 429 with Retry-After beyond AUTHORIZE_PER_MINUTE', async (t) => {
    const { origin } = await serve(t, { settings: { authorizePerMinute: 2 } });
    await ask(origin);
    await ask(origin);
    const response = await fetch(`${origin}/api/authorize`, { method: 'POST', body: '{}' });
    assert.deepEqual(
      [response.status, response.headers.get('retry-after'), await response.json()],
      [429, '30', { error: 'too many requests' }],
    );
  });

  it('falls back to the peer if a trusted proxy names nobody', async (t) => {
    const { origin } = await serve(t, { settings: { authorizePerMinute: 1, trustProxy: true } });
    await ask(origin, { 'x-forwarded-for': '192.0.2.1, ' });
    assert.equal(await ask(origin), 429);
  });

  it('does not count other routes', async (t) => {
    const { origin } = await serve(t, { settings: { authorizePerMinute: 1 } });
    for (let count = 0; count < 5; count++) await (await fetch(`${origin}/health`)).text();
    assert.equal(await ask(origin), 503);
  });
});

// Who is let in by what the request says is tested through a real server in test/kit/platform/local-platform.test.ts. A peer that is not
// of this machine cannot be had in a test on every machine, so here it is one by name.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Context } from '../../src/http/context.ts';
import { HttpError } from '../../src/http/errors.ts';
import { localOnly } from '../../src/middleware/local-only.ts';

/** Whether a request of that peer gets through, all else being right. */
function letsIn(remoteAddress: string | undefined): boolean {
  const context = {
    request: { socket: { remoteAddress }, httpVersion: '1.1' },
    header: (name: string) => (name === 'host' ? 'localhost:8000' : undefined),
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
});

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';

import { DIGEST_BYTES, HmacSha256 } from '../../../../src/core/wires/layercode/hmac.ts';

function digest(hmac: HmacSha256, prefix: string, body: Uint8Array): string {
  const target = Buffer.alloc(DIGEST_BYTES);
  hmac.digestInto(target, prefix, body);
  return target.toString('hex');
}

/** The digest that Node makes. */
function expected(key: string, prefix: string, body: Uint8Array): string {
  return createHmac('sha256', key).update(prefix).update(body).digest('hex');
}

describe('HmacSha256', () => {
  // https://www.rfc-editor.org/rfc/rfc4231, the cases whose keys are text
  it('makes the digest of RFC 4231, test case 2', () => {
    assert.equal(
      digest(new HmacSha256('Jefe'), '', Buffer.from('what do ya want for nothing?')),
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    );
  });

  for (const length of [1, 63, 64, 65, 131, 1_000]) {
    it(`agrees with node:crypto on a key of ${length} bytes`, () => {
      const key = 'k'.repeat(length);
      assert.equal(
        digest(new HmacSha256(key), '1700000000.', Buffer.from('{}')),
        expected(key, '1700000000.', Buffer.from('{}')),
      );
    });
  }

  it('agrees with node:crypto on messages of any length, one after another with one key', () => {
    const hmac = new HmacSha256('whsec_é語👋');
    for (const length of [0, 1, 55, 56, 64, 300, 4_000, 4_084, 4_085, 4_086, 100_000, 5, 0]) {
      const body = Buffer.alloc(length, '\u00ff\u0000x', 'latin1');
      assert.equal(
        digest(hmac, '1700000000.', body),
        expected('whsec_é語👋', '1700000000.', body),
        String(length),
      );
    }
  });

  it('reads a body that is part of a larger buffer', () => {
    const body = Buffer.from('..a message..').subarray(2, 11);
    assert.equal(digest(new HmacSha256('key'), 't.', body), expected('key', 't.', body));
  });
});

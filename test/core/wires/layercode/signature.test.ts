import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';

import {
  SIGNATURE_TOLERANCE_SECONDS,
  SignatureVerifier,
  signPayload,
  verifySignature,
} from '../../../../src/core/wires/layercode/signature.ts';

const SECRET = 'whsec_test';
const BODY = '{"type":"message","text":"héllo 👋"}';
const NOW = 1_700_000_000;
const HEADER = sign(BODY);
const DIGEST = HEADER.slice(HEADER.indexOf('v1=') + 3);
// printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec_test
const OPENSSL_DIGEST = '35495024f4ef3f94e5a93e22221544c4b75e9a42300cd965ab81cb85cd994e91';

function sign(body: string | Uint8Array, secret = SECRET): string {
  return signPayload(body, secret, { time: NOW });
}

function isRight(
  body: string | Uint8Array, header: string | undefined, secrets: string | string[] = SECRET,
): boolean {
  return verifySignature(body, header, secrets, { now: NOW });
}

describe('signPayload', () => {
  it('signs "<t>.<body>" with HMAC-SHA256, keyed with the secret as it is, prefix included', () => {
    const expected = createHmac('sha256', 'whsec_test').update(`${NOW}.${BODY}`).digest('hex');
    assert.equal(HEADER, `t=${NOW},v1=${expected}`);
  });

  it('makes the digest that openssl makes', () => {
    assert.equal(sign('{}'), `t=1700000000,v1=${OPENSSL_DIGEST}`);
  });

  it('signs text as its UTF-8 bytes', () => {
    assert.equal(sign(new TextEncoder().encode(BODY)), HEADER);
  });

  it('signs bytes that are not UTF-8 as they are', () => {
    const body = Uint8Array.of(0xff, 0xfe, 0x00, 0x80);
    assert.equal(isRight(body, sign(body)), true);
    assert.equal(isRight(Buffer.from(body).toString('utf8'), sign(body)), false);
  });

  it('signs an empty body', () => {
    assert.equal(isRight('', sign('')), true);
  });

  it('signs with the current time by default, in seconds', (t) => {
    t.mock.method(Date, 'now', () => NOW * 1_000 + 999);
    assert.equal(signPayload(BODY, SECRET), HEADER);
  });

  it('uses a secret with characters beyond ASCII as its UTF-8 bytes', () => {
    const secret = 'whsec_é語👋';
    const expected = createHmac('sha256', Buffer.from(secret, 'utf8'))
      .update(`${NOW}.x`)
      .digest('hex');
    assert.equal(sign('x', secret), `t=${NOW},v1=${expected}`);
  });
});

const ACCEPTED: readonly (readonly [title: string, header: string])[] = [
  ['as LayerCode sends it', HEADER],
  ['with the parts in the other order', `v1=${DIGEST},t=${NOW}`],
  ['with hex digits in upper case', `t=${NOW},v1=${DIGEST.toUpperCase()}`],
  ['with spaces around the parts', ` t = ${NOW} , v1 = ${DIGEST} `],
  ['with keys that it does not know', `t=${NOW},v0=x,v1=${DIGEST},v2=y,scheme=`],
  ['with a wrong digest before the right one', `t=${NOW},v1=${'0'.repeat(64)},v1=${DIGEST}`],
  ['with a wrong digest after the right one', `t=${NOW},v1=${DIGEST},v1=${'0'.repeat(64)}`],
  [
    'with other values that are not digests',
    `t=${NOW},v1=,v1=xyz,v1=${DIGEST.slice(1)},v1=${DIGEST}`,
  ],
];

const REFUSED: readonly (readonly [title: string, header: string | undefined])[] = [
  ['that is missing', undefined],
  ['that is empty', ''],
  ['without a time', `v1=${DIGEST}`],
  ['without a digest', `t=${NOW}`],
  ['with an empty time', `t=,v1=${DIGEST}`],
  ['with two times', `t=${NOW},t=${NOW},v1=${DIGEST}`],
  ['with a negative time', `t=-${NOW},v1=${DIGEST}`],
  ['with a time with a sign', `t=+${NOW},v1=${DIGEST}`],
  ['with a time in another notation', `t=1.7e9,v1=${DIGEST}`],
  ['with a time in hex', `t=0x6553f100,v1=${DIGEST}`],
  ['with a time with a fraction', `t=${NOW}.0,v1=${DIGEST}`],
  ['with a time in milliseconds', `t=${NOW}000,v1=${DIGEST}`],
  ['with a time with more digits than any time has', `t=${'1'.repeat(400)},v1=${DIGEST}`],
  ['with a time that is not a number', `t=NaN,v1=${DIGEST}`],
  [
    'with a time in other digits',
    `t=${[...String(NOW)].map((digit) => String.fromCodePoint(0x0660 + Number(digit))).join('')},v1=${DIGEST}`,
  ],
  ['with the same time written differently: the digits are signed', `t=0${NOW},v1=${DIGEST}`],
  ['with an empty digest', `t=${NOW},v1=`],
  ['with a digest one digit too short', `t=${NOW},v1=${DIGEST.slice(1)}`],
  ['with a digest one digit too long', `t=${NOW},v1=${DIGEST}0`],
  ['with only the beginning of the digest', `t=${NOW},v1=${DIGEST.slice(0, 2)}`],
  ['with a digest that is not hex', `t=${NOW},v1=${'g'.repeat(64)}`],
  ['with a digest in base64', `t=${NOW},v1=${Buffer.from(DIGEST, 'hex').toString('base64')}`],
  ['with the first digit changed', `t=${NOW},v1=${flip(DIGEST, 0)}`],
  ['with the last digit changed', `t=${NOW},v1=${flip(DIGEST, 63)}`],
  ['with the digest under another version', `t=${NOW},v0=${DIGEST}`],
  ['with keys in upper case', `T=${NOW},V1=${DIGEST}`],
  ['with another time', `t=${NOW + 1},v1=${DIGEST}`],
  ['with semicolons', `t=${NOW};v1=${DIGEST}`],
  ['with a part without =', `t=${NOW},v1=${DIGEST},x`],
  ['with a comma at the end', `t=${NOW},v1=${DIGEST},`],
  ['that is the digest alone', DIGEST],
  ['that is longer than any honest one', `t=${NOW},${'x=y,'.repeat(2_000)}v1=${DIGEST}`],
];

function flip(text: string, index: number): string {
  return text.slice(0, index) + (text[index] === '0' ? '1' : '0') + text.slice(index + 1);
}

describe('verifySignature', () => {
  for (const [title, header] of ACCEPTED) {
    it(`accepts a header ${title}`, () =>
      assert.equal(isRight(BODY, header), true));
  }
  for (const [title, header] of REFUSED) {
    it(`refuses a header ${title}`, () =>
      assert.equal(isRight(BODY, header), false));
  }

  for (const [offset, isInTime] of [
    [-301, false],
    [-300, true],
    [-1, true],
    [0, true],
    [1, true],
    [300, true],
    [301, false],
  ] as const) {
    it(`${isInTime ? 'accepts' : 'refuses'} a time ${Math.abs(offset)} s ${offset < 0 ? 'ago' : 'ahead'}`, () => {
      const header = signPayload(BODY, SECRET, { time: NOW + offset });
      assert.equal(isRight(BODY, header), isInTime);
    });
  }

  it('names its tolerance', () => assert.equal(SIGNATURE_TOLERANCE_SECONDS, 300));

  it('uses the current time by default', (t) => {
    let nowMs = (NOW + 300) * 1_000 + 999;
    t.mock.method(Date, 'now', () => nowMs);
    assert.equal(verifySignature(BODY, HEADER, SECRET), true);
    nowMs = (NOW + 301) * 1_000;
    assert.equal(verifySignature(BODY, HEADER, SECRET), false);
  });

  it('refuses a body with any byte changed, one added or one missing', () => {
    const body = Buffer.from(BODY);
    for (let index = 0; index < body.length; index++) {
      const damaged = Buffer.from(body);
      damaged[index] = (damaged[index] ?? 0) ^ 1;
      assert.equal(isRight(damaged, HEADER), false, `byte ${index}`);
    }
    for (const damaged of [`${BODY}\n`, body.subarray(0, -1), ''])
      assert.equal(isRight(damaged, HEADER), false);
  });

  it('does not let time and body run together', () => {
    const header = signPayload('1.x', SECRET, { time: 1 });
    assert.equal(verifySignature('x', header.replace('t=1,', 't=1.1,'), SECRET, { now: 1 }), false);
  });

  it('accepts any of several secrets, wherever it is listed, and no other', () => {
    for (const secrets of [
      [SECRET, 'b'],
      ['a', SECRET],
      ['a', SECRET, 'b'],
    ]) {
      assert.equal(isRight(BODY, HEADER, secrets), true);
    }
    assert.equal(isRight(BODY, HEADER, ['a', 'b']), false);
  });

  for (const secret of [
    'whsec_tesT',
    'test',
    'whsec_test ',
    ' whsec_test',
    'whsec_test\n',
    'whsec_',
  ]) {
    it(`refuses what was signed with ${JSON.stringify(secret)}`, () => {
      assert.equal(isRight(BODY, sign(BODY, secret)), false);
    });
  }

  it('throws for an empty secret or none, with which anybody could sign', () => {
    for (const secrets of ['', [], [''], [SECRET, '']]) {
      assert.throws(() => isRight(BODY, HEADER, secrets), {
        name: 'TypeError',
        message: 'a webhook secret must not be empty',
      });
    }
  });
});

describe('SignatureVerifier', () => {
  const verifier = new SignatureVerifier([SECRET]);

  for (const [fault, header] of [
    ['missing', undefined],
    ['missing', ''],
    ['malformed', 'x'],
    ['malformed', `v1=${DIGEST}`],
    ['malformed', `t=${NOW},v1=short`],
    ['stale', `t=${NOW - 301},v1=${DIGEST}`],
    ['stale', `t=${NOW + 301},v1=${DIGEST}`],
  ] as const) {
    it(`calls ${header === undefined ? 'no header' : JSON.stringify(header.slice(0, 20))} ${fault} before there is a body`, () => {
      assert.equal(verifier.parse(header, NOW), fault);
    });
  }

  it('calls a digest wrong only once it has the body', () => {
    const claim = verifier.parse(HEADER, NOW);
    assert.ok(typeof claim === 'object');
    assert.equal(verifier.check(claim, BODY), undefined);
    assert.equal(verifier.check(claim, `${BODY} `), 'wrong');
  });

  it('calls a part of the right digest wrong, even if the whole has been checked before', () => {
    const claim = verifier.parse(HEADER, NOW);
    assert.ok(typeof claim === 'object');
    assert.equal(verifier.check(claim, BODY), undefined);
    for (const length of [0, 2, 63])
      assert.equal(verifier.check({ ...claim, digests: [DIGEST.slice(0, length)] }, BODY), 'wrong');
  });

  it('accepts a header of exactly the limit and refuses one character more', () => {
    const padded = (length: number): string => {
      const start = `t=${NOW},v1=${DIGEST},x=`;
      return start.padEnd(length, 'x');
    };
    assert.equal(typeof verifier.parse(padded(4_096), NOW), 'object');
    assert.equal(verifier.parse(padded(4_097), NOW), 'malformed');
  });
});

import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { describe, it } from 'node:test';

import { Utf8Check } from '../../src/websocket/utf8.ts';

/** Both sides of every border that the tables of UTF-8 have. */
const EDGES = [
  0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
  0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff,
];

function* sequences(length: number, leads: readonly number[] = EDGES): Generator<number[]> {
  if (length === 0) {
    yield [];
    return;
  }
  for (const lead of leads) for (const rest of sequences(length - 1)) yield [lead, ...rest];
}

/** Every way to complete what is not complete yet, one of each kind. */
const TAILS = [
  [],
  ...[0x80, 0x90, 0xa0].flatMap((second) => [[second], [second, 0x80], [second, 0x80, 0x80]]),
];

function isViable(bytes: readonly number[]): boolean {
  return TAILS.some((tail) => isUtf8(Uint8Array.from([...bytes, ...tail])));
}

describe('Utf8Check', () => {
  it('accepts whole code points as Node does, at every border of the tables', () => {
    for (const length of [1, 2, 3, 4]) {
      for (const bytes of sequences(
        length,
        length < 4 ? EDGES : [0xe0, 0xef, 0xf0, 0xf1, 0xf4, 0xf5],
      )) {
        const check = new Utf8Check();
        assert.equal(
          check.accepts(Uint8Array.from(bytes)) && check.isComplete,
          isUtf8(Uint8Array.from(bytes)),
          bytes.join(),
        );
      }
    }
  });

  it('accepts a beginning only if it can be completed: a fault is found at its first byte', () => {
    for (const length of [1, 2, 3]) {
      for (const bytes of sequences(length)) {
        assert.equal(
          new Utf8Check().accepts(Uint8Array.from(bytes)),
          isViable(bytes),
          bytes.join(),
        );
      }
    }
  });

  it('accepts code points that are cut anywhere, and nothing between them', () => {
    const bytes = Buffer.from('aé語👋🏽\u0800\ud7ff\ue000\uffff\u{10000}\u{10ffff}');
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        const check = new Utf8Check();
        const parts = [
          bytes.subarray(0, first),
          bytes.subarray(first, second),
          bytes.subarray(second),
        ];
        assert.ok(
          parts.every((part) => check.accepts(part)) && check.isComplete,
          `cut at ${first} and ${second}`,
        );
      }
    }
  });

  it('is not complete inside a code point', () => {
    const check = new Utf8Check();
    const isComplete = [...Buffer.from('a👋b')].map(
      (byte) => check.accepts(Uint8Array.of(byte)) && check.isComplete,
    );
    assert.deepEqual(isComplete, [true, false, false, false, true, true]);
  });
});

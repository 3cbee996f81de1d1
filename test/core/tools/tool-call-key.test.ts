import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { callKey, canonicalArguments, uniqueKey } from '../../../src/core/tools/tool-call-key.ts';

describe('canonicalArguments', () => {
  for (const [what, a, b] of [
    ['another order of keys', '{"a":1,"b":{"c":2,"d":3}}', '{"b":{"d":3,"c":2},"a":1}'],
    ['white space', '{"a":[1,2]}', ' { "a" : [ 1,\n2 ] } '],
    ['another spelling of a number and of a text', '{"a":1.0,"b":"\\u0041"}', '{"a":1,"b":"A"}'],
    ['blank text in place of an empty object', '  ', '{}'],
    ['another order of keys in a list', '[{"a":1,"b":2}]', '[{"b":2,"a":1}]'],
  ] as const) {
    it(`sees no difference in ${what}`, () => {
      assert.equal(canonicalArguments(a), canonicalArguments(b));
    });
  }

  for (const [what, a, b] of [
    ['the order of a list', '[1,2]', '[2,1]'],
    ['a value', '{"a":1}', '{"a":2}'],
    ['the type of a value', '{"a":1}', '{"a":"1"}'],
    ['null and nothing', '{"a":null}', '{}'],
  ] as const) {
    it(`distinguishes ${what}`, () => {
      assert.notEqual(canonicalArguments(a), canonicalArguments(b));
    });
  }

  for (const args of ['{"a":', '{}{}', 'pay', '['.repeat(100_000)]) {
    it(`is undefined for ${JSON.stringify(args.slice(0, 20))}, which is not JSON`, () => {
      assert.equal(canonicalArguments(args), undefined);
    });
  }
});

describe('the key of a call', () => {
  // A process of another version may get the turn, so keys must never change. This one is the
  // SHA-256 of `["c-1","t-1","pay","{\"amount\":5}",0]`.
  it('is the same on every machine', () => {
    assert.equal(
      callKey('c-1', 't-1', 'pay', '{"amount":5}', 0),
      '1fdba1332b1f3a3f8634c5f9c5a5787a18f58a59afc48023efe792e45373249c',
    );
  });

  it('differs if any of its parts differs, however they run into each other', () => {
    const keys = [
      callKey('c', 't', 'pay', '{}', 0), callKey('c2', 't', 'pay', '{}', 0),
      callKey('c', 't2', 'pay', '{}', 0), callKey('c', 't', 'pay2', '{}', 0),
      callKey('c', 't', 'pay', '{"a":1}', 0), callKey('c', 't', 'pay', '{}', 1),
      callKey('ct', '', 'pay', '{}', 0), callKey('c', 'tpay', '', '{}', 0),
    ];
    assert.equal(new Set(keys).size, keys.length);
  });

  it('is different each time for a call that is like no other', () => {
    assert.match(uniqueKey(), /^[0-9a-f]{64}$/);
    assert.notEqual(uniqueKey(), uniqueKey());
  });
});

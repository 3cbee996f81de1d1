import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseSlots, slotOf } from '../../../src/conversations/stores/redis-slots.ts';

const ASKED = { host: '10.0.0.1', port: 6_379 };

describe('slotOf', () => {
  // The first is from the specification of clusters, the others from `CLUSTER KEYSLOT`.
  for (const [key, slot] of [
    ['123456789', 12_739], ['', 0], ['foo', 12_182], ['layercode:c-0', 13_256],
  ] as const)
    it(`is ${slot} for ${JSON.stringify(key)}`, () => assert.equal(slotOf(key), slot));
});

describe('parseSlots', () => {
  it('reads the node that takes writes, and nothing of its replicas', () => {
    const answer = [
      [0, 8_191, ['a.example', 7_000, 'id1'], ['b.example', 7_001, 'id2']],
      [8_192, 16_383, ['::1', 7_002, 'id3', []]],
    ];
    assert.deepEqual(parseSlots(answer, ASKED), [
      { first: 0, last: 8_191, address: { host: 'a.example', port: 7_000 } },
      { first: 8_192, last: 16_383, address: { host: '::1', port: 7_002 } },
    ]);
  });

  for (const host of [null, '', '?'])
    it(`takes the address that was asked for the host ${JSON.stringify(host)}`, () => {
      const [range] = parseSlots([[0, 1, [host, 7_000]]], ASKED);
      assert.deepEqual(range?.address, { host: '10.0.0.1', port: 7_000 });
    });

  const wrong = [null, 'OK', {}, [1], [[0]], [[0, 1]], [[0, 1, ['a']]], [['0', 1, ['a', 1]]]];
  for (const answer of wrong)
    it(`refuses ${JSON.stringify(answer)}`, () => {
      assert.throws(() => parseSlots(answer, ASKED), TypeError);
    });
});

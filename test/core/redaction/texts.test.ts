import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { textsIn, withJsonTexts, withTexts } from '../../../src/core/redaction/texts.ts';
import { processorMs } from '../../fixtures/processor-time.ts';

const hide = (text: string): string => text.replaceAll('4242424242424242', '[card]');

describe('withTexts', () => {
  it('changes texts at any depth, field names, and whole numbers', () => {
    const value = { a: ['4242424242424242', { '4242424242424242': 1 }], b: 4242424242424242 };
    assert.deepEqual(withTexts(value, hide), { a: ['[card]', { '[card]': 1 }], b: '[card]' });
  });

  it('returns the value itself if nothing has changed', () => {
    const value = { a: ['x', { b: [] }], c: null, d: 1.5, e: true, f: undefined };
    assert.equal(withTexts(value, hide), value);
  });

  it('leaves times in milliseconds, fractions and short numbers as they are', () => {
    const value = [1764294247123, 0.4242424242424242, 42, -1];
    assert.equal(withTexts(value, () => 'changed'), value);
  });

  it('leaves objects with a class as they are', () => {
    const date = new Date(0);
    assert.equal(withTexts(date, hide), date);
  });

  it('survives 3,000 nested objects without leaking a text', () => {
    let deep: unknown = { a: '4242424242424242', 4242424242424242: 1 };
    for (let depth = 0; depth < 3_000; depth++) deep = { a: deep, b: '4242424242424242' };
    const text = JSON.stringify(withTexts(deep, hide));
    assert.doesNotMatch(text, /4242/);
    assert.match(text, /"a":"\[too deep\]"/);
  });
});

describe('textsIn', () => {
  it('returns the texts that withTexts changes, in order', () => {
    const value = {
      a: ['x', { y: 'z' }], b: [4242424242424242, 42, null], c: new Date(0), d: { e: 'x' },
    };
    const changed: string[] = [];
    withTexts(value, (text) => (changed.push(text), text));
    const texts = ['a', 'x', 'y', 'z', 'b', '4242424242424242', 'c', 'd', 'e', 'x'];
    assert.deepEqual([...textsIn(value)], texts);
    assert.deepEqual(changed, texts);
  });

  for (const depth of [500, 501])
    it(`goes as deep as withTexts: ${depth}`, () => {
      const changed: string[] = [];
      for (const nest of [(inner: unknown) => [inner], (inner: unknown) => ({ a: inner })]) {
        let deep: unknown = '4242424242424242';
        for (let count = 0; count < depth; count++) deep = nest(deep);
        changed.length = 0;
        withTexts(deep, (text) => (changed.push(text), text));
        assert.deepEqual([...textsIn(deep)], changed);
      }
    });
});

/** With one digit more than numbers keep: `JSON.parse` makes 4242424242424242000 of it. */
const LONG = '4242424242424242429';

describe('withJsonTexts', () => {
  // With the number that JSON.parse had rounded, 17 of its 19 digits once stayed.
  it('changes a number that JSON would round, next to another value', () => {
    const change = (text: string): string => hide(text.replaceAll(LONG, '[long]'));
    for (const [json, expected] of [
      [`{"a":${LONG},"b":"4242424242424242"}`, '{"a":"[long]","b":"[card]"}'],
      [`["4242424242424242",${LONG},-${LONG}]`, '["[card]","[long]","-[long]"]'],
      [`{"4242424242424242":{"a":[${LONG}]}}`, '{"[card]":{"a":["[long]"]}}'],
      [`{"a":4242424242424242,"b":${LONG}}`, '{"a":"[card]","b":"[long]"}'],
    ] as const) assert.equal(withJsonTexts(json, change), expected);
  });

  for (const [title, json, expected] of [
    ['texts', '{"a":"4242424242424242"}', '{"a":"[card]"}'],
    ['texts with escapes', '{"a":"\\u0034242424242424242"}', '{"a":"[card]"}'],
    ['numbers', '[4242424242424242]', '["[card]"]'],
    ['text that is not JSON', 'it is 4242424242424242', 'it is [card]'],
    ['numbers that JSON would round', '{"a":42424242424242420,"b":1}', '{"a":"[card]0","b":1}'],
    [
      'texts with escapes beside numbers that JSON would round',
      '{"a":42424242424242420,"b":"\\u0034242424242424242"}', '{"a":"[card]0","b":"[card]"}',
    ],
  ] as const)
    it(`changes ${title}`, () => assert.equal(withJsonTexts(json, hide), expected));

  it('leaves JSON with nothing to change as it was written', () => {
    const json = '{ "a" : 1.0, "b": "\\u0041" }';
    assert.equal(withJsonTexts(json, hide), json);
  });

  it('keeps a text of digits next to numbers that JSON would round', () => {
    const json = '{"a":11111111111111111111,"b":"\\"22222222222222222222"}';
    assert.equal(withJsonTexts(json, hide), json);
  });

  it('takes time proportional to the length of the text', () => {
    for (const json of [`"${'\\"'.repeat(500_000)}`, `"${'\\n'.repeat(500_000)}"`]) {
      const since = process.cpuUsage();
      assert.equal(withJsonTexts(json, hide), json);
      assert.ok(processorMs(since) < 2_000);
    }
  });
});

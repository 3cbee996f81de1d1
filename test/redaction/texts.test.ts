import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { withJsonTexts, withTexts } from '../../src/redaction/texts.ts';
import { processorMs } from '../fixtures/processor-time.ts';

const hide = (text: string): string => text.replaceAll('4242424242424242', '[card]');

describe('withTexts', () => {
  it('changes texts at any depth, the names of fields, and whole numbers', () => {
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

  it('does not exhaust the stack', () => {
    let deep: unknown = '4242424242424242';
    for (let depth = 0; depth < 100_000; depth++) deep = [deep];
    assert.doesNotMatch(JSON.stringify([withTexts(deep, hide)]).slice(0, 2_000), /4242/);
  });
});

describe('withJsonTexts', () => {
  for (const [title, json, expected] of [
    ['texts', '{"a":"4242424242424242"}', '{"a":"[card]"}'],
    ['texts with escapes', '{"a":"\\u0034242424242424242"}', '{"a":"[card]"}'],
    ['numbers', '[4242424242424242]', '["[card]"]'],
    ['what is no JSON', 'it is 4242424242424242', 'it is [card]'],
    ['numbers that JSON would round', '{"a":42424242424242420,"b":1}', '{"a":"[card]0","b":1}'],
    [
      'texts with escapes beside such numbers',
      '{"a":42424242424242420,"b":"\\u0034242424242424242"}', '{"a":"[card]0","b":"[card]"}',
    ],
  ] as const)
    it(`changes ${title}`, () => assert.equal(withJsonTexts(json, hide), expected));

  it('leaves JSON with nothing to change as it was written', () => {
    const json = '{ "a" : 1.0, "b": "\\u0041" }';
    assert.equal(withJsonTexts(json, hide), json);
  });

  it('keeps a text of digits beside numbers that JSON would round', () => {
    const json = '{"a":11111111111111111111,"b":"\\"22222222222222222222"}';
    assert.equal(withJsonTexts(json, hide), json);
  });

  it('takes a time that grows with the text', () => {
    for (const json of [`"${'\\"'.repeat(500_000)}`, `"${'\\n'.repeat(500_000)}"`]) {
      const since = process.cpuUsage();
      assert.equal(withJsonTexts(json, hide), json);
      assert.ok(processorMs(since) < 2_000);
    }
  });
});

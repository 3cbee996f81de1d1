// The language of the tables: what a field takes, where its fault is, and its JSON Schema.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  arrayOf, boolean, id, isTooDeep, number, object, objectOf, optional, string, timestamp,
  type Field,
} from '../../src/base/fields.ts';

type Row = readonly [name: string, field: Field, values: readonly unknown[]];

describe('a field', () => {
  const accepted: readonly Row[] = [
    ['id', id, ['a', ' ', 'é語', 'x'.repeat(256), '\u00a0', '~']],
    ['string', string, ['', 'a']],
    ['number', number, [0, -1.5]],
    ['boolean', boolean, [true, false]],
    ['object', object, [{}, { a: 1 }]],
    ['timestamp', timestamp, [0, '2026-01-01T00:00:00Z']],
    ['optional', optional(string), [undefined, null, '']],
    ['arrayOf', arrayOf(string), [[], ['a', 'b']]],
    ['objectOf', objectOf({ a: string, b: optional(number) }), [{ a: '' }, { a: '', b: null }]],
    ['objectOf with a field that it does not know', objectOf({ a: string }), [{ a: '', b: 1 }]],
  ];
  for (const [name, field, values] of accepted) {
    it(`accepts valid values: ${name}`, () => {
      for (const value of values) {
        assert.equal(field.check(value), undefined, JSON.stringify(value));
      }
    });
  }

  const refused: readonly Row[] = [
    ['id', id, ['', 'x'.repeat(257), 1, null, undefined]],
    ['id with control characters', id, ['a\u0000', '\u001f', 'a\u007f', '\u0080', '\u009f']],
    ['string', string, [1, null, undefined, []]],
    ['number', number, ['1', null, undefined]],
    ['boolean', boolean, ['true', 0, null]],
    ['object', object, [[], null, 'a', undefined]],
    ['timestamp', timestamp, [true, null, {}]],
    ['optional', optional(string), [0, false, {}]],
    ['arrayOf', arrayOf(string), [{}, null, 'a', { length: 0 }]],
    ['objectOf', objectOf({ a: string }), [[], null, 'a', {}]],
  ];
  for (const [name, field, values] of refused) {
    it(`refuses invalid values: ${name}`, () => {
      for (const value of values) assert.ok(field.check(value), JSON.stringify(value));
    });
  }

  const inner = objectOf({ role: string, words: optional(arrayOf(string)) });
  for (const [path, value] of [
    ['a', {}],
    ['a.role', { a: {} }],
    ['a.words', { a: { role: '', words: {} } }],
    ['a.words[1]', { a: { role: '', words: ['', 1] } }],
    ['list[0]', { a: { role: '' }, list: [1] }],
    ['list[1].role', { a: { role: '' }, list: [{ role: '' }, {}] }],
    ['list[0].words[0]', { a: { role: '' }, list: [{ role: '', words: [1] }] }],
  ] as const) {
    it(`says where the fault is: ${path}`, () => {
      const fault = objectOf({ a: inner, list: optional(arrayOf(inner)) }).check(value);
      assert.equal(fault?.path, path);
    });
  }

  it('names the first of several faults, in the order of the table', () => {
    assert.equal(objectOf({ b: string, a: string }).check({})?.path, 'b');
  });

  it('must not have a name that every object has', () => {
    assert.throws(() => objectOf({ toString: string }), {
      name: 'TypeError', message: 'a field must not be called toString',
    });
  });
});

describe('the JSON Schema of a field', () => {
  const control = '^[^\\u0000-\\u001f\\u007f-\\u009f]*$';
  for (const [name, { schema }, expected] of [
    ['id', id, { type: 'string', minLength: 1, maxLength: 256, pattern: control }],
    ['string', string, { type: 'string' }],
    ['number', number, { type: 'number' }],
    ['boolean', boolean, { type: 'boolean' }],
    ['object', object, { type: 'object' }],
    ['timestamp', timestamp, {
      oneOf: [{ type: 'number' }, { type: 'string', format: 'date-time' }],
    }],
    ['optional', optional(string), { anyOf: [{ type: 'string' }, { type: 'null' }] }],
    ['arrayOf', arrayOf(string), { type: 'array', items: { type: 'string' } }],
    ['objectOf', objectOf({ a: string, b: optional(number) }), {
      type: 'object',
      required: ['a'],
      properties: { a: { type: 'string' }, b: { anyOf: [{ type: 'number' }, { type: 'null' }] } },
    }],
  ] as const) {
    it(`says what is accepted: ${name}`, () => assert.deepEqual(schema, expected));
  }
});

describe('isTooDeep', () => {
  function nested(levels: number, wrap: (inner: unknown) => unknown): unknown {
    let value: unknown = 1;
    for (let level = 0; level < levels; level++) value = wrap(value);
    return value;
  }

  for (const [what, wrap] of [
    ['objects', (inner: unknown) => ({ a: inner })],
    ['arrays', (inner: unknown) => [0, inner]],
  ] as const) {
    it(`allows 500 levels of ${what} and not one more`, () => {
      assert.deepEqual([500, 501].map((levels) => isTooDeep(nested(levels, wrap))), [false, true]);
    });
  }
});

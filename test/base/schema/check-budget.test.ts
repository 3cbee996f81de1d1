// Arguments of at most 256 KiB that a caller can make a model write to keep the server busy.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CheckBudget, compileSchema, TooCostly } from '../../../src/base/schema/schema.ts';
import { leastProcessorMs, processorMs } from '../../fixtures/processor-time.ts';

/** 50 ms, plus some for the test itself and for collecting garbage in other threads. */
const MOST_MS = 150;

type JsonSchema = Readonly<Record<string, unknown>>;

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

/** A value that must fit one of `count` identical schemas. Such a schema compiles fast. */
function anyOf(count: number, one: JsonSchema): JsonSchema {
  return { anyOf: times(count, () => ({ $ref: '#/$defs/one' })), $defs: { one } };
}

/** A schema that contains itself wherever `inside` puts it. */
function recursive(inside: (itself: JsonSchema) => JsonSchema): JsonSchema {
  return { $ref: '#/$defs/n', $defs: { n: inside({ $ref: '#/$defs/n' }) } };
}

/** A value inside `depth` arrays, each with another item. */
function wrapped(value: string, depth: number): string {
  return `${'['.repeat(depth)}${value}${',1]'.repeat(depth)}`;
}

/** Both keywords count the characters, and one schema costs one step. */
const bounds = (): JsonSchema => ({ minLength: 1, maxLength: 250_000 });
const ONES = `[${'1,'.repeat(120_000)}"no"]`;
const ZEROS = times(100_000, () => 0);
const LONG = 'é'.repeat(250_000);
const WIDE = `{${times(20_000, (index) => `"k${index}":1`).join()}}`;
const OTHER_ORDER = Object.fromEntries(times(5_000, (index) => [`k${19_999 - index}`, 1]));
const EMPTY_OBJECTS = `[${times(80_000, () => '{}').join()}]`;

const ATTACKS: readonly (readonly [what: string, schema: JsonSchema, json: string])[] = [
  [
    '500 constants that differ in their last item only',
    anyOf(500, { const: [...ZEROS, 1] }),
    JSON.stringify([...ZEROS, 0]),
  ],
  [
    '2,000 constants as large as the value, in another order',
    anyOf(2_000, { const: OTHER_ORDER }),
    WIDE,
  ],
  ['2,000 bounds on a long text', { allOf: times(2_000, bounds) }, `"${LONG}"`],
  [
    'items that contain items that contain items, all unique',
    recursive((itself) => ({ items: itself, uniqueItems: true })),
    wrapped(`[${times(60_000, (index) => index).join()}]`, 450),
  ],
  [
    'big divisions',
    { items: { allOf: times(20, () => ({ multipleOf: 1e-300 })) } },
    `[${times(40_000, () => '1e308').join()}]`,
  ],
  [
    '500 lists of 100,000 required properties',
    anyOf(500, { required: [...times(100_000, (index) => `k${index % 20_000}`), 'missing'] }),
    WIDE,
  ],
  [
    '200,000 dependencies',
    { items: { dependentRequired: Object.fromEntries(times(200_000, (i) => [`d${i}`, ['x']])) } },
    EMPTY_OBJECTS,
  ],
  [
    '200,000 properties',
    { items: { properties: Object.fromEntries(times(200_000, (index) => [`p${index}`, true])) } },
    EMPTY_OBJECTS,
  ],
  [
    '1,000 patterns for names',
    { patternProperties: Object.fromEntries(times(1_000, (index) => [`^x${index}`, {}])) },
    WIDE,
  ],
  ['2,000 sizes of an object', anyOf(2_000, { maxProperties: 1 }), WIDE],
  [
    '300 lists of items',
    anyOf(300, { items: { type: 'integer' } }),
    ONES,
  ],
  ['200,000 schemas that accept anything', { items: { allOf: times(200_000, () => true) } }, ONES],
  [
    'branches that double at each level',
    recursive((itself) => ({
      properties: { n: { anyOf: [itself, itself] } },
      additionalProperties: false,
    })),
    `${'{"n":'.repeat(60)}{"no":1}${'}'.repeat(60)}`,
  ],
  ['a number of 250,000 digits', { type: 'number', multipleOf: 3 }, '9'.repeat(250_000)],
];

describe('a CheckBudget', () => {
  for (const [what, schema, json] of ATTACKS) {
    it(`is not exceeded by ${what}`, () => {
      const check = compileSchema(schema, 'schema');
      const value: unknown = JSON.parse(json);
      const ms = leastProcessorMs(MOST_MS, () => {
        try {
          check(value, new CheckBudget());
        } catch (error) {
          assert.ok(error instanceof TooCostly, String(error));
        }
      });
      assert.ok(ms < MOST_MS, `${ms} ms`);
    });
  }

  it('is enough for arguments of a quarter of a megabyte', () => {
    const check = compileSchema({ type: 'array', items: { type: 'integer' } }, 'schema');
    const value: unknown = JSON.parse(`[${'1,'.repeat(130_000)}"no"]`);
    assert.equal(check(value, new CheckBudget())?.path, '[130000]');
  });

  it('is shared by all checks that use it: 64 slow ones take no longer than one', () => {
    const check = compileSchema({ pattern: '(a+)+$' }, 'schema');
    const ms = leastProcessorMs(MOST_MS, () => {
      const budget = new CheckBudget();
      for (let call = 0; call < 64; call++)
        assert.throws(() => check(`${'a'.repeat(60)}!`, budget), TooCostly);
    });
    assert.ok(ms < MOST_MS, `${ms} ms`);
  });

  it('is used up by checks only, not by what happens between them', () => {
    const check = compileSchema({ type: 'integer' }, 'schema');
    const budget = new CheckBudget();
    check(1, budget);
    const begun = process.cpuUsage();
    while (processorMs(begun) < 60);
    assert.equal(check(1, budget), undefined);
  });

  it('counts depth again for each check, even after one that was too costly', () => {
    const deep = recursive((itself) => ({ items: itself }));
    const check = compileSchema(deep, 'schema');
    const budget = new CheckBudget();
    const nest = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
    for (let count = 0; count < 3; count++) {
      assert.throws(() => check(nest(1_100), budget), TooCostly);
      assert.equal(check(nest(490), budget), undefined);
    }
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  CheckBudget, compileSchema, TooCostly, type Schema,
} from '../../../src/base/schema/schema.ts';
import { leastProcessorMs } from '../../fixtures/processor-time.ts';

/** The length of the longest arguments. */
const LONGEST = 262_144;

/** 50 ms, plus some for the test itself and for collecting garbage in other threads. */
const MOST_MS = 150;

/** A schema with one property, `x`. */
function having(x: Schema): Schema {
  return { type: 'object', properties: { x } };
}

/** What is wrong with a value, or `'too costly'`. */
function problemOf(json: string, schema: Schema): string | undefined {
  try {
    const fault = compileSchema(schema, 'parameters')(JSON.parse(json), new CheckBudget());
    return fault === undefined ? undefined : `${fault.path} ${fault.text}`.trim();
  } catch (error) {
    if (error instanceof TooCostly) return 'too costly';
    throw error;
  }
}

function checkCost(pattern: string, text: string): void {
  let problem: string | undefined;
  const ms = leastProcessorMs(MOST_MS, () => {
    problem = problemOf(`{"x":"${text}"}`, having({ pattern }));
  });
  assert.ok(ms < MOST_MS, `${ms} ms`);
  assert.match(problem ?? '', /^(too costly|\.x must match the pattern)/);
}

describe('the check of a pattern', () => {
  for (const pattern of [
    '(a+)+$',
    '^(a|aa)+$',
    '(.*,){20}x',
    '^(?=(a+)+$)',
    '(a*)*\\1$',
    '^(?:a?){60}a{60}$',
  ]) {
    it(`stops ${pattern}, with its nested repetitions, in time`, () => {
      checkCost(pattern, `${'a'.repeat(60)},${'a,'.repeat(40)}!`);
    });
  }

  for (const pattern of [
    '^a*a{3000}b$',
    '^a{0,1000}a{0,1000}b$',
    '^a{0,9}a{0,9}a{0,9}a{0,9}a{0,9}a{0,9}a{0,9}a{0,9}b$',
    '^a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?b$',
    'a*b',
    '^a*a*b$',
    '^.*,.*,.*,.*x$',
    '^a*?a{200}a*?b$',
    '^\\p{L}*\\p{L}*\\d$',
  ]) {
    it(`stops ${pattern}, which is slow on long texts only, in time`, () => {
      checkCost(pattern, `,${'a'.repeat(LONGEST)}!`);
    });
  }

  for (const [where, schema] of [
    ['patternProperties', { patternProperties: { '(a+)+$': {} } }],
    ['additionalProperties', { patternProperties: { '(a+)+$': {} }, additionalProperties: false }],
    ['propertyNames', { propertyNames: { pattern: '(a+)+$' } }],
  ] as const) {
    it(`also stops in time for the names of properties: ${where}`, () => {
      const ms = leastProcessorMs(MOST_MS, () =>
        assert.equal(problemOf(`{"${'a'.repeat(60)}!":1}`, schema), 'too costly'));
      assert.ok(ms < MOST_MS, `${ms} ms`);
    });
  }

  for (const [count, pattern] of [
    [1_000, '^[^@ ]+@[^@ ]+\\.[a-z]+$'],
    [1_000, '^[a-z]+-\\d{1,6}$'],
    [1_000, '^\\+?\\d{6,15}$'],
    [1_000, '^\\p{L}[\\p{L} .-]*$'],
    [1_000, '[\\w-.]+'],
    [100, 'é|語'],
    [100, '^(?:red|green)$'],
  ] as const) {
    it(`has time for ${pattern} on ${count} ordinary texts`, () => {
      const schema = having({ type: 'array', items: { anyOf: [{ pattern }, {}] } });
      const texts = Array.from({ length: count }, (_, index) => `"jo.doe-${index}@example.com"`);
      assert.equal(problemOf(`{"x":[${texts.join()}]}`, schema), undefined);
    });
  }

  for (const [pattern, right, wrong] of [
    ['^\\p{L}+$', 'é', '1'],
    ['[\\w-.]+', 'a', '!'],
    ['^(a|b)$', 'b', 'c'],
    ['^\\d{4}-\\d{2}$', '2026-11', '26-11'],
    ['b', 'abc', 'ac'],
    ['^.$', '🍞', 'ab'],
  ] as const) {
    it(`matches ${JSON.stringify(right)} but not ${JSON.stringify(wrong)} with ${pattern}`, () => {
      const schema = having({ pattern });
      assert.equal(problemOf(JSON.stringify({ x: right }), schema), undefined);
      assert.equal(
        problemOf(JSON.stringify({ x: wrong }), schema),
        `.x must match the pattern ${pattern}`,
      );
    });
  }

  it('refuses what is not a regular expression', () => {
    assert.throws(() => compileSchema(having({ pattern: '(' }), 'p'), {
      name: 'TypeError',
      message: 'p.x: pattern "(" is not a regular expression',
    });
  });
});

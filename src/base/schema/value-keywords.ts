// Keywords for single values: types, numbers and strings.

import { canonicalJson } from '../canonical-json.ts';
import { isObject } from '../fields.ts';
import type { CheckBudget } from './check-budget.ts';
import type { SchemaType } from './json-schema.ts';
import {
  expect, fault, itemsOf, numberOf, patternOf, propertiesOf, sizeBound, type KeywordTable,
  type Rule, type Site,
} from './keyword.ts';

const TYPES: Readonly<Record<SchemaType, (value: unknown) => boolean>> = {
  object: isObject,
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  number: Number.isFinite, // JSON may contain 1e999
  integer: Number.isInteger,
  boolean: (value) => typeof value === 'boolean',
  null: (value) => value === null,
};

/** Characters that can be counted in the time of one step of the budget. */
const CHARACTERS_PER_STEP = 50;

export const VALUE_KEYWORDS: KeywordTable = {
  type: typeRule,
  nullable: (value, site) => void expect(typeof value === 'boolean', 'nullable', site),
  const: (value) => {
    const found = fault(`must be ${canonicalJson(value)}`);
    return (given, budget) => (isEqual(value, given, budget) ? undefined : found);
  },
  enum: (value, site) => {
    const allowed = itemsOf(value, 'enum', site);
    const found = fault(`must be one of ${allowed.map((one) => canonicalJson(one)).join(', ')}`);
    const known = new Set(allowed);
    const nested = allowed.filter((one) => typeof one === 'object' && one !== null);
    return (given, budget) => {
      if (known.has(given)) return undefined;
      return nested.some((one) => isEqual(one, given, budget)) ? undefined : found;
    };
  },

  minimum: (value, site) => {
    const bound = numberOf(value, 'minimum', site);
    if (site.schema['exclusiveMinimum'] === true) return above(bound);
    return numbers((given) => given >= bound, `must be at least ${bound}`);
  },
  maximum: (value, site) => {
    const bound = numberOf(value, 'maximum', site);
    if (site.schema['exclusiveMaximum'] === true) return below(bound);
    return numbers((given) => given <= bound, `must be at most ${bound}`);
  },
  // A boolean in draft 4 and OpenAPI 3.0, where `minimum` and `maximum` apply it.
  exclusiveMinimum: (value, site) =>
    typeof value === 'boolean' ? undefined : above(numberOf(value, 'exclusiveMinimum', site)),
  exclusiveMaximum: (value, site) =>
    typeof value === 'boolean' ? undefined : below(numberOf(value, 'exclusiveMaximum', site)),
  multipleOf: (value, site) => {
    const divisor = numberOf(value, 'multipleOf', site);
    expect(divisor > 0, 'multipleOf', site);
    return numbers((given) => isMultiple(given, divisor), `must be a multiple of ${divisor}`);
  },

  minLength: sizeBound('minLength', 'least', ' characters', lengthOf),
  maxLength: sizeBound('maxLength', 'most', ' characters', lengthOf),
  pattern: (value, site) => {
    const matches = patternOf(value, 'pattern', site);
    const found = fault(`must match the pattern ${value}`);
    return (given, budget) =>
      typeof given !== 'string' || matches(given, budget) ? undefined : found;
  },
};

function typeRule(value: unknown, { schema, place }: Site): Rule {
  const types = (Array.isArray(value) ? value : [value]) as readonly SchemaType[];
  const isType = (type: unknown): boolean => typeof type === 'string' && Object.hasOwn(TYPES, type);
  if (types.length === 0 || !types.every(isType)) {
    throw new TypeError(`${place}: type must be one of ${Object.keys(TYPES).join(', ')}`);
  }
  const allowed = schema['nullable'] === true ? [...types, 'null' as const] : types;
  const tests = allowed.map((type) => TYPES[type]);
  const isInteger = allowed.length === 1 && allowed[0] === 'integer';
  const found = fault(isInteger ? 'must be an integer' : `must be of type ${allowed.join(' or ')}`);
  return (given) => (tests.some((test) => test(given)) ? undefined : found);
}

function numbers(isRight: (given: number) => boolean, text: string): Rule {
  return (given) => (typeof given !== 'number' || isRight(given) ? undefined : fault(text));
}

function above(bound: number): Rule {
  return numbers((given) => given > bound, `must be more than ${bound}`);
}

function below(bound: number): Rule {
  return numbers((given) => given < bound, `must be less than ${bound}`);
}

/** Whether two JSON values are equal. The order of properties does not matter. */
function isEqual(value: unknown, given: unknown, budget: CheckBudget): boolean {
  budget.spend(1);
  if (value === given) return true;
  if (Array.isArray(value)) {
    if (!Array.isArray(given) || value.length !== given.length) return false;
    return value.every((item, index) => isEqual(item, given[index], budget));
  }
  if (!isObject(value) || !isObject(given)) return false;
  const names = Object.keys(value);
  if (names.length !== propertiesOf(given, budget).length) return false;
  return names.every(
    (name) => Object.hasOwn(given, name) && isEqual(value[name], given[name], budget),
  );
}

/** In code points, not UTF-16 code units. */
function lengthOf(given: unknown, budget: CheckBudget): number | undefined {
  if (typeof given !== 'string') return undefined;
  budget.spend(given.length / CHARACTERS_PER_STEP);
  let length = given.length;
  for (let index = 1; index < given.length; index++) {
    if (isSurrogate(given, index, 0xdc00) && isSurrogate(given, index - 1, 0xd800)) length -= 1;
  }
  return length;
}

/** `first`: 0xd800 for the first half of a pair, 0xdc00 for the second. */
function isSurrogate(text: string, index: number, first: number): boolean {
  return (text.charCodeAt(index) & 0xfc00) === first;
}

/**
 * Computes in decimals: 0.3 is a multiple of 0.1, though dividing the two doubles does not give an
 * integer.
 */
function isMultiple(value: number, divisor: number): boolean {
  if (!Number.isFinite(value)) return false;
  const [a, b] = [decimal(value), decimal(divisor)];
  const exponent = Math.min(a.exponent, b.exponent);
  const scale = ({ digits, exponent: own }: Decimal): bigint =>
    digits * 10n ** BigInt(own - exponent);
  return scale(a) % scale(b) === 0n;
}

interface Decimal {
  readonly digits: bigint;
  readonly exponent: number;
}

function decimal(value: number): Decimal {
  const [mantissa = '', exponent = '0'] = value.toExponential().split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  return { digits: BigInt(whole + fraction), exponent: Number(exponent) - fraction.length };
}

// Rules for the fields of an event. One table yields the check, the error message, and the JSON
// Schema for openapi.json.

import type { JsonObject } from './json.ts';

export interface Field {
  /** What the error message and the schema say: `must be <expected>`. */
  readonly expected: string;
  readonly isRequired: boolean;
  readonly schema: JsonObject;
  /**
   * Undefined if the value is valid. Otherwise says what is wrong: the path below this field (''
   * for the field itself) and the rule.
   */
  check(value: unknown): FieldFault | undefined;
}

interface FieldFault {
  readonly path: string;
  readonly expected: string;
}

/**
 * Field name → rule. Fields outside the table are accepted unchecked, because the platform adds
 * new ones.
 */
export type FieldTable = Readonly<Record<string, Field>>;

/** Longest id, in UTF-16 code units, inclusive. */
export const MAX_ID_LENGTH = 256;

/** A string of 1 to `MAX_ID_LENGTH` characters without control characters. */
export function isId(value: unknown): value is string {
  return (
    typeof value === 'string'
    && value !== ''
    && value.length <= MAX_ID_LENGTH
    && !/[\u0000-\u001f\u007f-\u009f]/.test(value)
  );
}

function field(expected: string, schema: JsonObject, accepts: (value: unknown) => boolean): Field {
  return {
    expected,
    schema,
    isRequired: true,
    check: (value) => (accepts(value) ? undefined : { path: '', expected }),
  };
}

export const id = field(
  `a non-empty string of at most ${MAX_ID_LENGTH} characters without control characters`,
  {
    type: 'string',
    minLength: 1,
    maxLength: MAX_ID_LENGTH,
    pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]*$',
  },
  isId,
);
export const string = field('a string', { type: 'string' }, (value) => typeof value === 'string');
export const number = field('a number', { type: 'number' }, (value) => typeof value === 'number');
export const boolean = field(
  'a boolean', { type: 'boolean' }, (value) => typeof value === 'boolean',
);
export const object = field('an object', { type: 'object' }, isObject);
export const timestamp = field(
  'a number of milliseconds or an ISO date',
  { oneOf: [{ type: 'number' }, { type: 'string', format: 'date-time' }] },
  (value) => typeof value === 'number' || typeof value === 'string',
);

/** Greater counts would not be exact for long, and one more would be the same. */
const MAX_COUNT = 2 ** 40;
export const count = field(
  `an integer from 0 to ${MAX_COUNT}`,
  { type: 'integer', minimum: 0, maximum: MAX_COUNT },
  (value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MAX_COUNT,
);
/** The last time that a `Date` can have. */
const MAX_TIME = 8_640_000_000_000_000;
export const time = field(
  'a time in milliseconds since 1970',
  { type: 'number', minimum: 0, maximum: MAX_TIME },
  (value) => typeof value === 'number' && value >= 0 && value <= MAX_TIME,
);

/** The field may be missing, but not null: for what this project itself has written. */
export function orMissing(inner: Field): Field {
  return {
    ...inner,
    isRequired: false,
    check: (value) => (value === undefined ? undefined : inner.check(value)),
  };
}

/** The field may be missing or null. The platform sends both to say "nothing". */
export function optional(inner: Field): Field {
  return {
    ...inner,
    isRequired: false,
    schema: { anyOf: [inner.schema, { type: 'null' }] },
    check: (value) => (value === undefined || value === null ? undefined : inner.check(value)),
  };
}

/**
 * An object with these fields, checked in the order of the table.
 *
 * Throws a `TypeError` for a field name that `Object.prototype` has: the check would find it in
 * every object.
 */
export function objectOf(fields: FieldTable): Field {
  const rules = Object.entries(fields);
  const inherited = rules.find(([name]) => name in Object.prototype);
  if (inherited !== undefined) throw new TypeError(`a field must not be called ${inherited[0]}`);
  return {
    expected: 'an object',
    isRequired: true,
    schema: objectSchema(fields),
    check(value) {
      if (!isObject(value)) return { path: '', expected: 'an object' };
      for (const [name, rule] of rules) {
        const fault = rule.check(value[name]);
        if (fault !== undefined) return below(name, fault);
      }
      return undefined;
    },
  };
}

export function arrayOf(item: Field): Field {
  return {
    expected: 'an array',
    isRequired: true,
    schema: { type: 'array', items: item.schema },
    check: (value) => {
      if (!Array.isArray(value)) return { path: '', expected: 'an array' };
      for (const [index, entry] of value.entries()) {
        const fault = item.check(entry);
        if (fault !== undefined) return below(`[${index}]`, fault);
      }
      return undefined;
    },
  };
}

export function objectSchema(fields: FieldTable): JsonObject {
  const entries = Object.entries(fields);
  return {
    type: 'object',
    required: entries.filter(([, rule]) => rule.isRequired).map(([name]) => name),
    properties: Object.fromEntries(entries.map(([name, rule]) => [name, rule.schema])),
  };
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Deepest nesting of JSON that the server passes on. Some versions of Node can parse deeper JSON
 * than they can write.
 */
export const MAX_DEPTH = 500;

/** Whether objects and arrays are nested more than `levels` deep. */
export function isTooDeep(value: unknown, levels = MAX_DEPTH): boolean {
  if (levels < 0) return true;
  if (typeof value !== 'object' || value === null) return false;
  return Object.values(value).some((inner) => isTooDeep(inner, levels - 1));
}

function below(name: string, { path, expected }: FieldFault): FieldFault {
  const isName = path !== '' && !path.startsWith('[');
  return { path: isName ? `${name}.${path}` : name + path, expected };
}

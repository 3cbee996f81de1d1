// The part of JSON Schema that tools use: checked when a tool is defined, and then for the arguments a model writes.

import { isObject, type Json, type JsonObject } from '../layercode/fields.ts';

export interface Schema {
  readonly type?: 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean' | 'null';
  readonly description?: string;
  readonly enum?: readonly Json[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly default?: Json;
  readonly [other: string]: unknown;
}

const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];
/** Keyword → whether its value is one that can be checked. */
const KEYWORDS: Readonly<Record<string, (value: unknown) => boolean>> = {
  type: (value) => TYPES.includes(value as string),
  enum: Array.isArray,
  properties: isObject,
  required: (value) => Array.isArray(value) && value.every((name) => typeof name === 'string'),
  additionalProperties: (value) => typeof value === 'boolean',
  items: () => true, // checked as a schema of its own
  ...Object.fromEntries(['minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems'].map((keyword) => [keyword, Number.isFinite])),
  ...Object.fromEntries(['description', 'title', 'default', 'examples'].map((keyword) => [keyword, () => true])),
};

/** Throws a `TypeError` for a keyword that would not be checked: a rule that is silently ignored is worse than none. */
export function checkSchema(schema: Schema, path: string): void {
  if (!isObject(schema)) throw new TypeError(`${path} must be a JSON Schema object`);
  for (const [keyword, value] of Object.entries(schema)) {
    const accepts = Object.hasOwn(KEYWORDS, keyword) ? KEYWORDS[keyword] : undefined;
    if (accepts === undefined) throw new TypeError(`${path}: "${keyword}" is not supported`);
    if (!accepts(value)) throw new TypeError(keyword === 'type' ? `${path}: type must be one of ${TYPES.join(', ')}` : `${path}: ${keyword} has a value that is not supported`);
  }
  for (const [name, property] of Object.entries(schema.properties ?? {})) checkSchema(property, `${path}.${name}`);
  if (schema.items !== undefined) checkSchema(schema.items, `${path}[]`);
}

/** The arguments as an object, or what is wrong with them, in words for the model. */
export function parseArguments(json: string, schema: Schema): { readonly args: JsonObject } | { readonly problem: string } {
  let value: unknown;
  try {
    value = json.trim() === '' ? {} : JSON.parse(json); // a call without arguments has an empty text at some vendors
  } catch {
    return { problem: 'the arguments are not valid JSON' };
  }
  const problem = findProblem(value, schema, 'arguments');
  return problem === undefined ? { args: value as JsonObject } : { problem };
}

function findProblem(value: unknown, schema: Schema, path: string): string | undefined {
  if (schema.type !== undefined && !hasType(value, schema.type)) return `${path} must be ${schema.type === 'integer' ? 'an integer' : `of type ${schema.type}`}`;
  if (schema.enum !== undefined && !schema.enum.some((allowed) => JSON.stringify(allowed) === JSON.stringify(value))) {
    return `${path} must be one of ${schema.enum.map((allowed) => JSON.stringify(allowed)).join(', ')}`;
  }
  if (typeof value === 'number') return outOfBounds(value, schema.minimum, schema.maximum, path, '');
  if (typeof value === 'string') return outOfBounds([...value].length, schema.minLength, schema.maxLength, path, ' characters');
  if (Array.isArray(value)) return outOfBounds(value.length, schema.minItems, schema.maxItems, path, ' items') ?? findItemProblem(value, schema, path);
  return isObject(value) ? findPropertyProblem(value, schema, path) : undefined;
}

function findItemProblem(items: readonly unknown[], { items: schema }: Schema, path: string): string | undefined {
  if (schema === undefined) return undefined;
  for (const [index, item] of items.entries()) {
    const problem = findProblem(item, schema, `${path}[${index}]`);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function findPropertyProblem(value: Readonly<Record<string, unknown>>, schema: Schema, path: string): string | undefined {
  const { properties = {}, required = [], additionalProperties = true } = schema;
  for (const name of required) if (!Object.hasOwn(value, name)) return `${path}.${name} is missing`;
  for (const [name, inner] of Object.entries(value)) {
    const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (property === undefined) {
      if (!additionalProperties) return `${path} must not have ${JSON.stringify(name)}`;
      continue;
    }
    const problem = findProblem(inner, property, `${path}.${name}`);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function outOfBounds(size: number, min: number | undefined, max: number | undefined, path: string, unit: string): string | undefined {
  if (min !== undefined && size < min) return `${path} must be at least ${min}${unit}`;
  return max !== undefined && size > max ? `${path} must be at most ${max}${unit}` : undefined;
}

function hasType(value: unknown, type: NonNullable<Schema['type']>): boolean {
  switch (type) {
    case 'object':
      return isObject(value);
    case 'array':
      return Array.isArray(value);
    case 'null':
      return value === null;
    case 'integer':
      return Number.isInteger(value);
    case 'number':
      return Number.isFinite(value); // JSON can spell 1e999
    default:
      return typeof value === type;
  }
}

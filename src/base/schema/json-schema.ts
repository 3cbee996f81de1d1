// JSON Schema for tool parameters: drafts 4 to 2020-12, and OpenAPI schemas.
// https://json-schema.org/draft/2020-12/json-schema-validation

import type { Json } from '../json.ts';

export type SchemaType = 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean' | 'null';

/** The most common keywords. `schema.ts` lists all that are checked. */
export interface Schema {
  readonly type?: SchemaType | readonly SchemaType[];
  readonly description?: string;
  readonly enum?: readonly Json[];
  readonly properties?: Readonly<Record<string, Subschema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Subschema;
  readonly items?: Subschema | readonly Subschema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly default?: Json;
  /** Excludes other libraries' schemas, whatever fields they have. */
  readonly '~standard'?: never;
  readonly [other: string]: unknown;
}

/**
 * A schema whose keywords TypeScript does not know, such as `inputSchema` of an MCP server's tool.
 * Its keywords are checked when the tool is defined.
 */
export interface UntypedSchema {
  readonly type: 'object';
  readonly '~standard'?: never;
  readonly [keyword: string]: unknown;
}

/** `true` allows everything, `false` nothing. */
type Subschema = Schema | boolean;

/** Keywords that contain schemas, and how: one, a list, one or a list, or one per name. */
const SUBSCHEMAS: Readonly<Record<string, 'one' | 'list' | 'oneOrList' | 'map'>> = {
  properties: 'map', patternProperties: 'map', dependentSchemas: 'map', dependencies: 'map',
  $defs: 'map', definitions: 'map',
  additionalProperties: 'one', propertyNames: 'one', additionalItems: 'one', contains: 'one',
  not: 'one', if: 'one', then: 'one', else: 'one',
  items: 'oneOrList',
  prefixItems: 'list', allOf: 'list', anyOf: 'list', oneOf: 'list',
};

const ANNOTATIONS: ReadonlySet<string> = new Set([
  '$schema', '$id', 'id', '$comment', '$anchor', '$dynamicAnchor',
  'title', 'description', 'default', 'example', 'examples', 'format', 'deprecated',
  'readOnly', 'writeOnly', 'contentEncoding', 'contentMediaType', 'contentSchema',
  'discriminator', 'xml', 'externalDocs',
]);

/** Whether a keyword only describes, without allowing or forbidding anything. */
export function isAnnotation(keyword: string): boolean {
  return ANNOTATIONS.has(keyword) || keyword.startsWith('x-');
}

/** Annotations that help a model. */
const TELLING: ReadonlySet<string> = new Set([
  'title', 'description', 'default', 'example', 'examples', 'format',
]);

type SchemaObject = Readonly<Record<string, unknown>>;

/**
 * Vendors refuse these at the top level of a tool's parameters. Our own check still applies them.
 */
const NOT_AT_THE_TOP: ReadonlySet<string> = new Set(['anyOf', 'oneOf', 'allOf', 'not', 'enum']);

/**
 * A tool's schema as it is sent to the model: without what vendors refuse and models do not need.
 */
export function sentSchema(schema: SchemaObject): SchemaObject {
  const sent = Object.entries(withoutNotes(schema) as object);
  return Object.fromEntries(sent.filter(([keyword]) => !NOT_AT_THE_TOP.has(keyword)));
}

function withoutNotes(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null) return schema;
  const isKept = ([keyword]: readonly [string, unknown]): boolean =>
    !isAnnotation(keyword) || TELLING.has(keyword);
  const kept = Object.entries(schema).filter(isKept);
  const sent = kept.map(([keyword, value]) => [keyword, mapSubschemas(keyword, value)]);
  return Object.fromEntries(sent);
}

function mapSubschemas(keyword: string, value: unknown): unknown {
  const kind = Object.hasOwn(SUBSCHEMAS, keyword) ? SUBSCHEMAS[keyword] : undefined;
  if (kind === undefined || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutNotes);
  if (kind !== 'map') return withoutNotes(value);
  const keep = (inner: unknown): unknown => (Array.isArray(inner) ? inner : withoutNotes(inner));
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, keep(inner)]));
}

// Schemas from other libraries. https://standardschema.dev, https://standardschema.dev/json-schema

import { isObject } from '../../base/fields.ts';
import { messageOf } from '../../base/thrown-values.ts';

/** The interface of schemas from Zod 4.2, ArkType 2.1.28 and Valibot's `toStandardJsonSchema()`. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
    validate(value: unknown): StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly jsonSchema: {
      input(options: { readonly target: 'draft-2020-12' }): Record<string, unknown>;
    };
  };
}

/** A valid value, or what is wrong with one. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

/** One thing that is wrong with a value, and where. */
export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What `validate` returns for a valid value. */
export type OutputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output'];

/** Whether a value claims to be such a schema. ArkType's schemas are functions. */
export function isStandardSchema(value: unknown): value is StandardSchema {
  const isObject = (typeof value === 'object' && value !== null) || typeof value === 'function';
  return isObject && '~standard' in value;
}

/** The schema's JSON Schema. If it has none, throws a `TypeError` that says what to use instead. */
export function jsonSchemaOf(
  schema: StandardSchema,
  place: string,
): Readonly<Record<string, unknown>> {
  const standard: Partial<StandardSchema['~standard']> = schema['~standard'];
  const vendor = String(standard.vendor);
  if (typeof standard.jsonSchema?.input !== 'function') {
    throw new TypeError(
      `${place}: this ${vendor} schema has no JSON Schema, which the model needs `
      + '("~standard.jsonSchema" is missing). Use Zod 4.2, ArkType 2.1.28 or later, or Valibot '
      + 'with toStandardJsonSchema(); or write a JSON Schema',
    );
  }
  let made: unknown;
  try {
    made = standard.jsonSchema.input({ target: 'draft-2020-12' });
  } catch (cause) {
    const failure = `${vendor} cannot convert it to JSON Schema: ${messageOf(cause)}`;
    throw new TypeError(`${place}: ${failure}`, { cause });
  }
  if (!isObject(made) || made['type'] !== 'object') {
    throw new TypeError(`${place} must be a schema of type "object", and ${vendor}'s is not`);
  }
  return made;
}

const MAX_ISSUES = 5;

/** What is wrong, worded for the model. */
export function issuesText(issues: readonly StandardIssue[]): string {
  const textOf = ({ message, path = [] }: StandardIssue): string =>
    `arguments${path.map(stepText).join('')}: ${message}`;
  return issues.slice(0, MAX_ISSUES).map(textOf).join('; ');
}

function stepText(step: PropertyKey | { readonly key: PropertyKey }): string {
  const key = typeof step === 'object' ? step.key : step;
  return typeof key === 'number' ? `[${key}]` : `.${String(key)}`;
}

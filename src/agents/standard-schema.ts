// Schemas of other libraries. https://standardschema.dev, https://standardschema.dev/json-schema

import { isObject } from '../layercode/fields.ts';

/** What Zod 4.2, ArkType 2.1.28 and Valibot's `toStandardJsonSchema()` make. */
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

export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What `validate` makes of a value that is right. */
export type OutputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output'];

/** Whether a value says that it is a schema of that kind. ArkType's are functions. */
export function isStandardSchema(value: unknown): value is StandardSchema {
  const isObject = (typeof value === 'object' && value !== null) || typeof value === 'function';
  return isObject && '~standard' in value;
}

/** The schema's JSON Schema. Throws a `TypeError` with the way out where there is none. */
export function jsonSchemaOf(
  schema: StandardSchema, place: string,
): Readonly<Record<string, unknown>> {
  const standard: Partial<StandardSchema['~standard']> = schema['~standard'];
  const vendor = String(standard.vendor);
  if (typeof standard.jsonSchema?.input !== 'function') {
    throw new TypeError(
      `${place}: a schema of ${vendor} that has no JSON Schema, which the model needs `
      + '("~standard.jsonSchema" is missing). Use Zod 4.2, ArkType 2.1.28 or later, or Valibot '
      + 'with toStandardJsonSchema(); or write a JSON Schema',
    );
  }
  let made: unknown;
  try {
    made = standard.jsonSchema.input({ target: 'draft-2020-12' });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TypeError(`${place}: ${vendor} has no JSON Schema for it: ${reason}`, { cause });
  }
  if (!isObject(made) || made['type'] !== 'object') {
    throw new TypeError(`${place} must be an object: ${vendor}'s JSON Schema is of another type`);
  }
  return made;
}

const MAX_ISSUES = 5;

/** What is wrong, in words for the model. */
export function issuesText(issues: readonly StandardIssue[]): string {
  const textOf = ({ message, path = [] }: StandardIssue): string =>
    `arguments${path.map(stepText).join('')}: ${message}`;
  return issues.slice(0, MAX_ISSUES).map(textOf).join('; ');
}

function stepText(step: PropertyKey | { readonly key: PropertyKey }): string {
  const key = typeof step === 'object' ? step.key : step;
  return typeof key === 'number' ? `[${key}]` : `.${String(key)}`;
}

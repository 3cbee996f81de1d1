// The entrance to the JSON Schema compiler: files in other folders import only this one.

import { ARRAY_KEYWORDS } from './array-keywords.ts';
import { BRANCH_KEYWORDS } from './branch-keywords.ts';
import { ruleOf } from './compiler.ts';
import type { KeywordTable, Rule } from './keyword.ts';
import { OBJECT_KEYWORDS } from './object-keywords.ts';
import { VALUE_KEYWORDS } from './value-keywords.ts';

export { CheckBudget, TooCostly } from './check-budget.ts';
export { sentSchema } from './json-schema.ts';
export type { Schema, UntypedSchema } from './json-schema.ts';
export type { ValueOf } from './value-of.ts';

/** In the order in which they are checked. The first fault is reported. */
const KEYWORDS: KeywordTable = {
  ...VALUE_KEYWORDS, ...ARRAY_KEYWORDS, ...OBJECT_KEYWORDS, ...BRANCH_KEYWORDS,
};

/**
 * Compiles a schema, when a tool is defined. The result says what is wrong with a value; it throws
 * `TooCostly` if that takes longer than the budget allows.
 *
 * Throws a `TypeError` that names anything in the schema that would not be checked.
 */
export function compileSchema(schema: unknown, place: string): Rule {
  const rule = ruleOf(schema, place, KEYWORDS);
  return (value, budget) => budget.run(() => rule(value, budget));
}

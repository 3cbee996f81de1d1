// The door of the JSON Schema compiler: files of other rooms import only this one.

import { ARRAY_KEYWORDS } from './array-keywords.ts';
import { BRANCH_KEYWORDS } from './branch-keywords.ts';
import { compileSchema } from './compiler.ts';
import type { KeywordTable, Rule } from './keyword.ts';
import { OBJECT_KEYWORDS } from './object-keywords.ts';
import { VALUE_KEYWORDS } from './value-keywords.ts';

export { sentSchema } from './json-schema.ts';
export type { Schema } from './json-schema.ts';
export { Check } from './keyword.ts';
export { TooCostly } from './pattern.ts';
export type { ValueOf } from './value-of.ts';

/** In the order in which they are checked. The first fault is reported. */
const KEYWORDS: KeywordTable = {
  ...VALUE_KEYWORDS, ...ARRAY_KEYWORDS, ...OBJECT_KEYWORDS, ...BRANCH_KEYWORDS,
};

/** `compileSchema` with all supported keywords. */
export function ruleOf(schema: unknown, place: string): Rule {
  return compileSchema(schema, place, KEYWORDS);
}

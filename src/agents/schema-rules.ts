import { ARRAY_KEYWORDS } from './schema-arrays.ts';
import { BRANCH_KEYWORDS } from './schema-branches.ts';
import { compileSchema } from './schema-compiler.ts';
import type { KeywordTable, Rule } from './schema-keyword.ts';
import { OBJECT_KEYWORDS } from './schema-objects.ts';
import { VALUE_KEYWORDS } from './schema-values.ts';

/** In the order in which they are checked. The first fault is reported. */
const KEYWORDS: KeywordTable = {
  ...VALUE_KEYWORDS, ...ARRAY_KEYWORDS, ...OBJECT_KEYWORDS, ...BRANCH_KEYWORDS,
};

/** `compileSchema` with all supported keywords. */
export function ruleOf(schema: unknown, place: string): Rule {
  return compileSchema(schema, place, KEYWORDS);
}

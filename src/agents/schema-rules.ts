import { ARRAY_KEYWORDS } from './schema-arrays.ts';
import { BRANCH_KEYWORDS } from './schema-branches.ts';
import { compileSchema } from './schema-compiler.ts';
import type { KeywordTable, Rule } from './schema-keyword.ts';
import { OBJECT_KEYWORDS } from './schema-objects.ts';
import { VALUE_KEYWORDS } from './schema-values.ts';

/** In the order in which they are checked: the first fault is the one that is told. */
const KEYWORDS: KeywordTable = {
  ...VALUE_KEYWORDS, ...ARRAY_KEYWORDS, ...OBJECT_KEYWORDS, ...BRANCH_KEYWORDS,
};

/** As `compileSchema`, with all keywords that are checked. */
export function ruleOf(schema: unknown, place: string): Rule {
  return compileSchema(schema, place, KEYWORDS);
}

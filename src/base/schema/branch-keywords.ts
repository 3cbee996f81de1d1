// Keywords that apply other schemas to the same value.

import { canonicalJson } from '../canonical-json.ts';
import {
  entriesOf, expect, fault, firstFault, itemsOf, type Fault, type KeywordTable, type Rule,
  type Site,
} from './keyword.ts';

/** A longer list of reasons would confuse the model. */
const MAX_REASONS = 5;

export const BRANCH_KEYWORDS: KeywordTable = {
  // Each is checked where a `$ref` refers to it.
  $defs: (value, site) => void entriesOf(value, '$defs', site),
  definitions: (value, site) => void entriesOf(value, 'definitions', site),
  $ref: (value, site) => {
    expect(typeof value === 'string', '$ref', site);
    return site.refer(value as string);
  },
  allOf: (value, site) => {
    const rules = branches(value, 'allOf', site);
    return (given, budget) => firstFault(rules, given, budget);
  },
  anyOf: (value, site) => {
    const rules = branches(value, 'anyOf', site);
    return (given, budget) => {
      const faults: Fault[] = [];
      for (const rule of rules) {
        const found = rule(given, budget);
        if (found === undefined) return undefined;
        faults.push(found);
      }
      return noneFits(faults);
    };
  },
  oneOf: (value, site) => {
    const rules = branches(value, 'oneOf', site);
    return (given, budget) => {
      const faults = rules
        .map((rule) => rule(given, budget))
        .filter((found) => found !== undefined);
      const fitting = rules.length - faults.length;
      if (fitting === 1) return undefined;
      if (fitting === 0) return noneFits(faults);
      return fault(`must fit exactly one of ${rules.length} schemas, and fits ${fitting}`);
    };
  },
  not: (value, site) => {
    const rule = site.same(value, '.not');
    const found = fault(`must not fit the schema ${canonicalJson(value)}`);
    return (given, budget) => (rule(given, budget) === undefined ? found : undefined);
  },
  if: (value, site) => {
    const { then = true, else: otherwise = true } = site.schema;
    const condition = site.same(value, '.if');
    const yes = site.same(then, '.then');
    const no = site.same(otherwise, '.else');
    return (given, budget) => (condition(given, budget) === undefined ? yes : no)(given, budget);
  },
  then: () => undefined, // both are applied by `if`
  else: () => undefined,
};

function branches(value: unknown, keyword: string, site: Site): readonly Rule[] {
  const schemas = itemsOf(value, keyword, site);
  expect(schemas.length > 0, keyword, site);
  return schemas.map((inner, index) => site.same(inner, `.${keyword}[${index}]`));
}

function noneFits(faults: readonly Fault[]): Fault {
  const reasons = new Set(faults.map(({ path, text }) => `${path} ${text}`.trim()));
  return fault([...reasons].slice(0, MAX_REASONS).join(', or '));
}

// Keywords for arrays.

import { canonicalJson } from '../canonical-json.ts';
import {
  arrays, countOf, expect, fault, itemsOf, sizeBound, under, type KeywordTable, type Rule,
  type Site,
} from './keyword.ts';

export const ARRAY_KEYWORDS: KeywordTable = {
  minItems: sizeBound('minItems', 'least', ' items', itemsIn),
  maxItems: sizeBound('maxItems', 'most', ' items', itemsIn),
  uniqueItems: (value, site) => {
    expect(typeof value === 'boolean', 'uniqueItems', site);
    if (value === false) return undefined;
    const found = fault('must not have two items that are equal');
    return arrays((items, budget) => {
      if (items.length < 2) return undefined;
      const step = (): void => budget.spend(1);
      const seen = new Set<string>();
      for (const item of items) {
        const text = canonicalJson(item, step);
        if (seen.has(text)) return found;
        seen.add(text);
      }
      return undefined;
    });
  },
  prefixItems: (value, site) => itemRules(tuple(value, 'prefixItems', site), undefined),
  items: (value, site) => {
    if (!Array.isArray(value)) return itemRules(prefixOf(site), site.part(value, '[]'));
    const { additionalItems = true } = site.schema;
    return itemRules(tuple(value, 'items', site), site.part(additionalItems, '[]'));
  },
  additionalItems: () => undefined, // handled by `items`
  contains: containsRule,
  // `contains` applies these two.
  minContains: (value, site) => void countOf(value, 'minContains', site),
  maxContains: (value, site) => void countOf(value, 'maxContains', site),
};

function itemsIn(given: unknown): number | undefined {
  return Array.isArray(given) ? given.length : undefined;
}

function tuple(value: unknown, keyword: string, site: Site): readonly Rule[] {
  return itemsOf(value, keyword, site).map((inner, index) => site.part(inner, `[${index}]`));
}

/** The leading items, which have schemas of their own and to which `items` does not apply. */
function prefixOf({ schema: { prefixItems } }: Site): readonly undefined[] {
  return Array.isArray(prefixItems) ? prefixItems.map(() => undefined) : [];
}

/** Applies one rule of `first` to each leading item, and `rest` to those after them. */
function itemRules(first: readonly (Rule | undefined)[], rest: Rule | undefined): Rule {
  return arrays((items, budget) => {
    for (let index = 0; index < items.length; index++) {
      const rule = index < first.length ? first[index] : rest;
      const found = rule?.(items[index], budget);
      if (found !== undefined) return under(`[${index}]`, found);
    }
    return undefined;
  });
}

function containsRule(value: unknown, site: Site): Rule {
  const rule = site.part(value, '[]');
  const { minContains = 1, maxContains = Number.MAX_SAFE_INTEGER } = site.schema;
  const least = countOf(minContains, 'minContains', site);
  const most = countOf(maxContains, 'maxContains', site);
  const kind = `items that fit ${canonicalJson(value)}`;
  return arrays((items, budget) => {
    const count = items.filter((item) => rule(item, budget) === undefined).length;
    if (count < least) return fault(`must have at least ${least} ${kind}`);
    return count > most ? fault(`must have at most ${most} ${kind}`) : undefined;
  });
}

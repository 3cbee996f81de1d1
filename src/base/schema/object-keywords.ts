// Keywords for objects.

import { isObject } from '../fields.ts';
import { nearestName } from '../nearest-name.ts';
import type { CheckBudget } from './check-budget.ts';
import {
  entriesOf, fault, firstFault, namesOf, objects, patternOf, propertiesOf, shownName, sizeBound,
  under, type Fault, type Given, type KeywordTable, type Rule, type Site,
} from './keyword.ts';

export const OBJECT_KEYWORDS: KeywordTable = {
  required: (value, site) => {
    const names = namesOf(value, 'required', site);
    for (const name of names) expectAllowed(name, site);
    return objects((given, budget) => firstMissing(given, names, budget));
  },
  minProperties: sizeBound('minProperties', 'least', ' properties', propertiesIn),
  maxProperties: sizeBound('maxProperties', 'most', ' properties', propertiesIn),
  properties: (value, site) => {
    const rules = entriesOf(value, 'properties', site).map(
      ([name, inner]) => [name, site.part(inner, `.${name}`)] as const,
    );
    return objects((given, budget) => {
      budget.spend(rules.length);
      for (const [name, rule] of rules) {
        const found = Object.hasOwn(given, name) ? rule(given[name], budget) : undefined;
        if (found !== undefined) return under(`.${name}`, found);
      }
      return undefined;
    });
  },
  patternProperties: (value, site) => {
    const rules = entriesOf(value, 'patternProperties', site).map(([text, inner]) => ({
      matches: patternOf(text, 'patternProperties', site),
      rule: site.part(inner, `.${text}`),
    }));
    return objects((given, budget) => {
      for (const [name, inner] of propertiesOf(given, budget)) {
        const matching = rules.filter(({ matches }) => matches(name, budget));
        const found = firstFault(matching.map(({ rule }) => rule), inner, budget);
        if (found !== undefined) return under(`.${shownName(name)}`, found);
      }
      return undefined;
    });
  },
  additionalProperties: (value, site) => {
    const rule = site.part(value, '.*');
    const { properties, patternProperties } = site.schema;
    const named = new Set(isObject(properties) ? Object.keys(properties) : []);
    const patterns = isObject(patternProperties) ? Object.keys(patternProperties) : [];
    const tests = patterns.map((text) => patternOf(text, 'patternProperties', site));
    return objects((given, budget) => {
      for (const [name, inner] of propertiesOf(given, budget)) {
        if (named.has(name) || tests.some((matches) => matches(name, budget))) continue;
        if (value === false) return fault(`must not have ${JSON.stringify(shownName(name))}`);
        const found = rule(inner, budget);
        if (found !== undefined) return under(`.${shownName(name)}`, found);
      }
      return undefined;
    });
  },
  propertyNames: (value, site) => {
    const rule = site.part(value, '(names)');
    return objects((given, budget) => {
      for (const [name] of propertiesOf(given, budget)) {
        const found = rule(name, budget);
        if (found === undefined) continue;
        return fault(`has the name ${JSON.stringify(shownName(name))}, which ${found.text}`);
      }
      return undefined;
    });
  },
  dependentRequired: (value, site) => dependencies(value, 'dependentRequired', site),
  dependentSchemas: (value, site) => dependencies(value, 'dependentSchemas', site),
  dependencies: (value, site) => dependencies(value, 'dependencies', site),
};

/** Throws a `TypeError` if no object can have the property: its name is misspelt. */
function expectAllowed(name: string, { schema, place }: Site): void {
  const { properties = {}, patternProperties, additionalProperties } = schema;
  if (additionalProperties !== false || patternProperties !== undefined) return;
  if (!isObject(properties) || Object.hasOwn(properties, name)) return;
  const nearest = nearestName(name, Object.keys(properties), 2);
  const meant = nearest === undefined ? '' : `; did you mean ${nearest}?`;
  throw new TypeError(`${place}: required names ${name}, which is not in properties${meant}`);
}

function propertiesIn(given: unknown, budget: CheckBudget): number | undefined {
  return isObject(given) ? propertiesOf(given, budget).length : undefined;
}

function firstMissing(
  given: Given,
  names: readonly string[],
  budget: CheckBudget,
): Fault | undefined {
  budget.spend(names.length);
  const name = names.find((asked) => !Object.hasOwn(given, asked));
  return name === undefined ? undefined : { path: `.${name}`, text: 'is missing' };
}

/** If a property is present, others must be too, or the object must fit a schema. */
function dependencies(value: unknown, keyword: string, site: Site): Rule {
  const rules = entriesOf(value, keyword, site).map(([name, inner]) => {
    if (!Array.isArray(inner)) return { name, rule: site.same(inner, `.${keyword}.${name}`) };
    const names = namesOf(inner, keyword, site);
    return { name, rule: objects((given, budget) => firstMissing(given, names, budget)) };
  });
  return objects((given, budget) => {
    budget.spend(rules.length);
    const present = rules.filter(({ name }) => Object.hasOwn(given, name));
    return firstFault(present.map(({ rule }) => rule), given, budget);
  });
}

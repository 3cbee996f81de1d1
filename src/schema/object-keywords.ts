// Keywords for objects.

import { isObject } from '../base/fields.ts';
import {
  entriesOf, fault, firstFault, namesOf, objects, patternOf, sizeBound, under,
  type Check, type Fault, type Given, type KeywordTable, type Rule, type Site,
} from './keyword.ts';

export const OBJECT_KEYWORDS: KeywordTable = {
  required: (value, site) => {
    const names = namesOf(value, 'required', site);
    return objects((given) => firstMissing(given, names));
  },
  minProperties: sizeBound('minProperties', 'least', ' properties', propertiesIn),
  maxProperties: sizeBound('maxProperties', 'most', ' properties', propertiesIn),
  properties: (value, site) => {
    const entries = entriesOf(value, 'properties', site);
    const rules = new Map(entries.map(([name, inner]) => [name, site.part(inner, `.${name}`)]));
    return eachProperty((name, inner, check) => rules.get(name)?.(inner, check));
  },
  patternProperties: (value, site) => {
    const rules = entriesOf(value, 'patternProperties', site).map(([text, inner]) => ({
      matches: patternOf(text, 'patternProperties', site),
      rule: site.part(inner, `.${text}`),
    }));
    return eachProperty((name, inner, check) => {
      const matching = rules.filter(({ matches }) => matches(name, check.clock));
      return firstFault(matching.map(({ rule }) => rule), inner, check);
    });
  },
  additionalProperties: (value, site) => {
    const rule = site.part(value, '.*');
    const { properties, patternProperties } = site.schema;
    const named = new Set(isObject(properties) ? Object.keys(properties) : []);
    const patterns = isObject(patternProperties) ? Object.keys(patternProperties) : [];
    const tests = patterns.map((text) => patternOf(text, 'patternProperties', site));
    return objects((given, check) => {
      for (const [name, inner] of Object.entries(given)) {
        if (named.has(name) || tests.some((matches) => matches(name, check.clock))) continue;
        if (value === false) return fault(`must not have ${JSON.stringify(name)}`);
        const found = rule(inner, check);
        if (found !== undefined) return under(`.${name}`, found);
      }
      return undefined;
    });
  },
  propertyNames: (value, site) => {
    const rule = site.part(value, '(names)');
    return objects((given, check) => {
      for (const name of Object.keys(given)) {
        const found = rule(name, check);
        if (found === undefined) continue;
        return fault(`has the name ${JSON.stringify(name)}, which ${found.text}`);
      }
      return undefined;
    });
  },
  dependentRequired: (value, site) => dependencies(value, 'dependentRequired', site),
  dependentSchemas: (value, site) => dependencies(value, 'dependentSchemas', site),
  dependencies: (value, site) => dependencies(value, 'dependencies', site),
};

function propertiesIn(given: unknown): number | undefined {
  return isObject(given) ? Object.keys(given).length : undefined;
}

function firstMissing(given: Given, names: readonly string[]): Fault | undefined {
  const name = names.find((asked) => !Object.hasOwn(given, asked));
  return name === undefined ? undefined : { path: `.${name}`, text: 'is missing' };
}

function eachProperty(
  find: (name: string, inner: unknown, check: Check) => Fault | undefined,
): Rule {
  return objects((given, check) => {
    for (const [name, inner] of Object.entries(given)) {
      const found = find(name, inner, check);
      if (found !== undefined) return under(`.${name}`, found);
    }
    return undefined;
  });
}

/** If a property is present, others must be too, or the object must fit a schema. */
function dependencies(value: unknown, keyword: string, site: Site): Rule {
  const rules = entriesOf(value, keyword, site).map(([name, inner]) => {
    if (!Array.isArray(inner)) return { name, rule: site.same(inner, `.${keyword}.${name}`) };
    const names = namesOf(inner, keyword, site);
    return { name, rule: objects((given) => firstMissing(given, names)) };
  });
  return objects((given, check) => {
    const present = rules.filter(({ name }) => Object.hasOwn(given, name));
    return firstFault(present.map(({ rule }) => rule), given, check);
  });
}

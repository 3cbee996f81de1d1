// What all keyword rules share.

import { isObject } from '../fields.ts';
import type { CheckBudget } from './check-budget.ts';
import { compilePattern, type PatternTest } from './pattern.ts';

/** What is wrong with a value: where, relative to the checked value, and which rule it broke. */
export interface Fault {
  readonly path: string;
  readonly text: string;
}

/** Returns undefined for a valid value. Throws `TooCostly` when the budget is used up. */
export type Rule = (value: unknown, budget: CheckBudget) => Fault | undefined;

/**
 * Makes a keyword's rule, or undefined if it needs none. Throws a `TypeError` if the keyword has a
 * value that cannot be checked.
 */
type Keyword = (value: unknown, site: Site) => Rule | undefined;
export type KeywordTable = Readonly<Record<string, Keyword>>;

/** A place in a schema, and what a keyword needs there. */
export interface Site {
  readonly schema: Given;
  /** The place's name in error messages. */
  readonly place: string;
  /** The rule of a schema for the same value. */
  same(schema: unknown, step: string): Rule;
  /** The rule of a schema for a part of the value. */
  part(schema: unknown, step: string): Rule;
  /** The rule of the schema that a `$ref` refers to, for the same value. */
  refer(ref: string): Rule;
}

export type Given = Readonly<Record<string, unknown>>;

export function fault(text: string): Fault {
  return { path: '', text };
}

export function under(step: string, { path, text }: Fault): Fault {
  return { path: step + path, text };
}

/** Longest name in a fault, in UTF-16 code units. The model chooses names. */
const MAX_SHOWN_NAME = 100;

export function shownName(name: string): string {
  return name.length <= MAX_SHOWN_NAME ? name : `${name.slice(0, MAX_SHOWN_NAME)}…`;
}

/** The properties of an object, after the budget has paid for the list. */
export function propertiesOf(given: Given, budget: CheckBudget): readonly [string, unknown][] {
  const properties = Object.entries(given);
  budget.spend(properties.length);
  return properties;
}

export function firstFault(
  rules: readonly Rule[],
  given: unknown,
  budget: CheckBudget,
): Fault | undefined {
  for (const rule of rules) {
    const found = rule(given, budget);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A rule for objects. Other values pass. */
export function objects(find: (given: Given, budget: CheckBudget) => Fault | undefined): Rule {
  return (given, budget) => (isObject(given) ? find(given, budget) : undefined);
}

export function arrays(
  find: (items: readonly unknown[], budget: CheckBudget) => Fault | undefined,
): Rule {
  return (given, budget) => (Array.isArray(given) ? find(given, budget) : undefined);
}

/** A bound on a size. `sizeOf` returns undefined for values the keyword does not apply to. */
export function sizeBound(
  keyword: string,
  which: 'least' | 'most',
  unit: string,
  sizeOf: (given: unknown, budget: CheckBudget) => number | undefined,
): Keyword {
  return (value, site) => {
    const bound = countOf(value, keyword, site);
    const text = `must be at ${which} ${bound}${unit}`;
    return (given, budget) => {
      const size = sizeOf(given, budget);
      if (size === undefined) return undefined;
      return (which === 'least' ? size < bound : size > bound) ? fault(text) : undefined;
    };
  };
}

// Checks of a keyword's value. Each throws a `TypeError` if the value is not supported.

export function expect(isRight: boolean, keyword: string, { place }: Site): void {
  if (!isRight) throw new TypeError(`${place}: ${keyword} has a value that is not supported`);
}

export function itemsOf(value: unknown, keyword: string, site: Site): readonly unknown[] {
  expect(Array.isArray(value), keyword, site);
  return value as readonly unknown[];
}

export function entriesOf(
  value: unknown,
  keyword: string,
  site: Site,
): readonly [string, unknown][] {
  expect(isObject(value), keyword, site);
  return Object.entries(value as object);
}

export function namesOf(value: unknown, keyword: string, site: Site): readonly string[] {
  const names = itemsOf(value, keyword, site);
  expect(names.every((name) => typeof name === 'string'), keyword, site);
  return names as readonly string[];
}

export function countOf(value: unknown, keyword: string, site: Site): number {
  expect(Number.isInteger(value) && (value as number) >= 0, keyword, site);
  return value as number;
}

export function numberOf(value: unknown, keyword: string, site: Site): number {
  expect(Number.isFinite(value), keyword, site);
  return value as number;
}

export function patternOf(value: unknown, keyword: string, site: Site): PatternTest {
  expect(typeof value === 'string', keyword, site);
  try {
    return compilePattern(value as string);
  } catch (cause) {
    const text = `${keyword} ${JSON.stringify(value)} is not a regular expression`;
    throw new TypeError(`${site.place}: ${text}`, { cause });
  }
}

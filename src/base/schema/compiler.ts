import { isObject } from '../fields.ts';
import { isAnnotation } from './json-schema.ts';
import { fault, firstFault, type KeywordTable, type Rule, type Site } from './keyword.ts';

/** Deepest nesting of a schema as written. A deeper one is a circular object. */
const MAX_NESTING = 200;

interface Spot {
  readonly place: string;
  readonly nesting: number;
  /** References followed so far for the same value. Following one of them again would never end. */
  readonly open: ReadonlySet<string>;
  /** Whether a `$id` between the root and this place changes the meaning of references. */
  readonly isElsewhere: boolean;
}

/** Dialects whose keywords have the meaning that the rules implement. */
const DIALECTS = [
  /^https?:\/\/json-schema\.org\/(?:draft-0[4-7]|draft\/20(?:19-09|20-12))\/schema#?$/,
  /^https:\/\/spec\.openapis\.org\/oas\//,
];
const REF_ALONE = /\/draft-0[4-7]\//;

/**
 * The rule of a schema. Throws a `TypeError` that names the place and the keyword of anything that
 * would not be checked: a silently ignored rule is worse than none.
 */
export function ruleOf(root: unknown, place: string, keywords: KeywordTable): Rule {
  const dialect = isObject(root) ? root['$schema'] : undefined;
  if (dialect !== undefined && !DIALECTS.some((known) => known.test(String(dialect)))) {
    throw new TypeError(`${place}: "$schema" ${JSON.stringify(dialect)} is not supported`);
  }
  // Up to draft 7, a reference replaces the whole schema.
  const isRefAlone = typeof dialect === 'string' && REF_ALONE.test(dialect);
  const referred = new Map<string, { rule: Rule }>();

  const compile = (schema: unknown, spot: Spot): Rule => {
    if (schema === true) return counted([]);
    if (schema === false) return counted([() => fault('is not allowed')]);
    if (!isObject(schema)) {
      throw new TypeError(`${spot.place} must be a JSON Schema object or a boolean`);
    }
    if (spot.nesting > MAX_NESTING) throw new TypeError(`${spot.place} is nested too deeply`);
    const isElsewhere = spot.isElsewhere || (schema !== root && movesBase(schema));
    const site = siteOf(schema, { ...spot, isElsewhere });
    const isRef = isRefAlone && schema['$ref'] !== undefined;
    for (const [keyword, value] of Object.entries(schema)) {
      if (value === undefined) continue; // JSON would leave it out
      if (isAnnotation(keyword) || Object.hasOwn(keywords, keyword)) continue;
      throw new TypeError(`${spot.place}: "${keyword}" is not supported`);
    }
    const rules: Rule[] = [];
    for (const [keyword, make] of Object.entries(keywords)) {
      if (isRef && keyword !== '$ref') continue;
      const value = Object.hasOwn(schema, keyword) ? schema[keyword] : undefined;
      const rule = value === undefined ? undefined : make(value, site);
      if (rule !== undefined) rules.push(rule);
    }
    return counted(rules);
  };

  const siteOf = (schema: Site['schema'], spot: Spot): Site => {
    const { place, open, isElsewhere } = spot;
    const below = (inner: unknown, step: string, opened: ReadonlySet<string>): Rule =>
      compile(inner, { ...spot, place: place + step, nesting: spot.nesting + 1, open: opened });
    return {
      schema,
      place,
      same: (inner, step) => below(inner, step, open),
      part: (inner, step) => below(inner, step, new Set()),
      refer: (ref) => {
        if (isElsewhere) throw new TypeError(`${place}: "$ref" below a "$id" is not supported`);
        const steps = stepsOf(ref, place);
        const key = JSON.stringify(steps);
        if (open.has(key)) {
          throw new TypeError(`${place}: "$ref" ${JSON.stringify(ref)} leads back to itself`);
        }
        const known = referred.get(key);
        if (known !== undefined) return (value, budget) => known.rule(value, budget);
        const entry: { rule: Rule } = { rule: () => undefined };
        referred.set(key, entry);
        const target = follow(root, steps, ref, place);
        entry.rule = compile(target.schema, {
          place: `${place}(${ref})`, nesting: spot.nesting + 1,
          open: new Set([...open, key]), isElsewhere: target.isElsewhere,
        });
        return entry.rule;
      },
    };
  };

  return compile(root, { place, nesting: 0, open: new Set(['[]']), isElsewhere: false });
}

/** Applies all rules of one schema. */
function counted(rules: readonly Rule[]): Rule {
  return (value, budget) => {
    budget.enter();
    const found = firstFault(rules, value, budget);
    budget.leave();
    return found;
  };
}

function movesBase({ $id }: Readonly<Record<string, unknown>>): boolean {
  return typeof $id === 'string' && !$id.startsWith('#');
}

/** `#/$defs/a~1b` → `$defs`, `a/b`. */
function stepsOf(ref: string, place: string): readonly string[] {
  if (ref === '#') return [];
  if (!ref.startsWith('#/')) {
    const rule = '"$ref" must point into the schema, for example #/$defs/name';
    throw new TypeError(`${place}: ${rule}; got ${JSON.stringify(ref)}`);
  }
  try {
    const steps = decodeURIComponent(ref.slice(2)).split('/');
    return steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  } catch {
    throw new TypeError(`${place}: "$ref" ${JSON.stringify(ref)} is not a URI fragment`);
  }
}

function follow(
  root: unknown,
  steps: readonly string[],
  ref: string,
  place: string,
): { readonly schema: unknown; readonly isElsewhere: boolean } {
  let schema = root;
  let isElsewhere = false;
  for (const step of steps) {
    if (schema !== root && isObject(schema)) isElsewhere ||= movesBase(schema);
    if (typeof schema !== 'object' || schema === null || !Object.hasOwn(schema, step)) {
      throw new TypeError(`${place}: "$ref" ${JSON.stringify(ref)} leads nowhere`);
    }
    schema = (schema as Readonly<Record<string, unknown>>)[step];
  }
  return { schema, isElsewhere };
}

// Regular expressions in schemas. Matching one can take longer than anyone will wait.

import { createContext, Script, type Context } from 'node:vm';

import { TooCostly, type CheckBudget } from './check-budget.ts';

/** Maximum number of steps of a match that cannot be stopped, 10 ns each. */
const MAX_STEPS = 200_000;
/** Steps of a match that take as long as one step of the budget. */
const STEPS_PER_SPENT = 20;

export type PatternTest = (text: string, budget: CheckBudget) => boolean;

/** Throws a `SyntaxError` if the source is not a regular expression. */
export function compilePattern(source: string): PatternTest {
  const pattern = regExp(source);
  const mostSteps = stepsOf(source);
  return (text, budget) => {
    const steps = mostSteps?.(text.length) ?? Infinity;
    if (steps > MAX_STEPS) return testInSandbox(pattern, text, budget);
    budget.spend(steps / STEPS_PER_SPENT);
    return pattern.test(text);
  };
}

/** Some common patterns, like `[\w-.]`, are valid only without the `u` flag. */
function regExp(source: string): RegExp {
  try {
    return new RegExp(source, 'u');
  } catch {
    return new RegExp(source);
  }
}

/** A character, an escape or a character class, and its quantifier. */
const CLASS = String.raw`\[(?:\\.|[^\]\\])*\]`;
const ESCAPE = String.raw`\\(?:[bBdDwWsStnrfv]|[^a-zA-Z0-9]|[pP]\{[A-Za-z_=]+\})`;
const ATOM = String.raw`(?:${CLASS}|${ESCAPE}|[^\\^$.*+?()[\]{}|]|\.)`;
const QUANTIFIER = String.raw`(?:([*+?])|\{(\d+)(,(\d*))?\})\??`;
const PART = new RegExp(String.raw`${ATOM}(?:${QUANTIFIER})?`, 'suy');

/**
 * The maximum number of steps that matching takes, by the length of the text. Undefined if that is
 * not known: for groups, alternatives, assertions and back-references.
 *
 * A match that fails has tried every combination of where it can begin and how often each part can
 * repeat. `^a*a{3000}b$` has no nested repetition, and still takes 3,000 steps for each character.
 */
function stepsOf(source: string): ((length: number) => number) | undefined {
  const isAnchored = source.startsWith('^');
  const last = source.length - 1;
  /** Parts that repeat without a bound, and the search for the beginning. */
  let unbounded = isAnchored ? 0 : 1;
  let choices = 1;
  let length = 1;
  let at = isAnchored ? 1 : 0;
  while (at < last || (at === last && source[at] !== '$')) {
    PART.lastIndex = at;
    const found = PART.exec(source);
    if (found === null) return undefined;
    at = PART.lastIndex;
    const [, sign, least, comma, most] = found;
    length += least === undefined ? 1 : Math.max(1, Number(least));
    if (sign === '?') choices *= 2;
    else if (sign !== undefined || most === '') unbounded += 1;
    else if (comma !== undefined) choices *= Number(most) - Number(least) + 1;
  }
  return (textLength) => (textLength + 1) ** unbounded * choices * length;
}

/** Created for the first pattern that needs it. */
let sandbox: { readonly box: Context; readonly script: Script } | undefined;

/**
 * Matches in `vm`, the only way to stop a regular expression. Throws `TooCostly` if it has to do
 * so.
 */
function testInSandbox(pattern: RegExp, text: string, budget: CheckBudget): boolean {
  const { box, script } = (sandbox ??= {
    box: createContext(Object.create(null)), script: new Script('pattern.test(text)'),
  });
  Object.assign(box, { pattern, text });
  try {
    for (;;) {
      const { leftMs } = budget;
      if (leftMs <= 0) throw new TooCostly('a pattern takes too long');
      try {
        return script.runInContext(box, { timeout: Math.ceil(leftMs) }) === true;
      } catch (error) {
        // `vm` counts wall time. On a busy machine the pattern may hardly have run: try again.
        if (!isTimeout(error)) throw error;
      }
    }
  } finally {
    Object.assign(box, { pattern: undefined, text: undefined });
  }
}

/** Checks only the code: the error comes from the script's realm, which has its own `Error`. */
function isTimeout(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('code' in error)) return false;
  return error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
}

// Regular expressions in schemas. They may come from strangers, and a hostile one never finishes.

import { createContext, Script, type Context } from 'node:vm';

/** Thrown when checking a value exceeds its cost limits. */
export class TooCostly extends Error {
  override readonly name = 'TooCostly';
}

/** Processor time for all patterns of one check. */
const MAX_PATTERN_MS = 50;

/** A character, an escape, or a character class. */
const CLASS = String.raw`\[(?:\\.|[^\]\\])*\]`;
const ATOM = String.raw`(?:\\[dDwWsStnrfv]|\\[^a-zA-Z0-9]|${CLASS}|[^\\^$.*+?()[\]{}|]|\.)`;
/**
 * A pattern anchored at the start, made of single characters. At most one of them repeats without
 * a bound, so matching backtracks through the text at most once.
 */
const FIXED = String.raw`(?:${ATOM}(?:\{\d+\})?)*`;
const FREE = String.raw`(?:${ATOM}(?:[*+?]|\{\d+,\d*\}))?`;
const LINEAR = new RegExp(String.raw`^\^${FIXED}${FREE}${FIXED}\$?$`, 'su');

/** The processor time a check has left for patterns that may be slow. */
export class PatternClock {
  #leftMs = MAX_PATTERN_MS;

  /**
   * Throws `TooCostly` when the time is up. Runs in `vm`, the only way to stop a regular
   * expression.
   */
  test(pattern: RegExp, text: string): boolean {
    const { box, script } = (room ??= openRoom());
    Object.assign(box, { pattern, text });
    try {
      while (this.#leftMs >= 1) {
        const begun = process.cpuUsage();
        try {
          return script.runInContext(box, { timeout: Math.ceil(this.#leftMs) }) === true;
        } catch (error) {
          // `vm` counts wall time. On a busy machine the pattern may hardly have run, so try
          // again.
          if (!isTimeout(error)) throw error;
          this.#leftMs -= 1;
        } finally {
          const { user, system } = process.cpuUsage(begun);
          this.#leftMs -= (user + system) / 1_000;
        }
      }
      throw new TooCostly('patterns take too long');
    } finally {
      Object.assign(box, { pattern: undefined, text: undefined });
    }
  }
}

/** Created for the first pattern that needs it. */
let room: { readonly box: Context; readonly script: Script } | undefined;

function openRoom(): NonNullable<typeof room> {
  return { box: createContext(Object.create(null)), script: new Script('pattern.test(text)') };
}

/** Checks only the code: the error comes from the script's realm, which has another `Error`. */
function isTimeout(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('code' in error)) return false;
  return error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
}

export type PatternTest = (text: string, clock: PatternClock) => boolean;

/** Throws a `SyntaxError` if the source is not a regular expression. */
export function compilePattern(source: string): PatternTest {
  const pattern = regExp(source);
  if (LINEAR.test(source)) return (text) => pattern.test(text);
  return (text, clock) => clock.test(pattern, text);
}

/** Some common patterns, like `[\w-.]`, are valid only without the `u` flag. */
function regExp(source: string): RegExp {
  try {
    return new RegExp(source, 'u');
  } catch {
    return new RegExp(source);
  }
}

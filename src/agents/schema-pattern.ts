// Patterns of schemas. They come from strangers, and a regular expression can take longer than the
// age of the universe.

import { createContext, Script, type Context } from 'node:vm';

/** What checking one value may cost. Beyond it the check throws this. */
export class TooCostly extends Error {
  override readonly name = 'TooCostly';
}

/** Of processor time, for all patterns of one check together. */
const MAX_PATTERN_MS = 50;

/** A character, an escape for one or for a class of them, or a class. */
const CLASS = String.raw`\[(?:\\.|[^\]\\])*\]`;
const ATOM = String.raw`(?:\\[dDwWsStnrfv]|\\[^a-zA-Z0-9]|${CLASS}|[^\\^$.*+?()[\]{}|]|\.)`;
/**
 * Anchored at its start, of single characters, at most one of which repeats as often as it likes:
 * it steps back through the text once, and that is all.
 */
const FIXED = String.raw`(?:${ATOM}(?:\{\d+\})?)*`;
const FREE = String.raw`(?:${ATOM}(?:[*+?]|\{\d+,\d*\}))?`;
const LINEAR = new RegExp(String.raw`^\^${FIXED}${FREE}${FIXED}\$?$`, 'su');

/** How much processor time a check has left for patterns that may be slow. */
export class PatternClock {
  #leftMs = MAX_PATTERN_MS;

  /** Throws `TooCostly` when the time is up. Nothing else stops a regular expression. */
  test(pattern: RegExp, text: string): boolean {
    const { box, script } = (room ??= openRoom());
    Object.assign(box, { pattern, text });
    try {
      while (this.#leftMs >= 1) {
        const begun = process.cpuUsage();
        try {
          return script.runInContext(box, { timeout: Math.ceil(this.#leftMs) }) === true;
        } catch (error) {
          // The time-out counts real time. On a busy machine the pattern may hardly have run:
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

/** Made for the first pattern that needs it. */
let room: { readonly box: Context; readonly script: Script } | undefined;

function openRoom(): NonNullable<typeof room> {
  return { box: createContext(Object.create(null)), script: new Script('pattern.test(text)') };
}

/** By its code alone: it comes from the script's realm, whose `Error` is another. */
function isTimeout(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('code' in error)) return false;
  return error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
}

export type PatternTest = (text: string, clock: PatternClock) => boolean;

/** Throws a `SyntaxError` for what is no regular expression. */
export function compilePattern(source: string): PatternTest {
  const pattern = regExp(source);
  if (LINEAR.test(source)) return (text) => pattern.test(text);
  return (text, clock) => clock.test(pattern, text);
}

/** Many patterns in use are legal without the flag alone: `[\w-.]`. */
function regExp(source: string): RegExp {
  try {
    return new RegExp(source, 'u');
  } catch {
    return new RegExp(source);
  }
}

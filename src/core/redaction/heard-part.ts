import { digitsIn, runAtEnd } from './digit-runs.ts';
import type { KnownValue } from './finder.ts';

/** A shorter part of a value could be anything. */
const SHORTEST_PART = 4;
/** In UTF-16 code units. Only this much of a text is searched: it may be long. */
const LONGEST_PART = 1_000;

/** The part of a value that a text ends with: the caller spoke over the rest. */
interface HeardPart {
  readonly start: number;
  readonly letters: string;
  readonly kind: string;
}

interface Known extends KnownValue {
  readonly letters: string;
}

/** The values of a conversation of which the caller may have heard only a part. */
export class HeardValues {
  readonly #digits: Known[] = [];
  /** By their beginnings: many texts may be looked up. */
  readonly #others = new Map<string, Known[]>();

  constructor(values: Iterable<readonly [letters: string, value: KnownValue]>) {
    for (const [letters, { kind, value }] of values) {
      if (/^\d+$/.test(value)) this.#digits.push({ letters, kind, value });
      else {
        const whole = value.toLowerCase();
        const beginning = whole.slice(0, SHORTEST_PART);
        const alike = this.#others.get(beginning) ?? [];
        this.#others.set(beginning, [...alike, { letters, kind, value: whole }]);
      }
    }
  }

  /**
   * The beginning of a value that a text ends with: `it is 4242 42`, `it is four two four`.
   * Undefined if it ends in any other way, or with the whole value.
   */
  partAtEnd(text: string): HeardPart | undefined {
    return this.#digitsAtEnd(text) ?? this.#textAtEnd(text);
  }

  /** Digits, written or spoken. */
  #digitsAtEnd(text: string): HeardPart | undefined {
    if (this.#digits.length === 0) return undefined;
    const atEnd = runAtEnd(text, SHORTEST_PART);
    if (atEnd === undefined) return undefined;
    const { run, skipped } = atEnd;
    const digits = digitsIn(run, 0);
    if (this.#digits.some(({ value }) => digits.endsWith(value))) return undefined;
    // A word such as "double" says several digits: none of them is left.
    for (let from = 0; digits.length - from >= SHORTEST_PART; from++) {
      const known = this.#digits.find(({ value }) => value.startsWith(digits.slice(from)));
      if (known !== undefined) return { ...known, start: skipped + (run.digits[from]?.start ?? 0) };
    }
    return undefined;
  }

  #textAtEnd(text: string): HeardPart | undefined {
    if (this.#others.size === 0) return undefined;
    const trimmed = text.trimEnd();
    const skipped = Math.max(0, trimmed.length - LONGEST_PART);
    const end = trimmed.slice(skipped).toLowerCase();
    for (let start = 0; start <= end.length - SHORTEST_PART; start++) {
      if (start > 0 && !BEFORE.has(end[start - 1] ?? '')) continue;
      const part = end.slice(start);
      const alike = this.#others.get(part.slice(0, SHORTEST_PART));
      const known = alike?.find(({ value }) => value.startsWith(part));
      if (known !== undefined)
        return known.value === part ? undefined : { ...known, start: skipped + start };
    }
    return undefined;
  }
}

/** What may come before a value. */
const BEFORE: ReadonlySet<string> = new Set(' \t\n\r\u00a0\u202f<("');

import { BoundedMap } from '../../base/bounded-map.ts';
import type { KnownValue } from './finder.ts';
import { GivenValues } from './given-values.ts';
import { MOST_NUMBERED, nextName, type Placeholders } from './placeholder.ts';

/** Values remembered per conversation. Beyond that, the one said longest ago is forgotten. */
const MOST_VALUES = 200;

/**
 * The values of one conversation that this process has seen, and the names of all stored ones. Only
 * ever in memory.
 */
export class CallValues {
  /** By the letters of their marks. */
  readonly #values = new BoundedMap<string, KnownValue>(MOST_VALUES);
  /** Those that tools and agents were given. */
  readonly given = new GivenValues();
  #placeholders: Placeholders = {};
  #countOfNames = 0;
  /** By the owner's clock. */
  lastUsedMs = 0;
  /** When values were last written for other processes, by the letters of their marks. */
  readonly keptAtMs = new Map<string, number>();
  /** The session of the last event. Undefined before the first. */
  sessionId: string | undefined;

  add(letters: string, value: KnownValue): void {
    this.#values.set(letters, value);
  }

  get hasNames(): boolean {
    return this.#countOfNames > 0;
  }

  get placeholders(): Placeholders {
    return this.#placeholders;
  }

  learn(placeholders: Placeholders): void {
    this.#placeholders = { ...placeholders };
    this.#countOfNames = Object.keys(placeholders).length;
  }

  /** Undefined if too many values already have names: this one keeps its mark. */
  giveName(letters: string, kind: string): string | undefined {
    if (this.#countOfNames >= MOST_NUMBERED) return undefined;
    const name = nextName(kind, this.#placeholders);
    this.#placeholders = { ...this.#placeholders, [letters]: name };
    this.#countOfNames += 1;
    return name;
  }

  nameOf(letters: string): string | undefined {
    return Object.hasOwn(this.#placeholders, letters) ? this.#placeholders[letters] : undefined;
  }

  /** The value with that name, such as `card 1` or the name in a mark. */
  valueOf(name: string): string | undefined {
    return this.#values.get(this.lettersOf(name))?.value;
  }

  /** The same for somebody who may give it back. */
  give(name: string): string | undefined {
    const letters = this.lettersOf(name);
    const known = this.#values.get(letters);
    if (known !== undefined) this.given.add(letters, known);
    return known?.value;
  }

  /** The letters in the mark of the value with that name. */
  lettersOf(name: string): string {
    const [letters] = Object.entries(this.#placeholders).find(([, given]) => given === name) ?? [];
    return letters ?? name.slice(name.indexOf(' ') + 1);
  }

  entries(): Iterable<readonly [letters: string, value: KnownValue]> {
    return this.#values;
  }
}

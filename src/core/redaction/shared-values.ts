import type { CallValues } from './call-values.ts';
import { securityCodes } from './card-details.ts';
import type { KnownValue } from './finder.ts';
import { MOST_NUMBERED, withoutPlaceholders } from './placeholder.ts';
import { withTexts } from './texts.ts';
import { ValueCipher } from './value-cipher.ts';

export interface SharedValuesOptions {
  /** Where the values are kept. */
  readonly aside: {
    keep(id: string, text: string, ttlMs: number): Promise<void>;
    read(id: string): Promise<string | undefined>;
  };
  /** See `REDACTION_KEY`. */
  readonly keys: readonly string[];
  /** The key under which a conversation is stored. */
  readonly keyOf: (conversationId: string) => string;
  readonly log: { warn(message: string, fields: Readonly<Record<string, unknown>>): void };
  /** Milliseconds on any monotonic clock. Default `performance.now`. */
  readonly now?: () => number;
}

/** Counted from when a value was last heard. */
const TTL_MS = 600_000;
/** A value that is heard again is written again, but not for every text that holds it. */
const KEPT_AGAIN_MS = 60_000;

/**
 * Values that tools need in processes other than the one that heard them: in the store, encrypted,
 * for ten minutes. Never security codes, which nobody may store.
 */
export class SharedValues {
  readonly #options: SharedValuesOptions;
  readonly #cipher: ValueCipher;
  readonly #now: () => number;

  constructor(options: SharedValuesOptions) {
    this.#options = options;
    this.#cipher = new ValueCipher(options.keys);
    this.#now = options.now ?? (() => performance.now());
  }

  /** Writes a value that was heard, in the background. */
  async keep(
    conversationId: string,
    { keptAtMs }: CallValues,
    letters: string,
    { kind, value }: KnownValue,
  ): Promise<void> {
    const sinceMs = this.#now() - (keptAtMs.get(letters) ?? -Infinity);
    if (sinceMs < KEPT_AGAIN_MS || !mayBeKept(kind)) return;
    if (keptAtMs.size >= MOST_NUMBERED && !keptAtMs.has(letters)) return;
    keptAtMs.set(letters, this.#now());
    try {
      const place = this.#placeOf(conversationId, kind, letters);
      await this.#options.aside.keep(place, this.#cipher.encrypt(value, place), TTL_MS);
    } catch (error) {
      keptAtMs.delete(letters);
      const message = 'a value was not kept for other processes';
      this.#options.log.warn(message, { conversationId, error });
    }
  }

  /** Adds the values that other processes have heard for the placeholders in a JSON value. */
  async bring(conversationId: string, values: CallValues, json: unknown): Promise<void> {
    const unknown = new Map<string, string>();
    const noteUnknown = (name: string): string => {
      const letters = values.lettersOf(name);
      const kind = name.slice(0, name.indexOf(' '));
      if (mayBeKept(kind) && /^[a-z]+$/.test(letters) && values.valueOf(name) === undefined)
        unknown.set(letters, kind);
      return '';
    };
    withTexts(json, (text) => withoutPlaceholders(text, noteUnknown));
    await Promise.all([...unknown].map(async ([letters, kind]) => {
      try {
        const place = this.#placeOf(conversationId, kind, letters);
        const text = await this.#options.aside.read(place);
        if (text === undefined) return;
        values.add(letters, { kind, value: this.#cipher.decrypt(text, place) });
        values.keptAtMs.set(letters, this.#now());
      } catch (error) {
        const message = 'a value that another process may have kept cannot be read';
        this.#options.log.warn(message, { conversationId, error });
      }
    }));
  }

  /** Uses the letters, because numbers may change: two processes may assign the same one. */
  #placeOf(conversationId: string, kind: string, letters: string): string {
    return `${this.#options.keyOf(conversationId)}\t${kind} ${letters}`;
  }
}

function mayBeKept(kind: string): boolean {
  return kind !== securityCodes.kind;
}

// Keeps values such as card numbers out of everything but this process's memory. Each wire hands
// its events to `event` as soon as it has understood them. From there on texts hold marks instead
// of values, until the write that opens a turn gives these their numbers.

import { createHmac } from 'node:crypto';

import { BoundedMap } from '../../base/bounded-map.ts';
import { atOnce, Slices, type Steps } from '../../base/slices.ts';
import { CallValues } from './call-values.ts';
import { wordForField } from './field-words.ts';
import {
  cutValueIn, stepsOf, type Finder, type FoundValue, type KnownValue,
} from './finder.ts';
import type { GivenValues } from './given-values.ts';
import { kindsIn, redactorsIn } from './named-finders.ts';
import {
  lettersFrom, markOf, withNames, withoutPlaceholders, type Kinds, type Placeholders,
} from './placeholder.ts';
import type { Redact } from './redact.ts';
import type { SharedValues } from './shared-values.ts';
import { madeOnce, withTexts } from './texts.ts';
import { UnknownValueError } from './unknown-value.ts';

export interface RedactionOptions {
  readonly redact: Redact;
  /**
   * A secret of all processes that share the conversations: with it they give a value the same
   * placeholder.
   */
  readonly key: string;
  /** Called with the reason when one of the user's functions fails. The text is left out. */
  readonly onFailure: (error: unknown) => void;
  /** Default: values stay in this process. */
  readonly shared?: Promise<SharedValues | undefined> | undefined;
  /** Milliseconds on any monotonic clock. Default `performance.now`. */
  readonly now?: () => number;
}

/** What is left of a text that could not be redacted. */
export const FAILED_TEXT = '[redaction failed]';

const MOST_CONVERSATIONS = 10_000;
const MOST_NAMES = 1_000;
/** How long a conversation is kept after its last use. */
const KEPT_MS = 3_600_000;

/**
 * Redacts the texts of one agent's conversations, and knows their values: those of at most 10,000
 * conversations, until the session ends, or for an hour after a value was last said.
 */
export class Redaction {
  readonly #redactors: ReturnType<typeof redactorsIn>;
  readonly #kinds: Kinds;
  readonly #options: RedactionOptions;
  readonly #now: () => number;
  readonly #calls = new BoundedMap<string, CallValues>(MOST_CONVERSATIONS);
  /** By the names of fields: JSON has the same ones again and again. */
  readonly #words = new Map<string, string | undefined>();
  #sweep: NodeJS.Timeout | undefined;
  /** For long texts. What arrives in a conversation stays in order. */
  readonly slices = new Slices();

  constructor(options: RedactionOptions) {
    this.#redactors = redactorsIn(options.redact);
    this.#kinds = kindsIn(options.redact);
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Whether it redacts everything that `redact` does. */
  covers(redact: Redact): boolean {
    return redactorsIn(redact).every((redactor) => this.#redactors.includes(redactor));
  }

  /** How many conversations it knows values of. */
  get size(): number {
    return this.#calls.size;
  }

  // Values become marks.

  /** A text with marks in place of values. Never throws. */
  seal(conversationId: string, text: string): string {
    return atOnce(this.sealing(conversationId, text));
  }

  /** The same in steps: see `slices`. */
  *sealing(conversationId: string, text: string): Steps<string> {
    try {
      let sealed = text;
      for (const redactor of this.#redactors) {
        if (typeof redactor === 'object')
          sealed = yield* this.#without(conversationId, redactor, sealed);
        else {
          const given: unknown = redactor(sealed);
          if (typeof given !== 'string')
            throw new TypeError(`a function of redact must return a string, got ${typeof given}`);
          sealed = given;
        }
      }
      return sealed;
    } catch (error) {
      this.#options.onFailure(error);
      return FAILED_TEXT;
    }
  }

  /** The values of a conversation that this process has seen, by the letters of their marks. */
  valuesOf(conversationId: string): Iterable<readonly [letters: string, value: KnownValue]> {
    return this.#calls.get(conversationId)?.entries() ?? [];
  }

  /** The values of a conversation that were given out. Undefined if none is known. */
  givenIn(conversationId: string): GivenValues | undefined {
    return this.#calls.get(conversationId)?.given;
  }

  /** See `wordForField`. */
  wordFor(name: string): string | undefined {
    if (this.#words.has(name)) return this.#words.get(name);
    if (this.#words.size >= MOST_NAMES) this.#words.clear();
    const word = wordForField(name, this.#kinds);
    this.#words.set(name, word);
    return word;
  }

  /** The hash of a text in which values can be guessed. Equal in all processes. */
  idOf(text: string): string {
    return createHmac('sha256', this.#options.key).update(text).digest('hex');
  }

  /** A text that was cut, with a mark for the beginning of a value that it may end with. */
  withoutCut(conversationId: string, text: string): string {
    for (const redactor of this.#redactors) {
      if (typeof redactor === 'function') continue;
      const cut = cutValueIn(redactor, text);
      if (cut === undefined) continue;
      const { start, value = text.slice(start) } = cut;
      return text.slice(0, start) + this.#mark(conversationId, redactor.kind, value);
    }
    return text;
  }

  *#without(conversationId: string, finder: Finder, text: string): Steps<string> {
    const found: FoundValue[] = [];
    for (const one of stepsOf(finder, text)) {
      if (one !== undefined) found.push(one);
      yield;
    }
    found.sort((a, b) => a.start - b.start);
    // A text may have the same value many times.
    const marks = new Map<string, string>();
    let sealed = '';
    let from = 0;
    for (const one of found) {
      checkPlace(one, finder, text);
      const { start, end, value = text.slice(start, end) } = one;
      if (start < from) continue;
      const mark = marks.get(value) ?? this.#mark(conversationId, finder.kind, value);
      marks.set(value, mark);
      sealed += text.slice(from, start) + mark;
      from = end;
      yield;
    }
    return from === 0 ? text : sealed + text.slice(from);
  }

  #mark(conversationId: string, kind: string, value: string): string {
    const named = JSON.stringify([conversationId, kind, value]);
    const letters = lettersFrom(createHmac('sha256', this.#options.key).update(named).digest());
    const values = this.#use(conversationId);
    const known = { kind, value };
    values.add(letters, known);
    void this.#options.shared?.then((shared) =>
      shared?.keep(conversationId, values, letters, known));
    return markOf(kind, letters);
  }

  // Marks become numbers.

  /** Learns the names that are stored with the conversation. */
  learn(conversationId: string, placeholders: Placeholders | undefined): void {
    const known = this.#calls.get(conversationId);
    if (known === undefined && placeholders === undefined) return;
    (known ?? this.#use(conversationId)).learn(placeholders ?? {});
  }

  /** A new object whenever a name has been learnt. */
  namesOf(conversationId: string): Placeholders | undefined {
    return this.#calls.get(conversationId)?.placeholders;
  }

  /** In all texts of a JSON value, replaces the marks whose names are known. */
  named<T>(conversationId: string, value: T): T {
    const known = this.#calls.get(conversationId);
    if (known === undefined || !known.hasNames) return value;
    return withTexts(value, madeOnce((text) =>
      withNames(text, this.#kinds, (letters) => known.nameOf(letters))));
  }

  /**
   * In all texts of a JSON value, gives numbers to the marks that have none, for a turn that stores
   * nothing.
   */
  numberedHere<T>(conversationId: string, value: T): T {
    const known = this.#calls.get(conversationId);
    if (known === undefined) return value;
    return withTexts(value, (text) =>
      withNames(text, this.#kinds, (letters, kind) =>
        known.nameOf(letters) ?? known.giveName(letters, kind)),
    );
  }

  /** Whether the texts of a JSON value have marks whose names are not known. */
  hasUnnamed(conversationId: string, value: unknown): boolean {
    const known = this.#calls.get(conversationId);
    let hasUnnamed = false;
    const look = (letters: string): undefined => {
      hasUnnamed ||= known?.nameOf(letters) === undefined;
    };
    withTexts(value, (text) => (hasUnnamed ? text : withNames(text, this.#kinds, look)));
    return hasUnnamed;
  }

  /** A text with placeholders in place of values: numbers where they are known. */
  text(conversationId: string, text: string): string {
    return this.named(conversationId, this.seal(conversationId, text));
  }

  // Placeholders become values.

  /** Learns the values that other processes have shared for the placeholders in a JSON value. */
  async bring(conversationId: string, value: unknown): Promise<void> {
    const known = this.#calls.get(conversationId);
    if (known === undefined) return;
    const shared = await this.#options.shared;
    await shared?.bring(conversationId, known, value);
  }

  /**
   * A JSON value with values in place of its placeholders. Throws an `UnknownValueError` for a
   * value that this process has not seen.
   */
  reveal<T>(conversationId: string, value: T): T {
    const known = this.#calls.get(conversationId);
    return withTexts(value, (text) =>
      withoutPlaceholders(text, (name) => {
        if (!this.#kinds.has(name.slice(0, name.indexOf(' ')))) return `[${name}]`;
        const found = known?.give(name);
        if (found !== undefined) return found;
        const cure = 'ask the caller to say it again';
        throw new UnknownValueError(`[${name}] is not known in this process: ${cure}`);
      }),
    );
  }

  /** Notes that an event of this session has arrived in the conversation. */
  entered(conversationId: string, sessionId: string): void {
    const known = this.#calls.get(conversationId);
    if (known !== undefined) known.sessionId = sessionId;
  }

  /** Forgets the values of a conversation, unless a later session has begun. */
  forget(conversationId: string, sessionId: string): void {
    const known = this.#calls.get(conversationId);
    if (known?.sessionId === undefined || known.sessionId === sessionId)
      this.#calls.delete(conversationId);
  }

  #use(conversationId: string): CallValues {
    const known = this.#calls.get(conversationId) ?? new CallValues();
    known.lastUsedMs = this.#now();
    this.#calls.set(conversationId, known); // moves it to the end
    this.#sweep ??= setTimeout(() => this.#forgetOld(), KEPT_MS).unref();
    return known;
  }

  #forgetOld(): void {
    this.#sweep = undefined;
    const since = this.#now() - KEPT_MS;
    for (const [conversationId, { lastUsedMs }] of this.#calls) {
      if (lastUsedMs > since) {
        const restMs = Math.ceil(lastUsedMs - since);
        this.#sweep = setTimeout(() => this.#forgetOld(), restMs).unref();
        return;
      }
      this.#calls.delete(conversationId);
    }
  }
}

function checkPlace({ start, end }: FoundValue, { kind }: Finder, text: string): void {
  const isPlace = Number.isInteger(start) && Number.isInteger(end);
  if (isPlace && start >= 0 && start < end && end <= text.length) return;
  throw new TypeError(`the finder of kind "${kind}" found a value outside of the text`);
}

// Keeps values such as card numbers out of everything but this process's memory. Each wire hands
// its events to `event` as soon as it has understood them. From there on texts hold marks instead
// of values, until the write that opens a turn gives these their numbers.

import { createHmac } from 'node:crypto';

import { CallValues } from './call-values.ts';
import { kindsIn, redactorsIn, type Finder, type FoundValue, type Redact } from './finder.ts';
import { startOfPart } from './heard-part.ts';
import {
  lettersOf, markOf, marksIn, withNames, withoutPlaceholders, type Kinds, type Placeholders,
} from './placeholder.ts';
import { withJsonTexts, withTexts } from './texts.ts';

export interface RedactionOptions {
  readonly redact: Redact;
  /**
   * Secret of all processes that share the conversations: with it, they give a value the same
   * placeholder.
   */
  readonly key: string;
  /** Told why a function of the user's has failed. The text is left out. */
  readonly onFailure: (error: unknown) => void;
  /** Milliseconds on any monotonic clock. Default `performance.now`. */
  readonly now?: () => number;
}

/** A tool needs a value that this process has not seen. */
export class UnknownValueError extends Error {
  override readonly name = 'UnknownValueError';
  readonly code = 'ERR_UNKNOWN_VALUE';
}

/** What is left of a text that could not be redacted. */
export const FAILED_TEXT = '[redaction failed]';

const MOST_CONVERSATIONS = 10_000;
/** The time by which a conversation with an open turn is kept longer. */
const KEPT_MS = 3_600_000;

/**
 * Redacts the texts of one agent's conversations, and knows their values: those of at most 10,000
 * conversations, until the session ends or for an hour after the last one that was said.
 */
export class Redaction {
  readonly #redactors: ReturnType<typeof redactorsIn>;
  readonly #kinds: Kinds;
  readonly #key: string;
  readonly #onFailure: (error: unknown) => void;
  readonly #now: () => number;
  /** The least recently used comes first. */
  readonly #calls = new Map<string, CallValues>();
  #sweep: NodeJS.Timeout | undefined;

  constructor({ redact, key, onFailure, now }: RedactionOptions) {
    this.#redactors = redactorsIn(redact);
    this.#kinds = kindsIn(redact);
    this.#key = key;
    this.#onFailure = onFailure;
    this.#now = now ?? (() => performance.now());
  }

  /** How many conversations it knows values of. */
  get size(): number {
    return this.#calls.size;
  }

  // Values become marks.

  /** A text with marks in place of values. Never throws. */
  seal(conversationId: string, text: string): string {
    try {
      return this.#sealed(conversationId, text);
    } catch (error) {
      this.#onFailure(error);
      return FAILED_TEXT;
    }
  }

  /** The same for all texts of a JSON value, except for those that `isKept`. */
  sealAll<T>(conversationId: string, value: T, isKept: (text: string) => boolean = never): T {
    return withTexts(value, (text) => (isKept(text) ? text : this.seal(conversationId, text)));
  }

  /** The same for JSON text. */
  sealJson(conversationId: string, text: string): string {
    return withJsonTexts(text, (inner) => this.seal(conversationId, inner));
  }

  /**
   * The same for what was heard of a reply. The caller may have spoken over a value, so the text
   * may end with the beginning of one.
   */
  sealHeard(conversationId: string, text: string): string {
    // First, as a part of a value may look like another one.
    for (const [letters, { kind, value }] of this.#calls.get(conversationId)?.entries() ?? []) {
      const start = startOfPart(text, value);
      if (start !== -1)
        return this.seal(conversationId, text.slice(0, start)) + markOf(kind, letters);
    }
    return this.seal(conversationId, text);
  }

  #sealed(conversationId: string, text: string): string {
    let sealed = text;
    for (const redactor of this.#redactors) {
      if (typeof redactor === 'object') sealed = this.#without(conversationId, redactor, sealed);
      else {
        const given: unknown = redactor(sealed);
        if (typeof given !== 'string')
          throw new TypeError(`a function of redact must return a text, got ${typeof given}`);
        sealed = given;
      }
    }
    return sealed;
  }

  #without(conversationId: string, finder: Finder, text: string): string {
    const found = [...finder.find(text)].sort((a, b) => a.start - b.start);
    let sealed = '';
    let from = 0;
    for (const one of found) {
      checkPlace(one, finder, text);
      const { start, end, value = text.slice(start, end) } = one;
      if (start < from) continue;
      sealed += text.slice(from, start) + this.#mark(conversationId, finder.kind, value);
      from = end;
    }
    return from === 0 ? text : sealed + text.slice(from);
  }

  #mark(conversationId: string, kind: string, value: string): string {
    const named = JSON.stringify([conversationId, kind, value]);
    const letters = lettersOf(createHmac('sha256', this.#key).update(named).digest());
    this.#use(conversationId).add(letters, { kind, value });
    return markOf(kind, letters);
  }

  // Marks become numbers.

  /** The names that are stored with the conversation. */
  learn(conversationId: string, placeholders: Placeholders | undefined): void {
    const known = this.#calls.get(conversationId);
    if (known === undefined && placeholders === undefined) return;
    (known ?? this.#use(conversationId)).learn(placeholders ?? {});
  }

  /** Replaces the marks in all texts of a JSON value whose names are known. */
  named<T>(conversationId: string, value: T): T {
    const known = this.#calls.get(conversationId);
    if (known === undefined) return value;
    return withTexts(value, (text) =>
      withNames(text, this.#kinds, (letters) => known.nameOf(letters)));
  }

  /**
   * Gives numbers to the marks in all texts of a JSON value that have none, for a turn that stores
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
    withTexts(value, (text) => {
      hasUnnamed ||= marksIn(text, this.#kinds)
        .some((letters) => known?.nameOf(letters) === undefined);
      return text;
    });
    return hasUnnamed;
  }

  /** A text with placeholders in place of values: numbers where they are known. */
  text(conversationId: string, text: string): string {
    return this.named(conversationId, this.seal(conversationId, text));
  }

  /** The same for JSON text. */
  json(conversationId: string, text: string): string {
    return this.named(conversationId, this.sealJson(conversationId, text));
  }

  // Placeholders become values.

  /**
   * A JSON value with the values that its placeholders stand for. Throws an `UnknownValueError` for
   * one that this process has not seen.
   */
  reveal<T>(conversationId: string, value: T): T {
    const known = this.#calls.get(conversationId);
    return withTexts(value, (text) =>
      withoutPlaceholders(text, (name) => {
        if (!this.#kinds.has(name.slice(0, name.indexOf(' ')))) return `[${name}]`;
        const found = known?.valueOf(name);
        if (found !== undefined) return found;
        const cure = 'ask the caller to say it again';
        throw new UnknownValueError(`[${name}] is not known in this process: ${cure}`);
      }),
    );
  }

  /** A session of the conversation has an event. */
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
    this.#calls.delete(conversationId); // to the end
    this.#calls.set(conversationId, known);
    if (this.#calls.size > MOST_CONVERSATIONS) this.#forgetOldest();
    this.#sweep ??= setTimeout(() => this.#forgetOld(), KEPT_MS).unref();
    return known;
  }

  #forgetOldest(): void {
    const oldest = this.#calls.keys().next();
    if (oldest.done !== true) this.#calls.delete(oldest.value);
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

function never(): boolean {
  return false;
}

function checkPlace({ start, end }: FoundValue, { kind }: Finder, text: string): void {
  const isPlace = Number.isInteger(start) && Number.isInteger(end);
  if (isPlace && start >= 0 && start < end && end <= text.length) return;
  throw new TypeError(`the finder of kind "${kind}" found a value outside of the text`);
}

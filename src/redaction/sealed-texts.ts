import { parseJson } from '../base/json.ts';
import { atOnce, type Steps } from '../base/slices.ts';
import { HeardValues } from './heard-part.ts';
import { markOf } from './placeholder.ts';
import type { Redaction } from './redaction.ts';
import { textsIn, withJsonTexts, withTexts } from './texts.ts';

/** In UTF-16 code units. Beyond that, all texts are examined again. */
const MOST_KNOWN = 4_194_304;

/** The texts of one event or turn, with marks in place of values. Each is examined once. */
export class SealedTexts {
  readonly #redaction: Redaction;
  readonly #conversationId: string;
  readonly #sealed = new Map<string, string>();
  #length = 0;
  #heardValues: HeardValues | undefined;

  constructor(redaction: Redaction, conversationId: string) {
    this.#redaction = redaction;
    this.#conversationId = conversationId;
  }

  text(text: string): string {
    return atOnce(this.sealing(text));
  }

  /** All texts of a JSON value, except for those that `isKept`. */
  all<T>(value: T, isKept: (text: string) => boolean = never): T {
    return withTexts(value, (text) => (isKept(text) ? text : this.text(text)));
  }

  /** The same for JSON text. */
  json(text: string): string {
    return withJsonTexts(text, (inner) => this.text(inner));
  }

  /** The same in steps, here and below: for a text, a heard text, a JSON value and JSON text. */
  *sealing(text: string): Steps<string> {
    return this.#sealed.get(text)
      ?? this.keep(text, yield* this.#redaction.sealing(this.#conversationId, text));
  }

  /**
   * What was heard of a reply, or spoken before it was cut off: it may end with the beginning of a
   * value.
   */
  *sealingHeard(text: string): Steps<string> {
    // This comes first: a part of a value may look like another value.
    this.#heardValues ??= new HeardValues(this.#redaction.valuesOf(this.#conversationId));
    const part = this.#heardValues.partAtEnd(text);
    if (part === undefined)
      return this.#redaction.withoutCut(this.#conversationId, yield* this.sealing(text));
    const before = yield* this.sealing(text.slice(0, part.start));
    return before + markOf(part.kind, part.letters);
  }

  *sealingAll<T>(value: T, isKept: (text: string) => boolean = never): Steps<T> {
    yield* this.learning(value, isKept);
    return this.all(value, isKept);
  }

  *sealingJson(text: string): Steps<string> {
    yield* this.learning(parseJson(text) ?? text);
    return this.json(text);
  }

  /** Looks at all texts of a JSON value, so that they are known from here on. */
  *learning(value: unknown, isKept: (text: string) => boolean = never): Steps<void> {
    for (const text of textsIn(value)) {
      if (!isKept(text)) yield* this.sealing(text);
      yield;
    }
  }

  /** From here on, `text` is replaced by `sealed`. */
  keep(text: string, sealed: string): string {
    this.#length += text.length;
    if (this.#length > MOST_KNOWN) {
      this.#sealed.clear();
      this.#length = text.length;
    }
    this.#sealed.set(text, sealed);
    return sealed;
  }
}

function never(): boolean {
  return false;
}

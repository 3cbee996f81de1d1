import { apart } from '../base/apart.ts';
import type { Awaitable } from '../base/awaitable.ts';
import { SpeakableText } from '../speech/speakable.ts';
import type { Reply } from './agent.ts';

export interface VoiceOptions {
  /** Whether to remove Markdown, emoji, URLs and the like. Default true. */
  readonly isSpeakable?: boolean;
}

/**
 * Speaks what models write, piece by piece, without what cannot be spoken. Puts a space between
 * two texts.
 */
export class Voice {
  readonly #reply: Reply;
  readonly #filter: SpeakableText | undefined;
  #spoken = '';
  #last = '';
  /** The end of the previous text. Set only between two texts. */
  #before = '';

  constructor(reply: Reply, { isSpeakable = true }: VoiceOptions = {}) {
    this.#reply = reply;
    this.#filter = isSpeakable ? new SpeakableText() : undefined;
  }

  /** Everything said so far. */
  get spoken(): string {
    return this.#spoken;
  }

  /** Speaks the next piece of a text. Returns the same as `reply.say`. */
  speak(text: string): Awaitable<boolean> {
    return this.#say(this.#filter === undefined ? text : this.#filter.push(text));
  }

  /** Ends a text: speaks what was held back. */
  finish(): Awaitable<boolean> {
    const said = this.#say(this.#filter?.flush() ?? '');
    this.#before = this.#last;
    return said;
  }

  /** Drops what was held back, because the rest of the text is not wanted. */
  breakOff(): void {
    this.#filter?.flush();
    this.#before = this.#last;
  }

  #say(text: string): Awaitable<boolean> {
    if (text === '') return true;
    const spoken = apart(text, this.#before);
    this.#before = '';
    this.#last = text;
    this.#spoken += spoken;
    return this.#reply.say(spoken);
  }
}

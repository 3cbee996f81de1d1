import { apart } from '../base/apart.ts';
import type { Awaitable } from '../base/awaitable.ts';
import { SpeakableText } from '../speech/speakable.ts';
import type { Reply } from './agent.ts';

export interface VoiceOptions {
  /** Whether Markdown, emoji, URLs and the like are taken out. Default true. */
  readonly isSpeakable?: boolean;
}

/**
 * Speaks what models write, piece by piece: one text after the other, each freed of what cannot be
 * spoken, with a space between two texts.
 */
export class Voice {
  readonly #reply: Reply;
  readonly #filter: SpeakableText | undefined;
  #spoken = '';
  #last = '';
  /** The end of the text before: set between two texts. */
  #before = '';

  constructor(reply: Reply, { isSpeakable = true }: VoiceOptions = {}) {
    this.#reply = reply;
    this.#filter = isSpeakable ? new SpeakableText() : undefined;
  }

  /** All that was said. */
  get spoken(): string {
    return this.#spoken;
  }

  /** Takes the next piece of a text. Answers as `reply.say` does. */
  speak(text: string): Awaitable<boolean> {
    return this.#say(this.#filter === undefined ? text : this.#filter.push(text));
  }

  /** Says what was held back of the text, which is complete. */
  finish(): Awaitable<boolean> {
    const said = this.#say(this.#filter?.flush() ?? '');
    this.#before = this.#last;
    return said;
  }

  /** Leaves what was held back unsaid: the rest of the text is not wanted. */
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

/** A whole text, freed of what cannot be spoken. */
export function speakable(text: string): string {
  const filter = new SpeakableText();
  return filter.push(text) + filter.flush();
}

import { apart } from '../../base/apart.ts';
import type { Awaitable } from '../../base/awaitable.ts';
import { SpeakableText } from '../../base/speech/speakable.ts';
import type { Reply } from './agent.ts';
import { SentenceEnds } from './sentence-ends.ts';

export interface VoiceOptions {
  /** Whether to remove Markdown, emoji, URLs and the like. Default true. */
  readonly isSpeakable?: boolean;
  /**
   * Whether a sentence is held back until it is whole, except for the first of each text. Default
   * false.
   */
  readonly wholeSentences?: boolean;
}

/**
 * Speaks what models write, piece by piece, without what cannot be spoken. Puts a space between
 * two texts.
 */
export class Voice {
  readonly #reply: Reply;
  readonly #filter: SpeakableText | undefined;
  readonly #sentences: SentenceEnds | undefined;
  #spoken = '';
  #last = '';
  /** The end of the previous text. Set only between two texts. */
  #before = '';

  constructor(reply: Reply, { isSpeakable = true, wholeSentences = false }: VoiceOptions = {}) {
    this.#reply = reply;
    if (wholeSentences) this.#sentences = new SentenceEnds();
    this.#filter = isSpeakable ? new SpeakableText() : undefined;
  }

  /** Everything said so far. */
  get spoken(): string {
    return this.#spoken;
  }

  /** Speaks the next piece of a text. Returns the same as `reply.say`. */
  speak(text: string): Awaitable<boolean> {
    const clean = this.#filter === undefined ? text : this.#filter.push(text);
    return this.#say(this.#sentences === undefined ? clean : this.#sentences.push(clean));
  }

  /**
   * Ends a text: speaks what was held back. `isCut`: the model was cut off, so with
   * `wholeSentences` only those are spoken.
   */
  finish(isCut = false): Awaitable<boolean> {
    const last = this.#filter?.flush() ?? '';
    const said = this.#say(this.#sentences === undefined ? last : this.#sentences.end(last, isCut));
    this.#before = this.#last;
    return said;
  }

  /** Drops what was held back, because the rest of the text is not wanted. */
  breakOff(): void {
    this.#filter?.flush();
    this.#sentences?.end('', true);
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

// The entrance to this folder, which imports nothing from other folders.

import { END, SILENT } from './characters.ts';
import { Markdown } from './markdown.ts';
import { Tidy } from './tidy.ts';

/**
 * Turns a model's text into text to be spoken, while it streams. The output does not depend on how
 * the text was split.
 *
 * - Removed: Markdown marks, bullets, rules and brackets; fenced code; HTML tags; footnote marks,
 *   references (`[1]` after a link's text), their definitions (`[1]: https://example.com`) and
 *   citations (`【3†source】`); emoji; control characters, and those that only set the direction of
 *   text.
 * - Replaced: links and images by their text, URLs by their host, HTML entities by their
 *   characters. The cells of a table are separated by commas.
 * - Kept: everything else, in any script. That includes list numbers ("1. "), `2*3`, `snake_case`,
 *   `5 < 6`, "~5", prices, apostrophes, the joiners in Indic and Persian words, and line breaks,
 *   which a voice reads as pauses. List items get no full stop.
 *
 * White space, an open mark, and a word that may begin a URL are held back until their meaning is
 * clear. That is at most about a hundred characters of what may be spoken. Memory is bounded; time
 * is linear.
 */
export class SpeakableText {
  #tidy = new Tidy();
  #markdown = new Markdown(this.#tidy);
  /** A high surrogate at the end of a chunk: the low one may follow. */
  #highSurrogate = '';
  /** Set after a `\r`: its `\n` may follow, and is part of the same line break. */
  #isAfterReturn = false;

  /**
   * Takes the next piece of text. Returns what can be spoken so far: '' if all of it is held back.
   */
  push(text: string): string {
    // Most tokens are plain: one regular expression finds that out much faster than the reader.
    if (this.#highSurrogate === '' && this.#markdown.pass(text)) return this.#tidy.take();
    for (let at = 0; at < text.length; at += MAX_PIECE) {
      this.#markdown.push(this.#clean(text.slice(at, at + MAX_PIECE)));
    }
    return this.#tidy.take();
  }

  /**
   * Returns the rest at the end of the text. The next `push` begins another text, for example
   * after a tool call.
   */
  flush(): string {
    this.#markdown.push(END);
    const rest = this.#tidy.end();
    this.#tidy = new Tidy();
    this.#markdown = new Markdown(this.#tidy);
    this.#highSurrogate = '';
    this.#isAfterReturn = false;
    return rest;
  }

  /** Drops silent characters and half surrogate pairs. Leaves one kind of line break. */
  #clean(piece: string): string {
    const text = this.#highSurrogate + piece;
    if (!this.#isAfterReturn && !UNCLEAN.test(text)) {
      this.#highSurrogate = '';
      return text;
    }
    this.#highSurrogate = /[\ud800-\udbff]$/.exec(text)?.[0] ?? '';
    const heard = text.replace(/[\v\f\u0085]/g, ' ').replace(SILENT, '');
    if (heard === '') return '';
    const rest = this.#isAfterReturn && heard.startsWith('\n') ? heard.slice(1) : heard;
    this.#isAfterReturn = heard.endsWith('\r');
    return rest.replace(/\r\n?|[\u2028\u2029]/g, '\n');
  }
}

/** Longer texts are read in pieces, because a mark may cause the rest of its piece to be copied. */
const MAX_PIECE = 1_024;
const UNCLEAN = new RegExp(`${SILENT.source}|[\\r\\u2028\\u2029]`, 'u');

/** A whole text, without what cannot be spoken. */
export function speakable(text: string): string {
  const filter = new SpeakableText();
  return filter.push(text) + filter.flush();
}

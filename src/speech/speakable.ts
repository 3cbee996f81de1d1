import { isSilent } from './characters.ts';
import { Markdown } from './markdown.ts';
import { Tidy } from './tidy.ts';

/**
 * Turns the text of a model into text to be spoken, on its way and in any split: the output depends on the text alone.
 *
 * - Removed: Markdown's marks, bullets, rules and brackets; fenced code; HTML tags; footnote marks,
 *   references (`[1]` behind a link's text) and citations (`【3†source】`); emoji; control
 *   characters, with those that only direct bidirectional text.
 * - Links and images become their text, URLs their host, tables their cells with commas between
 *   them, HTML entities their characters.
 * - Stays: all else, in any script. Numbers of lists ("1. "), `2*3`, `snake_case`, `5 < 6`, "~5", prices, apostrophes,
 *   the joiners within Indic and Persian words, and line breaks, which a voice reads as pauses: no full stop is made up
 *   for a list item.
 *
 * Held back, until it is clear what they are: white space, an open mark, and a word for as long as it may begin a URL;
 * at most about a hundred characters of what is most likely not to be spoken. Memory is bounded, time is linear.
 */
export class SpeakableText {
  readonly #tidy = new Tidy();
  readonly #markdown = new Markdown(this.#tidy);
  /** A high surrogate at the end of a chunk: its low one may follow. */
  #highSurrogate = '';
  /** Set after a `\r`: its `\n` may follow and belongs to the same line break. */
  #skipLineFeed = false;

  /** Takes the next piece of the text, and returns what can be spoken by now: '' when all is held back. */
  push(text: string): string {
    // Most tokens are plain, and a regular expression tells so many times faster than the readers would.
    if (
      this.#highSurrogate === ''
      && this.#markdown.isPlain
      && isPlain(text)
      && this.#hasRoomFor(text)
    ) {
      this.#markdown.pass(text);
      return this.#tidy.take();
    }
    for (let i = 0; i < text.length; i++) this.#pushUnit(text.charAt(i));
    return this.#tidy.take();
  }

  /** Returns the rest at the end of the text. What is pushed next begins another text, as after a tool call. */
  flush(): string {
    this.#highSurrogate = '';
    this.#skipLineFeed = false;
    this.#markdown.end();
    return this.#tidy.take();
  }

  /** White space may be taken apart later, so only a single space in front of a word or behind it is plain. */
  #hasRoomFor(text: string): boolean {
    return text.startsWith(' ') ? this.#tidy.isTight && text !== ' ' : text !== '';
  }

  #pushUnit(unit: string): void {
    const high = this.#highSurrogate;
    if (unit >= '\ud800' && unit <= '\udbff') {
      this.#highSurrogate = unit; // one that waits in vain is no character
    } else if (unit >= '\udc00' && unit <= '\udfff') {
      this.#highSurrogate = '';
      if (high !== '') this.#pushCharacter(high + unit);
    } else {
      this.#highSurrogate = '';
      this.#pushCharacter(unit);
    }
  }

  #pushCharacter(c: string): void {
    const skipLineFeed = this.#skipLineFeed;
    this.#skipLineFeed = false;
    if ((c >= ' ' && c <= '~') || (c > '\u00ad' && !isSilent(c))) this.#markdown.push(c);
    else if (c === '\n') {
      if (!skipLineFeed) this.#markdown.push('\n');
    } else if (c === '\r' || c === '\u2028' || c === '\u2029') {
      this.#skipLineFeed = c === '\r';
      this.#markdown.push('\n');
    } else if (c === '\t' || c === '\v' || c === '\f' || c === '\u0085') this.#markdown.push(' ');
    else if (c >= '\u00a0' && c < '\u00ad') this.#markdown.push(c);
    else this.#skipLineFeed = skipLineFeed;
  }
}

function isPlain(text: string): boolean {
  return !NOT_PLAIN.test(text) && !text.endsWith('  ');
}

/** A possible mark, the possible start of a URL, a possible part of an emoji, and whatever is rare. */
const NOT_PLAIN = new RegExp(
  '[^\\p{L}\\p{M}\\p{Nd} .,;:?\'"()%$€£¥/=@+’‘“”…—–。，、！？-]'
    + '|[\\ufe0e\\ufe0f\\u20e3\\u2139\\u{10000}-\\u{10ffff}]'
    + '|(?<![A-Za-z0-9])[hHwW]',
  'u',
);

import { isSilent } from './characters.ts';
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
 * clear. That is at most about a hundred characters of text that will probably not be spoken.
 * Memory is bounded; time is linear.
 */
export class SpeakableText {
  readonly #tidy = new Tidy();
  readonly #markdown = new Markdown(this.#tidy);
  /** A high surrogate at the end of a chunk: the low one may follow. */
  #highSurrogate = '';
  /** Set after a `\r`: its `\n` may follow, and is part of the same line break. */
  #skipLineFeed = false;

  /**
   * Takes the next piece of text. Returns what can be spoken so far: '' if all of it is held back.
   */
  push(text: string): string {
    // Most tokens are plain. A regular expression finds that out much faster than the readers.
    const isPlainHere = this.#highSurrogate === '' && this.#markdown.isPlain;
    if (isPlainHere && isPlain(text) && this.#hasRoomFor(text)) {
      this.#markdown.pass(text);
      return this.#tidy.take();
    }
    for (let i = 0; i < text.length; i++) this.#pushUnit(text.charAt(i));
    return this.#tidy.take();
  }

  /**
   * Returns the rest at the end of the text. The next `push` begins another text, for example
   * after a tool call.
   */
  flush(): string {
    this.#highSurrogate = '';
    this.#skipLineFeed = false;
    this.#markdown.end();
    return this.#tidy.take();
  }

  /**
   * White space may be changed later. So text is plain only if it begins and ends with at most one
   * space.
   */
  #hasRoomFor(text: string): boolean {
    return text.startsWith(' ') ? this.#tidy.isTight && text !== ' ' : text !== '';
  }

  #pushUnit(unit: string): void {
    const high = this.#highSurrogate;
    if (unit >= '\ud800' && unit <= '\udbff') {
      this.#highSurrogate = unit; // dropped if its low one does not follow
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
    } else if (c === '\t') this.#markdown.push(' ', TAB_WIDTH);
    else if (c === '\v' || c === '\f' || c === '\u0085') this.#markdown.push(' ');
    else if (c >= '\u00a0' && c < '\u00ad') this.#markdown.push(c);
    else this.#skipLineFeed = skipLineFeed;
  }
}

/** Columns of a tab at the start of a line. */
const TAB_WIDTH = 4;

function isPlain(text: string): boolean {
  return !NOT_PLAIN.test(text) && !text.endsWith('  ');
}

/** Matches what may be a mark, the start of a URL or part of an emoji, and all rare characters. */
const NOT_PLAIN = new RegExp(
  '[^\\p{L}\\p{M}\\p{Nd} .,;:?\'"()%$€£¥/=@+’‘“”…—–。，、！？-]'
    + '|[\\ufe0e\\ufe0f\\u20e3\\u2139\\u{10000}-\\u{10ffff}]'
    + '|(?<![A-Za-z0-9])[hHwW]',
  'u',
);

/** A whole text, without what cannot be spoken. */
export function speakable(text: string): string {
  const filter = new SpeakableText();
  return filter.push(text) + filter.flush();
}

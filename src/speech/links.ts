import { isBlank, isDigit } from './characters.ts';

/**
 * The open brackets, as bits after a leading 1. Because they are one number, deep nesting costs no
 * memory.
 */
export class Brackets {
  #stack = 1;

  get isOpen(): boolean {
    return this.#stack > 1;
  }

  /** `isSpoken` is for the bracket of `list[0]`: then its partner is spoken too. */
  open(isSpoken: boolean): void {
    // Below level 29 the outer brackets are forgotten, and their partners spoken. No link is that
    // deep.
    this.#stack = (this.#stack >= 2 ** 29 ? 1 : this.#stack) * 2 + (isSpoken ? 1 : 0);
  }

  /** True if the bracket is spoken. That includes one without a partner. */
  close(): boolean {
    if (!this.isOpen) return true;
    const isSpoken = this.#stack % 2 === 1;
    this.#stack = Math.floor(this.#stack / 2);
    return isSpoken;
  }

  reset(): void {
    this.#stack = 1;
  }
}

/**
 * Removes the `(https://example.com "title")` of a link, which ends with its line at the latest. If
 * it is not a link, as in `[sic](and more)`, its text is given back, unless it is longer than 64
 * characters.
 */
export class DestinationReader {
  #held = '';
  #depth = 0;
  #isLong = false;
  #isPointed = false;
  #isAfterSpace = false;
  #hasTitle = false;
  #quote = '';

  /** After `](`. */
  start(): void {
    this.#held = '(';
    this.#depth = 0;
    this.#isLong = false;
    this.#isPointed = false;
    this.#isAfterSpace = false;
    this.#hasTitle = false;
    this.#quote = '';
  }

  /**
   * Takes the next character, '' at the end. Returns undefined if it needs more, otherwise the text
   * that is to be read again.
   */
  read(c: string): string | undefined {
    if (c === '' || c === '\n') return this.#giveBack(c);
    if (this.#quote !== '' || this.#isPointed) {
      if (c === this.#quote) this.#quote = '';
      else if (this.#isPointed && c === '>') this.#isPointed = false;
    } else if (c === ')') {
      if (this.#depth === 0) return '';
      this.#depth--;
    } else if (isBlank(c)) this.#isAfterSpace = true;
    else if (this.#isAfterSpace && (c === '"' || c === "'")) {
      this.#quote = c;
      this.#hasTitle = true;
    } else if (this.#isAfterSpace && !this.#hasTitle) return this.#giveBack(c);
    else if (c === '(') this.#depth++;
    else if (c === '<' && this.#held === '(') this.#isPointed = true;
    this.#keep(c);
    return undefined;
  }

  #keep(c: string): void {
    if (this.#held.length === MAX_HELD) this.#isLong = true;
    else this.#held += c;
  }

  #giveBack(c: string): string {
    return this.#isLong ? c : this.#held + c;
  }
}

/**
 * Removes a footnote mark, `[^1]`, and the colon of its definition. Gives back the text if it is
 * not one.
 */
export class FootnoteReader {
  #held = '';
  #isClosed = false;

  /** After `[^`. */
  start(): void {
    this.#held = '^';
    this.#isClosed = false;
  }

  /**
   * Takes the next character, '' at the end. Returns undefined if it needs more, otherwise the text
   * that is to be read again.
   */
  read(c: string): string | undefined {
    if (this.#isClosed) return c === ':' ? '' : c;
    if (isBlank(c) || this.#held.length === MAX_FOOTNOTE) return this.#held + c;
    if (c === ']') this.#isClosed = true;
    else this.#held += c;
    return undefined;
  }
}

/**
 * Removes the `[1]` after a link's text, even several of them. Gives back the text if it is not
 * one.
 */
export class ReferenceReader {
  #held = '';
  #isClosed = false;

  /** After `][`. */
  start(): void {
    this.#held = '';
    this.#isClosed = false;
  }

  /** True if the label that was read last is a reference. */
  get isReference(): boolean {
    return this.#isClosed;
  }

  /**
   * Takes the next character, '' at the end. Returns undefined if it needs more, otherwise the text
   * that is to be read again.
   */
  read(c: string): string | undefined {
    if (this.#isClosed) {
      if (c !== '[') return c;
      this.start();
    } else if (c === ']') this.#isClosed = true;
    else if (c === '' || c === '\n' || c === '[' || this.#held.length === MAX_HELD) {
      return `[${this.#held}${c}`;
    } else this.#held += c;
    return undefined;
  }
}

/**
 * Removes the citations that OpenAI's file search puts after a sentence: `【3†source】`,
 * `【4:0†source】`. Gives back the text if it is not one, as in `【重要】`. A citation that never ends
 * loses the rest of its line.
 */
export class CitationReader {
  #held = '';
  #isCitation = false;

  /** After `【`. */
  start(): void {
    this.#held = '';
    this.#isCitation = false;
  }

  get isCitation(): boolean {
    return this.#isCitation;
  }

  /**
   * Takes the next character, '' at the end. Returns undefined if it needs more, otherwise the text
   * that is to be read again.
   */
  read(c: string): string | undefined {
    if (this.#isCitation) return c === '】' ? '' : c === '' || c === '\n' ? c : undefined;
    if (c === '†' && this.#held !== '') this.#isCitation = true;
    else if ((isDigit(c) || c === ':') && this.#held.length < MAX_NUMBER) this.#held += c;
    else return this.#held + c;
    return undefined;
  }
}

const MAX_HELD = 64;
const MAX_FOOTNOTE = 32;
const MAX_NUMBER = 12;

import { isBlank, isDigit } from './characters.ts';

/** The brackets that are open, as bits behind a leading 1: kept as a number, deep nesting costs no memory. */
export class Brackets {
  #stack = 1;

  get isOpen(): boolean {
    return this.#stack > 1;
  }

  /** `isSpoken` for the bracket of `list[0]`, whose partner is then spoken too. */
  open(isSpoken: boolean): void {
    // Deeper than 29, the outer ones are forgotten: their partners are then spoken, and no link is that deep.
    this.#stack = (this.#stack >= 2 ** 29 ? 1 : this.#stack) * 2 + (isSpoken ? 1 : 0);
  }

  /** True when the bracket is to be spoken, as one without partner is. */
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
 * Swallows the `(https://example.com "title")` of a link. It ends with its line at the latest, and
 * gives back what was no link, as in `[sic](and more)`: the first word is kept for that, up to 64 characters.
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

  /** Takes the next character, '' at the end. Undefined to get more, otherwise what is to be read as text. */
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

/** Swallows a footnote mark, `[^1]`, and the colon of its definition; gives back what is none. */
export class FootnoteReader {
  #held = '';
  #isClosed = false;

  /** After `[^`. */
  start(): void {
    this.#held = '^';
    this.#isClosed = false;
  }

  /** Takes the next character, '' at the end. Undefined to get more, otherwise what is to be read as text. */
  read(c: string): string | undefined {
    if (this.#isClosed) return c === ':' ? '' : c;
    if (isBlank(c) || this.#held.length === MAX_FOOTNOTE) return this.#held + c;
    if (c === ']') this.#isClosed = true;
    else this.#held += c;
    return undefined;
  }
}

/** Swallows the `[1]` behind a link's text, however many there are; gives back what is none. */
export class ReferenceReader {
  #held = '';
  #isClosed = false;

  /** After `][`. */
  start(): void {
    this.#held = '';
    this.#isClosed = false;
  }

  /** True while the label that was read last is one. */
  get isReference(): boolean {
    return this.#isClosed;
  }

  /** Takes the next character, '' at the end. Undefined to get more, otherwise what is text. */
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
 * Swallows what OpenAI's file search puts behind a sentence, `【3†source】` or `【4:0†source】`; gives
 * back what is none, as `【重要】`. Of a citation that never ends its line is lost.
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

  /** Takes the next character, '' at the end. Undefined to get more, otherwise what is text. */
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

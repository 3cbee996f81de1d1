import type { Container, Containers } from './containers.ts';

/** What a run of three or more backticks or tildes means. Read `again` as text. */
export interface FenceEnd {
  /**
   * `code`: code was removed. `outside`: it was left open, and the quote or list item around it is
   * over. `text`: a text fence was opened or closed. `inline`: code within a line, which is spoken.
   */
  readonly kind: 'code' | 'outside' | 'text' | 'inline';
  readonly again: string;
}

/**
 * Removes fenced code, which nobody wants to hear. A fence named text or Markdown loses only its
 * two fence lines, because models wrap whole answers in one.
 *
 * As in CommonMark, a fence that is never closed runs to the end of the quote or list item around
 * it, or else of the text. To make that rare, the closing fence is recognised wherever models put
 * it: on its own line, indented or not, at the end of a line of code, or with prose after it.
 */
export class FenceReader {
  readonly #containers: Containers;
  #mark = '';
  #length = 0;
  #container: Container = NO_CONTAINER;
  #isInLine = false;
  #info = '';
  #isBody = false;
  #isFirstLine = false;
  /** Set while a line of code has nothing but white space, quote marks and fence marks. */
  #isLineStart = false;
  /** Fence marks in a row, ignoring spaces after a closing one: a line break may follow. */
  #run = 0;
  /** The container of the open text fence. */
  #text: Container | undefined;

  constructor(containers: Containers) {
    this.#containers = containers;
  }

  /** How many marks opened the fence. */
  get length(): number {
    return this.#length;
  }

  /** `isInLine`: whether text precedes the marks on their line. */
  start(mark: string, length: number, isInLine: boolean): void {
    this.#mark = mark;
    this.#length = length;
    this.#container = this.#containers.innermost;
    this.#isInLine = isInLine;
    this.#info = '';
    this.#isBody = false;
  }

  /** Call it at the end of the text. */
  reset(): void {
    this.#text = undefined;
  }

  /** Takes the next character, '' at the end. Returns undefined if it needs more. */
  read(c: string, width: number): FenceEnd | undefined {
    return this.#isBody ? this.#readBody(c, width) : this.#readInfo(c);
  }

  #readInfo(c: string): FenceEnd | undefined {
    if (c === '\n') return this.#open();
    if (c === '' && !this.#isInLine) return { kind: 'code', again: '' };
    const hasBacktick = c === '`' && this.#mark === '`';
    if (c === '' || hasBacktick || this.#info.length === MAX_INFO) {
      return { kind: 'inline', again: this.#info + c };
    }
    this.#info += c;
    return undefined;
  }

  #open(): FenceEnd | undefined {
    const info = this.#info.trim();
    if (this.#text !== undefined && this.#text.quotes > this.#containers.quotes) this.reset();
    if (this.#text !== undefined && info === '') {
      this.reset();
      return { kind: 'text', again: '\n' };
    }
    if (TEXT.test(info)) {
      this.#text = this.#container;
      return { kind: 'text', again: '\n' };
    }
    this.#isBody = true;
    this.#isFirstLine = true;
    this.#startLine();
    return undefined;
  }

  #startLine(): void {
    this.#containers.startLine();
    this.#isLineStart = true;
    this.#run = 0;
  }

  #readBody(c: string, width: number): FenceEnd | undefined {
    if (c === '') return { kind: 'code', again: '' };
    if (c === this.#mark) {
      this.#run++;
      return undefined;
    }
    if (this.#run >= this.#length) {
      if (c === '\n' || (c === ' ' && this.#isLineStart)) return { kind: 'code', again: c };
      if (c === ' ') return undefined;
    } else if (this.#isLineStart) {
      if (this.#run === 0 && this.#isPrefix(c, width)) return undefined;
      if (this.#isOutside(c)) return { kind: 'outside', again: this.#mark.repeat(this.#run) + c };
    }
    this.#run = 0;
    this.#isLineStart = false;
    if (c === '\n') {
      this.#startLine();
      this.#isFirstLine = false;
    }
    return undefined;
  }

  /** White space and quote marks in front of code. More `>` than at the fence are code. */
  #isPrefix(c: string, width: number): boolean {
    const { quotes } = this.#containers;
    if (c === ' ') this.#containers.space(width);
    else if (c === '>' && quotes < this.#container.quotes) this.#containers.quote();
    else return false;
    return true;
  }

  /** Whether the first character of a line, or the end of an empty one, is outside. */
  #isOutside(c: string): boolean {
    if (this.#containers.quotes < this.#container.quotes) return true;
    if (c === '\n' || this.#containers.column >= this.#container.column) return false;
    if (!this.#isFirstLine || ITEM.includes(c)) return true;
    // Not CommonMark's rule: some models indent the fence, but not the code.
    this.#container = NO_CONTAINER;
    return false;
  }
}

const NO_CONTAINER: Container = { quotes: 0, column: 0 };
const TEXT = /^(?:text|txt|plain|plaintext|markdown|md)$/i;
/** What the next list item may begin with. Code seldom does. */
const ITEM = '-*+0123456789';
const MAX_INFO = 100;

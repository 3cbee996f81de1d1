/** What a run of three or more backticks or tildes means. Read `again` as text. */
export interface FenceEnd {
  /**
   * `code`: code was removed. `text`: a text fence was opened or closed. `inline`: code within a
   * line, which is spoken.
   */
  readonly kind: 'code' | 'text' | 'inline';
  readonly again: string;
}

/**
 * Removes fenced code, which nobody wants to hear. A fence named text or Markdown loses only its
 * two fence lines, because models wrap whole answers in one.
 *
 * As in CommonMark, a fence that is never closed runs to the end of the text. To make that rare,
 * the closing fence is recognised wherever models put it: on its own line, at the end of a line of
 * code, or with prose after it.
 */
export class FenceReader {
  #mark = '';
  #length = 0;
  #isBody = false;
  #info = '';
  /** Marks in a row, ignoring spaces after them: a line break may follow, and close the fence. */
  #run = 0;
  #isLineStart = false;
  #isInLine = false;
  #isInText = false;

  /** `isInLine`: whether text precedes the marks on their line. */
  start(mark: string, length: number, isInLine: boolean): void {
    this.#mark = mark;
    this.#length = length;
    this.#isInLine = isInLine;
    this.#isBody = false;
    this.#info = '';
  }

  reset(): void {
    this.#isInText = false;
  }

  /** Takes the next character, '' at the end. Returns undefined if it needs more. */
  read(c: string): FenceEnd | undefined {
    return this.#isBody ? this.#readBody(c) : this.#readInfo(c);
  }

  #readInfo(c: string): FenceEnd | undefined {
    if (c === '\n') return this.#open();
    if (c === '' && !this.#isInLine) return { kind: 'code', again: '' };
    if (c === '' || (c === this.#mark && c === '`')) {
      return { kind: 'inline', again: this.#info + c };
    }
    if (this.#info.length < MAX_INFO) {
      this.#info += c;
      return undefined;
    }
    if (this.#isInLine) return { kind: 'inline', again: this.#info + c };
    this.#isBody = true;
    this.#isLineStart = false;
    this.#run = 0;
    return undefined;
  }

  #open(): FenceEnd | undefined {
    const info = this.#info.trim();
    const closesText = this.#isInText && info === '';
    if (closesText || TEXT.test(info)) {
      this.#isInText = !closesText;
      return { kind: 'text', again: '\n' };
    }
    this.#isBody = true;
    this.#isLineStart = true;
    this.#run = 0;
    return undefined;
  }

  #readBody(c: string): FenceEnd | undefined {
    if (c === '') return { kind: 'code', again: '' };
    const hasClosing = this.#run >= this.#length;
    if (hasClosing && (c === '\n' || (c === ' ' && this.#isLineStart))) {
      return { kind: 'code', again: c };
    }
    if (c === this.#mark) this.#run++;
    else if (c !== ' ' || !hasClosing) {
      this.#run = 0;
      this.#isLineStart = c === '\n' || (c === ' ' && this.#isLineStart);
    }
    return undefined;
  }
}

const TEXT = /^(?:text|txt|plain|plaintext|markdown|md)$/i;
const MAX_INFO = 64;

/** How a run of three or more backticks or tildes turned out. `again` is to be read as text. */
export interface FenceEnd {
  /** Code was left out; a text fence was opened or closed; or it is code within a line, which is spoken. */
  readonly kind: 'code' | 'text' | 'inline';
  readonly again: string;
}

/**
 * Leaves fenced code out: machine talk is not to be spoken. A fence that names itself text or Markdown loses its two
 * fence lines only, as models wrap whole answers so.
 *
 * A fence that is never closed ends with the model's text, as in CommonMark; so that few are, the end is recognised
 * where models put it: on its own line, at the end of a line of code, and with prose behind it.
 */
export class FenceReader {
  #mark = '';
  #length = 0;
  #isBody = false;
  #info = '';
  /** Marks in a row, spaces behind them aside: a line break may follow and make a closing fence of them. */
  #run = 0;
  #isLineStart = false;
  #isInLine = false;
  #isInText = false;

  /** `isInLine` when text precedes the marks in their line. */
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

  /** Takes the next character, '' at the end. Undefined to get more. */
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

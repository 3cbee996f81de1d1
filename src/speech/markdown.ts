// Reads Markdown strictly forwards, one code point at a time, so the size of the chunks does not
// matter. As far as possible it follows CommonMark (https://spec.commonmark.org/0.31.2/), with
// GFM's tables.

import { isDigit, isSpace } from './characters.ts';
import { Containers } from './containers.ts';
import { FenceReader } from './fences.ts';
import { Inline } from './inline.ts';
import { LineMarkReader } from './line-marks.ts';
import type { Tidy } from './tidy.ts';

/**
 * Passes the speakable part of Markdown to a `Tidy`. Handles the blocks itself; `Inline` handles
 * the text of their lines.
 */
export class Markdown {
  readonly #tidy: Tidy;
  readonly #inline: Inline;
  readonly #containers = new Containers();
  readonly #fences = new FenceReader(this.#containers);
  #state: 'line start' | 'item number' | 'line mark' | 'line' | 'fence' = 'line start';
  #lineMark: LineMarkReader | undefined;
  /** What was read of the `12.` of a list item. */
  #number = '';
  /** Set by `--- | ---` until an empty line: rows need no `|` in front then. */
  #isTable = false;

  constructor(tidy: Tidy) {
    this.#tidy = tidy;
    this.#inline = new Inline(tidy, {
      push: (c) => this.push(c),
      endLine: () => this.#endLine(),
      openFence: (length) => this.#openFence('`', length, true),
    });
  }

  /** True while text without marks, URLs, emoji and line breaks passes unchanged. */
  get isPlain(): boolean {
    return this.#state === 'line' && this.#inline.isPlain && this.#tidy.isIdle;
  }

  /** Takes such text. Call it only while `isPlain`. */
  pass(text: string): void {
    this.#inline.pass(text);
  }

  /** Takes the next code point, '' at the end. A tab comes as a space that is 4 columns wide. */
  push(c: string, width = 1): void {
    if (this.#state === 'line') this.#inline.push(c);
    else if (this.#state === 'line start') this.#readLineStart(c, width);
    else if (this.#state === 'item number') this.#readItemNumber(c, width);
    else {
      const again = this.#state === 'fence' ? this.#readFence(c, width) : this.#readLineMark(c);
      for (const next of again) this.push(next);
    }
  }

  /** Call it at the end of the text. */
  end(): void {
    while (this.#state === 'fence' || this.#state === 'line mark' || this.#inline.isOpen) {
      this.push('');
    }
    this.#tidy.end();
    this.#fences.reset();
    this.#endParagraph();
    this.#endLine();
  }

  #readLineStart(c: string, width: number): void {
    if (isSpace(c)) {
      this.#tidy.space(c);
      if (c !== '\n') return this.#containers.space(width);
      this.#endParagraph();
      return this.#endLine();
    }
    this.#containers.begin(c);
    if (BULLETS.includes(c)) this.#startItem(c);
    else if (LineMarkReader.begins(c)) {
      this.#lineMark = new LineMarkReader(c);
      this.#state = 'line mark';
    } else {
      this.#state = isDigit(c) ? 'item number' : 'line';
      this.#number = c;
      this.#inline.push(c);
    }
  }

  /** The number is spoken as it comes. After its space the line begins anew: `1. # Title`. */
  #readItemNumber(c: string, width: number): void {
    if (c === ' ' && !isDigit(this.#number.slice(-1))) {
      this.#containers.item(this.#number.length);
      this.#inline.endParagraph();
      this.#inline.endLine();
      this.#state = 'line start';
      return this.#readLineStart(c, width);
    }
    this.#number += c;
    if (!ITEM_NUMBER.test(this.#number)) this.#state = 'line';
    this.#inline.push(c);
  }

  /** Returns the text that is to be read again. */
  #readLineMark(c: string): string {
    const lineMark = this.#lineMark?.read(c);
    if (lineMark === undefined) return '';
    const { kind, mark, again } = lineMark;
    this.#state = 'line';
    switch (kind) {
      case 'text':
        if (again.startsWith('|')) this.#inline.hasCells = true;
        break;
      case 'fence':
        this.#openFence(mark.charAt(0), mark.length, false);
        break;
      case 'quote':
        this.#containers.quote();
        this.#tidy.leaveOut();
        this.#state = 'line start';
        break;
      case 'bullet':
        this.#startItem(mark);
        break;
      case 'table':
      case 'rule':
        this.#leaveOutMark();
        if (kind === 'table') this.#isTable = true;
        return this.#leaveOutLineBreak(again);
      case 'heading':
        this.#inline.isHeading = true;
        this.#leaveOutMark();
        break;
      case 'task':
        this.#leaveOutMark();
    }
    return again;
  }

  #openFence(mark: string, length: number, isInLine: boolean): void {
    this.#fences.start(mark, length, isInLine);
    this.#state = 'fence';
  }

  /** Returns the text that is to be read again. */
  #readFence(c: string, width: number): string {
    const end = this.#fences.read(c, width);
    if (end === undefined) return '';
    this.#state = 'line';
    switch (end.kind) {
      case 'inline':
        this.#inline.openCode(this.#fences.length);
        return end.again;
      case 'outside':
        this.#tidy.breakLine();
        this.#inline.endParagraph();
        this.#state = 'line start';
        return end.again;
      case 'code':
      case 'text':
        this.#tidy.leaveOut();
        return this.#leaveOutLineBreak(end.again);
    }
  }

  #startItem(mark: string): void {
    this.#containers.item(mark.length);
    this.#leaveOutMark();
    this.#state = 'line start';
  }

  #leaveOutMark(): void {
    this.#tidy.leaveOut();
    this.#inline.endParagraph();
  }

  /** Drops the line break of a line that has become empty: it would cause a longer pause. */
  #leaveOutLineBreak(again: string): string {
    if (!again.startsWith('\n')) return again;
    this.#endLine();
    return again.slice(1);
  }

  #endLine(): void {
    this.#state = 'line start';
    this.#containers.startLine();
    this.#inline.isHeading = false;
    this.#inline.hasCells = this.#isTable;
    this.#inline.endLine();
  }

  #endParagraph(): void {
    this.#isTable = false;
    this.#inline.endParagraph();
  }
}

const BULLETS = '•◦‣▪●○·';
const ITEM_NUMBER = /^\d{1,9}[.)]?$/;

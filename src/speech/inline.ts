import { isAsciiWord, isBlank, isPunctuation, isSilent, isSpace } from './characters.ts';
import { Emphasis } from './emphasis.ts';
import { EntityReader } from './entities.ts';
import {
  Brackets, CitationReader, DestinationReader, FootnoteReader, ReferenceReader,
} from './links.ts';
import { TagReader } from './tags.ts';
import type { Tidy } from './tidy.ts';
import { UrlReader } from './urls.ts';

/** What inline text needs from the block structure around it. */
export interface Block {
  /** Reads again a character that a mark turned out not to need. */
  push(c: string): void;
  /** A line break was read. */
  endLine(): void;
  /** Three or more backticks within a line, which may still begin a code block. */
  openFence(length: number): void;
}

/**
 * Takes a character, '' at the end. Returns undefined if it needs the next one, otherwise the text
 * to read again.
 */
type Reader = (c: string) => string | undefined;

/** Reads the marks within a line: emphasis, code, links, URLs, tags, escapes, table cells. */
export class Inline {
  /** Set for a heading, in which a `##` at the end is a mark. */
  isHeading = false;
  /** Set for a table row, in which `|` is a mark. */
  hasCells = false;
  readonly #tidy: Tidy;
  readonly #block: Block;
  readonly #emphasis = new Emphasis();
  readonly #brackets = new Brackets();
  readonly #destinations = new DestinationReader();
  readonly #footnotes = new FootnoteReader();
  readonly #references = new ReferenceReader();
  readonly #citations = new CitationReader();
  readonly #entities = new EntityReader();
  readonly #tags = new TagReader();
  readonly #urls = new UrlReader((text) => this.#putAll(text));
  /** Set while a mark is open whose meaning depends on what follows. */
  #reader: Reader | undefined;
  /** The previous character as it was written; '' at the start of a line. */
  #before = '';
  /** Number of backticks that opened the current code; 0 outside code. */
  #codeMarks = 0;
  /** Set by the `<` of an autolink: its `>` may follow. */
  #isAutolink = false;
  #runMark = '';
  #runLength = 0;
  /** Spaces after the `##` at the end of a heading: its line break may follow. */
  #runSpaces = 0;

  constructor(tidy: Tidy, block: Block) {
    this.#tidy = tidy;
    this.#block = block;
  }

  /** True while a mark is open whose meaning is not known yet. */
  get isOpen(): boolean {
    return this.#reader !== undefined;
  }

  /** True while plain text cannot be part of a mark. */
  get isPlain(): boolean {
    return this.#reader === undefined && !this.#isAutolink;
  }

  /** Takes the next character of a line, including its line break; '' at the end of the text. */
  push(c: string): void {
    const reader = this.#reader;
    if (reader === undefined) return this.#read(c);
    const again = reader(c);
    if (again === undefined) return;
    if (this.#reader === reader) this.#reader = undefined;
    for (const next of again) this.#block.push(next);
  }

  /** Takes text without marks and URLs. Call it only while `isPlain`. */
  pass(text: string): void {
    this.#tidy.pass(text);
    this.#before = text.charAt(text.length - 1);
  }

  endLine(): void {
    this.#before = '';
    this.#isAutolink = false;
    this.#codeMarks = 0; // an unmatched backtick must not turn Markdown off for good
  }

  /** Emphasis and links end with their paragraph, heading or list item. */
  endParagraph(): void {
    this.#emphasis.reset();
    this.#brackets.reset();
  }

  /** Follows `openFence` if it turned out to be code within the line. */
  openCode(length: number): void {
    this.#codeMarks = length;
  }

  #read(c: string): void {
    if (isSpace(c)) this.#readSpace(c);
    else if (this.#codeMarks > 0 && !IN_CODE.includes(c)) this.#put(c);
    else this.#readMark(c);
  }

  #readSpace(c: string): void {
    this.#tidy.space(c);
    this.#before = c;
    this.#isAutolink = false;
    if (c === '\n') this.#block.endLine();
  }

  #readMark(c: string): void {
    switch (c) {
      case '*':
      case '_':
      case '~':
      case '`':
        this.#runMark = c;
        this.#runLength = 1;
        this.#reader = this.#readRun;
        return;
      case '\\':
        this.#reader = this.#readEscape;
        return;
      case '[':
        this.#reader = this.#readOpening;
        return;
      case ']':
        if (this.#brackets.close()) return this.#put(c);
        this.#reader = this.#readClosing;
        return;
      case '<':
        this.#tags.start();
        this.#reader = this.#readTag;
        return;
      case '&':
        this.#entities.start();
        this.#reader = this.#readEntity;
        return;
      case '【':
        this.#citations.start();
        this.#reader = this.#readCitation;
        return;
      case '!':
        // Elsewhere it ends a sentence, which must not be held back.
        if (!isBlank(this.#before) && !'[(*_|>"'.includes(this.#before)) return this.#put(c);
        this.#reader = this.#readExclamation;
        return;
      case 'h':
      case 'H':
      case 'w':
      case 'W':
        if (isAsciiWord(this.#before)) return this.#put(c);
        this.#urls.start(c, this.#urlStops());
        this.#reader = this.#readUrl;
        return;
      case '|':
        if (!this.hasCells) return this.#put(c);
        this.#before = c;
        return this.#tidy.endCell();
      case '>':
        if (!this.#isAutolink) return this.#put(c);
        this.#before = c;
        this.#isAutolink = false;
        return;
      case '#':
        if (!this.isHeading || !isSpace(this.#before)) return this.#put(c);
        this.#runLength = 1;
        this.#runSpaces = 0;
        this.#reader = this.#readHeadingEnd;
        return;
      default:
        this.#put(c);
    }
  }

  #put(c: string): void {
    this.#tidy.put(c);
    this.#before = c;
  }

  #putAll(text: string): void {
    for (const c of text) this.#put(c);
  }

  #urlStops(): string {
    return (
      (this.hasCells ? '|' : '')
      + (this.#emphasis.hasOpenStar ? '*' : '')
      + (this.#brackets.isOpen ? ']' : '')
    );
  }

  readonly #readUrl: Reader = (c) => this.#urls.read(c);
  readonly #readDestination: Reader = (c) => this.#destinations.read(c);
  readonly #readFootnote: Reader = (c) => this.#footnotes.read(c);

  readonly #readRun: Reader = (c) => {
    if (c === this.#runMark) {
      this.#runLength++;
      return undefined;
    }
    const before = this.#before;
    this.#before = this.#runMark;
    let spoken = '';
    if (this.#runMark === '`') this.#readBackticks(this.#runLength, c);
    else spoken = this.#emphasis.read(this.#runMark, this.#runLength, before, c);
    if (spoken === '' && isBlank(before) && isBlank(c)) this.#tidy.leaveOut();
    this.#putAll(spoken);
    return c;
  };

  #readBackticks(length: number, after: string): void {
    if (this.#codeMarks === length) this.#codeMarks = 0;
    else if (this.#codeMarks > 0) return; // part of the code: another length than its opening
    else if (length >= MIN_FENCE) this.#block.openFence(length);
    else if (length > 1 || !isBlank(after)) this.#codeMarks = length;
  }

  readonly #readEscape: Reader = (c) => {
    if (c === '\n') return c; // a hard line break
    if (c < '\x7f' && isPunctuation(c)) {
      this.#put(c);
      return '';
    }
    this.#put('\\');
    return c;
  };

  readonly #readOpening: Reader = (c) => {
    if (c === '^') {
      this.#tidy.leaveOut();
      this.#footnotes.start();
      this.#reader = this.#readFootnote;
      return '';
    }
    // After these characters it is an index, `list[0]`, or a citation, "Paris.[1]", not a link. All
    // other brackets are removed: whether it is a link is known only after its text was spoken.
    const isSpoken =
      isAsciiWord(this.#before) || (this.#before !== '' && '_].,'.includes(this.#before));
    this.#brackets.open(isSpoken);
    if (isSpoken) this.#put('[');
    else this.#before = '[';
    return c;
  };

  readonly #readClosing: Reader = (c) => {
    this.#before = ')';
    if (c === '(') {
      this.#destinations.start();
      this.#reader = this.#readDestination;
      return '';
    }
    if (c !== '[') return c;
    this.#references.start();
    this.#reader = this.#readReference;
    return '';
  };

  readonly #readReference: Reader = (c) => {
    const again = this.#references.read(c);
    if (again !== undefined && !this.#references.isReference) this.#readSpace(' ');
    return again;
  };

  readonly #readCitation: Reader = (c) => {
    const again = this.#citations.read(c);
    if (this.#citations.isCitation) this.#tidy.leaveOut();
    else if (again !== undefined) this.#put('【');
    return again;
  };

  readonly #readEntity: Reader = (c) => {
    const entity = this.#entities.read(c);
    if (entity === undefined) return undefined;
    const { character, again } = entity;
    if (/^\s$/.test(character)) this.#readSpace(' ');
    else if (character !== '' && !isSilent(character)) this.#put(character);
    return again;
  };

  readonly #readExclamation: Reader = (c) => {
    if (c !== '[') this.#put('!');
    return c;
  };

  readonly #readTag: Reader = (c) => {
    const angle = this.#tags.read(c);
    if (angle === undefined) return undefined;
    if (angle.kind === 'text') this.#put('<');
    else this.#before = '<';
    if (angle.kind === 'autolink') this.#isAutolink = true;
    else if (angle.kind === 'comment') this.#tidy.leaveOut();
    else if (angle.kind === 'break' && this.hasCells) this.#tidy.endCell();
    else if (angle.kind === 'break') this.#tidy.breakLine();
    return angle.again;
  };

  readonly #readHeadingEnd: Reader = (c) => {
    if (c === '#' && this.#runSpaces === 0) this.#runLength++;
    else if (c === ' ') this.#runSpaces++;
    else {
      if (c === '\n' || c === '') this.#tidy.leaveOut();
      else this.#putAll('#'.repeat(Math.min(this.#runLength, MAX_CLOSING)));
      if (this.#runSpaces > 0) this.#readSpace(' ');
      return c;
    }
    return undefined;
  };
}

/** Marks that keep their meaning inside code. */
const IN_CODE = '`|hHwW';
const MIN_FENCE = 3;
/** A longer run of `#` is a rule of some kind, which is not spoken. */
const MAX_CLOSING = 64;

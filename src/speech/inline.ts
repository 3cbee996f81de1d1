import { isAsciiWord, isBlank, isSilent, isSpace } from './characters.ts';
import { DestinationReader } from './destinations.ts';
import { Emphasis } from './emphasis.ts';
import { characterOf } from './entities.ts';
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
  /** Set while a mark is open whose meaning depends on what follows. */
  #reader: Reader | undefined;
  /** That mark, or of a run its first character. */
  #held = '';
  #runLength = 0;
  /** The open brackets: whether they are spoken, as those of `list[0]`. */
  #brackets: boolean[] = [];
  /** The previous character as it was written; '' at the start of a line. */
  #before = '';
  /** Number of backticks that opened the current code; 0 outside code. */
  #codeMarks = 0;
  /** Set by the `<` of an autolink: its `>` may follow. */
  #isAutolink = false;

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
    this.#brackets = [];
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
        this.#runLength = 1;
        return this.#hold(c, this.#readRun);
      case '\\':
        return this.#hold(c, this.#readEscape);
      case '&':
        return this.#hold(c, this.#readEntity);
      case '[':
        return this.#hold(c, this.#readOpening);
      case ']':
        return (this.#brackets.pop() ?? true) ? this.#put(c) : this.#hold(c, this.#readClosing);
      case '【':
        return this.#hold(c, this.#readCitation);
      case '!':
        return this.#mayBeginImage ? this.#hold(c, this.#readExclamation) : this.#put(c);
      case '#':
        if (!this.isHeading || !isSpace(this.#before)) return this.#put(c);
        return this.#hold(c, this.#readHeadingEnd);
      case '<':
        return this.#openTag();
      case 'h':
      case 'H':
      case 'w':
      case 'W':
        return isAsciiWord(this.#before) ? this.#put(c) : this.#openUrl(c);
      case '|':
        if (!this.hasCells) return this.#put(c);
        this.#before = c;
        return this.#tidy.endCell();
      case '>':
        if (!this.#isAutolink) return this.#put(c);
        this.#before = c;
        this.#isAutolink = false;
        return;
      default:
        this.#put(c);
    }
  }

  /** Elsewhere a `!` ends a sentence, which must not be held back. */
  get #mayBeginImage(): boolean {
    return isBlank(this.#before) || '[(*_|>"'.includes(this.#before);
  }

  #hold(c: string, reader: Reader): void {
    this.#held = c;
    this.#reader = reader;
  }

  #put(c: string): void {
    this.#tidy.put(c);
    this.#before = c;
  }

  #putAll(text: string): void {
    for (const c of text) {
      if (isSpace(c)) this.#readSpace(c);
      else this.#put(c);
    }
  }

  #openUrl(first: string): void {
    const url = new UrlReader(first, (text) => this.#putAll(text));
    this.#reader = (c) => url.read(c);
  }

  #openDestination(): void {
    const destination = new DestinationReader();
    this.#reader = (c) => destination.read(c);
  }

  #openTag(): void {
    const tag = new TagReader();
    this.#reader = (c) => {
      const angle = tag.read(c);
      if (angle === undefined) return undefined;
      if (angle.kind === 'text') this.#put('<');
      else this.#before = '<';
      if (angle.kind === 'autolink') this.#isAutolink = true;
      else if (angle.kind === 'comment') this.#tidy.leaveOut();
      else if (angle.kind === 'break' && this.hasCells) this.#tidy.endCell();
      else if (angle.kind === 'break') this.#tidy.breakLine();
      return angle.again;
    };
  }

  readonly #readRun: Reader = (c) => {
    const mark = this.#held;
    if (c === mark) {
      this.#runLength++;
      return undefined;
    }
    const before = this.#before;
    this.#before = mark;
    let spoken = '';
    if (mark === '`') this.#readBackticks(this.#runLength, c);
    else spoken = this.#emphasis.read(mark, this.#runLength, before, c);
    if (spoken === '' && isBlank(before) && isBlank(c)) this.#tidy.leaveOut();
    this.#putAll(spoken);
    return c;
  };

  #readBackticks(length: number, after: string): void {
    if (this.#codeMarks > 0) {
      if (this.#codeMarks === length) this.#codeMarks = 0;
    } else if (length >= MIN_FENCE) this.#block.openFence(length);
    else if (length > 1 || !isBlank(after)) this.#codeMarks = length;
  }

  /**
   * A reader of a short mark, which is text until it is complete. `soFar` matches it and each of
   * its beginnings. `settle` speaks what was held, and returns the text to read again.
   */
  #short(soFar: RegExp, settle: (held: string, next: string) => string): Reader {
    return (c) => {
      const held = this.#held + c;
      if (c === '' || !soFar.test(held)) return settle(this.#held, c);
      this.#held = held;
      return COMPLETE.test(held) ? settle(held, '') : undefined;
    };
  }

  readonly #readEscape = this.#short(ESCAPE, (held, next) => {
    // A backslash at the end of a line is a line break.
    if (next !== '\n') this.#put(held.slice(-1));
    return next;
  });

  readonly #readEntity = this.#short(ENTITY, (held, next) => {
    const character = characterOf(held);
    if (character === undefined) {
      this.#put('&');
      return held.slice(1) + next;
    }
    if (/^\s$/.test(character)) this.#readSpace(' ');
    else if (!isSilent(character)) this.#put(character);
    return next;
  });

  readonly #readOpening = this.#short(FOOTNOTE, (held, next) => {
    if (held.includes(']')) {
      this.#tidy.leaveOut();
      return next;
    }
    // After these characters it is an index, `list[0]`, or a citation, "Paris.[1]", not a link. All
    // other brackets are removed: whether it is a link is known only after its text was spoken.
    const isSpoken =
      isAsciiWord(this.#before) || (this.#before !== '' && '_].,'.includes(this.#before));
    if (this.#brackets.length === MAX_BRACKETS) this.#brackets.shift();
    this.#brackets.push(isSpoken);
    if (isSpoken) this.#put('[');
    else this.#before = '[';
    return held.slice(1) + next;
  });

  readonly #readClosing = this.#short(REFERENCE, (held, next) => {
    this.#before = ']';
    if (held === ']') {
      if (next !== '(') return next;
      this.#before = ')';
      this.#openDestination();
      return '';
    }
    if (held.endsWith(']')) return next;
    this.#readSpace(' ');
    return held.slice(1) + next;
  });

  readonly #readCitation = this.#short(CITATION, (held, next) => {
    if (held.endsWith('】')) {
      this.#tidy.leaveOut();
      return next;
    }
    this.#put('【');
    return held.slice(1) + next;
  });

  readonly #readExclamation = this.#short(IMAGE, (held, next) => {
    if (held.endsWith('[')) return '[';
    this.#put('!');
    return next;
  });

  readonly #readHeadingEnd = this.#short(HEADING_END, (held, next) => {
    if (next === '' || next === '\n') this.#tidy.leaveOut();
    else this.#putAll(held);
    return next;
  });
}

/** Marks that keep their meaning inside code. */
const IN_CODE = '`|hHwW';
const MIN_FENCE = 3;
/** The outermost of more brackets is forgotten, and its partner spoken. No link is that deep. */
const MAX_BRACKETS = 16;

// The short marks, each as far as it may be read.
const ESCAPE = /^\\[!-/:-@[-`{-~]$/;
const ENTITY = /^&#?[A-Za-z0-9]{0,9};?$/;
/** `[^1]`, and the `[^1]:` in front of its text. */
const FOOTNOTE = /^\[\^(?:[^\s[\]]{0,32}|[^\s[\]]{1,32}\]:?)$/;
/** The end of `[text][1]`. */
const REFERENCE = /^\]\[[^[\]\n]{0,64}\]?$/;
/** What OpenAI's file search puts after a sentence: `【4:0†menu.pdf】`. `【重要】` is text. */
const CITATION = /^【[\d:]{1,12}(?:†[^【】\n]{0,100}】?)?$/;
const IMAGE = /^!\[$/;
const HEADING_END = /^#{1,64} {0,32}$/;
/** The short marks to which nothing can be added. */
const COMPLETE = /^(?:\\.|&.*;|\]\[.*\]|【.*】|!\[)$/;

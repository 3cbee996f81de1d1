import { isAsciiWord, isBlank, isSpace, lastOf, SILENT, UNSPACED } from './characters.ts';
import { destination, restOfTag, urlPath } from './dropped-text.ts';
import { EMOJI, EMOJI_PARTS, STYLE } from './emoji.ts';
import { Emphasis } from './emphasis.ts';
import { characterOf } from './entities.ts';
import { anyOf, LINE_END, mark, NEXT, tableOf, type Scanner } from './scanner.ts';
import type { Tidy } from './tidy.ts';

/** What ends plain text. An `h` or `w` may begin a URL, but not within a word. */
const SPECIAL = special('*_~`\\\\&[\\]【!#<|>');
const SPECIAL_IN_CODE = special('`|');
const HOST_LETTER = `(?:(?!${STYLE})[\\p{L}\\p{M}\\p{Nd}.-])`;
/** The first letter decides: a Chinese domain, or a Latin one that Chinese text may follow. */
const HOST = `(?:(?=${UNSPACED})${HOST_LETTER}{1,100}|(?:(?!${UNSPACED})${HOST_LETTER}){0,100})`;
/** A URL up to the end of its host. */
const ADDRESS = mark(
  anyOf('https://', 'http://', 'www.'), { source: `(?:${HOST}@)?` }, { source: `(${HOST})` }, NEXT,
);
const EMOJI_START = new RegExp(`^[${EMOJI_PARTS}]`, 'u');
const AUTOLINK = /^<(?:https?:|.*@)$/i;
/** Backticks within a line that begin a code block. */
const FENCE = mark('```', /`{0,996}/, /[^`\n\0]{0,100}/, /(?=\n)/);
/** Only HTML tags that models write count as tags. All others are text, including SSML. */
const BREAK = tag(
  'blockquote br caption dd details div dl dt figcaption figure h1 h2 h3 h4 h5 h6 hr li ol p pre '
  + 'section summary table td th tr ul',
);
const TAG = tag(
  'a abbr b big center cite code del em font i img ins kbd mark q s samp small span strike strong '
  + 'sub sup tbody tfoot thead tt u var',
);
/**
 * Beyond this many, the outermost bracket is forgotten and its partner spoken. No link is that
 * deep.
 */
const MAX_BRACKETS = 16;

function special(marks: string): RegExp {
  const silent = '\\p{Cc}\\p{Cf}\\p{Cs}\\u2028\\u2029\\ufff9-\\ufffc';
  return new RegExp(`(?=[${marks}${EMOJI_PARTS}${silent}])|(?<![A-Za-z0-9])(?=[hHwW])`, 'gu');
}

/**
 * A tag of one of these names, up to the value of its first attribute. It contains no empty line.
 */
function tag(names: string): RegExp {
  return mark(
    '<', /\/?/, anyOf(...names.split(' ')), /(?=[\s/>])/,
    /(?:[^\S\n]|\/|\n(?![^\S\n]{0,48}\n)){0,48}/, /[a-z0-9-]{0,47}/, />|(?<=[a-z0-9-])=/,
  );
}

/** Reads the text of a line: emphasis, code, links, URLs, tags, escapes, table cells. */
export class Inline {
  /** Set for a heading, in which a `##` at the end is a mark. */
  isHeading = false;
  /** Set for a table row, in which `|` is a mark. */
  hasCells = false;
  readonly #scanner: Scanner;
  readonly #tidy: Tidy;
  readonly #openFence: (fence: string) => void;
  #emphasis = new Emphasis();
  /** The open brackets: whether they are spoken, like those of `list[0]`. */
  #brackets: boolean[] = [];
  /** The previous character as it was written; '' at the start of a line. */
  #before = '';
  /** Number of backticks that opened the current code; 0 outside code. */
  #codeMarks = 0;
  /** Set by the `<` of an autolink: its `>` may follow. */
  #isAutolink = false;

  /** `openFence` is told of backticks within a line that begin a code block. */
  constructor(scanner: Scanner, tidy: Tidy, openFence: (fence: string) => void) {
    this.#scanner = scanner;
    this.#tidy = tidy;
    this.#openFence = openFence;
  }

  endLine(): void {
    this.#before = '';
    this.#isAutolink = false;
    this.#codeMarks = 0; // an unmatched backtick must not turn Markdown off for good
  }

  /** Emphasis and links end with their paragraph, heading or list item. */
  endParagraph(): void {
    this.#emphasis = new Emphasis();
    this.#brackets = [];
  }

  /** Takes text that is plain in this place. Returns false for any other. */
  pass(text: string): boolean {
    SPECIAL.lastIndex = 0;
    const isPlain = text !== '' && this.#codeMarks === 0 && !SPECIAL.test(text);
    if (isPlain) this.#say(text);
    return isPlain;
  }

  /** Reads some text of the line. Returns false if it needs more text. */
  read(): boolean {
    const plain = this.#scanner.takeUntil(this.#codeMarks > 0 ? SPECIAL_IN_CODE : SPECIAL);
    if (plain !== '') this.#say(plain);
    else {
      const isRead = this.#scanner.read(Inline.#marks, this);
      if (isRead === undefined) return false;
      if (!isRead) this.#say(this.#scanner.take());
    }
    return true;
  }

  #say(text: string): void {
    this.#tidy.write(text);
    this.#before = lastOf(text);
    if (this.#isAutolink && /\s/.test(text)) this.#isAutolink = false;
  }

  static readonly #marks = tableOf<Inline>([
    ['`', FENCE, (line, fence) => line.#openFence(fence), (line) => line.#codeMarks === 0],
    ['*_~`', mark(/([*_~`])\1{0,999}/, NEXT), (line, run) => line.#readRun(run)],
    ['\\', mark('\\', /[!-/:-@[-`{-~]|(?=\n)/), (line, text) => {
      // A backslash at the end of a line is a line break.
      if (text !== '\\') line.#say(text.slice(1));
    }],
    ['&', mark('&', /#?/, /[a-z0-9]{1,9}/, ';'), (line, entity) => {
      const character = characterOf(entity)?.replace(/\s/, ' ').replace(SILENT, '');
      if (character === undefined) return false;
      if (EMOJI_START.test(character)) line.#scanner.again(character);
      else if (character !== '') line.#say(character);
      return undefined;
    }],
    // A footnote, and what OpenAI's file search puts after a sentence: `【4:0†menu.pdf】`.
    ['[', mark('[^', /[^\s[\]\0]{1,32}/, ']', /:?/, NEXT), (line) => line.#tidy.leaveOut()],
    ['[', mark('[', NEXT), (line) => line.#openBracket()],
    ['【', mark('【', /[\d:]{1,12}/, '†', /[^【】\n\0]{0,100}/, '】'), (line) => line.#tidy.leaveOut()],
    [']', mark(']'), (line) => {
      line.#brackets.pop();
      line.#say(']');
    }, (line) => line.#brackets.at(-1) ?? true],
    [']', mark('][', /[^[\]\n\0]{0,64}/, ']'), (line) => line.#closeBracket(true)],
    [']', mark(']', NEXT), (line) => line.#closeBracket(false)],
    // Elsewhere a `!` ends a sentence, which must not be held back.
    ['!', mark('!', /(?=\[)/), () => undefined,
      (line) => isBlank(line.#before) || '[(*_|>"'.includes(line.#before)],
    ['#', mark(/#{1,64}/, /[ \t]{0,32}/, LINE_END), (line) => line.#tidy.leaveOut(),
      (line) => line.isHeading && isSpace(line.#before)],
    ['<', mark('<!--'), (line) => {
      line.#before = '<';
      line.#scanner.drop(restOfTag(true, () => line.#tidy.leaveOut()));
    }],
    ['<', mark('<', /[a-z][a-z0-9.+_-]{0,23}/, /[:@]/), (line, text) => {
      if (!AUTOLINK.test(text)) return false;
      line.#before = '<';
      line.#isAutolink = true;
      line.#scanner.again(text.slice(1));
      return undefined;
    }],
    ['<', BREAK, (line, text) => line.#readTag(text, true)],
    ['<', TAG, (line, text) => line.#readTag(text, false)],
    ['hHwW', ADDRESS, (line, _address, host) => line.#readUrl(host),
      (line) => !isAsciiWord(line.#before)],
    ['|', mark('|'), (line) => {
      line.#before = '|';
      line.#tidy.leaveOut('cell');
    }, (line) => line.hasCells],
    ['>', mark('>'), (line) => {
      line.#before = '>';
      line.#isAutolink = false;
    }, (line) => line.#isAutolink],
    ['', EMOJI, (line, emoji) => {
      line.#before = lastOf(emoji);
      line.#tidy.leaveOut();
    }],
    ['', mark({ source: STYLE }), (line, style) => { line.#before = style; }],
  ]);

  #readRun(run: string): void {
    const before = this.#before;
    const after = this.#scanner.next;
    const c = run.charAt(0);
    this.#before = c;
    if (c !== '`') {
      if (this.#emphasis.isText(c, run.length, before, after)) return this.#say(run);
    } else if (this.#codeMarks === run.length) this.#codeMarks = 0;
    else if (this.#codeMarks === 0 && run.length > (isBlank(after) ? 1 : 0)) {
      this.#codeMarks = run.length;
    }
    if (isBlank(before) && isBlank(after)) this.#tidy.leaveOut();
  }

  /**
   * After some characters a bracket opens an index, `list[0]`, or a citation, "Paris.[1]", not a
   * link. All others are removed: only once its text has been spoken is it known to be a link or
   * not.
   */
  #openBracket(): void {
    const before = this.#before;
    const isSpoken = isAsciiWord(before) || (before !== '' && '_].,'.includes(before));
    if (this.#brackets.length === MAX_BRACKETS) this.#brackets.shift();
    this.#brackets.push(isSpoken);
    if (isSpoken) this.#say('[');
    else this.#before = '[';
  }

  /** The end of `[text](address)`, of `[text][1]`, or of brackets that are not a link. */
  #closeBracket(isReference: boolean): void {
    const { next } = this.#scanner;
    this.#brackets.pop();
    this.#before = ']';
    if (isReference) return;
    if (next === '[') this.#say(' ');
    if (next !== '(') return;
    this.#scanner.take();
    this.#before = ')';
    this.#scanner.drop(destination());
  }

  #readTag(text: string, isBreak: boolean): void {
    const end = (): void => {
      if (isBreak) this.#tidy.leaveOut(this.hasCells ? 'cell' : 'line');
    };
    this.#before = '<';
    if (text.endsWith('>')) end();
    else this.#scanner.drop(restOfTag(false, end));
  }

  /** Says a host without `www.` and drops the path. */
  #readUrl(host: string): void | false {
    const trail = /[.-]*$/.exec(host)?.[0] ?? '';
    const name = host.slice(0, host.length - trail.length).replace(/^www\.(?=.*\.)/i, '');
    if (name === '') return false;
    this.#say(name);
    if (':/?#'.includes(this.#scanner.next)) this.#scanner.drop(urlPath());
    else this.#scanner.again(trail);
  }
}

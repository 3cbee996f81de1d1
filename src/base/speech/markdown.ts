import { END } from './characters.ts';
import { Containers } from './containers.ts';
import { fencedCode } from './fenced-code.ts';
import { Inline } from './inline.ts';
import { anyOf, BLANK, LINE_END, mark, NEXT, Scanner, tableOf } from './scanner.ts';
import type { Tidy } from './tidy.ts';

/** Not CommonMark's rule, which would take `[Chorus]: Hallelujah` for a definition. */
const ADDRESS = anyOf('https://', 'http://', '<https://', '<http://', 'www.', 'mailto:', '/');
/**
 * `[label]: https://example.com`. `[^1]` is a footnote. An address is tried only as a whole, up to
 * its first 999 characters.
 */
const DEFINITION = [
  '[', /(?!\^)[^[\]\n\0]{1,32}/, ']:', /[ \t]{0,16}/, ADDRESS,
  /(?=([^ \t\n\0]{0,999}))\1/, /[ \t]{0,16}/,
];
/** The title of a link on a line of its own. */
const TITLE = [
  '\n', /[ \t>]{0,16}/,
  /(?:"[^"\n\0]{0,100}(?:"|$)|'[^'\n\0]{0,100}(?:'|$)|\([^()\n\0]{0,100}(?:\)|$))/,
  /[ \t]{0,16}/, LINE_END,
];
/** Models wrap whole answers in such a fence: only its two lines are dropped. */
const TEXT = /^(?:text|txt|plain|plaintext|markdown|md)$/i;
const LINE_ENDS = `\n${END}`;
const MAX_RULE = 80;

/**
 * Passes the speakable part of Markdown to a `Tidy`. As far as possible it follows CommonMark
 * (https://spec.commonmark.org/0.31.2/), with GFM's tables. Handles the blocks itself; `Inline`
 * handles the text of their lines.
 */
export class Markdown {
  readonly #tidy: Tidy;
  readonly #scanner = new Scanner();
  readonly #containers = new Containers();
  readonly #inline: Inline;
  #state: 'line start' | 'line' = 'line start';
  /** Set by `--- | ---` until an empty line: rows need no leading `|` then. */
  #isTable = false;
  /** Number of `>` before an open fence around text; undefined if none is open. */
  #textQuotes: number | undefined;

  constructor(tidy: Tidy) {
    this.#tidy = tidy;
    this.#inline = new Inline(this.#scanner, tidy, (fence) => this.#openFence(fence));
  }

  /** Takes text that is plain in this place. Returns false for any other. */
  pass(text: string): boolean {
    return this.#state === 'line' && this.#scanner.isIdle && this.#inline.pass(text);
  }

  /** Takes the next piece of text, without silent characters; `END` comes last. */
  push(text: string): void {
    this.#scanner.add(text);
    while (this.#scanner.skipDropped() && this.#read());
  }

  /** Returns false if it needs more text. */
  #read(): boolean {
    const { next } = this.#scanner;
    if (next === END) this.#scanner.take();
    else if (next === '\n') {
      if (this.#state === 'line start') this.#endParagraph();
      this.#tidy.write(this.#scanner.take());
      this.#endLine();
    } else return this.#state === 'line' ? this.#inline.read() : this.#readLineStart();
    return true;
  }

  #readLineStart(): boolean {
    const spaces = this.#scanner.takeUntil(/(?=\S|\n)/g);
    if (spaces !== '') {
      this.#tidy.write(spaces);
      this.#containers.space(spaces);
      return true;
    }
    this.#containers.begin(this.#scanner.next);
    const isRead = this.#scanner.read(Markdown.#marks, this);
    if (isRead === false) {
      this.#inline.hasCells ||= this.#scanner.next === '|';
      this.#state = 'line';
    }
    return isRead !== undefined;
  }

  /** The marks of a line. "-5", "#1", ">= 5", "--flag" and "+49" are not marks. */
  static readonly #marks = tableOf<Markdown>([
    ['#', mark(/#{1,6}/, BLANK), (block) => {
      block.#endMark();
      block.#inline.isHeading = true;
    }],
    ['>', mark('>', /(?=[^\d=])/), (block) => {
      block.#containers.quotes++;
      block.#tidy.leaveOut();
    }],
    // `** ` is left over from split emphasis. It is removed like a bullet.
    ['*', mark(/\*{1,999}/, BLANK), (block, run) => block.#startItem(run)],
    ['_', mark('__', /_{0,998}/, BLANK), (block, run) => block.#startItem(run)],
    ['+', mark('+', BLANK), (block, bullet) => block.#startItem(bullet)],
    ['-', mark('-', /(?=[ \t])/), (block, bullet) => block.#startItem(bullet)],
    ['•◦‣▪●○·', mark(/./, NEXT), (block, bullet) => block.#startItem(bullet)],
    // The number is spoken. After its space the line begins again: `1. # Title`.
    ['0123456789', mark(/\d{1,9}/, /[.)]/, /(?=[ \t])/), (block, number) => {
      block.#containers.item(number);
      block.#inline.endParagraph();
      block.#tidy.write(number);
    }],
    ['`', mark('```', /`{0,996}/, /[^`\n\0]{0,100}/, LINE_END), (block, fence) =>
      block.#openFence(fence)],
    ['~', mark('~~~', /~{0,996}/, /[^\n\0]{0,100}/, LINE_END), (block, fence) =>
      block.#openFence(fence)],
    ['-:|', mark(/[-:|][-:| \t]{0,79}/, NEXT), (block, rule) => block.#readRule(rule, '-:| \t')],
    ['=', mark('===', /[= \t]{0,77}/, NEXT), (block, rule) => block.#readRule(rule, '= \t')],
    ['[', mark('[', /[ x]/, ']', BLANK), (block) => block.#endMark()],
    ['[', mark(...DEFINITION, ...TITLE), (block) => block.#leaveOutRule()],
    ['[', mark(...DEFINITION, /(?=["'(\n\0])|(?<=[^ \t]{999})/), (block) =>
      block.#leaveOutRule((c) => c !== '\n' && c !== END)],
    // The `[1]: ` before a source.
    ['[', mark('[', /\d{1,3}/, ']:', BLANK), (block) => block.#endMark()],
  ]);

  /** `---`, `===` and `|---|`. A longer one may end in text. */
  #readRule(rule: string, marks: string): void | false {
    const isRule = rule.startsWith('|') || /[-=]/.test(rule);
    if (rule.length < MAX_RULE && !(isRule && LINE_ENDS.includes(this.#scanner.next))) return false;
    if (rule.includes('-') && rule.includes('|')) this.#isTable = true;
    this.#leaveOutRule((c) => marks.includes(c));
  }

  /** Drops a mark, what belongs to it, and the line break if nothing else is on the line. */
  #leaveOutRule(isPart: (c: string) => boolean = () => false): void {
    this.#endMark();
    this.#scanner.drop((c) => (isPart(c) ? undefined : this.#leaveOutLineBreak(c)));
  }

  /** Returns the text to read again. */
  #leaveOutLineBreak(c: string): string {
    if (c !== '\n') return c;
    this.#endLine();
    return '';
  }

  /** Reads what follows a fence and its name. */
  #openFence(text: string): void {
    const [fence = ''] = /^(.)\1*/.exec(text) ?? [];
    const name = text.slice(fence.length).trim();
    const { quotes } = this.#containers;
    const isInText = this.#textQuotes !== undefined && this.#textQuotes <= quotes;
    if (TEXT.test(name) || (isInText && name === '')) {
      this.#textQuotes = name === '' ? undefined : quotes;
      return this.#leaveOutRule();
    }
    if (!isInText) this.#textQuotes = undefined;
    const code = fencedCode(fence, this.#containers, (isOutside) => {
      this.#tidy.leaveOut(isOutside ? 'line' : undefined);
      this.#inline.endLine();
      if (isOutside) this.#inline.endParagraph();
      this.#state = isOutside ? 'line start' : 'line';
    });
    this.#scanner.drop((c) => {
      const again = code(c);
      return again === c && this.#state === 'line' ? this.#leaveOutLineBreak(c) : again;
    });
  }

  /** A bullet, or `***`. Without text it is dropped with its line break. */
  #startItem(mark: string): void {
    this.#containers.item(mark);
    if (LINE_ENDS.includes(this.#scanner.next)) this.#leaveOutRule();
    else this.#leaveOutMark();
  }

  /** A mark that the line's text follows. */
  #endMark(): void {
    this.#leaveOutMark();
    this.#state = 'line';
  }

  #leaveOutMark(): void {
    this.#tidy.leaveOut();
    this.#inline.endParagraph();
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

import { isBlank, isDigit } from './characters.ts';

/**
 * The beginning of a line. `mark` is the mark as it was written. Read `again` as text: for `text`
 * it is everything that was held back.
 */
export interface LineMark {
  readonly kind: 'bullet' | 'task' | 'quote' | 'heading' | 'rule' | 'table' | 'fence' | 'text';
  readonly mark: string;
  readonly again: string;
}

/**
 * Reads what may be a block mark at the start of a line: `# `, `> `, `- `, `* `, `[x] `, `[1]: `,
 * `---`, `===`, `|---|`, fences. "-5", "#1", ">= 5", "--flag" and "+49" are text.
 */
export class LineMarkReader {
  #held: string;
  /** Where we are in the definition of a link. */
  #definition: 'none' | 'address' | 'gap' | 'title' | 'next line' = 'none';
  /** The line after a definition without a title: it may be the title. */
  #nextLine = '';

  constructor(first: string) {
    this.#held = first;
  }

  /** Whether `c` can begin a block mark. */
  static begins(c: string): boolean {
    return '#>+*_`~[-:=|'.includes(c);
  }

  /** Takes the next character, '' at the end. Returns undefined if it needs more. */
  read(c: string): LineMark | undefined {
    const held = this.#held;
    const first = held.charAt(0);
    switch (first) {
      case '#':
        if (c === '#' && held.length < MAX_HEADING) return this.#more(c);
        return this.#end(isBlank(c) ? 'heading' : 'text', c);
      case '>':
        return this.#end(isDigit(c) || c === '=' ? 'text' : 'quote', c);
      case '+':
        return this.#end(isBlank(c) ? 'bullet' : 'text', c);
      case '[':
        return this.#readBracket(c);
      case '*':
      case '_':
        return c === first ? this.#more(c) : this.#end(this.#runKind(c), c);
      case '`':
      case '~':
        return c === first
          ? this.#more(c)
          : this.#end(held.length >= MIN_FENCE ? 'fence' : 'text', c);
      default:
        return this.#readRule(c);
    }
  }

  /** `[x] `, the `[1]: ` in front of a source, or the definition of a link. */
  #readBracket(c: string): LineMark | undefined {
    if (this.#definition !== 'none') return this.#readDefinition(c);
    const text = this.#held + c;
    if (c !== '' && LABEL.test(text)) return this.#more(c);
    const target = TARGET.exec(text)?.[1]?.toLowerCase() ?? '';
    if (c !== '' && ADDRESSES.some((address) => target !== '' && address.startsWith(target))) {
      if (ADDRESSES.includes(target)) this.#definition = 'address';
      return this.#more(c);
    }
    if (TASK.test(this.#held) && isBlank(c)) return this.#end('task', c);
    const source = SOURCE.exec(c === '' ? `${text} ` : text)?.[1];
    return source === undefined ? this.#end('text', c) : this.#end('task', source);
  }

  /** `[label]: https://example.com "Title"`, unless more text follows than a title. */
  #readDefinition(c: string): LineMark | undefined {
    if (this.#definition === 'next line') return this.#readNextLine(c);
    if (c === '' || (c === '\n' && this.#definition === 'title')) return this.#end('rule', c);
    if (c === '\n') this.#definition = 'next line';
    else if (this.#definition === 'address') {
      if (c !== ' ') return this.#more(c);
      this.#definition = 'gap';
    } else if (this.#definition === 'gap' && c !== ' ') {
      if (!TITLE.includes(c)) return this.#end('text', ` ${c}`);
      this.#definition = 'title';
    }
    return undefined;
  }

  #readNextLine(c: string): LineMark | undefined {
    const line = this.#nextLine + c;
    const isEnd = c === '' || c === '\n';
    if (!isEnd && TITLE_BEGINNING.test(line)) {
      this.#nextLine = line;
      return undefined;
    }
    const isTitle = isEnd && TITLE_LINE.test(this.#nextLine);
    return this.#end('rule', isTitle ? c : `\n${line}`);
  }

  #runKind(c: string): LineMark['kind'] {
    if (!isBlank(c) || this.#held === '_') return 'text';
    // `** ` is left over from split emphasis. It is removed like a bullet.
    return this.#held.length > 1 && (c === '' || c === '\n') ? 'rule' : 'bullet';
  }

  #readRule(c: string): LineMark | undefined {
    const held = this.#held;
    if (held === '-' && c === ' ') return this.#end('bullet', c);
    if (c === '' || c === '\n') {
      if (held.includes('-')) return this.#end(held.includes('|') ? 'table' : 'rule', c);
      return this.#end(held.startsWith('|') || held.startsWith('===') ? 'rule' : 'text', c);
    }
    return (held.startsWith('=') ? '= ' : '-:| ').includes(c)
      ? this.#more(c)
      : this.#end('text', c);
  }

  #more(c: string): undefined {
    // A longer run is a rule of some kind, which is not spoken.
    if (this.#held.length < MAX_HELD) this.#held += c;
  }

  #end(kind: LineMark['kind'], c: string): LineMark {
    const mark = this.#held;
    return { kind, mark, again: kind === 'text' ? mark + c : c };
  }
}

const MAX_HEADING = 6;
const MIN_FENCE = 3;
/** A label that may follow. `[^1]` is a footnote. */
const LABEL = /^\[(?!\^)[^[\]\n]{1,32}(?:\](?:: *)?)?$/;
const TARGET = /^[^\]]*\]: *(.+)$/;
/** Not CommonMark's rule, which would take `[Chorus]: Hallelujah` for a definition. */
const ADDRESSES = ['https://', 'http://', '<https://', '<http://', 'www.', 'mailto:', '/'];
const TITLE = `"'(`;
/** A line that has only the title of a link, and what may become one. */
const TITLE_LINE = /^[ >]*(?:"[^"]*"|'[^']*'|\([^()]*\)) *$/;
const TITLE_BEGINNING = /^[ >]{0,16}(?:"[^"]{0,100}"?|'[^']{0,100}'?|\([^()]{0,100}\)?)? {0,16}$/;
const TASK = /^\[[ xX]\]$/;
const SOURCE = /^\[\d{1,3}\]:(\s[^]*)$/;
const MAX_HELD = 80;

import { isBlank, isDigit } from './characters.ts';

/**
 * The beginning of a line. `length` counts the marks of a fence. Read `again` as text: for `text`
 * it is everything that was held back.
 */
export interface LineMark {
  readonly kind: 'bullet' | 'task' | 'quote' | 'heading' | 'rule' | 'table' | 'fence' | 'text';
  readonly length: number;
  readonly again: string;
}

/**
 * Reads what may be a block mark at the start of a line: `# `, `> `, `- `, `* `, `[x] `, `[1]: `,
 * `---`, `===`, `|---|`, fences. "-5", "#1", ">= 5", "--flag" and "+49" are text.
 */
export class LineMarkReader {
  #held = '';

  /** Whether `c` can begin a block mark. */
  static begins(c: string): boolean {
    return '#>+*_`~[-:=|'.includes(c);
  }

  /** The mark's first character. */
  get first(): string {
    return this.#held.charAt(0);
  }

  start(first: string): void {
    this.#held = first;
  }

  /** Takes the next character, '' at the end. Returns undefined if it needs more. */
  read(c: string): LineMark | undefined {
    const held = this.#held;
    switch (this.first) {
      case '#':
        if (c === '#' && held.length < MAX_HEADING) return this.#more(c);
        return this.#end(isBlank(c) ? 'heading' : 'text', c);
      case '>':
        return this.#end(isDigit(c) || c === '=' ? 'text' : 'quote', c);
      case '+':
        return this.#end(isBlank(c) ? 'bullet' : 'text', c);
      case '[':
        return this.#readTask(c);
      case '*':
      case '_':
        return c === this.first ? this.#more(c) : this.#end(this.#runKind(c), c);
      case '`':
      case '~':
        return c === this.first
          ? this.#more(c)
          : this.#end(held.length >= MIN_FENCE ? 'fence' : 'text', c);
      default:
        return this.#readRule(c);
    }
  }

  /** `[x] `, and the `[1]: ` in front of a reference's target. */
  #readTask(c: string): LineMark | undefined {
    if (isDigit(this.#held.charAt(1) || c)) return this.#readDefinition(c);
    const expected = [' xX', ']'][this.#held.length - 1];
    if (expected === undefined) return this.#end(isBlank(c) ? 'task' : 'text', c);
    return c !== '' && expected.includes(c) ? this.#more(c) : this.#end('text', c);
  }

  #readDefinition(c: string): LineMark | undefined {
    const held = this.#held;
    if (held.endsWith(':')) return this.#end(isBlank(c) ? 'task' : 'text', c);
    const isMore = held.endsWith(']') ? c === ':' : isDigit(c) || c === ']';
    return isMore && held.length < MAX_DEFINITION ? this.#more(c) : this.#end('text', c);
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
    return { kind, length: this.#held.length, again: kind === 'text' ? this.#held + c : c };
  }
}

const MAX_HEADING = 6;
const MIN_FENCE = 3;
const MAX_DEFINITION = 6;
const MAX_HELD = 80;

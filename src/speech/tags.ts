import { isAsciiWord, isBlank, isSpace } from './characters.ts';

/**
 * The meaning of a `<`: a tag that breaks the line (`<br>`) or does not, a comment, an autolink
 * (whose `>` is still to come), or text. Read `again` as text.
 */
export interface AngleBracket {
  readonly kind: 'break' | 'tag' | 'comment' | 'autolink' | 'text';
  readonly again: string;
}

/**
 * Tells HTML tags and autolinks from `5 < 6`, `a<b`, `<3` and `List<String>`. Only HTML tags that
 * models write count as tags. All others are text, including SSML.
 */
export class TagReader {
  #stage: 'name' | 'attribute' | 'value' | 'comment' = 'name';
  /** The text after the `<`, while it may turn out not to be a tag. */
  #held = '';
  #name = '';
  #attribute = '';
  #quote = '';
  /** Dashes in a row: `-->` ends a comment. */
  #dashes = 0;
  /** Set while there is only white space since the line break. */
  #isLineStart = false;

  start(): void {
    this.#stage = 'name';
    this.#held = '';
    this.#name = '';
    this.#attribute = '';
    this.#quote = '';
    this.#dashes = 0;
    this.#isLineStart = false;
  }

  /** Takes the next character, '' at the end. Returns undefined if it needs more. */
  read(c: string): AngleBracket | undefined {
    const isEmptyLine = c === '\n' && this.#isLineStart;
    if (c === '' || isEmptyLine) return this.#breakOff(c);
    this.#isLineStart = c === '\n' || (this.#isLineStart && isSpace(c));
    if (this.#stage === 'name') return this.#readName(c);
    if (this.#stage === 'attribute') return this.#readAttribute(c);
    if (this.#stage === 'value') return this.#readValue(c);
    return this.#readComment(c);
  }

  #readName(c: string): AngleBracket | undefined {
    const held = this.#held;
    if (
      held === '' ? /^[a-z/!]$/i.test(c) : held.startsWith('!') ? c === '-' : isNameCharacter(c)
    ) {
      if (held.length === MAX_NAME) return this.#text(c);
      this.#held += c;
      if (this.#held === '!--') this.#stage = 'comment';
      return undefined;
    }
    const name = held.toLowerCase();
    if (c === ':' && (name === 'http' || name === 'https')) {
      return { kind: 'autolink', again: held + c };
    }
    if (c === '@' && isAsciiWord(held.charAt(0))) return { kind: 'autolink', again: held + c };
    this.#name = name.replace('/', '');
    if (!TAGS.has(this.#name)) return this.#text(c);
    if (c === '>') return this.#tag('');
    if (c !== '/' && !isSpace(c)) return this.#text(c);
    this.#held += c;
    this.#stage = 'attribute';
    return undefined;
  }

  #readAttribute(c: string): AngleBracket | undefined {
    if (c === '>') return this.#tag('');
    if (c === '=' && this.#attribute !== '') {
      this.#stage = 'value';
      return undefined;
    }
    const isAttribute = isAsciiWord(c) || c === '-';
    const isBetween = this.#attribute === '' && (isSpace(c) || c === '/');
    if (!(isAttribute || isBetween) || this.#held.length > MAX_HELD) return this.#text(c);
    if (isAttribute) this.#attribute += c;
    this.#held += c;
    return undefined;
  }

  #readValue(c: string): AngleBracket | undefined {
    if (this.#quote !== '') {
      if (c === this.#quote) this.#quote = '';
    } else if (c === '>') return this.#tag('');
    else if (c === '"' || c === "'") this.#quote = c;
    return undefined;
  }

  #readComment(c: string): AngleBracket | undefined {
    if (c === '>' && this.#dashes >= 2) return { kind: 'comment', again: '' };
    this.#dashes = c === '-' ? this.#dashes + 1 : 0;
    return undefined;
  }

  /** At the end of the paragraph or text: if this is no tag, its text is given back. */
  #breakOff(c: string): AngleBracket {
    const again = c === '' ? '' : '\n\n';
    if (this.#stage === 'value') return this.#tag(again);
    return this.#stage === 'comment' ? { kind: 'comment', again } : this.#text(c);
  }

  #tag(again: string): AngleBracket {
    return { kind: BREAKING.test(this.#name) ? 'break' : 'tag', again };
  }

  #text(c: string): AngleBracket {
    return { kind: 'text', again: this.#held + c };
  }
}

function isNameCharacter(c: string): boolean {
  return isAsciiWord(c) || (!isBlank(c) && '.-+_'.includes(c));
}

const TAGS = new Set(
  (
    'a abbr b big blockquote br caption center cite code dd del details div dl dt em figcaption '
    + 'figure font h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp section small span '
    + 'strike strong sub summary sup table tbody td tfoot th thead tr tt u ul var'
  ).split(' '),
);
const BREAKING = new RegExp(
  '^(?:blockquote|br|caption|dd|details|div|dl|dt|figcaption|figure|h[1-6r]|li|ol|p|pre|section|'
    + 'summary|t[dhr]|table|ul)$',
);
const MAX_NAME = 24;
const MAX_HELD = 48;

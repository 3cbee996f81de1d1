import { isAsciiWord, isSpace } from './characters.ts';

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
    const name = this.#held + c;
    if (NAME.test(name)) {
      this.#held = name;
      if (name === '!--') this.#stage = 'comment';
      return undefined;
    }
    if (AUTOLINK.test(name)) return { kind: 'autolink', again: name };
    this.#name = this.#held.toLowerCase().replace('/', '');
    const isTag = BREAKING_TAGS.has(this.#name) || INLINE_TAGS.has(this.#name);
    if (!isTag || !(c === '>' || c === '/' || isSpace(c))) return this.#text(c);
    if (c === '>') return this.#tag('');
    this.#held = name;
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

  /** At the end of the paragraph or text: if this is not a tag, its text is given back. */
  #breakOff(c: string): AngleBracket {
    const again = c === '' ? '' : '\n\n';
    if (this.#stage === 'value') return this.#tag(again);
    return this.#stage === 'comment' ? { kind: 'comment', again } : this.#text(c);
  }

  #tag(again: string): AngleBracket {
    return { kind: BREAKING_TAGS.has(this.#name) ? 'break' : 'tag', again };
  }

  #text(c: string): AngleBracket {
    return { kind: 'text', again: this.#held + c };
  }
}

/** What may become the name of a tag, the start of a comment, or an autolink. */
const NAME = /^(?:!-{0,2}|[a-z/][a-z0-9.+_-]{0,23})$/i;
const AUTOLINK = /^(?:https?:|[a-z0-9.+_-]+@)$/i;
const BREAKING_TAGS = new Set(
  (
    'blockquote br caption dd details div dl dt figcaption figure h1 h2 h3 h4 h5 h6 hr li ol p pre '
    + 'section summary table td th tr ul'
  ).split(' '),
);
const INLINE_TAGS = new Set(
  (
    'a abbr b big center cite code del em font i img ins kbd mark q s samp small span strike '
    + 'strong sub sup tbody tfoot thead tt u var'
  ).split(' '),
);
const MAX_HELD = 48;

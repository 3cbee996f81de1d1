import { isAsciiWord, isBlank, isUnspaced } from './characters.ts';

/**
 * Reads a word that may be a URL. Says its host without `www.` as soon as the host is complete, and
 * drops port, path, query and fragment.
 *
 * A URL ends where GFM says: punctuation at its end is text, and so is a `)` that the URL did not
 * open (https://github.github.com/gfm/#extended-autolink-path-validation).
 */
export class UrlReader {
  readonly #say: (text: string) => void;
  #stage: 'prefix' | 'host' | 'path' = 'prefix';
  #prefix: string;
  #host = '';
  /** Punctuation that is part of the URL only if more of it follows. */
  #trail = '';
  #openParentheses = 0;

  constructor(first: string, say: (text: string) => void) {
    this.#prefix = first;
    this.#say = say;
  }

  /**
   * Takes the next character, '' at the end. Returns undefined if it needs more, otherwise the text
   * that is to be read again.
   */
  read(c: string): string | undefined {
    if (this.#stage === 'prefix') return this.#readPrefix(c);
    if (this.#stage === 'host') return this.#readHost(c);
    return this.#readPath(c);
  }

  #readPrefix(c: string): string | undefined {
    const prefix = (this.#prefix + c).toLowerCase();
    if (c === '' || !PREFIXES.some((known) => known.startsWith(prefix))) {
      this.#say(this.#prefix);
      return c;
    }
    this.#prefix += c;
    if (PREFIXES.includes(prefix)) this.#stage = 'host';
    return undefined;
  }

  #readHost(c: string): string | undefined {
    if (this.#isHost(c) && this.#host.length < MAX_HOST) {
      this.#host += c;
      return undefined;
    }
    if (c === '@') {
      this.#host = ''; // it was a user name
      return undefined;
    }
    const trail = /[.-]*$/.exec(this.#host)?.[0] ?? '';
    const host = this.#host
      .slice(0, this.#host.length - trail.length)
      .replace(/^www\.(?=.*\.)/i, '');
    if (host === '') {
      this.#say(this.#prefix);
      return trail + c;
    }
    this.#say(host);
    if (c === '' || !':/?#'.includes(c)) return trail + c;
    this.#stage = 'path';
    // "Is it https://example.com?": a mark at the end belongs to the sentence.
    this.#trail = TRAILING.includes(c) ? c : '';
    return undefined;
  }

  #isHost(c: string): boolean {
    if (c <= '\x7f') return isAsciiWord(c) || c === '.' || c === '-';
    if (!LETTER.test(c)) return false;
    // Either a Chinese domain, or Chinese text right after a Latin domain. The first character
    // decides.
    return !isUnspaced(c) || this.#host === '' || isUnspaced(this.#host);
  }

  #readPath(c: string): string | undefined {
    if (isBlank(c) || ENDING.includes(c) || isForeign(c)) {
      return this.#trail + c;
    }
    if (c === '(') this.#openParentheses++;
    const closes = c === ')' && this.#openParentheses > 0;
    if (closes) this.#openParentheses--;
    if (TRAILING.includes(c) && !closes) {
      if (this.#trail.length < MAX_TRAIL) this.#trail += c;
    } else this.#trail = '';
    return undefined;
  }
}

/** Characters that people write directly after a URL. Inside a URL they would be escaped. */
function isForeign(c: string): boolean {
  return c > '\x7f' && (isUnspaced(c) || (c >= '\u2000' && c <= '\u206f'));
}

const PREFIXES = ['https://', 'http://', 'www.'];
/** Characters that a URL cannot contain, and `*`, which marks emphasis around it. */
const ENDING = '<>"`|]*';
const TRAILING = ".,;:!?')}_~";
const LETTER = /^[\p{L}\p{M}\p{Nd}]$/u;
const MAX_HOST = 100;
const MAX_TRAIL = 16;

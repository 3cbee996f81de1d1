/**
 * Removes the `(https://example.com "title")` of a link, which ends with its line at the latest. If
 * it is not a link, as in `[sic](and more)`, its text is given back, unless it has 64
 * characters or more.
 */
export class DestinationReader {
  #held = '(';
  /** Parentheses that the address has opened. */
  #depth = 0;
  #isAfterSpace = false;
  /** The quotation mark of the title. */
  #quote = '';
  #last = '';

  /**
   * Takes the next character, '' at the end. Returns undefined if it needs more, otherwise the text
   * that is to be read again.
   */
  read(c: string): string | undefined {
    const isEnd = this.#quote === '' ? this.#depth === 0 : this.#last === this.#quote;
    if (c === ')' && isEnd) return '';
    const isTitle = this.#quote !== '' || `"'`.includes(c);
    if (c === '' || c === '\n' || (this.#isAfterSpace && c !== ' ' && !isTitle)) {
      return this.#held.length === MAX_HELD ? c : this.#held + c;
    }
    if (c === '(') this.#depth++;
    else if (c === ')') this.#depth--;
    else if (c === ' ') this.#isAfterSpace = true;
    else if (this.#isAfterSpace && this.#quote === '') this.#quote = c;
    if (c !== ' ') this.#last = c;
    if (this.#held.length < MAX_HELD) this.#held += c;
    return undefined;
  }
}

const MAX_HELD = 64;

/** What a line must begin with to be in a quote or list item. */
export interface Container {
  /** Number of `>`. */
  readonly quotes: number;
  /** The first column at which its text may begin. A `>` has no width. */
  readonly column: number;
}

/**
 * The quotes and list items around the current line, from the marks and spaces that it begins
 * with. Only a code fence needs to know: it ends with its container.
 */
export class Containers implements Container {
  quotes = 0;
  column = 0;
  /** The open list items, outermost first. */
  #items: Container[] = [];

  /** The innermost container of the line. */
  get innermost(): Container {
    return { quotes: this.quotes, column: this.#items.at(-1)?.column ?? 0 };
  }

  startLine(): void {
    this.quotes = 0;
    this.column = 0;
  }

  /** White space at the start of the line. A tab is 4 columns wide. */
  space(text: string): void {
    for (const c of text) this.column += c === '\t' ? 4 : 1;
  }

  /** `c` begins the line's text or its next mark. Items that begin further right are over. */
  begin(c: string): void {
    this.#items = this.#items.filter(({ quotes, column }) =>
      quotes > this.quotes ? c === '>' : column <= this.column,
    );
  }

  /** The mark of a list item. Deeper ones are not kept, so memory stays bounded. */
  item(mark: string): void {
    this.column += mark.length;
    if (this.column < MAX_COLUMN) {
      this.#items.push({ quotes: this.quotes, column: this.column + 1 });
    }
  }
}

const MAX_COLUMN = 64;

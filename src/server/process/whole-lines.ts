/**
 * A line longer than this many UTF-16 code units is ended here. The log's own lines are shorter.
 */
const MAX_LINE_LENGTH = 65_536;

/** Reassembles the lines of a stream that arrives in arbitrary pieces. */
export class WholeLines {
  readonly #write: (lines: string) => void;
  #begun = '';

  /** `write` gets whole lines, each with its `\n`. */
  constructor(write: (lines: string) => void) {
    this.#write = write;
  }

  push(text: string): void {
    const end = text.lastIndexOf('\n') + 1;
    if (end > 0) {
      this.#write(this.#begun + text.slice(0, end));
      this.#begun = '';
    }
    this.#begun += text.slice(end);
    if (this.#begun.length > MAX_LINE_LENGTH) this.end();
  }

  end(): void {
    if (this.#begun !== '') this.#write(`${this.#begun}\n`);
    this.#begun = '';
  }
}

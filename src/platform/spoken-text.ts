/** What a caller can have heard of a text by some time. */
export interface Heard {
  /** The beginning of the text, up to the last word that was spoken to its end. */
  readonly text: string;
  readonly words: number;
}

interface SpokenWord {
  /** Where it ends in the text, the marks behind it included. */
  end: number;
  /** Milliseconds, on the clock of those who ask. */
  spokenAtMs: number;
}

const MINUTE_MS = 60_000;
const words = new Intl.Segmenter(undefined, { granularity: 'word' });

/**
 * A text as a voice would speak it while it arrives: a steady number of words a minute, none before it is there, one after the
 * other. Words are Unicode's (UAX #29), so that scripts without spaces have some too.
 */
export class SpokenText {
  readonly #wordMs: number;
  readonly #spoken: SpokenWord[] = [];
  #text = '';
  /** Where the word begins that the next piece may continue. */
  #openFrom = 0;

  constructor(wordsPerMinute: number) {
    this.#wordMs = MINUTE_MS / wordsPerMinute;
  }

  get text(): string {
    return this.#text;
  }

  /** Adds a piece that arrived at that time; times go forward. */
  add(piece: string, atMs: number): void {
    this.#text += piece;
    // The last word is looked at again with each piece, for it may have been half a word. One that has not grown keeps its time.
    let reopened = this.#spoken.pop();
    for (const { segment, index, isWordLike } of words.segment(this.#text.slice(this.#openFrom))) {
      const start = this.#openFrom + index;
      const end = start + segment.length;
      const last = this.#spoken.at(-1);
      if (isWordLike === true) {
        if (reopened !== undefined && end <= reopened.end) this.#spoken.push(reopened);
        else this.#spoken.push({ end, spokenAtMs: Math.max(last?.spokenAtMs ?? atMs, atMs) + this.#wordMs });
        reopened = undefined;
      } else if (last?.end === start && segment.trim() !== '') last.end = end; // marks belong to the word before them
    }
    this.#openFrom = this.#spoken.at(-2)?.end ?? 0;
  }

  /** What can have been heard by that time: all of the text when its last word was spoken. */
  heardBy(atMs: number): Heard {
    const count = this.#spoken.filter(({ spokenAtMs }) => spokenAtMs <= atMs).length;
    if (count === this.#spoken.length) return { text: count === 0 ? '' : this.#text, words: count };
    return { text: this.#text.slice(0, this.#spoken[count - 1]?.end ?? 0), words: count };
  }

  /** When the last word will have been spoken; undefined for a text without words. */
  get endsAtMs(): number | undefined {
    return this.#spoken.at(-1)?.spokenAtMs;
  }
}

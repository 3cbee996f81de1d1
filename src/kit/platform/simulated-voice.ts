/** What a caller can have heard of a text at a given time. */
export interface Heard {
  /** The beginning of the text, up to the last word that was spoken completely. */
  readonly text: string;
  readonly words: number;
}

interface SpokenWord {
  /** Where it begins and ends in the text. */
  readonly start: number;
  readonly wordEnd: number;
  /** The end including the punctuation after it. */
  end: number;
  /** Milliseconds, on the clock of the caller of `add`. */
  readonly spokenAtMs: number;
}

/** The pace of an ordinary voice. */
export const WORDS_PER_MINUTE = 170;
const MINUTE_MS = 60_000;
/**
 * A longer word is taken as complete. Looking at it again with each piece would take time quadratic
 * in its length.
 */
const MAX_WORD_LENGTH = 256;
/** Finding words takes time quadratic in the length of a text, so a long piece comes in slices. */
const SLICES = /[^]{1,6000}(?=\s|$)|[^]{6000}/g;
const words = new Intl.Segmenter(undefined, { granularity: 'word' });

/**
 * Simulates a voice that speaks text while it is arriving: at a steady pace, one word after the
 * other, and none before it has arrived. Words are Unicode's (UAX #29), so scripts without spaces
 * have words too.
 */
export class SimulatedVoice {
  readonly #wordMs: number;
  readonly #spoken: SpokenWord[] = [];
  #text = '';

  constructor(wordsPerMinute = WORDS_PER_MINUTE) {
    this.#wordMs = MINUTE_MS / wordsPerMinute;
  }

  get text(): string {
    return this.#text;
  }

  /** Adds a piece that arrived at this time. Times must not go back. */
  add(piece: string, atMs: number): void {
    for (const [slice] of piece.matchAll(SLICES)) this.#addSlice(slice, atMs);
  }

  #addSlice(piece: string, atMs: number): void {
    const known = this.#text.length;
    this.#text += piece;
    // The last word is examined again, because the new piece may continue it. That is also true if
    // one punctuation mark follows it, which may be inside a word (can't, 3.5). A word that has not
    // grown keeps its time.
    let reopened = this.#mayGrow(this.#spoken.at(-1), known) ? this.#spoken.pop() : undefined;
    const from = reopened?.start ?? known;
    for (const { segment, index, isWordLike } of words.segment(this.#text.slice(from))) {
      const start = from + index;
      const end = start + segment.length;
      const last = this.#spoken.at(-1);
      if (isWordLike === true) {
        const spokenAtMs =
          end === reopened?.wordEnd
            ? reopened.spokenAtMs
            : Math.max(last?.spokenAtMs ?? atMs, atMs) + this.#wordMs;
        this.#spoken.push({ start, wordEnd: end, end, spokenAtMs });
        reopened = undefined;
      // Marks belong to the word before them.
      } else if (last?.end === start && segment.trim() !== '') last.end = end;
    }
  }

  #mayGrow(word: SpokenWord | undefined, end: number): boolean {
    if (word === undefined || end - word.start > MAX_WORD_LENGTH) return false;
    return (
      end - word.wordEnd <= 1
      && this.#text.slice(word.wordEnd, end).trim() === this.#text.slice(word.wordEnd, end)
    );
  }

  /** The number of words that have arrived. */
  get words(): number {
    return this.#spoken.length;
  }

  /** What can have been heard at this time. All of the text once its last word has been spoken. */
  heardBy(atMs: number): Heard {
    return this.first(this.#spoken.filter(({ spokenAtMs }) => spokenAtMs <= atMs).length);
  }

  /** The text up to the end of this many words, or all of it if it has no more. */
  first(words: number): Heard {
    const count = Math.min(words, this.#spoken.length);
    if (count === this.#spoken.length) return { text: count === 0 ? '' : this.#text, words: count };
    return { text: this.#text.slice(0, this.#spoken[count - 1]?.end ?? 0), words: count };
  }

  /** When the last word will have been spoken; undefined for a text without words. */
  get endsAtMs(): number | undefined {
    return this.#spoken.at(-1)?.spokenAtMs;
  }
}

import { isAsciiWord, isBlank, isDigit, isPunctuation, isUnspaced, isWord } from './characters.ts';

/**
 * Tells runs of `*`, `_` and `~` that mark emphasis from those that are meant literally: `2*3`,
 * `snake_case`, `~5`.
 *
 * Follows CommonMark's flanking rules
 * (https://spec.commonmark.org/0.31.2/#left-flanking-delimiter-run), but never looks ahead: a mark
 * in an opening position is removed at once, even if it is never closed.
 */
export class Emphasis {
  /** How many are open: emphasis may contain emphasis with the same mark. */
  #openStars = 0;
  #isDoubleStarOpen = false;
  /** Counted one by one: `___` may close a `_` and a `__`. */
  #openUnderscores = 0;

  /** Whether a run of marks between two characters is meant literally. */
  isText(mark: string, length: number, before: string, after: string): boolean {
    if (mark === '*') return this.#areStarsText(length, before, after);
    if (mark === '_') return this.#areUnderscoresText(length, before, after);
    return length === 1;
  }

  #areStarsText(length: number, before: string, after: string): boolean {
    if (after === EMOJI_STYLE) return true; // the keycap *️⃣
    // Digits come first, even inside emphasis: a spoken star is ugly, but a product that turns into
    // one number is wrong.
    if (length < 3 && isDigit(before) && isDigit(after)) return true;
    if (length === 2) return this.#isPower(before, after);
    return this.#isStarText(before, after) && length === 1;
  }

  #isStarText(before: string, after: string): boolean {
    if (this.#openStars > 0 && canClose(before, after)) {
      this.#openStars--;
      return false;
    }
    const isProduct =
      (isAsciiWord(before) || before === ')') && (isAsciiWord(after) || after === '(');
    if (isProduct || !canOpen(before, after)) return true;
    this.#openStars++;
    return false;
  }

  /** An unpaired `**` is dropped, too. It is spoken only as a power: `2 ** 3`, `x**2`. */
  #isPower(before: string, after: string): boolean {
    const isPower = isBlank(before)
      ? isBlank(after)
      : isAsciiWord(before) && isAsciiWord(after) && (isDigit(before) || isDigit(after));
    if (isPower && !this.#isDoubleStarOpen) return true;
    this.#isDoubleStarOpen = canOpen(before, after);
    return false;
  }

  #areUnderscoresText(length: number, before: string, after: string): boolean {
    if (length > 3) return false;
    if (before === after && isPunctuation(before)) return true; // ^_^
    if (this.#openUnderscores > 0 && !isBlank(before) && (isBlank(after) || isPunctuation(after))) {
      this.#openUnderscores = Math.max(0, this.#openUnderscores - length);
      return false;
    }
    if (isBlank(after) || isWord(before)) return length < 3;
    this.#openUnderscores += length;
    return false;
  }
}

/** Whether the run is left-flanking, in CommonMark's terms. */
function canOpen(before: string, after: string): boolean {
  return !isBlank(after) && (!isPunctuation(after) || isBlank(before) || isPunctuation(before));
}

/**
 * Whether the run is right-flanking. Not CommonMark's rule in scripts without spaces, where models
 * close after punctuation, as in "*注意：*请".
 */
function canClose(before: string, after: string): boolean {
  if (isBlank(before)) return false;
  return !isPunctuation(before) || !isWord(after) || isUnspaced(after);
}

const EMOJI_STYLE = '\ufe0f';

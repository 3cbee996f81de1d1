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

  /** Call it for a new paragraph or list item. */
  reset(): void {
    this.#openStars = 0;
    this.#isDoubleStarOpen = false;
    this.#openUnderscores = 0;
  }

  /** The spoken part of a run of `length` marks between two characters: the whole run, or ''. */
  read(mark: string, length: number, before: string, after: string): string {
    if (mark === '*') return this.#stars(length, before, after);
    if (mark === '_') return this.#underscores(length, before, after);
    return length === 1 ? '~' : '';
  }

  #stars(length: number, before: string, after: string): string {
    if (after === EMOJI_STYLE) return '*'; // the keycap *️⃣
    // Digits come first, even inside emphasis: a spoken star is ugly, but a product that turns into
    // one number is wrong.
    if (length < 3 && isDigit(before) && isDigit(after)) return '*'.repeat(length);
    if (length === 2) return this.#doubleStar(before, after);
    const spoken = this.#star(before, after);
    return length === 1 ? spoken : '';
  }

  #star(before: string, after: string): string {
    if (this.#openStars > 0 && canClose(before, after)) {
      this.#openStars--;
      return '';
    }
    const isProduct =
      (isAsciiWord(before) || before === ')') && (isAsciiWord(after) || after === '(');
    if (isProduct || !canOpen(before, after)) return '*';
    this.#openStars++;
    return '';
  }

  /** Half a pair is left out, too. Only a power is spoken: `2 ** 3`, `x**2`. */
  #doubleStar(before: string, after: string): string {
    const isPower = isBlank(before)
      ? isBlank(after)
      : isAsciiWord(before) && isAsciiWord(after) && (isDigit(before) || isDigit(after));
    if (isPower && !this.#isDoubleStarOpen) return '**';
    this.#isDoubleStarOpen = canOpen(before, after);
    return '';
  }

  #underscores(length: number, before: string, after: string): string {
    if (length > 3) return '';
    if (before === after && isPunctuation(before)) return '_'.repeat(length); // ^_^
    if (this.#openUnderscores > 0 && !isBlank(before) && (isBlank(after) || isPunctuation(after))) {
      this.#openUnderscores = Math.max(0, this.#openUnderscores - length);
      return '';
    }
    if (!isBlank(after) && !isWord(before)) {
      this.#openUnderscores += length;
      return '';
    }
    return length === 3 ? '' : '_'.repeat(length);
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

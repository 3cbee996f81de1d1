// Finds the exchanges of a platform's transcript among ours.

import {
  beginAlike, beginningOf, lettersOf, saysSame, type Beginning,
} from './spoken-words.ts';

/** What the caller said, and what was said to them until they spoke again. */
export interface Exchange {
  /** Undefined for what was said before the caller's first words. */
  readonly words: string | undefined;
  /** One of ours is '' for a turn that said nothing, or nothing yet. */
  readonly replies: readonly string[];
}

/** Indices of an exchange of theirs and of the same one of ours. */
export type Pair = readonly [theirs: number, ours: number];

/** More of ours are not looked at. */
const MOST_OURS = 60;

/**
 * The exchanges that are in both lists, oldest first: from the last one back to the first place
 * that is certain. That is two exchanges in a row, or one that is the first of both lists. Without
 * such a place, it is the oldest exchange whose words are there once in each. Empty if no place is
 * certain.
 *
 * `ours` and `theirs` are in order. What the caller said decides; where words repeat, so do the
 * replies.
 */
export function align(theirs: readonly Exchange[], ours: readonly Exchange[]): readonly Pair[] {
  const skipped = Math.max(0, ours.length - MOST_OURS);
  const told = theirs.map(compared);
  const own = ours.slice(skipped).map(compared);
  // Nearly always their last exchange is our last one, or the one before.
  const pairs =
    pairsFromEnd(told, own, 0)
    ?? pairsFromEnd(told, own, 1)
    ?? fromAnchor(longestCommon(told, own), told, own);
  return skipped === 0 ? pairs : pairs.map(([i, j]) => [i, skipped + j]);
}

/** An exchange whose texts are prepared once, for many comparisons. */
class Compared {
  readonly #exchange: Exchange;
  #key: string | undefined;
  #beginnings: readonly Beginning[] | undefined;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  get hasWords(): boolean {
    return this.#exchange.words !== undefined;
  }

  /** A text that is equal for exchanges with the same words. '' for one without. */
  get key(): string {
    const { words = '' } = this.#exchange;
    return (this.#key ??= lettersOf(words) || words);
  }

  /** How each reply begins that has a word. */
  get beginnings(): readonly Beginning[] {
    return (this.#beginnings ??= this.#exchange.replies
      .map(beginningOf)
      .filter(({ letters }) => letters !== ''));
  }
}

function compared(exchange: Exchange): Compared {
  return new Compared(exchange);
}

/**
 * The last two exchanges, if both lists end with the same two, and the caller's words differ in
 * them. So it is nearly always, and only the end of the lists has to be looked at. Otherwise
 * undefined. Indices in `ours` are counted from the end of what is given.
 */
export function alignEnds(
  theirs: readonly Exchange[], ours: readonly Exchange[],
): readonly Pair[] | undefined {
  const [i, j] = [theirs.length - 1, ours.length - 1];
  const pairs = [[theirs[i - 1], ours[j - 1]], [theirs[i], ours[j]]] as const;
  for (const [their, our] of pairs) {
    if (their === undefined || our === undefined || their.words !== our.words) return undefined;
    if (their.replies.length === 1 && their.replies[0] === our.replies[0]) continue;
    if (!repliesAgree(compared(their), compared(our))) return undefined;
  }
  const [earlier, last] = [theirs[i - 1]?.words ?? '', theirs[i]?.words ?? ''];
  if (saysSame(earlier, last)) return undefined;
  return [[i - 1, j - 1], [i, j]];
}

/**
 * Compares one by one from the end, without the last `behind` of ours. Words that repeat are not
 * enough: they may have been said once more in one list.
 */
function pairsFromEnd(
  theirs: readonly Compared[],
  ours: readonly Compared[],
  behind: number,
): readonly Pair[] | undefined {
  const pairs: Pair[] = [];
  let [i, j] = [theirs.length - 1, ours.length - 1 - behind];
  for (; i >= 0 && j >= 0; i--, j--) {
    const [their, our, newer] = [theirs[i], ours[j], theirs[i + 1]];
    if (their === undefined || our === undefined) return undefined;
    if (!isSame(their, our) || !repliesAgree(their, our)) return undefined;
    pairs.unshift([i, j]);
    if (newer === undefined || isSame(their, newer)) continue;
    // Without our newest exchange, the two in a row may be others than those that were said last.
    const isCertain = behind === 0 || [i, i + 1].some((index) => isOnlyOne(index, theirs, ours));
    if (isCertain) return pairs;
  }
  const areBothWhole = i === j && pairs.length > 0;
  return areBothWhole || isOnlyOne(i + 1, theirs, ours) ? pairs : undefined;
}

/** Whether the pair at the index is the first of both lists, or one of two in a row. */
function isAnchor(pairs: readonly Pair[], index: number): boolean {
  const [pair, next] = [pairs[index], pairs[index + 1]];
  if (pair === undefined) return false;
  const [i, j] = pair;
  return (i === 0 && j === 0) || (next?.[0] === i + 1 && next[1] === j + 1);
}

/** Whether their exchange is there once in each list, by its words and what followed them. */
function isOnlyOne(
  index: number, theirs: readonly Compared[], ours: readonly Compared[],
): boolean {
  const exchange = theirs[index];
  if (exchange?.hasWords !== true) return false;
  const isAlike = (other: Compared): boolean =>
    isSame(other, exchange) && repliesAgree(exchange, other);
  return theirs.filter(isAlike).length === 1 && ours.filter(isAlike).length === 1;
}

/** The pairs from the place on that is certain. */
function fromAnchor(
  pairs: readonly Pair[], theirs: readonly Compared[], ours: readonly Compared[],
): readonly Pair[] {
  const newest = pairs.findLastIndex((_pair, index) => isAnchor(pairs, index));
  const anchor = newest >= 0 ? newest : pairs.findIndex(([i]) => isOnlyOne(i, theirs, ours));
  if (anchor >= 0) return pairs.slice(anchor);
  const [their, our] = [theirs[0], ours[0]];
  // Equal words were paired with later ones.
  const areFirst = their?.hasWords === true && our !== undefined && isSame(their, our);
  return areFirst && repliesAgree(their, our) ? [[0, 0]] : [];
}

function isSame(a: Compared, b: Compared): boolean {
  return a.hasWords === b.hasWords && a.key === b.key;
}

/** Whether some replies begin alike. */
export function repliesAreAlike(their: Exchange, our: Exchange): boolean {
  return similarity(compared(their), compared(our)) > 0;
}

/** False if the replies are certain to be others: then the words were said twice. */
function repliesAgree(their: Compared, our: Compared): boolean {
  return similarity(their, our) >= 0;
}

/** 1 if some replies begin alike, -1 if none do, 0 if one side says nothing. */
function similarity(
  { beginnings: told }: Compared, { beginnings: said }: Compared,
): -1 | 0 | 1 {
  if (told.length === 0 || said.length === 0) return 0;
  return told.some((a) => said.some((b) => beginAlike(a, b))) ? 1 : -1;
}

/** Agreeing words count more than any replies. */
const WORDS_COUNT = 4;

/** What a pair counts. Without words only replies say that two exchanges are the same. */
function gainOf(hasWords: boolean, alike: -1 | 0 | 1): number {
  return !hasWords && alike < 1 ? 0 : WORDS_COUNT + 2 * alike;
}

/** The most pairs that are in order. Of several such lists the one with the newest pairs. */
function longestCommon(
  theirs: readonly Compared[], ours: readonly Compared[],
): readonly Pair[] {
  const width = ours.length + 1;
  /** The best count for what comes before theirs[i] and ours[j], at i * width + j. */
  const best = new Int32Array((theirs.length + 1) * width);
  const gains = new Int8Array(best.length);
  for (const [i, their] of theirs.entries()) {
    for (const [j, our] of ours.entries()) {
      const isPair = isSame(their, our);
      const gain = isPair ? gainOf(their.hasWords, similarity(their, our)) : 0;
      const here = i * width + j;
      gains[here] = gain;
      best[here + width + 1] = Math.max(
        best[here + width] ?? 0, best[here + 1] ?? 0, gain > 0 ? (best[here] ?? 0) + gain : 0,
      );
    }
  }
  const pairs: Pair[] = [];
  let [i, j] = [theirs.length, width - 1];
  while (i > 0 && j > 0) {
    const here = (i - 1) * width + (j - 1);
    const gain = gains[here] ?? 0;
    const reached = best[here + width + 1] ?? 0;
    if (gain > 0 && reached === (best[here] ?? 0) + gain) {
      i -= 1;
      j -= 1;
      pairs.unshift([i, j]);
    } else if (reached === (best[here + width] ?? 0)) j -= 1;
    else i -= 1;
  }
  return pairs;
}

// Matches the exchanges of a platform's transcript with our own.

import {
  beginningOf, lettersOf, likenessOf, saysSame, type Beginning, type Likeness,
} from './spoken-words.ts';

/** What the caller said, and what was said to them until they spoke again. */
export interface Exchange {
  /** Undefined for what was said before the caller's first words. */
  readonly words: string | undefined;
  /** In our exchanges, '' stands for a turn that has said nothing, or nothing yet. */
  readonly replies: readonly string[];
}

/** The indices of an exchange in their list and of the same one in ours. */
export type Pair = readonly [theirs: number, ours: number];

/** How many of our last exchanges are compared. */
const MOST_OURS = 60;

/**
 * Pairs the exchanges that are in both lists, oldest first. The pairs begin at the newest place
 * that is certainly the same in both: two exchanges in a row, or the first one of both lists.
 * Without such a place, they begin at the oldest pair whose exchanges fit no others. Empty if no
 * place is certain.
 *
 * Both lists are in order. Exchanges are compared by the caller's words and, where these repeat, by
 * the replies.
 */
export function align(theirs: readonly Exchange[], ours: readonly Exchange[]): readonly Pair[] {
  const skipped = Math.max(0, ours.length - MOST_OURS);
  const told = theirs.map(compared);
  const own = ours.slice(skipped).map(compared);
  // Nearly always their last exchange is our last one, or the one before that.
  const pairs =
    pairsFromEnd(told, own, 0, 2)
    ?? pairsFromEnd(told, own, 1, 2)
    ?? pairsFromEnd(told, own, 0, 1)
    ?? pairsFromEnd(told, own, 1, 1)
    ?? fromLikeness(told, own);
  return skipped === 0 ? pairs : pairs.map(([i, j]) => [i, skipped + j]);
}

/**
 * If words repeat, replies that are merely alike must not cost us several of our newest exchanges,
 * as long as those may be theirs, too.
 */
function fromLikeness(theirs: readonly Compared[], ours: readonly Compared[]): readonly Pair[] {
  const pairs = fromAnchor(longestCommon(theirs, ours), theirs, ours);
  const rest = ours.length - 1 - (pairs.at(-1)?.[1] ?? ours.length - 1);
  return rest > 1 ? (allFromEnd(theirs, ours) ?? pairs) : pairs;
}

/** All of their exchanges, if there are at least two and they may be our last ones. */
function allFromEnd(
  theirs: readonly Compared[],
  ours: readonly Compared[],
): readonly Pair[] | undefined {
  const before = ours.length - theirs.length;
  if (theirs.length < 2 || before < 0) return undefined;
  const may = theirs.every((their, i) => {
    const our = ours[before + i];
    return our !== undefined && isSame(their, our) && repliesAgree(their, our);
  });
  return may ? theirs.map((_their, i) => [i, before + i]) : undefined;
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

  /** Equal for exchanges with the same words. '' for one without words. */
  get key(): string {
    const { words = '' } = this.#exchange;
    return (this.#key ??= lettersOf(words) || words);
  }

  get hasReplies(): boolean {
    return this.beginnings.length > 0;
  }

  /** The beginning of each reply that has a word. */
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
 * Pairs the last two exchanges, if both lists end with the same two and the caller's words differ
 * between them. This is nearly always so, and needs only the ends of the lists. Otherwise
 * undefined.
 */
export function alignEnds(
  theirs: readonly Exchange[],
  ours: readonly Exchange[],
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
 * Pairs exchanges one by one from the end, leaving out our last `behind`. Repeated words alone
 * prove nothing: one list may have them once more than the other. If their list was cut and begins
 * with replies, those must be alike at least to the degree `least`.
 */
function pairsFromEnd(
  theirs: readonly Compared[],
  ours: readonly Compared[],
  behind: number,
  least: Likeness,
): readonly Pair[] | undefined {
  const pairs: Pair[] = [];
  let [i, j] = [theirs.length - 1, ours.length - 1 - behind];
  if (behind > 0 && areMoreLikeNewer(theirs, ours)) return undefined;
  for (; i >= 0 && j >= 0; i--, j--) {
    const [their, our, newer] = [theirs[i], ours[j], theirs[i + 1]];
    if (their === undefined || our === undefined) return undefined;
    if (i === 0 && pairs.length > 0 && isCutAfterWords(their, our, ours[0], least))
      return pairs;
    if (!isSame(their, our) || !repliesAgree(their, our)) return undefined;
    pairs.unshift([i, j]);
    if (newer === undefined || isSame(their, newer)) continue;
    // If our newest exchange is left out, two in a row may be earlier ones with the same words.
    const isCertain =
      behind === 0 || pairs.slice(0, 2).some((pair) => fitsOnly(pair, theirs, ours));
    if (isCertain) return pairs;
  }
  const [first] = pairs;
  return first !== undefined && (i === j || fitsOnly(first, theirs, ours)) ? pairs : undefined;
}

/** Whether the pair at the index is the first of both lists, or one of two in a row. */
function isAnchor(pairs: readonly Pair[], index: number): boolean {
  const [pair, next] = [pairs[index], pairs[index + 1]];
  if (pair === undefined) return false;
  const [i, j] = pair;
  return (i === 0 && j === 0) || (next?.[0] === i + 1 && next[1] === j + 1);
}

/**
 * Whether their last replies to repeated words are more like our last ones than like the ones
 * before those.
 */
function areMoreLikeNewer(theirs: readonly Compared[], ours: readonly Compared[]): boolean {
  let gain = 0;
  for (let back = 1; back <= theirs.length; back++) {
    const [their, newer, our] = [theirs.at(-back), ours.at(-back), ours.at(-back - 1)];
    if (their === undefined || newer === undefined || our === undefined) break;
    // The replies at the beginning of a list that was cut prove as much.
    const isCut = !their.hasWords && back === theirs.length;
    if (!isCut && (!isSame(their, newer) || !isSame(their, our))) break;
    // A reply we do not know came after our newest request, which listed all earlier ones.
    if (back === 1 && their.hasReplies && !newer.hasReplies && !our.hasReplies) return true;
    gain += REPLIES_COUNT[similarity(their, newer)] - REPLIES_COUNT[similarity(their, our)];
  }
  return gain > 0;
}

/** Whether `one` has the same words as `their`, and more similar replies than `other` has. */
function isMoreLike(
  their: Compared | undefined,
  one: Compared | undefined,
  other: Compared | undefined,
): boolean {
  if (their === undefined || one === undefined || other === undefined) return false;
  return isSame(their, one) && similarity(their, one) > similarity(their, other);
}

/** Whether the two are more alike than either is like any other with the same words. */
function fitsOnly([i, j]: Pair, theirs: readonly Compared[], ours: readonly Compared[]): boolean {
  const [their, our] = [theirs[i], ours[j]];
  if (their?.hasWords !== true || our === undefined) return false;
  const likeness = similarity(their, our);
  const others = (list: readonly Compared[], one: Compared): readonly Compared[] =>
    list.filter((other) => other !== one && isSame(other, one));
  return (
    others(ours, our).every((other) => similarity(their, other) < likeness)
    && others(theirs, their).every((other) => similarity(other, our) < likeness)
  );
}

/** The pairs from the anchor onwards: see `align`. */
function fromAnchor(
  found: readonly Pair[],
  theirs: readonly Compared[],
  ours: readonly Compared[],
): readonly Pair[] {
  const pairs = inARow(beginsInside(found, theirs, ours) ? found.slice(1) : found, theirs, ours);
  const newest = pairs.findLastIndex((_pair, index) => isAnchor(pairs, index));
  const anchor = newest >= 0 ? newest : pairs.findIndex((pair) => fitsOnly(pair, theirs, ours));
  if (anchor >= 0) return pairs.slice(anchor);
  const [their, our] = [theirs[0], ours[0]];
  // They may have been paired with later exchanges that have the same words.
  const areFirst = their?.hasWords === true && our !== undefined && isSame(their, our);
  return areFirst && repliesAgree(their, our) ? [[0, 0]] : [];
}

/** If several of ours are the same, pairs the one that directly follows the previous pair. */
function inARow(
  pairs: readonly Pair[],
  theirs: readonly Compared[],
  ours: readonly Compared[],
): readonly Pair[] {
  const moved: Pair[] = [];
  for (const [i, j] of pairs) {
    const before = moved.at(-1);
    const next = before?.[0] === i - 1 ? before[1] + 1 : j;
    const [their, our] = [theirs[i], ours[next]];
    const isEqual = next < j && their !== undefined && our !== undefined && isSame(their, our);
    moved.push([i, isEqual && !isMoreLike(their, ours[j], our) ? next : j]);
  }
  return moved;
}

/**
 * Whether the beginning of their list was cut off, up to some of the caller's words. Then the
 * agent's words that it begins with belong just before the second pair, and not to the beginning of
 * the call.
 */
function beginsInside(
  [first, second]: readonly Pair[],
  theirs: readonly Compared[],
  ours: readonly Compared[],
): boolean {
  if (first?.[0] !== 0 || second?.[0] !== 1 || second[1] === first[1] + 1) return false;
  const [their, our, before] = [theirs[0], ours[first[1]], ours[second[1] - 1]];
  if (their === undefined || our === undefined || before === undefined) return false;
  // If it is unclear, what was said in between must not be lost.
  return !their.hasWords && similarity(their, our) <= Math.max(similarity(their, before), 1);
}

/**
 * Whether the beginning of their list was cut off between the caller's words and the replies: the
 * replies are more like ours than like what was said first.
 */
function isCutAfterWords(
  their: Compared,
  our: Compared,
  first: Compared | undefined,
  least: Likeness,
): boolean {
  if (their.hasWords || !our.hasWords) return false;
  const likeness = similarity(their, our);
  const isGreeting =
    first !== undefined && !first.hasWords && similarity(their, first) >= likeness;
  return likeness >= least && !isGreeting;
}

function isSame(a: Compared, b: Compared): boolean {
  return a.hasWords === b.hasWords && a.key === b.key;
}

/**
 * How alike the beginnings of the most similar replies are. -1 if none are alike, 0 if one side
 * says nothing.
 */
export function likenessOfReplies(their: Exchange, our: Exchange): -1 | Likeness {
  return similarity(compared(their), compared(our));
}

/** False if the replies certainly differ: then the caller said the same words twice. */
function repliesAgree(their: Compared, our: Compared): boolean {
  return similarity(their, our) >= 0;
}

/**
 * How alike the most similar replies are. -1 if none are alike, 0 if one side says nothing or has
 * hardly begun.
 */
function similarity({ beginnings: told }: Compared, { beginnings: said }: Compared): -1 | Likeness {
  if (told.length === 0 || said.length === 0) return 0;
  let most: -1 | Likeness = -1;
  for (const a of told) {
    for (const b of said) {
      const likeness = likenessOf(a, b);
      if (likeness > most) most = likeness;
    }
  }
  return most;
}

/** Agreeing words count more than any replies. */
const WORDS_COUNT = 8;
/** What replies add to a score: different ones, empty ones, and two degrees of likeness. */
const REPLIES_COUNT = { '-1': -4, 0: 0, 1: 2, 2: 6 } as const;

/** The score of a pair. Without words, only replies show that two exchanges are the same. */
function gainOf(hasWords: boolean, alike: -1 | Likeness): number {
  return !hasWords && alike < 1 ? 0 : WORDS_COUNT + REPLIES_COUNT[alike];
}

/**
 * The best-scoring list of pairs in order. Of several with the same score, the one with the newest
 * pairs.
 */
function longestCommon(theirs: readonly Compared[], ours: readonly Compared[]): readonly Pair[] {
  const width = ours.length + 1;
  /** The best score for what comes before theirs[i] and ours[j], at i * width + j. */
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

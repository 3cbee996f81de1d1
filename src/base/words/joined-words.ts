// Words that the caller said in several turns and that the platform sends as one text, or the other
// way round.

import type { Exchange } from './alignment.ts';
import { lettersOf } from './spoken-words.ts';

/** How many parts of one text are looked for. */
const MOST_PARTS = 4;
/** How far back in a list they are looked for. */
const MOST_EXCHANGES = 60;

/**
 * Joins consecutive exchanges whose words together are those of one exchange in the other list. All
 * but the last of them must be ones that `mayGoOn`. Returns the list itself if there are none.
 */
export function joinedAs<T extends Exchange>(
  list: readonly T[],
  other: readonly Exchange[],
  mayGoOn: (part: T) => boolean,
  join: (parts: readonly [T, ...T[]]) => T,
): readonly T[] {
  const wanted = new Set(other.slice(-MOST_EXCHANGES).map(keyOf));
  const joined: T[] = list.slice(0, -MOST_EXCHANGES);
  const rest = list.slice(-MOST_EXCHANGES);
  while (rest.length > 0) {
    const [first, ...others] = rest.splice(0, countOfParts(rest, wanted, mayGoOn));
    if (first !== undefined) joined.push(others.length === 0 ? first : join([first, ...others]));
  }
  return joined.length === list.length ? list : joined;
}

function countOfParts<T extends Exchange>(
  list: readonly T[],
  wanted: ReadonlySet<string>,
  mayGoOn: (part: T) => boolean,
): number {
  let key = '';
  for (const [index, part] of list.slice(0, MOST_PARTS).entries()) {
    const letters = keyOf(part);
    if (letters === '') return 1;
    key += letters;
    if (wanted.has(key)) return index + 1;
    if (!mayGoOn(part)) return 1;
  }
  return 1;
}

/** How many of the last exchanges say these words together. 0 if none do, or if one alone does. */
export function countOfLastParts(words: string, list: readonly Exchange[]): number {
  const wanted = lettersOf(words);
  let key = '';
  for (const [index, part] of list.slice(-MOST_PARTS).reverse().entries()) {
    const letters = keyOf(part);
    if (letters === '') return 0;
    key = letters + key;
    if (key === wanted) return index === 0 ? 0 : index + 1;
  }
  return 0;
}

/** '' if there are no letters to compare. */
function keyOf({ words = '' }: Exchange): string {
  return lettersOf(words);
}

// Finds the name that a misspelt one probably meant.

/** The known name that is nearest to a wrong one, if it is at most `maxEdits` edits away. */
export function nearestName(
  wrong: string,
  known: readonly string[],
  maxEdits: number,
): string | undefined {
  const [nearest] = known
    .filter((name) => Math.abs(name.length - wrong.length) <= maxEdits)
    .filter((name) => !lacks(name, wrong, maxEdits) && !lacks(wrong, name, maxEdits))
    .map((name) => ({ name, edits: editsBetween(wrong, name, maxEdits) }))
    .filter(({ edits }) => edits <= maxEdits)
    .sort((a, b) => a.edits - b.edits);
  return nearest?.name;
}

/**
 * Whether `b` lacks more than `max` characters of `a`, and so is more edits away. Quick to find
 * out: at start-up, each environment variable is compared with all settings.
 */
function lacks(a: string, b: string, max: number): boolean {
  let missing = 0;
  for (const character of a) {
    if (b.includes(character)) continue;
    missing += 1;
    if (missing > max) return true;
  }
  return false;
}

/**
 * How many edits turn one name into the other: a character added, left out or replaced, or two
 * neighbours exchanged. `Infinity` if there are more than `max`.
 */
function editsBetween(a: string, b: string, max: number): number {
  let beforeLast: readonly number[] = [];
  let last: readonly number[] = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isExchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const exchanged = isExchanged ? (beforeLast[j - 2] ?? 0) + 1 : Infinity;
      row.push(Math.min(replaced, exchanged, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    beforeLast = last;
    last = row;
    if (Math.min(...last, ...beforeLast) > max) return Infinity;
  }
  return last[b.length] ?? 0;
}

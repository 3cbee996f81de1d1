// What changed between two texts, line by line.

/**
 * The changed lines, with `-` for those of `before` and `+` for those of `after`. The line before
 * each change comes first. Empty if the texts are the same.
 */
export function textDiff(before: string, after: string): readonly string[] {
  const [old, now] = [before.split('\n'), after.split('\n')];
  const lines: string[] = [];
  for (let [i, j] = [0, 0]; i < old.length || j < now.length; i += 1, j += 1) {
    const [nextOld, nextNow] = nextCommon(old, now, i, j);
    const changed = [
      ...old.slice(i, nextOld).map((line) => `-${line}`),
      ...now.slice(j, nextNow).map((line) => `+${line}`),
    ];
    const same = old[i - 1];
    if (changed.length > 0 && same !== undefined) lines.push(` ${same}`);
    lines.push(...changed);
    [i, j] = [nextOld, nextNow];
  }
  return lines;
}

/** The nearest place, from `i` and `j` on, where the texts have a line in common. */
function nextCommon(
  old: readonly string[],
  now: readonly string[],
  i: number,
  j: number,
): readonly [number, number] {
  let nearest: readonly [number, number] = [old.length, now.length];
  let distance = old.length - i + now.length - j;
  for (let k = i; k < old.length && k - i < distance; k += 1) {
    const l = now.indexOf(old[k] ?? '', j);
    if (l === -1 || k - i + l - j >= distance) continue;
    nearest = [k, l];
    distance = k - i + l - j;
  }
  return nearest;
}

const MAX_SHOWN = 60;

/** As much of a difference as a person would read. */
export function shownDiff(diff: readonly string[]): readonly string[] {
  const left = diff.length - MAX_SHOWN;
  return left <= 0 ? diff : [...diff.slice(0, MAX_SHOWN), ` … and ${left} more lines`];
}

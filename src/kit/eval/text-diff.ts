// What changed between two texts, line by line.

/** Beyond it, lines in the middle are not compared: the work is quadratic. */
const MAX_COMPARED = 1_000;

/**
 * The changed lines, `-` for those of `before` and `+` for those of `after`, each change with the
 * line before it. Empty if the texts are the same.
 */
export function textDiff(before: string, after: string): readonly string[] {
  const old = before.split('\n');
  const now = after.split('\n');
  const start = commonStart(old, now);
  const end = commonStart(
    old.slice(start).reverse(), now.slice(start).reverse(),
  );
  const removed = old.slice(start, old.length - end);
  const added = now.slice(start, now.length - end);
  const lines = [
    ...old.slice(0, start).map((line) => ` ${line}`),
    ...middle(removed, added),
  ];
  return lines.filter((line, index) => !isSame(line) || isChanged(lines[index + 1]));
}

function isSame(line: string): boolean {
  return line.startsWith(' ');
}

function isChanged(line: string | undefined): boolean {
  return line !== undefined && !isSame(line);
}

function commonStart(one: readonly string[], other: readonly string[]): number {
  const length = Math.min(one.length, other.length);
  for (let index = 0; index < length; index += 1) if (one[index] !== other[index]) return index;
  return length;
}

/** By the longest common subsequence. */
function middle(old: readonly string[], now: readonly string[]): readonly string[] {
  const all = [...old.map((line) => `-${line}`), ...now.map((line) => `+${line}`)];
  if (old.length > MAX_COMPARED || now.length > MAX_COMPARED) return all;
  const width = now.length + 1;
  /** The length of the longest common subsequence from these lines on. */
  const lengths = new Uint16Array((old.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = old.length - 1; i >= 0; i -= 1)
    for (let j = now.length - 1; j >= 0; j -= 1)
      lengths[i * width + j] =
        old[i] === now[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const lines: string[] = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < now.length) {
    if (i < old.length && j < now.length && old[i] === now[j]) {
      lines.push(` ${old[i]}`);
      i += 1;
      j += 1;
    } else if (j === now.length || (i < old.length && at(i + 1, j) >= at(i, j + 1))) {
      lines.push(`-${old[i]}`);
      i += 1;
    } else {
      lines.push(`+${now[j]}`);
      j += 1;
    }
  }
  return lines;
}

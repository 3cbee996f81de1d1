import { formatSummary, median } from './stats.ts';

export interface Target {
  /** Which figure. */
  what: string;
  limit: number;
  /** Whether the figure must reach the limit or stay within it. */
  kind: 'at least' | 'at most';
  /**
   * Missing: the ratio to the other figure is judged. Otherwise the difference from it, in this
   * unit.
   */
  unit?: 'µs' | 'ms';
}

export interface Verdict extends Target {
  /** Ratios or differences, each taken within one round. */
  compared: readonly number[];
  /** Whose figure it is compared with. */
  against: string;
  isMet: boolean;
}

/** Compares the figures of each round pairwise and prints the result. */
export function judge(
  target: Target,
  figures: readonly number[],
  others: readonly number[],
  against = 'bare',
): Verdict {
  const compared = figures.map((figure, round) => {
    const other = others[round] ?? Number.NaN;
    return target.unit === undefined ? figure / other : figure - other;
  });
  const value = median(compared);
  const isMet = target.kind === 'at least' ? value >= target.limit : value <= target.limit;
  const verdict = { ...target, compared, against, isMet };
  console.log(`  ${isMet ? 'ok    ' : 'missed'}  ${describeVerdict(verdict)}`);
  return verdict;
}

export function describeVerdict({ what, compared, against, kind, limit, unit }: Verdict): string {
  const sign = kind === 'at least' ? '≥' : '≤';
  const summary = formatSummary(compared, 2);
  const found = unit === undefined ? `${summary} × ${against}` : `${against} + ${summary} ${unit}`;
  return `${what}: ${found}, target ${sign} ${limit.toFixed(2)}`;
}

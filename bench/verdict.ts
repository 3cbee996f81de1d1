import { formatSummary, median } from './stats.ts';

export interface Target {
  /** Which figure of whom against the bare handler's. */
  what: string;
  limit: number;
  /** Whether the ratio must reach the limit or stay within it. */
  kind: 'at least' | 'at most';
}

export interface Verdict extends Target {
  /** The median of the ratios, each taken within one round. */
  ratio: number;
  isMet: boolean;
}

/** Compares figures of the same rounds, pair by pair, and prints the line. */
export function judge(target: Target, figures: readonly number[], bare: readonly number[]): Verdict {
  const ratios = figures.map((figure, round) => figure / (bare[round] ?? Number.NaN));
  const ratio = median(ratios);
  const isMet = target.kind === 'at least' ? ratio >= target.limit : ratio <= target.limit;
  const sign = target.kind === 'at least' ? '≥' : '≤';
  console.log(
    `  ${isMet ? 'ok    ' : 'missed'}  ${target.what}: ${formatSummary(ratios, 2)} × bare, target ${sign} ${target.limit.toFixed(2)}`,
  );
  return { ...target, ratio, isMet };
}

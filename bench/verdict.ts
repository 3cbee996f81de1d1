import { formatSummary, median } from './stats.ts';

export interface Target {
  /** Which figure. */
  what: string;
  limit: number;
  /** Whether the ratio must reach the limit or stay within it. */
  kind: 'at least' | 'at most';
}

export interface Verdict extends Target {
  /** One per round. */
  ratios: readonly number[];
  /** The contestant that the ratio compares with. */
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
  const ratios = figures.map((figure, round) => figure / (others[round] ?? Number.NaN));
  const ratio = median(ratios);
  const isMet = target.kind === 'at least' ? ratio >= target.limit : ratio <= target.limit;
  const verdict = { ...target, ratios, against, isMet };
  console.log(`  ${isMet ? 'ok    ' : 'missed'}  ${describeVerdict(verdict)}`);
  return verdict;
}

export function describeVerdict({ what, ratios, against, kind, limit }: Verdict): string {
  const sign = kind === 'at least' ? '≥' : '≤';
  return `${what}: ${formatSummary(ratios, 2)} × ${against}, target ${sign} ${limit.toFixed(2)}`;
}

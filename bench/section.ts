// A section of `npm run bench`: what it gets, and what it finds.
import type { Contestants } from './contestants.ts';
import type { Verdict } from './verdict.ts';

export interface BenchSize {
  readonly rounds: number;
  readonly warmupSeconds: number;
  readonly seconds: number;
  readonly streamRounds: number;
  readonly starts: number;
  readonly idles: number;
}

export interface Comparison {
  readonly verdicts: readonly Verdict[];
  /** Every figure of every round, by contestant. */
  readonly raw: unknown;
}

export type Compare = (contestants: Contestants, size: BenchSize) => Promise<Comparison>;

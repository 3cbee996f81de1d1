// How many runs must pass, how fast the first word must be, and what an evaluation may cost.

import { shownCost, type ScenarioFigures } from './figures.ts';
import type { Tokens } from './result.ts';

export interface Budgets {
  /** Runs of each scenario that must pass. Undefined: all. */
  readonly minPasses: number | undefined;
  /** For the times to the first word in each scenario, in milliseconds. */
  readonly maxP95Ms: number | undefined;
  /** For everything together, in the currency of MODEL_PRICES. */
  readonly maxCost: number | undefined;
}

/** Whether enough runs have passed. An undecided run has not. */
export function hasPassed(
  { passed, failed, undecided }: Pick<ScenarioFigures, 'passed' | 'failed' | 'undecided'>,
  { minPasses = passed + failed + undecided }: Budgets,
): boolean {
  return passed >= minPasses;
}

/**
 * What is over budget, one line each. Unknown figures count as over budget. `evalTokens`: what the
 * judge and played callers used; undefined if they were not asked.
 */
export function overBudget(
  figures: readonly ScenarioFigures[],
  evalTokens: Tokens | undefined,
  { maxP95Ms, maxCost }: Budgets,
): readonly string[] {
  const slow = maxP95Ms === undefined ? [] : figures.flatMap(({ file, firstWordMs }) => {
    if (firstWordMs === undefined) return [`${file}: no first word, so no p95 to compare`];
    const { p95 } = firstWordMs;
    return p95 <= maxP95Ms ? [] : [`${file}: p95 of the first word is ${p95} ms`];
  });
  if (maxCost === undefined) return slow;
  const costs = [
    ...figures.flatMap(({ tokens, cost = NaN, passed, failed, undecided }) =>
      tokens === undefined ? [] : [cost * (passed + failed + undecided)]),
    ...(evalTokens === undefined ? [] : [evalTokens.cost ?? NaN]),
  ];
  const sum = costs.reduce((total, cost) => total + cost, 0);
  if (Number.isNaN(sum)) return [...slow, 'the cost is not known: MODEL_PRICES lacks a model'];
  return sum <= maxCost ? slow : [...slow, `the evaluation cost ${shownCost(sum)}`];
}

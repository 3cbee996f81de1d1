import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { hasPassed, overBudget, type Budgets } from '../../../src/kit/eval/budgets.ts';
import type { ScenarioFigures } from '../../../src/kit/eval/figures.ts';

const NONE: Budgets = { minPasses: undefined, maxP95Ms: undefined, maxCost: undefined };
const FIGURES: ScenarioFigures = {
  file: 'a.txt', passed: 3, failed: 1, undecided: 1, firstWordMs: { p50: 500, p95: 900 },
  tokens: { input: 10, output: 1 }, cost: 0.02, // of one run
};

describe('hasPassed', () => {
  it('requires that all runs passed, or minPasses of them', () => {
    assert.equal(hasPassed(FIGURES, NONE), false);
    assert.equal(hasPassed({ passed: 5, failed: 0, undecided: 0 }, NONE), true);
    assert.equal(hasPassed(FIGURES, { ...NONE, minPasses: 3 }), true);
    assert.equal(hasPassed(FIGURES, { ...NONE, minPasses: 4 }), false);
  });
});

describe('overBudget', () => {
  const over = (
    budgets: Partial<Budgets>, figures: Partial<ScenarioFigures> = {}, evalCost?: number,
  ): readonly string[] => {
    const used = evalCost === undefined
      ? undefined : { input: 1, output: 1, cost: Number.isNaN(evalCost) ? undefined : evalCost };
    return overBudget([{ ...FIGURES, ...figures }], used, { ...NONE, ...budgets });
  };

  it('compares the p95 of each scenario with an inclusive limit', () => {
    assert.deepEqual(over({ maxP95Ms: 900 }), []);
    assert.deepEqual(over({ maxP95Ms: 899 }), ['a.txt: p95 of the first word is 900 ms']);
    const { firstWordMs: _, ...silent } = FIGURES;
    assert.deepEqual(
      overBudget([silent], undefined, { ...NONE, maxP95Ms: 1 }),
      ['a.txt: no first word, so no p95 to compare'],
    );
  });

  it('adds up the cost of all runs, of the judge and of played callers', () => {
    assert.deepEqual(over({ maxCost: 0.1 }), []);
    assert.deepEqual(over({ maxCost: 0.09 }), ['the evaluation cost 0.1']);
    assert.deepEqual(over({ maxCost: 0.1 }, {}, 0.01), ['the evaluation cost 0.11']);
  });

  it('counts a limit as exceeded if the figure is unknown', () => {
    const unknown = ['the cost is not known: MODEL_PRICES lacks a model'];
    const { cost: _, ...unpriced } = FIGURES;
    assert.deepEqual(overBudget([unpriced], undefined, { ...NONE, maxCost: 9 }), unknown);
    assert.deepEqual(over({ maxCost: 9 }, {}, NaN), unknown);
    assert.deepEqual(overBudget([unpriced], undefined, NONE), []);
    const { tokens: _tokens, ...scripted } = unpriced;
    assert.deepEqual(overBudget([scripted], undefined, { ...NONE, maxCost: 0 }), []);
  });
});

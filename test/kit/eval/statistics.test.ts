import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  fisherExact, holmCorrection, quantile, wilsonInterval,
} from '../../../src/kit/eval/statistics.ts';
import { processorMs } from '../../fixtures/processor-time.ts';

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

describe('wilsonInterval', () => {
  // Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine
  // 17 (1998), table I, method 3.
  for (const [passed, runs, low, high] of [
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ] as const) {
    it(`agrees with Newcombe's table for ${passed} of ${runs}`, () => {
      const interval = wilsonInterval({ passed, runs });
      assert.equal(rounded(interval.low, 4), low);
      assert.equal(rounded(interval.high, 4), high);
    });
  }

  it('ends exactly at 0 or 1 if none or all passed, and is 0 to 1 without runs', () => {
    for (let runs = 1; runs <= 200; runs += 1) {
      assert.equal(wilsonInterval({ passed: 0, runs }).low, 0);
      assert.equal(wilsonInterval({ passed: runs, runs }).high, 1);
    }
    assert.deepEqual(wilsonInterval({ passed: 0, runs: 0 }), { low: 0, high: 1 });
  });
});

describe('fisherExact', () => {
  for (const [source, passed, runs, otherPassed, otherRuns, p] of [
    ['Fisher\'s tea tasting (Agresti, Categorical Data Analysis)', 3, 4, 1, 4, 0.4857143],
    ['convictions of twins (Fisher; the example of R\'s fisher.test)', 2, 12, 15, 18, 0.0005367],
    ['students who diet (Wikipedia, Fisher\'s exact test)', 1, 10, 11, 14, 0.0027595],
    ['three against three', 0, 3, 3, 3, 0.1],
    ['equal rates', 10, 20, 10, 20, 1],
    ['20 of 20 against 13 of 20', 20, 20, 13, 20, 0.0083160],
    ['rare in both', 2, 25, 5, 35, 0.6881775],
  ] as const) {
    it(`gives the published value for ${source}`, () => {
      const one = { passed, runs };
      const other = { passed: otherPassed, runs: otherRuns };
      assert.equal(rounded(fisherExact(one, other), 7), p);
      assert.equal(rounded(fisherExact(other, one), 7), p);
    });
  }

  it('sees no difference without runs', () => {
    assert.equal(fisherExact({ passed: 0, runs: 0 }, { passed: 5, runs: 5 }), 1);
    assert.equal(fisherExact({ passed: 0, runs: 0 }, { passed: 0, runs: 0 }), 1);
  });

  it('handles thousands of runs without overflowing', () => {
    const begun = process.cpuUsage();
    const p = fisherExact({ passed: 9_000, runs: 10_000 }, { passed: 8_000, runs: 10_000 });
    assert.ok(p > 0 && p < 1e-80, String(p));
    assert.ok(processorMs(begun) < 200);
  });
});

describe('holmCorrection', () => {
  it('agrees with Wikipedia\'s worked example, "Holm–Bonferroni method"', () => {
    const corrected = holmCorrection([0.01, 0.04, 0.03, 0.005]);
    assert.deepEqual(corrected.map((p) => rounded(p, 12)), [0.03, 0.06, 0.06, 0.02]);
  });

  it('never exceeds 1, and leaves a single value as it is', () => {
    assert.deepEqual(holmCorrection([0.6, 0.9]), [1, 1]);
    assert.deepEqual(holmCorrection([0.04]), [0.04]);
    assert.deepEqual(holmCorrection([]), []);
  });
});

describe('quantile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  for (const [share, values, expected] of [
    [0.5, hundred, 50],
    [0.95, hundred, 95],
    [1, hundred, 100],
    [0.95, [7], 7],
    [0.5, [4, 1, 3, 2], 2],
    [0.5, [], undefined],
  ] as const) {
    it(`takes the value of the nearest rank: ${share} of ${values.length}`, () => {
      assert.equal(quantile(values, share), expected);
    });
  }
});

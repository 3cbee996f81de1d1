import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { compareScenarios, comparisonTable } from '../../../src/kit/eval/comparison.ts';
import {
  figuresOf, figuresTable, isScenarioFigures, type ScenarioFigures,
} from '../../../src/kit/eval/figures.ts';
import type { Outcome, PlayedTurn, ScenarioResult } from '../../../src/kit/eval/result.ts';
import { playedTurn } from './played-turn.ts';

function figures(file: string, passed: number, runs: number, undecided = 0): ScenarioFigures {
  return { file, passed, failed: runs - passed, undecided };
}

describe('compareScenarios', () => {
  for (const [before, now, difference] of [
    [[13, 20], [20, 20], 'better'],
    [[20, 20], [13, 20], 'worse'],
    [[15, 20], [20, 20], 'better'], // p = 0.047
    [[16, 20], [20, 20], 'no difference seen'], // p = 0.11
    [[10, 20], [10, 20], 'no difference seen'],
    [[0, 3], [3, 3], 'too few runs'],
    [[1, 1], [0, 1], 'too few runs'],
    [[0, 4], [4, 4], 'better'],
    [[0, 0], [20, 20], 'too few runs'],
    [[200, 200], [18, 20], 'worse'],
  ] as const) {
    const [old, current] = [before, now].map(([passed, runs]) => figures('a', passed, runs));
    it(`says "${difference}" for ${before.join('/')} and then ${now.join('/')}`, () => {
      assert.ok(old !== undefined && current !== undefined);
      const [compared] = compareScenarios([old], [current]);
      assert.equal(compared?.difference, difference);
    });
  }

  it('requires a clearer difference the more scenarios there are', () => {
    const many = Array.from({ length: 9 }, (_, index) => `same ${index}`);
    const before = ['a', ...many].map((file) => figures(file, 13, 20));
    const now = [figures('a', 20, 20), ...many.map((file) => figures(file, 13, 20))];
    assert.equal(compareScenarios(before, now)[0]?.difference, 'no difference seen');
    assert.equal(compareScenarios(before.slice(0, 1), now.slice(0, 1))[0]?.difference, 'better');
  });

  it('considers four runs enough for one scenario, but not for two', () => {
    const before = [figures('a', 4, 4), figures('b', 4, 4)];
    const now = [figures('a', 4, 4), figures('b', 4, 4)];
    const [last] = compareScenarios(before.slice(1), now.slice(1));
    assert.equal(last?.difference, 'no difference seen');
    assert.equal(compareScenarios(before, now)[0]?.difference, 'too few runs');
  });

  it('does not count undecided runs', () => {
    const [compared] = compareScenarios([figures('a', 3, 3, 17)], [figures('a', 0, 3, 17)]);
    assert.equal(compared?.difference, 'too few runs');
  });

  it('names scenarios that only one side has', () => {
    const compared = compareScenarios([figures('gone', 1, 1)], [figures('new', 1, 1)]);
    assert.deepEqual(compared.map(({ file, difference }) => [file, difference]), [
      ['new', undefined], ['gone', undefined],
    ]);
  });
});

describe('comparisonTable', () => {
  it('shows both sides of each scenario', () => {
    const timed = (figures: ScenarioFigures, p50: number, tokens: number): ScenarioFigures => ({
      ...figures, firstWordMs: { p50, p95: 2 * p50 }, tokens: { input: tokens, output: 7 },
      cost: tokens / 7_000_000,
    });
    const lines = comparisonTable(compareScenarios(
      [timed(figures('a.txt', 20, 20), 300, 900), figures('old.txt', 1, 1), figures('b.txt', 1, 1)],
      [timed(figures('a.txt', 5, 20), 250, 1_200), figures('b.txt', 0, 1), figures('n.txt', 0, 0)],
    ));
    assert.deepEqual(lines.map((line) => line.replace(/ {2,}/g, '  ')), [
      'scenario  passed  first word p50 ms  p95 ms  tokens in  out  cost',
      'a.txt  20/20 100 % → 5/20 25 %  300 → 250  600 → 500  900 → 1200  7 → 7  '
        + '0.000129 → 0.000171  worse (p < 0.001)',
      'b.txt  1/1 100 % → 0/1 0 %  – → –  – → –  – → –  – → –  – → –  too few runs',
      'n.txt  – → –  – → –  – → –  – → –  – → –  – → –  new',
      'old.txt  1/1 100 % → –  – → –  – → –  – → –  – → –  – → –  not played',
    ]);
  });
});

function result(outcome: Outcome, turns: readonly PlayedTurn[]): ScenarioResult {
  return { file: 'a', name: 'a', outcome, failures: [], undecided: [], turns, durationMs: 1 };
}

describe('figuresOf', () => {
  it('summarises outcomes, times of all turns, and tokens per run', () => {
    const tokens = { input: 100, output: 10, cost: 0.25 };
    const quick = playedTurn({ firstWordMs: 10.4, tokens });
    const slow = playedTurn({
      firstWordMs: 200, tokens: { input: 200, output: 20, cost: 0.5 },
    });
    const unpriced = playedTurn({ tokens: { ...tokens, cost: undefined } });
    const all = [
      figuresOf('a', [result('passed', [quick, slow]), result('undecided', [quick])]),
      figuresOf('b', [result('failed', [playedTurn({})])]),
      figuresOf('c', [result('failed', [quick, unpriced])]),
    ];
    assert.deepEqual(all, [
      {
        file: 'a', passed: 1, failed: 0, undecided: 1,
        firstWordMs: { p50: 10, p95: 200 }, tokens: { input: 200, output: 20 }, cost: 0.5,
      },
      { file: 'b', passed: 0, failed: 1, undecided: 0 },
      {
        file: 'c', passed: 0, failed: 1, undecided: 0,
        firstWordMs: { p50: 10, p95: 10 }, tokens: { input: 200, output: 20 },
      },
    ]);
    assert.ok(all.every(isScenarioFigures));
  });
});

describe('figuresTable', () => {
  it('shows rates with Wilson\'s interval', () => {
    const lines = figuresTable([
      { ...figures('a', 18, 20), firstWordMs: { p50: 80, p95: 200 } },
      { ...figures('b', 20, 20), tokens: { input: 900, output: 70 }, cost: 0.01234567 },
      figures('c', 2, 3, 1),
      figures('d', 0, 0, 2),
    ]);
    assert.deepEqual(lines.map((line) => line.replace(/ {2,}/g, '  ')), [
      'scenario  passed  rate  95 % interval  first word p50  p95  tokens in  out  cost',
      'a  18 of 20  90 %  70–97 %  80 ms  200 ms  –  –  –',
      'b  20 of 20  100 %  84–100 %  –  –  900  70  0.0123',
      'c  2 of 3, 1 undecided  67 %  21–94 %  –  –  –  –  –',
      'd  0 of 0, 2 undecided  –  –  –  –  –  –  –',
    ]);
  });
});

describe('isScenarioFigures', () => {
  const right = {
    ...figures('a', 1, 2), firstWordMs: { p50: 1, p95: 2 }, tokens: { input: 1, output: 2 },
  };
  it('accepts what figuresOf returns', () => assert.ok(isScenarioFigures(right)));
  for (const damage of [
    { file: 1 }, { cost: null }, { passed: -1 }, { failed: 0.5 }, { undecided: '0' },
    { firstWordMs: { p50: 1 } }, { firstWordMs: 3 }, { tokens: { input: 'x', output: 2 } },
    { cost: '1' },
  ]) {
    it(`refuses ${JSON.stringify(damage)}`, () => {
      assert.equal(isScenarioFigures({ ...right, ...damage }), false);
    });
  }
});

// How the runs of a scenario went, all together.

import { number, objectOf, optional, string, type Field } from '../../base/fields.ts';
import { columns } from '../terminal/text.ts';
import type { Outcome, PlayedTurn, ScenarioResult } from './result.ts';
import { quantile, wilsonInterval } from './statistics.ts';

/** Plain JSON: part of what `--json` prints, and what `--compare` reads. */
export interface ScenarioFigures {
  /** The path as it was given. */
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  /** These count neither as passed nor as failed. */
  readonly undecided: number;
  /** Over all turns with words, in milliseconds. */
  readonly firstWordMs?: { readonly p50: number; readonly p95: number };
  /** Per run. Missing if no vendor reported any. */
  readonly tokens?: { readonly input: number; readonly output: number };
  /** Per run, in the currency of MODEL_PRICES. Missing if a model has no price. */
  readonly cost?: number;
}

export function figuresOf(file: string, results: readonly ScenarioResult[]): ScenarioFigures {
  const count = (wanted: Outcome): number =>
    results.filter(({ outcome }) => outcome === wanted).length;
  const turns = results.flatMap((result) => result.turns);
  return {
    file,
    passed: count('passed'),
    failed: count('failed'),
    undecided: count('undecided'),
    ...firstWordOf(turns),
    ...tokensOf(turns, results.length),
  };
}

function firstWordOf(turns: readonly PlayedTurn[]): Pick<ScenarioFigures, 'firstWordMs'> {
  const times = turns.flatMap(({ firstWordMs }) => firstWordMs ?? []);
  const [p50, p95] = [quantile(times, 0.5), quantile(times, 0.95)];
  if (p50 === undefined || p95 === undefined) return {};
  return { firstWordMs: { p50: Math.round(p50), p95: Math.round(p95) } };
}

function tokensOf(
  turns: readonly PlayedTurn[],
  runs: number,
): Pick<ScenarioFigures, 'tokens' | 'cost'> {
  const counted = turns.flatMap(({ tokens }) => tokens ?? []);
  if (counted.length === 0) return {};
  const perRun = (field: 'input' | 'output'): number =>
    Math.round(counted.reduce((sum, tokens) => sum + tokens[field], 0) / runs);
  const costs = counted.flatMap(({ cost }) => cost ?? []);
  return {
    tokens: { input: perRun('input'), output: perRun('output') },
    ...(costs.length < counted.length
      ? {} : { cost: costs.reduce((sum, cost) => sum + cost, 0) / runs }),
  };
}

/** Lines of a table for a terminal, the heading first. The interval is Wilson's at 95 %. */
export function figuresTable(figures: readonly ScenarioFigures[]): readonly string[] {
  return columns([
    [
      'scenario', 'passed', 'rate', '95 % interval', 'first word p50', 'p95', 'tokens in', 'out',
      'cost',
    ],
    ...figures.map((own) => {
      const { file, passed, failed, undecided, firstWordMs, tokens, cost } = own;
      const runs = passed + failed;
      const { low, high } = wilsonInterval({ passed, runs });
      return [
        file,
        `${passed} of ${runs}${undecided === 0 ? '' : `, ${undecided} undecided`}`,
        runs === 0 ? MISSING : `${percent(passed / runs)} %`,
        runs === 0 ? MISSING : `${percent(low)}–${percent(high)} %`,
        shown(firstWordMs?.p50, ' ms'),
        shown(firstWordMs?.p95, ' ms'),
        shown(tokens?.input),
        shown(tokens?.output),
        shownCost(cost),
      ];
    }),
  ]);
}

export const MISSING = '–';

export function shown(count: number | undefined, unit = ''): string {
  return count === undefined ? MISSING : `${count}${unit}`;
}

/** Requests cost fractions of a cent. */
export function shownCost(cost: number | undefined): string {
  return cost === undefined ? MISSING : String(Number(cost.toPrecision(3)));
}

export function percent(share: number): string {
  return String(Math.round(share * 100));
}

const isCount = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0;
const count: Field = {
  ...number, check: (value) => (isCount(value) ? undefined : { path: '', expected: 'a count' }),
};
const FIGURES = objectOf({
  file: string, passed: count, failed: count, undecided: count,
  firstWordMs: optional(objectOf({ p50: number, p95: number })),
  tokens: optional(objectOf({ input: number, output: number })),
  cost: optional(number),
});

export function isScenarioFigures(value: unknown): value is ScenarioFigures {
  // Unlike in events, a missing field is never null.
  return FIGURES.check(value) === undefined && !Object.values(value as object).includes(null);
}

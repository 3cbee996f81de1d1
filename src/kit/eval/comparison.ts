// Whether a change made scenarios better or worse, and what only looks that way.

import { columns } from '../terminal/text.ts';
import { MISSING, percent, shown, shownCost, type ScenarioFigures } from './figures.ts';
import { fisherExact, holmCorrection, type Passes } from './statistics.ts';

/**
 * `no difference seen`: there may be one that is too small for so few runs to show. `too few runs`:
 * even all passes against none could be chance.
 */
type ScenarioDifference = 'better' | 'worse' | 'no difference seen' | 'too few runs';

export interface ComparedScenario {
  readonly file: string;
  /** Undefined: only one side has the scenario. */
  readonly difference: ScenarioDifference | undefined;
  /** After Holm's correction for all scenarios. */
  readonly p: number | undefined;
  readonly before: ScenarioFigures | undefined;
  readonly now: ScenarioFigures | undefined;
}

const SIGNIFICANT = 0.05;

/** In the order of `now`, then what only `before` has. By Fisher's exact test at 0.05. */
export function compareScenarios(
  before: readonly ScenarioFigures[],
  now: readonly ScenarioFigures[],
): readonly ComparedScenario[] {
  const files = new Set([...now, ...before].map(({ file }) => file));
  const figuresIn = (all: readonly ScenarioFigures[], file: string): ScenarioFigures | undefined =>
    all.find((figures) => figures.file === file);
  const sides = [...files].map((file) => (
    { file, before: figuresIn(before, file), now: figuresIn(now, file) }
  ));
  const tested = tests(sides.filter((side): side is Pair =>
    side.before !== undefined && side.now !== undefined));
  return sides.map((side) => tested.find(({ file }) => file === side.file)
    ?? { ...side, difference: undefined, p: undefined });
}

interface Pair {
  readonly file: string;
  readonly before: ScenarioFigures;
  readonly now: ScenarioFigures;
}

function tests(pairs: readonly Pair[]): readonly ComparedScenario[] {
  const pValues = pairs.map((pair) => fisherExact(passesOf(pair.before), passesOf(pair.now)));
  const corrected = holmCorrection(pValues);
  return pairs.map((pair, index) => {
    const [before, now] = [passesOf(pair.before), passesOf(pair.now)];
    const p = corrected[index] ?? 1;
    if (p < SIGNIFICANT) {
      const isBetter = now.passed * before.runs > before.passed * now.runs;
      return { ...pair, p, difference: isBetter ? 'better' : 'worse' };
    }
    // The clearest result that this many runs can have.
    const clearest = fisherExact({ ...before, passed: 0 }, { ...now, passed: now.runs });
    const others = pValues.map((own, at) => (at === index ? clearest : own));
    const canBeSeen = (holmCorrection(others)[index] ?? 1) < SIGNIFICANT;
    return { ...pair, p, difference: canBeSeen ? 'no difference seen' : 'too few runs' };
  });
}

/** Undecided runs say nothing. */
function passesOf({ passed, failed }: ScenarioFigures): Passes {
  return { passed, runs: passed + failed };
}

/** Lines of a table for a terminal, the heading first. */
export function comparisonTable(compared: readonly ComparedScenario[]): readonly string[] {
  return columns([
    ['scenario', 'passed', 'first word p50 ms', 'p95 ms', 'tokens in', 'out', 'cost', ''],
    ...compared.map(({ file, difference, p, before, now }) => [
      file,
      both(before, now, rateOf),
      both(before, now, ({ firstWordMs }) => shown(firstWordMs?.p50)),
      both(before, now, ({ firstWordMs }) => shown(firstWordMs?.p95)),
      both(before, now, ({ tokens }) => shown(tokens?.input)),
      both(before, now, ({ tokens }) => shown(tokens?.output)),
      both(before, now, ({ cost }) => shownCost(cost)),
      verdictOf(difference, p, before),
    ]),
  ]);
}

function both(
  before: ScenarioFigures | undefined,
  now: ScenarioFigures | undefined,
  show: (figures: ScenarioFigures) => string,
): string {
  const [old, current] = [before, now].map((side) => (side === undefined ? MISSING : show(side)));
  return `${old} → ${current}`;
}

function rateOf({ passed, failed }: ScenarioFigures): string {
  const runs = passed + failed;
  return runs === 0 ? MISSING : `${passed}/${runs} ${percent(passed / runs)} %`;
}

function verdictOf(
  difference: ScenarioDifference | undefined,
  p: number | undefined,
  before: ScenarioFigures | undefined,
): string {
  if (difference === undefined) return before === undefined ? 'new' : 'not played';
  if (p === undefined || difference === 'too few runs') return difference;
  return `${difference} (${p < 0.001 ? 'p < 0.001' : `p = ${p.toFixed(3)}`})`;
}

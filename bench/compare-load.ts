import { runRounds, type Contestant } from './contestants.ts';
import type { BenchSize, Comparison } from './section.ts';
import {
  COLUMNS,
  cpuOf,
  describeRounds,
  p99sOf,
  printFigures,
  ratesOf,
  rssOf,
} from './throughput-table.ts';
import { measureThroughput, type Throughput, type ThroughputOptions } from './throughput.ts';
import { judge } from './verdict.ts';

const FIGURES = {
  'turns/s': { figuresOf: ratesOf, kind: 'at least' },
  'CPU per turn': { figuresOf: cpuOf, kind: 'at most' },
  'first event p99': { figuresOf: p99sOf, kind: 'at most' },
  RSS: { figuresOf: rssOf, kind: 'at most' },
} as const;

/** How a figure of one contestant must compare with the same figure of another. */
export interface Goal {
  readonly figure: keyof typeof FIGURES;
  readonly when: string;
  readonly of: Contestant;
  readonly limit: number;
  /** Default: the first contestant, the bare handler. */
  readonly than?: Contestant;
  readonly against?: string;
}

export interface LoadComparison {
  readonly title: string;
  readonly contestants: readonly Contestant[];
  readonly load: Omit<ThroughputOptions, 'warmupSeconds' | 'seconds'>;
  readonly size: BenchSize;
  readonly goals: readonly Goal[];
}

/** Measures all contestants under the same load, prints a table, and judges. */
export async function compareLoad(comparison: LoadComparison): Promise<Comparison> {
  const { title, contestants, load, size, goals } = comparison;
  const results = await runRounds(contestants, size.rounds, (contestant) =>
    measureThroughput(contestant, { ...load, ...size }),
  );
  console.log(`\n${title} ${describeRounds(size)}`);
  printFigures(contestants, results, COLUMNS);
  const roundsOf = (contestant: Contestant): readonly Throughput[] =>
    results[contestants.indexOf(contestant)] ?? [];
  const verdicts = goals.map(({ figure, when, of, limit, than, against }) => {
    const { figuresOf, kind } = FIGURES[figure];
    const others = than === undefined ? results[0] : roundsOf(than);
    const target = { what: `${figure} ${when}`, limit, kind };
    return judge(target, figuresOf(roundsOf(of)), figuresOf(others ?? []), against);
  });
  return { raw: results, verdicts };
}

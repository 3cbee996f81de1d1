// Throughput figures and their table.
import type { BenchSize } from './section.ts';
import { formatSummary } from './stats.ts';
import { printTable } from './table.ts';
import type { Throughput } from './throughput.ts';

export const CONNECTIONS = 64;
/** Of each connection, all with the maximum of 200 messages. For `measureThroughput`. */
export const LONG_CONVERSATIONS = { connections: CONNECTIONS, conversations: 3, fill: 100 };
export const MEBIBYTE = 2 ** 20;

export function describeRounds({ rounds, seconds, warmupSeconds }: BenchSize): string {
  return `${CONNECTIONS} connections, ${rounds} rounds of ${seconds} s after ${warmupSeconds} s of warm-up`;
}

/** One column of figures. */
export interface Column {
  readonly name: string;
  readonly digits: number;
  readonly figures: (rounds: readonly Throughput[]) => number[];
}

const COLUMNS: readonly Column[] = [
  { name: 'turns/s', digits: 0, figures: ratesOf },
  {
    name: 'first event p50 ms',
    digits: 2,
    figures: (rounds) => rounds.map(({ firstEventP50Ms }) => firstEventP50Ms),
  },
  { name: 'p99 ms', digits: 2, figures: p99sOf },
  { name: 'server CPU µs/turn', digits: 1, figures: cpuOf },
  { name: 'RSS MiB', digits: 0, figures: (rounds) => rssOf(rounds).map((b) => b / MEBIBYTE) },
  {
    name: 'load generator CPU',
    digits: 2,
    figures: (rounds) => rounds.map(({ clientCpuShare }) => clientCpuShare),
  },
];

export function printThroughput(
  contestants: readonly { readonly name: string }[],
  results: readonly (readonly Throughput[])[],
  more: readonly Column[] = [],
): void {
  const columns = [...COLUMNS, ...more];
  printTable([
    ['', ...columns.map(({ name }) => name)],
    ...contestants.map(({ name }, index) => [
      name,
      ...columns.map(({ figures, digits }) => formatSummary(figures(results[index] ?? []), digits)),
    ]),
  ]);
}

export function ratesOf(rounds: readonly Throughput[]): number[] {
  return rounds.map((result) => result.turnsPerSecond);
}

export function p99sOf(rounds: readonly Throughput[]): number[] {
  return rounds.map((result) => result.firstEventP99Ms);
}

/** The steadiest figure on a machine that is also doing other things. */
export function cpuOf(rounds: readonly Throughput[]): number[] {
  return rounds.map((result) => result.serverCpuUsPerTurn);
}

export function rssOf(rounds: readonly Throughput[]): number[] {
  return rounds.map((result) => result.rssBytes);
}

// Throughput figures and their table.
import type { BenchSize } from './section.ts';
import { formatSummary } from './stats.ts';
import { printTable } from './table.ts';
import type { Throughput } from './throughput.ts';

export const CONNECTIONS = 64;
/** For `measureThroughput`: every conversation has the maximum of 200 messages. */
export const LONG_CONVERSATIONS = { connections: CONNECTIONS, conversations: 3, fill: 100 };
export const MEBIBYTE = 2 ** 20;

export function describeRounds({ rounds, seconds, warmupSeconds }: BenchSize): string {
  return `${CONNECTIONS} connections, ${rounds} rounds of ${seconds} s after ${warmupSeconds} s of warm-up`;
}

/** One column of figures. */
export interface Column<Result> {
  readonly name: string;
  readonly digits: number;
  readonly figure: (result: Result) => number;
}

export const COLUMNS: readonly Column<Throughput>[] = [
  { name: 'turns/s', digits: 0, figure: ({ turnsPerSecond }) => turnsPerSecond },
  { name: 'first event p50 ms', digits: 2, figure: ({ firstEventP50Ms }) => firstEventP50Ms },
  { name: 'p99 ms', digits: 2, figure: ({ firstEventP99Ms }) => firstEventP99Ms },
  { name: 'server CPU µs/turn', digits: 1, figure: ({ serverCpuUsPerTurn }) => serverCpuUsPerTurn },
  { name: 'RSS MiB', digits: 0, figure: ({ rssBytes }) => rssBytes / MEBIBYTE },
  { name: 'load generator CPU', digits: 2, figure: ({ clientCpuShare }) => clientCpuShare },
];

/** Prints a row for each contestant, with a summary of its rounds in each column. */
export function printFigures<Result>(
  contestants: readonly { readonly name: string }[],
  results: readonly (readonly Result[])[],
  columns: readonly Column<Result>[],
): void {
  printTable([
    ['', ...columns.map(({ name }) => name)],
    ...contestants.map(({ name }, index) => [
      name,
      ...columns.map(({ figure, digits }) =>
        formatSummary((results[index] ?? []).map(figure), digits)),
    ]),
  ]);
}

export function ratesOf(rounds: readonly Throughput[]): number[] {
  return rounds.map((result) => result.turnsPerSecond);
}

export function p99sOf(rounds: readonly Throughput[]): number[] {
  return rounds.map((result) => result.firstEventP99Ms);
}

/** CPU per turn, the steadiest figure on a machine that is also doing other things. */
export function cpuOf(rounds: readonly Throughput[]): number[] {
  return rounds.map((result) => result.serverCpuUsPerTurn);
}

export function rssOf(rounds: readonly Throughput[]): number[] {
  return rounds.map((result) => result.rssBytes);
}

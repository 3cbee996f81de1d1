// Throughput figures and their table.
import type { BenchSize } from './comparisons.ts';
import { formatSummary } from './stats.ts';
import { printTable } from './table.ts';
import type { Throughput } from './throughput.ts';

export const CONNECTIONS = 64;
export const MEBIBYTE = 2 ** 20;

export function describeRounds({ rounds, seconds, warmupSeconds }: BenchSize): string {
  return `${CONNECTIONS} connections, ${rounds} rounds of ${seconds} s after ${warmupSeconds} s of warm-up`;
}

export function printThroughput(
  contestants: readonly { readonly name: string }[],
  results: readonly (readonly Throughput[])[],
): void {
  printTable([
    [
      '',
      'turns/s',
      'first event p50 ms',
      'p99 ms',
      'server CPU µs/turn',
      'RSS MiB',
      'load generator CPU',
    ],
    ...contestants.map(({ name }, index) => {
      const rounds = results[index] ?? [];
      return [
        name,
        formatSummary(ratesOf(rounds)),
        formatSummary(
          rounds.map((result) => result.firstEventP50Ms),
          2,
        ),
        formatSummary(p99sOf(rounds), 2),
        formatSummary(cpuOf(rounds), 1),
        formatSummary(rssOf(rounds).map((bytes) => bytes / MEBIBYTE)),
        formatSummary(
          rounds.map((result) => result.clientCpuShare),
          2,
        ),
      ];
    }),
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

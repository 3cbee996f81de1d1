// How long a caller waits because the process is busy with other turns: a simulation of one
// process, which does one piece of work at a time.
import { randomOf } from '../test/fixtures/random.ts';

export interface Crowd {
  /** The share of its time in which the process is busy, not counting bursts. */
  readonly utilisation: number;
  /** In the middle of each minute, `factor` times as many turns begin. */
  readonly burst: { readonly seconds: number; readonly factor: number };
  readonly cpuUsPerTurn: number;
  /** Pieces of work in a turn: its model's tokens. */
  readonly pieces: number;
  readonly turnSeconds: number;
  readonly minutes: number;
  readonly seed: number;
}

export interface Waits {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly longestMs: number;
}

const MINUTE_MS = 60_000;

export function waitsIn(crowd: Crowd): Waits {
  const { utilisation, cpuUsPerTurn, pieces, turnSeconds } = crowd;
  const random = randomOf(crowd.seed);
  const exponential = (mean: number): number => -Math.log(1 - random()) * mean;
  const betweenMs = cpuUsPerTurn / 1_000 / utilisation;
  const arrivals: number[] = [];
  for (let ms = 0; ms < crowd.minutes * MINUTE_MS; ) {
    const sinceMiddleMs = (ms % MINUTE_MS) - MINUTE_MS / 2;
    const isBurst = sinceMiddleMs >= 0 && sinceMiddleMs < crowd.burst.seconds * 1_000;
    ms += exponential(betweenMs / (isBurst ? crowd.burst.factor : 1));
    for (let piece = 0; piece < pieces; piece++)
      arrivals.push(ms + (turnSeconds * 1_000 * piece) / pieces);
  }
  const waits = new Float64Array(arrivals.length);
  let freeAtMs = 0;
  Float64Array.from(arrivals).sort().forEach((ms, piece) => {
    waits[piece] = Math.max(0, freeAtMs - ms);
    freeAtMs = Math.max(ms, freeAtMs) + exponential(cpuUsPerTurn / 1_000 / pieces);
  });
  waits.sort();
  const shareOf = (share: number): number => waits[Math.floor((waits.length - 1) * share)] ?? 0;
  return { p50Ms: shareOf(0.5), p99Ms: shareOf(0.99), longestMs: shareOf(1) };
}

import type { Contestant } from './contestants.ts';
import { runLoad } from './load-process.ts';
import type { TurnsResult } from './load-turns.ts';
import { readRss } from './proc.ts';
import { startServer } from './servers.ts';

export interface ThroughputOptions {
  readonly connections: number;
  /** Per connection. */
  readonly conversations: number;
  /** Turns in each conversation before the warm-up. */
  readonly fill: number;
  readonly warmupSeconds: number;
  readonly seconds: number;
}

export interface Throughput extends TurnsResult {
  /** Resident memory when the load is over. */
  readonly rssBytes: number;
}

/** Measures one contestant, freshly started, under the load generator's closed loop. */
export async function measureThroughput(
  contestant: Contestant,
  options: ThroughputOptions,
): Promise<Throughput> {
  const server = await startServer(contestant);
  try {
    const result = await runLoad<TurnsResult>({
      port: server.port,
      pid: server.pid,
      connections: options.connections,
      conversations: options.conversations,
      fill: options.fill,
      warmup: options.warmupSeconds,
      seconds: options.seconds,
    });
    return { ...result, rssBytes: readRss(server.pid) };
  } finally {
    await server.close();
  }
}

import type { Contestant } from './contestants.ts';
import { runLoad } from './load-process.ts';
import type { TurnsLoad, TurnsResult } from './load-turns.ts';
import { readFamily, readRss } from './proc.ts';
import { startServer } from './servers.ts';

export type ThroughputOptions = Omit<TurnsLoad, 'port' | 'pid'>;

export interface Throughput extends TurnsResult {
  /** Resident memory of all the server's processes when the load is over. */
  readonly rssBytes: number;
}

/** Measures one contestant, freshly started, under the load generator's closed loop. */
export async function measureThroughput(
  contestant: Contestant,
  options: ThroughputOptions,
): Promise<Throughput> {
  const server = await startServer(contestant);
  try {
    const { port, pid } = server;
    const result = await runLoad<TurnsResult>({ ...options, port, pid });
    const rssBytes = readFamily(pid).reduce((sum, member) => sum + readRss(member), 0);
    return { ...result, rssBytes };
  } finally {
    await server.close();
  }
}

import type { Contestant } from './contestants.ts';
import { runLoad } from './load-process.ts';
import type { TurnsResult } from './load-turns.ts';
import { readFamily, readRss } from './proc.ts';
import { startServer } from './servers.ts';

export interface ThroughputOptions {
  readonly connections: number;
  /** Per connection. */
  readonly conversations: number;
  /** Turns in each conversation before the warm-up. */
  readonly fill: number;
  readonly warmupSeconds: number;
  /** The process of the store's own server. Default: none. */
  readonly storePid?: number;
  readonly seconds: number;
  /** Most messages in a request of Chat Completions. Default: LayerCode's events. */
  readonly messages?: number;
  /** Whether each turn has a connection of its own. Default: connections are kept. */
  readonly renewsConnections?: boolean;
}

export interface Throughput extends TurnsResult {
  /** Resident memory of all processes of the server when the load is over. */
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
      'store-pid': options.storePid ?? 0,
      connections: options.connections,
      conversations: options.conversations,
      fill: options.fill,
      messages: options.messages ?? 0,
      renew: options.renewsConnections === true ? 1 : 0,
      warmup: options.warmupSeconds,
      seconds: options.seconds,
    });
    const rssBytes = readFamily(server.pid).reduce((sum, pid) => sum + readRss(pid), 0);
    return { ...result, rssBytes };
  } finally {
    await server.close();
  }
}

import { runLoad } from './load-process.ts';
import type { TurnsResult } from './load-turns.ts';
import { startServer } from './servers.ts';

export interface Contestant {
  name: string;
  script: string;
  settings: Record<string, string>;
}

export interface ThroughputOptions {
  connections: number;
  warmupSeconds: number;
  seconds: number;
}

/** One contestant, freshly started, under the closed loop of the load generator. */
export async function measureThroughput({ script, settings }: Contestant, options: ThroughputOptions): Promise<TurnsResult> {
  const server = await startServer(script, settings);
  try {
    return await runLoad<TurnsResult>({
      port: server.port,
      pid: server.pid,
      connections: options.connections,
      warmup: options.warmupSeconds,
      seconds: options.seconds,
    });
  } finally {
    await server.close();
  }
}

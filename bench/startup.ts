import { setTimeout as sleep } from 'node:timers/promises';
import type { Contestant } from './contestants.ts';
import { readRss } from './proc.ts';
import { startServer } from './servers.ts';

export interface Startup {
  startMs: number;
  /**
   * Resident memory after a while in which nothing happened; missing where only the start was asked
   * for.
   */
  idleBytes: number | undefined;
}

/** One start, and what the process weighs after `quietMs`; 0 leaves the weighing out. */
export async function measureStartup(contestant: Contestant, quietMs: number): Promise<Startup> {
  const server = await startServer(contestant);
  try {
    if (quietMs > 0) await sleep(quietMs);
    return { startMs: server.startMs, idleBytes: quietMs > 0 ? readRss(server.pid) : undefined };
  } finally {
    await server.close();
  }
}

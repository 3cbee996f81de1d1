import { setTimeout as sleep } from 'node:timers/promises';
import type { Contestant } from './contestants.ts';
import { readRss } from './proc.ts';
import { startServer } from './servers.ts';

export interface Startup {
  startMs: number;
  /** Resident memory after a quiet period. Undefined if only the start was measured. */
  idleBytes: number | undefined;
}

/** Measures one start, and the process's memory after `quietMs`; 0 skips the memory. */
export async function measureStartup(contestant: Contestant, quietMs: number): Promise<Startup> {
  const server = await startServer(contestant);
  try {
    if (quietMs > 0) await sleep(quietMs);
    return { startMs: server.startMs, idleBytes: quietMs > 0 ? readRss(server.pid) : undefined };
  } finally {
    await server.close();
  }
}

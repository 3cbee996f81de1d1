import { runLoad } from './load-process.ts';
import type { TurnsResult } from './load-turns.ts';
import { readRss } from './proc.ts';
import { startServer, type ServerOptions } from './servers.ts';
import { median } from './stats.ts';

const CONNECTIONS = 64;
const CONVERSATIONS = 100_000;
/** Every tenth turn goes to one of 64 conversations, which grow to the message limit. */
const HOT_EVERY = 10;

export interface Resident {
  /** Resident bytes: the medians of the second quarter of the turns, and of the last. */
  readonly early: number;
  readonly late: number;
}

/**
 * The server's memory over many turns in far more conversations than it keeps. The first quarter is
 * warm-up.
 */
export async function measureResident(options: ServerOptions, turns: number): Promise<Resident> {
  const rss: number[] = [];
  const server = await startServer(options);
  try {
    await runLoad<TurnsResult>(
      {
        port: server.port,
        pid: server.pid,
        connections: CONNECTIONS,
        conversations: Math.ceil(CONVERSATIONS / CONNECTIONS),
        // Two rounds through all conversations: by the second, every one of them has long been
        // dropped.
        stay: Math.max(1, Math.round(turns / CONVERSATIONS / 2)),
        hotEvery: HOT_EVERY,
        maxTurns: turns,
      },
      () => rss.push(readRss(server.pid)),
    );
  } finally {
    await server.close();
  }
  return {
    early: median(rss.slice(rss.length * 0.25, rss.length * 0.5)),
    late: median(rss.slice(rss.length * 0.75)),
  };
}

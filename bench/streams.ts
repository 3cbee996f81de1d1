import { setTimeout as sleep } from 'node:timers/promises';
import type { Contestant } from './contestants.ts';
import { runLoad } from './load-process.ts';
import type { StreamsResult } from './load-streams.ts';
import { readRss } from './proc.ts';
import { HELD_AGENT, startServer } from './servers.ts';

export interface OpenStreams extends StreamsResult {
  idleBytes: number;
  openBytes: number;
  bytesPerStream: number;
}

const SETTLE_MS = 2000;

/**
 * Measures resident memory with nothing open and with all streams open at once. Then lets the
 * streams end, which all of them must do.
 */
export async function measureStreams(
  contestant: Contestant,
  streams: number,
): Promise<OpenStreams> {
  const server = await startServer({
    ...contestant,
    settings: { ...contestant.settings, AGENT: HELD_AGENT, SLOW: '1' },
  });
  try {
    await sleep(SETTLE_MS);
    const idleBytes = readRss(server.pid);
    let openBytes = 0;
    const result = await runLoad<StreamsResult>({ port: server.port, streams }, () => {
      setTimeout(() => {
        openBytes = readRss(server.pid);
        server.signal('SIGUSR2');
      }, SETTLE_MS);
    });
    return { ...result, idleBytes, openBytes, bytesPerStream: (openBytes - idleBytes) / streams };
  } finally {
    await server.close();
  }
}

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { StreamsLoad, StreamsResult } from './load-streams.ts';
import type { TurnsLoad, TurnsResult } from './load-turns.ts';
import { adopt } from './servers.ts';

const LOAD = fileURLToPath(new URL('load.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Progress lines that `load.ts` prints before its result. */
export interface LoadProgress {
  turns?: number;
  open?: number;
}

/**
 * Runs the load generator and resolves with its result. Rejects if a turn or the generator failed.
 */
export async function runLoad<Result extends TurnsResult | StreamsResult>(
  load: TurnsLoad | StreamsLoad,
  onProgress?: (progress: LoadProgress) => void,
): Promise<Result> {
  const json = JSON.stringify(load);
  const child = adopt(
    spawn(process.execPath, ['--import', 'tsx', LOAD, json], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  const exitCode = new Promise<number | null>((resolve) => child.once('close', resolve));
  let result: Result | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const parsed = JSON.parse(line) as LoadProgress | Result;
    if ('failures' in parsed) result = parsed;
    else onProgress?.(parsed);
  }
  if ((await exitCode) !== 0 || result === undefined) {
    throw new Error(
      `load ${json}: ${result?.failures ?? 'unknown'} failures, ${result?.faults[0] ?? 'no result'}`,
    );
  }
  return result;
}

// A restaurant on two workers, whose SQLite file stalls and whose workers are replaced in mid-call.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { Workplace } from '../../fixtures/spawned-server.ts';
import { WITHOUT_SQLITE } from '../../fixtures/sqlite.ts';
import { assertPaid, order, RESTAURANT } from './restaurant.ts';
import { serving, WORKERS_ENV } from './worker-turns.ts';

const STALL_MS = 300;
const PAUSE_MS = 200;
/** A store that does not answer for a second is away. A busy machine may hold a lock for longer. */
const AWAY_MS = 900;
const TOTAL = 45;

const workplace = new Workplace();
afterEach(() => workplace.clear());

interface Database {
  exec(sql: string): void;
  close(): void;
}

/** Locks the file again and again, until the signal fires. Returns the longest stall. */
async function stall(file: string, signal: AbortSignal): Promise<number> {
  const { DatabaseSync } = createRequire(import.meta.url)('node:sqlite') as {
    readonly DatabaseSync: new (path: string, options: object) => Database;
  };
  const database = new DatabaseSync(file, { timeout: 2_000 });
  let longestMs = 0;
  while (!signal.aborted) {
    database.exec('BEGIN IMMEDIATE');
    const fromMs = performance.now();
    await setTimeout(STALL_MS);
    database.exec('COMMIT');
    longestMs = Math.max(longestMs, performance.now() - fromMs);
    await setTimeout(PAUSE_MS);
  }
  database.close();
  return longestMs;
}

describe('sixteen callers of a restaurant on two workers', () => {
  it(
    'hear the right totals and pay them once, while the file stalls and workers are replaced',
    { skip: WITHOUT_SQLITE, timeout: 120_000 },
    async () => {
      workplace.write('agent.mjs', RESTAURANT);
      const env = { ...WORKERS_ENV, CONVERSATION_STORE: 'sqlite:calls.db' };
      const { server, url } = await serving(workplace.spawn({ env }));
      const over = new AbortController();
      const stalling = stall(join(workplace.directory, 'calls.db'), over.signal);
      const calls = Promise.all(Array.from({ length: 16 }, () => order([url])));
      for (const listening of [4, 6]) {
        server.kill('SIGHUP');
        await server.lines('listening', listening);
      }
      const bills = await calls;
      over.abort();
      if (await stalling > AWAY_MS) {
        // Then a total may lack what only the other worker knows. Nothing that was ordered is lost.
        return assertPaid(workplace.directory, bills.map((bill) => ({ ...bill, heard: TOTAL })));
      }
      assert.deepEqual(bills.flatMap(({ wrong }) => wrong), []);
      assertPaid(workplace.directory, bills);
    },
  );
});

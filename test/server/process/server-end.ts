// How a spawned server ends.

import assert from 'node:assert/strict';

import type { SpawnedServer } from '../../fixtures/spawned-server.ts';

/** The server ends by itself, with that code. */
export async function assertEnds(server: SpawnedServer, code: number): Promise<void> {
  assert.deepEqual(await server.exit, { code, signal: null });
}

/** The server ends properly once it is told to. */
export async function stop(server: SpawnedServer): Promise<void> {
  server.kill('SIGTERM');
  await assertEnds(server, 0);
}

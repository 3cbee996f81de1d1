import assert from 'node:assert/strict';
import { after } from 'node:test';

import type { ModelError } from '../../../src/core/models/model.ts';
import { startModelServer, type Answer, type ModelServer } from '../../faults/model-server.ts';
import { KEY, modelAt, read, type Reading } from './reading.ts';

const servers: ModelServer[] = [];
after(() => Promise.all(servers.map((server) => server.close())));

export async function serve(...script: [Answer, ...Answer[]]): Promise<ModelServer> {
  const server = await startModelServer(script);
  servers.push(server);
  return server;
}

type ModelOptions = Parameters<typeof modelAt>[1];

/** What is read from a model that answers with this. */
export async function answered(
  answer: Answer, options?: ModelOptions, asked?: Parameters<typeof read>[1],
): Promise<Reading> {
  return read(modelAt((await serve(answer)).url, options), asked);
}

export async function errorOf(answer: Answer, options?: ModelOptions): Promise<ModelError> {
  const { error } = await answered(answer, options);
  assert.ok(error);
  assert.ok(!error.message.includes(KEY) && !/[\r\n]/.test(error.message), error.message);
  return error;
}

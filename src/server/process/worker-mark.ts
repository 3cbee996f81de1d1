// Marks a process as one of this server's workers. Uses an environment variable, because other
// programs may also fork this server and load `node:cluster` into it.

import type { Environment } from '../../base/environment.ts';

const VARIABLE = 'LAYERCODE_MICROSERVER_WORKER';

/** Environment variables that make a process a worker. */
export const WORKER_MARK: Environment = { [VARIABLE]: '1' };

/**
 * Whether this process is a worker. Removes the mark, because programs it starts are not workers.
 */
export function takeWorkerMark(): boolean {
  const isWorker = process.env[VARIABLE] !== undefined && process.send !== undefined;
  delete process.env[VARIABLE];
  return isWorker;
}

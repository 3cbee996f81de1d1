// How a process knows that it is one of this server's workers. An environment variable, because
// other programs fork this server, too, and load `node:cluster` into it.

import type { Environment } from '../base/environment.ts';

const VARIABLE = 'LAYERCODE_MICROSERVER_WORKER';

/** Variables that make a process started with them a worker. */
export const WORKER_MARK: Environment = { [VARIABLE]: '1' };

/** Whether this process is a worker. Removes the mark: programs that it starts are none. */
export function takeWorkerMark(): boolean {
  const isWorker = process.env[VARIABLE] !== undefined && process.send !== undefined;
  delete process.env[VARIABLE];
  return isWorker;
}

// How a process knows that it is one of this server's workers. By an environment variable, because
// other programs may fork this server with `node:cluster`, too.

import type { Environment } from '../base/environment.ts';

const VARIABLE = 'LAYERCODE_MICROSERVER_WORKER';

/** Variables that make a new process a worker. */
export const WORKER_MARK: Environment = { [VARIABLE]: '1' };

/** Whether this process is a worker. Removes the mark: programs that it starts are not. */
export function takeWorkerMark(): boolean {
  const isWorker = process.env[VARIABLE] !== undefined && process.send !== undefined;
  delete process.env[VARIABLE];
  return isWorker;
}

import { randomInt } from 'node:crypto';

/** V8 keeps a number below 2 ** 30 without an object. */
const RUN_IDS = 2 ** 30;

let lastRunId = randomInt(RUN_IDS);

/**
 * Tells the runs of one turn apart. Several processes may share a store, so each counts from a
 * random number.
 */
export function nextRunId(): number {
  lastRunId = (lastRunId + 1) % RUN_IDS;
  return lastRunId;
}

/** Whether a run of this process began after another one of it. */
export function isLaterRun(runId: number, other: number): boolean {
  const ahead = (runId - other + RUN_IDS) % RUN_IDS;
  return ahead > 0 && ahead < RUN_IDS / 2;
}

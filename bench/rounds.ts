import { setImmediate as nextRound } from 'node:timers/promises';

/** Longer than anything takes here: a contestant that falls silent must not hang the bench. */
const PATIENCE_MS = 30_000;

/** Lets the event loop go round until it is so. `what` is named if that never comes. */
export async function until(isSo: () => boolean, what: () => string): Promise<void> {
  const givesUpAtMs = performance.now() + PATIENCE_MS;
  while (!isSo()) {
    if (performance.now() > givesUpAtMs) {
      throw new Error(`waited ${PATIENCE_MS / 1_000} s for ${what()}`);
    }
    await nextRound();
  }
}

/** Lets the event loop go round until promises and ticks have done what they were about to do. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 3; round++) await nextRound();
}

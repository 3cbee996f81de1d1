import { setImmediate as nextRound } from 'node:timers/promises';

/** Longer than anything takes here. A contestant that falls silent must not hang the bench. */
const PATIENCE_MS = 60_000;

/** Lets the event loop go round until `isSo` holds. If it never does, the error names `what`. */
export async function until(isSo: () => boolean, what: () => string): Promise<void> {
  const givesUpAtMs = performance.now() + PATIENCE_MS;
  while (!isSo()) {
    if (performance.now() > givesUpAtMs) {
      throw new Error(`waited ${PATIENCE_MS / 1_000} s for ${what()}`);
    }
    await nextRound();
  }
}

/** Lets the event loop go round until all pending promises and ticks have run. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 3; round++) await nextRound();
}

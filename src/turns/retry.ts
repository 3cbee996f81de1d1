import type { Awaitable } from '../base/awaitable.ts';

/** Between the tries of a write that failed. Its caller has gone by then, so that only a shutdown waits for it. */
export const WRITE_DELAYS_MS = [50, 250, 1_000] as const;
/** Between the tries of a write that a caller waits for. */
export const OPENING_DELAYS_MS = [50, 250] as const;

/** Tries a write of the store again that has failed, after each of the delays. Rejects with the last error. */
export async function retry<T>(write: () => Awaitable<T>, delaysMs: readonly number[], error: unknown): Promise<T> {
  let last = error;
  for (const ms of delaysMs) {
    await new Promise((resolve) => setTimeout(resolve, ms));
    try {
      return await write();
    } catch (failure) {
      last = failure;
    }
  }
  throw last;
}

import { orElse, type Awaitable } from '../../base/awaitable.ts';

/** Pauses between the tries of a write that only a shutdown waits for. */
export const WRITE_DELAYS_MS = [50, 250, 1_000] as const;
/** Pauses between the tries of a write that the caller waits for. */
export const OPENING_DELAYS_MS = [50, 250] as const;

/**
 * Writes to a store. If the write fails, it is tried again after each of the delays. It must be
 * safe to repeat, because a store may fail after it has written. Returns the result at once if the
 * store does. Rejects with the error of the last try.
 */
export function persist<T>(write: () => Awaitable<T>, delaysMs: readonly number[]): Awaitable<T> {
  return orElse(write, async (error) => {
    const [ms, ...later] = delaysMs;
    if (ms === undefined) throw error;
    await new Promise((resolve) => setTimeout(resolve, ms));
    return persist(write, later);
  });
}

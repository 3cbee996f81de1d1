import type { Awaitable } from '../base/awaitable.ts';

/** Pauses between the tries of a write that only a shutdown waits for. */
export const WRITE_DELAYS_MS = [50, 250, 1_000] as const;
/** Pauses between the tries of a write that the caller waits for. */
export const OPENING_DELAYS_MS = [50, 250] as const;

/**
 * Writes to a store. If the write fails, it is tried again after each of the delays. It must be
 * safe to repeat, as a store may fail after it has written. Returns the result at once if the store
 * does. Rejects with the error of the last try.
 */
export function persist<T>(write: () => Awaitable<T>, delaysMs: readonly number[]): Awaitable<T> {
  try {
    const written = write();
    if (!(written instanceof Promise)) return written;
    return written.catch((error: unknown) => again(write, delaysMs, error));
  } catch (error) {
    return again(write, delaysMs, error);
  }
}

async function again<T>(
  write: () => Awaitable<T>,
  delaysMs: readonly number[],
  error: unknown,
): Promise<T> {
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

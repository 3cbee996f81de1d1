import type { Awaitable } from '../base/awaitable.ts';

/** Between the tries of a write whose caller has left: only a shutdown waits for it. */
export const WRITE_DELAYS_MS = [50, 250, 1_000] as const;
/** Between the tries of a write that a caller waits for. */
export const OPENING_DELAYS_MS = [50, 250] as const;

/**
 * Makes a write of the store, and makes it again after each of the delays while it fails. The write
 * must be safe to repeat: a store may fail after it has written. Returns at once where the store
 * does. Rejects with the last error.
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

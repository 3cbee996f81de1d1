import { soon, type Awaitable } from './awaitable.ts';

/** Resolves or rejects with the promise, or resolves with undefined after `ms` milliseconds. */
export function atMost<T>(ms: number, done: Awaitable<T>): Promise<T | undefined> {
  return race(ms, done, () => undefined);
}

/**
 * The promise's value. Rejects if it takes longer than `ms` milliseconds. If the event loop was
 * blocked, timers fire before the answers that arrived meanwhile are read, so these get one more
 * round.
 */
export function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  return race(ms, promise, async () => {
    await soon();
    throw new Error(`no answer in ${ms} ms`);
  });
}

async function race<T, U>(
  ms: number,
  done: Awaitable<T>,
  late: () => Awaitable<U>,
): Promise<T | U> {
  let timer: NodeJS.Timeout | undefined;
  const isLate = new Promise<U>((resolve) => {
    timer = setTimeout(() => resolve(late()), ms);
  });
  try {
    return await Promise.race([done, isLate]);
  } finally {
    clearTimeout(timer);
  }
}

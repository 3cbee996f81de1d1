import type { Awaitable } from './awaitable.ts';

/** Resolves or rejects with the promise, or resolves with undefined after `ms` milliseconds. */
export async function atMost<T>(ms: number, done: Awaitable<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  try {
    return await Promise.race([done, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The promise's value. Rejects if it takes longer than `ms` milliseconds. If the event loop was
 * blocked, timers fire before the answers that arrived meanwhile are read, so these get one more
 * round.
 */
export function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  // Every command of a store passes through here: `Promise.race` would cost two more promises.
  return new Promise((resolve, reject) => {
    const isLate = (): void => reject(new Error(`no answer in ${ms} ms`));
    const timer = setTimeout(() => setImmediate(isLate), ms);
    promise.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}

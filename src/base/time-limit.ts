/** Resolves or rejects with the promise, or resolves after `ms` milliseconds. */
export async function atMost(ms: number, done: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    await Promise.race([done, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The promise's value. Rejects if it takes longer than `ms` milliseconds. If the event loop was
 * blocked, timers fire before the answers that arrived meanwhile are read, so these get one more
 * turn.
 */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const isLate = (): void => reject(new Error(`no answer in ${ms} ms`));
    timer = setTimeout(() => setImmediate(isLate), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

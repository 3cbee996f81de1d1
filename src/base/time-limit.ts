/** Resolves when the promise does, or after so many milliseconds. Rejects as the promise does. */
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
 * What the promise resolves with. Rejects if that takes more than so many milliseconds. After the
 * event loop was held up, timers fire before the answers that have arrived meanwhile are read:
 * these get one more turn.
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

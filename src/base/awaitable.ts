/**
 * A value, or a promise of one. A value that is available need not wait for the microtask queue.
 */
export type Awaitable<T> = T | Promise<T>;

/** Calls `next` with the value: at once if it is available, otherwise when the promise resolves. */
export function andThen<T, U>(value: Awaitable<T>, next: (value: T) => Awaitable<U>): Awaitable<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** What a step returns, or what `failed` makes of an error that it throws or rejects with. */
export function orElse<T>(
  step: () => Awaitable<T>,
  failed: (error: unknown) => Awaitable<T>,
): Awaitable<T> {
  try {
    const value = step();
    return value instanceof Promise ? value.catch(failed) : value;
  } catch (error) {
    return failed(error);
  }
}

/**
 * The value, or a real promise for any thenable. Without this, another library's promise would pass
 * for a value.
 */
export function toAwaitable<T>(value: Awaitable<T> | PromiseLike<T>): Awaitable<T> {
  return value instanceof Promise || !isThenable(value) ? value : Promise.resolve(value);
}

export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return (
    typeof value === 'object'
    && value !== null
    && 'then' in value
    && typeof value.then === 'function'
  );
}

/** Resolves after everything that is due now has run, including timers and sockets. */
export function soon(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * A value, or a promise of one. What answers at once need not cost a turn of the microtask queue.
 */
export type Awaitable<T> = T | Promise<T>;

/** Calls `next` with the value: at once where it is there, after the promise where it is not. */
export function after<T, U>(value: Awaitable<T>, next: (value: T) => Awaitable<U>): Awaitable<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

import { isThenable, type Awaitable } from './awaitable.ts';

/** Deeper causes are ignored. They may even form a cycle. */
const MAX_CAUSES = 10;

/**
 * Whether an error only means that a signal fired, as at every barge-in. That is true if:
 *
 * - it is the signal's `reason`, or has that in its `cause` chain;
 * - it is named `AbortError`, or its code is `ABORT_ERR`;
 * - it is an `AggregateError` whose errors are all aborts.
 */
export function isAbort(error: unknown, reason?: unknown, depth = 0): boolean {
  if (reason !== undefined && error === reason) return true;
  if (!(error instanceof Error) || depth > MAX_CAUSES) return false;
  if (error.name === 'AbortError' || ('code' in error && error.code === 'ABORT_ERR')) return true;
  if (error instanceof AggregateError && error.errors.length > 0) {
    return error.errors.every((part) => isAbort(part, reason, depth + 1));
  }
  return isAbort(error.cause, reason, depth + 1);
}

/** Resolves once the signal fires. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/**
 * The value. Rejects with the signal's reason once it fires, because whatever makes the value may
 * ignore the signal and never settle.
 */
export function untilAborted<T>(value: Awaitable<T>, signal: AbortSignal): Awaitable<T> {
  if (!isThenable(value)) return value; // thenables too: database query builders are not promises
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    const settled = Promise.resolve(value).then(resolve, reject);
    void settled.finally(() => signal.removeEventListener('abort', onAbort));
  });
}

import { TurnAbortedError } from '../turns/turn.ts';

/** Causes may be nested deeper than anybody needs, or end in themselves. */
const MAX_DEPTH = 10;

/**
 * Whether an error only says that a signal fired, as at every barge-in: a turn's reason, an error with
 * that as its cause, or what any API rejects with when it is aborted.
 */
export function isAbort(error: unknown, depth = 0): boolean {
  if (!(error instanceof Error) || depth > MAX_DEPTH) return false;
  if (error instanceof TurnAbortedError || error.name === 'AbortError') return true;
  if ('code' in error && error.code === 'ABORT_ERR') return true;
  if (error instanceof AggregateError && error.errors.length > 0) {
    return error.errors.every((part) => isAbort(part, depth + 1));
  }
  return isAbort(error.cause, depth + 1);
}

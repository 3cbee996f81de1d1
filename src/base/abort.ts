/** Causes may be nested deeper than anybody needs, or end in themselves. */
const MAX_CAUSES = 10;

/**
 * Whether an error only says that a signal fired, as at every barge-in: it is the signal's reason, has that for its cause, or is what
 * an API rejects with when it is aborted. A turn's own reason is known by its code, too.
 */
export function isAbort(error: unknown, reason?: unknown): boolean {
  return isAbortAt(0, error, reason);
}

function isAbortAt(depth: number, error: unknown, reason: unknown): boolean {
  if (reason !== undefined && error === reason) return true;
  if (!(error instanceof Error) || depth > MAX_CAUSES) return false;
  if (error.name === 'AbortError' || ('code' in error && error.code === 'ABORT_ERR')) return true;
  if (error instanceof AggregateError && error.errors.length > 0) {
    return error.errors.every((part) => isAbortAt(depth + 1, part, reason));
  }
  return isAbortAt(depth + 1, error.cause, reason);
}

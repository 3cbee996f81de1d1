/** Longest chain of causes that is looked at: an error may be its own cause. */
const MAX_CAUSES = 16;

/** Whether an error is an abort: the reason of the signal, an error with it in its `cause` chain, or one that is named `AbortError`. */
export function isAbort(error: unknown, reason: unknown): boolean {
  for (let cause = error, count = 0; count < MAX_CAUSES; count++) {
    if (cause === reason) return true;
    if (!(cause instanceof Error)) return false;
    if (cause.name === 'AbortError' || ('code' in cause && cause.code === 'ABORT_ERR')) return true;
    cause = cause.cause;
  }
  return false;
}

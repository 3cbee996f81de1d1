import { knowInAnyCopy } from '../../../base/any-copy.ts';
import { messageOf } from '../../../base/thrown-values.ts';

/**
 * A store that cannot be used. The message is one line: which store, what is wrong, and what to do
 * about it where that is known. `code` is `STORE_UNAVAILABLE`.
 */
export class StoreError extends Error {
  static { knowInAnyCopy(this, 'StoreError'); }
  override readonly name = 'StoreError';
  readonly code = 'STORE_UNAVAILABLE';
}

/** Why what is stored under an id cannot be used, if the store does not say so itself. */
export function failureAt(id: string, cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const message = `what is stored as ${JSON.stringify(id)} cannot be used: ${messageOf(cause)}`;
  return new StoreError(message, { cause });
}

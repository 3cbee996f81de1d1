/**
 * A store that cannot be used. The message is one line: which store, what is wrong, and what to do
 * about it where that is known. `code` is `STORE_UNAVAILABLE`.
 */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code = 'STORE_UNAVAILABLE';
}

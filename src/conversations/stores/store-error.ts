/**
 * A store that cannot be used. The message is one line that names the store, what is wrong, and the
 * way out where there is one. `code` is `STORE_UNAVAILABLE`.
 */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code = 'STORE_UNAVAILABLE';
}

import { knowInAnyCopy } from '../../base/any-copy.ts';

/** A tool needs a value that this process has not seen. */
export class UnknownValueError extends Error {
  static { knowInAnyCopy(this, 'UnknownValueError'); }
  override readonly name = 'UnknownValueError';
  readonly code = 'ERR_UNKNOWN_VALUE';
}

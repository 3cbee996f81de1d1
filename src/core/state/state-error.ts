import { knowInAnyCopy } from '../../base/any-copy.ts';

/** A state cannot be stored because it is not plain JSON or too long. */
export class StateError extends TypeError {
  static { knowInAnyCopy(this, 'StateError'); }
  override readonly name = 'StateError';
  readonly code = 'ERR_STATE';
}

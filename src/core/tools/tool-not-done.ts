import { knowInAnyCopy } from '../../base/any-copy.ts';

/**
 * Throw it from a tool that has had no effect, such as a payment that the bank declined. The model
 * gets the message, and a tool that acts once may act later under the same key. Any other error
 * from such a tool leaves the outcome unknown.
 */
export class NotDone extends Error {
  static { knowInAnyCopy(this, 'NotDone'); }
  override readonly name = 'NotDone';
  readonly code = 'ERR_NOT_DONE';
}

// An agent's state as it is stored: JSON text.

import { jsonFaultOf } from '../../base/json-value.ts';
import { StateError } from './state-error.ts';

/** Longest state as JSON text, in UTF-16 code units, inclusive. */
export const MAX_STATE_LENGTH = 65_536;

/** Throws a `StateError` if the text is too long. */
export function checkStateLength(text: string): void {
  if (text.length > MAX_STATE_LENGTH)
    throw new StateError(`the state is longer than ${MAX_STATE_LENGTH} characters`);
}

/** Throws a `StateError` if the text is not JSON. */
export function parseState<S>(text: string): S {
  try {
    return JSON.parse(text);
  } catch {
    throw new StateError('the stored state is not JSON'); // no cause: Node's message quotes it
  }
}

/** Throws a `StateError` if the state is not a plain object of JSON values. */
export function stateText(value: unknown): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new StateError('a state must be an object');
  }
  const fault = jsonFaultOf(value, 'state', { takesToJson: false });
  if (fault !== undefined) {
    // Names only the field: names below it may be the caller's words.
    const [field = ''] = /^state(?:\.\w+)?/.exec(fault.path) ?? [];
    throw new StateError(`something in ${field} ${fault.text}`);
  }
  return JSON.stringify(value);
}

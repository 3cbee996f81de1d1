// The message about turns that the processes of one service send each other.

import { isId, isObject } from '../base/fields.ts';
import { parseJson } from '../base/json.ts';

/** Look at the conversation: it has changed in the store, unless the sender is `waiting`. */
export interface ProcessMessage {
  readonly type: 'look';
  readonly conversationId: string;
  /** The sender, if it waits for a call of the receiver and wants to be told of its end. */
  readonly waiting?: string | undefined;
  /** The caller has left that session, or all of them if it is empty. The store does not say so. */
  readonly left?: string | undefined;
}

/**
 * Undefined for a message of another type: a newer or an older version may have sent it. Throws a
 * `TypeError` for anything else that is not a message.
 */
export function parseProcessMessage(json: string): ProcessMessage | undefined {
  const value = parseJson(json);
  const type = isObject(value) ? value['type'] : undefined;
  if (!isObject(value) || typeof type !== 'string')
    throw new TypeError('a message must be an object with a type');
  if (type !== 'look') return undefined;
  const { conversationId, waiting, left } = value;
  if (typeof conversationId !== 'string') throw notA('conversationId', 'a string');
  if (waiting !== undefined && !isId(waiting)) throw notA('waiting', 'an address');
  if (left !== undefined && typeof left !== 'string') throw notA('left', 'a string');
  return { type, conversationId, waiting, left };
}

function notA(name: string, expected: string): TypeError {
  return new TypeError(`${name} of a message "look" must be ${expected}`);
}

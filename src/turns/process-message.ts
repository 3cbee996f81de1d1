// The messages about turns that the processes of one service send each other.

import { EVERYONE } from '../base/channel.ts';
import * as field from '../base/fields.ts';
import { parseJson } from '../base/json.ts';

export type ProcessMessage =
  /** Ends turns of the receiver: that run, those of that session, or all of the conversation. */
  | {
      readonly type: 'interrupt';
      readonly conversationId: string;
      readonly runId?: number | undefined;
      readonly sessionId?: string | undefined;
      /** Whether the sender runs the turn of that run from now on. Default: it is interrupted. */
      readonly isTakenOver?: boolean | undefined;
      /** The run that has taken it over. Older versions do not say it. */
      readonly by?: number | undefined;
    }
  /** Asks which of these tool calls the receiver runs. */
  | {
      readonly type: 'ask';
      readonly id: string;
      readonly from: string;
      readonly conversationId: string;
      readonly calls: readonly string[];
      /** Whether the sender is about to claim them, so that no claim must be overlooked. */
      readonly isClaiming?: boolean | undefined;
    }
  | {
      readonly type: 'answer';
      readonly id: string;
      readonly from: string;
      readonly calls: readonly string[];
      /** Those that the sender has claimed, as far as it remembers. */
      readonly claimed?: readonly string[] | undefined;
      /** Those of `calls` under which nothing began: see `ToolAnswer`. */
      readonly idle?: readonly string[] | undefined;
      /** Always false. Older versions could pass a stream on, and still read this. */
      readonly isFollowing: false;
    }
  /** The result of a tool call that the receiver has asked about is stored. */
  | { readonly type: 'call ended'; readonly key: string }
  /** The conversation was erased: its mark in the store should be read before it is lost. */
  | { readonly type: 'erased'; readonly conversationId: string };

export type MessageOf<T> = Extract<ProcessMessage, { readonly type: T }>;

const text = field.string;
/** Of one process: what is sent to everyone is never answered to everyone. */
const address: field.Field = {
  ...field.id,
  check: (value) =>
    value === EVERYONE ? { path: '', expected: 'of one process' } : field.id.check(value),
};
const texts = field.arrayOf(field.string);

const MESSAGES: Readonly<Record<ProcessMessage['type'], field.Field>> = {
  interrupt: field.objectOf({
    conversationId: text,
    runId: field.optional(field.number),
    sessionId: field.optional(text),
    isTakenOver: field.optional(field.boolean),
    by: field.optional(field.number),
  }),
  ask: field.objectOf({
    id: text,
    from: address,
    conversationId: text,
    calls: texts,
    isClaiming: field.optional(field.boolean),
  }),
  answer: field.objectOf({
    id: text,
    from: address,
    calls: texts,
    claimed: field.optional(texts),
    idle: field.optional(texts),
  }),
  'call ended': field.objectOf({ key: text }),
  erased: field.objectOf({ conversationId: text }),
};

/**
 * Undefined for a message of a type that this version does not know: a newer or an older one may
 * have sent it. Throws a `TypeError` for anything else that is not a message.
 */
export function parseProcessMessage(json: string): ProcessMessage | undefined {
  const value = parseJson(json);
  const type = field.isObject(value) ? value['type'] : undefined;
  if (typeof type !== 'string') throw new TypeError('a message must be an object with a type');
  if (!Object.hasOwn(MESSAGES, type)) return undefined;
  const fault = MESSAGES[type as ProcessMessage['type']].check(value);
  // The table has just checked it.
  if (fault === undefined) return value as unknown as ProcessMessage;
  throw new TypeError(`${fault.path} of a message "${type}" must be ${fault.expected}`);
}

import { eachStored } from './each-stored.ts';
import type { PartStore } from './part-store.ts';
import { PartedConversation } from './parted-conversation.ts';

/** A key with such a character holds something other than a conversation, such as a call record. */
const CONTROL = /\p{Cc}/u;

/**
 * The keys of the conversations whose last telephone call came from a number that is meant. What
 * cannot be read is left out, and a `StoreError` names it in the end.
 */
export async function* conversationsOfCaller(
  parts: PartStore,
  isMeant: (from: string) => boolean,
): AsyncGenerator<string, void, undefined> {
  for await (const [id, stored] of eachStored(parts, '', (one) => !CONTROL.test(one))) {
    const { caller } = new PartedConversation(id, stored).apply((conversation) => conversation);
    if (caller?.from !== undefined && isMeant(caller.from)) yield id;
  }
}

// What `calls erase` does with conversations, from outside the servers that use the store.

import { clearTurns } from '../conversation.ts';
import { eachStored } from './each-stored.ts';
import type { PartStore } from './part-store.ts';
import { PartedConversation } from './parted-conversation.ts';
import { failureAt, StoreError } from './store-error.ts';

const MAX_CONFLICTS = 20;

/** A key with such a character holds something other than a conversation, such as a call record. */
const CONTROL = /\p{Cc}/u;

/**
 * The keys of the conversations whose last telephone call came from a number that `isMeant`. What
 * cannot be read is left out, and a `StoreError` names it at the end.
 */
export async function* conversationsOfCaller(
  parts: PartStore,
  isMeant: (from: string) => boolean,
): AsyncGenerator<string, void, undefined> {
  for await (const [id, stored] of eachStored(parts, '', (one) => !CONTROL.test(one))) {
    const { caller } = new PartedConversation(id, stored).conversation;
    if (caller?.from !== undefined && isMeant(caller.from)) yield id;
  }
}

/**
 * Erases a conversation. The mark is left even if nothing is stored: a server may remember what the
 * store has lost, or keep it until the store answers again. False if nothing was stored. Rejects
 * with a `StoreError`.
 */
export async function eraseStored(parts: PartStore, id: string, ttlMs: number): Promise<boolean> {
  try {
    return await erase(parts, id, ttlMs);
  } catch (error) {
    throw failureAt(id, error);
  }
}

async function erase(parts: PartStore, id: string, ttlMs: number): Promise<boolean> {
  const read = await parts.read(id);
  let stored = read === 'unchanged' ? undefined : read;
  let known: PartedConversation | undefined;
  for (let tries = 0; tries <= MAX_CONFLICTS; tries += 1) {
    const kept: PartedConversation = new PartedConversation(id, stored, known);
    const hadWords = stored !== undefined && !kept.isErased;
    kept.apply((conversation) => clearTurns(conversation));
    const change = kept.change(kept.lifetimeMs(ttlMs));
    const found = change === undefined || (await parts.write(id, change));
    if (found === true) return hadWords;
    stored = found;
    known = kept;
  }
  throw new StoreError(`other processes changed the conversation ${MAX_CONFLICTS} times`);
}

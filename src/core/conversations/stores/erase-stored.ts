// What `calls erase` does with conversations, from outside the servers that use the store.

import { clearTurns, type Conversation } from '../conversation.ts';
import { eachStored } from './each-stored.ts';
import type { PartStore } from './part-store.ts';
import { PartedConversation } from './parted-conversation.ts';
import { failureAt, StoreError } from './store-error.ts';

const MAX_CONFLICTS = 20;

/** A key with such a character holds something other than a conversation, such as a call record. */
const CONTROL = /\p{Cc}/u;

/**
 * The conversations in a store whose key is wanted, without erased ones. What cannot be read is
 * left out, and a `StoreError` names it at the end.
 */
export async function* storedConversations(
  parts: PartStore,
  isWanted: (key: string) => boolean = () => true,
): AsyncGenerator<Conversation, void, undefined> {
  const wanted = (key: string): boolean => !CONTROL.test(key) && isWanted(key);
  for await (const [key, stored] of eachStored(parts, '', wanted)) {
    const kept = new PartedConversation(key, stored);
    if (!kept.isErased) yield kept.conversation;
  }
}

/** `before`: only the mark of an earlier erasure was stored. */
export type ErasedOutcome = 'now' | 'before' | 'not stored';

/**
 * Erases a conversation. The mark is left even if nothing is stored: a server may remember what the
 * store has lost, or keep it until the store answers again. Rejects with a `StoreError`.
 */
export async function eraseStored(
  parts: PartStore,
  id: string,
  ttlMs: number,
): Promise<ErasedOutcome> {
  try {
    return await erase(parts, id, ttlMs);
  } catch (error) {
    throw failureAt(id, error);
  }
}

async function erase(parts: PartStore, id: string, ttlMs: number): Promise<ErasedOutcome> {
  const read = await parts.read(id);
  let stored = read === 'unchanged' ? undefined : read;
  let known: PartedConversation | undefined;
  for (let tries = 0; tries <= MAX_CONFLICTS; tries += 1) {
    const kept: PartedConversation = new PartedConversation(id, stored, known);
    const outcome = stored === undefined ? 'not stored' : kept.isErased ? 'before' : 'now';
    kept.apply((conversation) => clearTurns(conversation));
    const change = kept.change(kept.lifetimeMs(ttlMs));
    const found = change === undefined || (await parts.write(id, change));
    if (found === true) return outcome;
    stored = found;
    known = kept;
  }
  throw new StoreError(`other processes changed the conversation ${MAX_CONFLICTS} times`);
}

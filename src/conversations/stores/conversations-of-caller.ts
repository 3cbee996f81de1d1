import type { PartStore } from './part-store.ts';
import { PartedConversation } from './parted-conversation.ts';

/** A key with such a character holds something other than a conversation, such as a call record. */
const CONTROL = /\p{Cc}/u;

/**
 * The keys of the conversations whose last telephone call came from this number. Reads everything
 * that is stored, page by page, so it is slow on a large store.
 */
export async function* conversationsOfCaller(
  parts: PartStore,
  number: string,
): AsyncGenerator<string, void, undefined> {
  const seen = new Set<string>(); // Redis may list a key twice
  for (let after: string | undefined = ''; after !== undefined;) {
    const page = await parts.list('', after);
    for (const id of page.ids) {
      if (CONTROL.test(id) || seen.has(id)) continue;
      seen.add(id);
      const stored = await parts.read(id);
      if (typeof stored !== 'object') continue;
      const { caller } = new PartedConversation(id, stored).apply((conversation) => conversation);
      if (caller?.from === number) yield id;
    }
    after = page.next;
  }
}

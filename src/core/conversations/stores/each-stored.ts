import type { PartStore, ReadAnswer, StoredConversation } from './part-store.ts';
import { failureAt, StoreError } from './store-error.ts';

/** The maximum number of failures that an error lists. */
const MAX_TOLD = 20;

/**
 * Everything stored under a wanted id that begins with the prefix. Reads page by page, so it is
 * slow on a large store. What cannot be read is left out, and a `StoreError` names it at the end.
 */
export async function* eachStored(
  parts: PartStore,
  prefix: string,
  isWanted: (id: string) => boolean,
): AsyncGenerator<[id: string, stored: StoredConversation], void, undefined> {
  const seen = new Set<string>(); // Redis may list a key twice
  const failures = new Set<string>();
  try {
    for (let after: string | undefined = ''; after !== undefined;) {
      const page = await parts.list(prefix, after);
      for (const id of page.ids) {
        if (seen.has(id) || !isWanted(id)) continue;
        seen.add(id);
        const stored = await readAt(id, parts);
        if (stored instanceof StoreError) failures.add(stored.message);
        else if (typeof stored === 'object') yield [id, stored];
      }
      after = page.next;
    }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    failures.add(error.message); // a page could not be listed
  }
  if (failures.size === 0) return;
  const told = [...failures].slice(0, MAX_TOLD);
  const others = failures.size - told.length;
  throw new StoreError(told.join('; ') + (others === 0 ? '' : `; and ${others} more`));
}

async function readAt(id: string, parts: PartStore): Promise<ReadAnswer | StoreError> {
  try {
    return await parts.read(id);
  } catch (error) {
    return failureAt(id, error);
  }
}

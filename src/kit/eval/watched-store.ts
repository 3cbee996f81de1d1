import type { ConversationStore } from '../../core/conversations/store.ts';
import { Watchers } from '../platform/watchers.ts';

export interface WatchedStore extends ConversationStore {
  readonly watchers: Watchers;
  /** Whether its users are working without it, or what they did meanwhile is not written yet. */
  readonly isAway: boolean;
  /** Closes it for good. */
  end(): Promise<void>;
}

/** The store, whose changes can be awaited, and which stays open when its app closes. */
export function watched(store: ConversationStore): WatchedStore {
  const watchers = new Watchers();
  return {
    ...(store.isShared === true ? { isShared: true } : {}),
    watchers,
    read: (id) => store.read(id),
    async update(id, change, options) {
      const result = await store.update(id, change, options);
      watchers.changed();
      return result;
    },
    get isAway() {
      const { isDegraded = false, turnsWaiting = 0 } = store.health?.() ?? {};
      return isDegraded || turnsWaiting > 0;
    },
    runsAt: (address) => store.runsAt?.(address),
    count: () => store.count(),
    close: () => undefined, // the next app uses it too
    end: async () => store.close(),
  };
}

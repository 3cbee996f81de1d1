import type { Awaitable } from '../../base/awaitable.ts';
import type { Conversation } from '../../conversations/conversation.ts';
import type { ConversationStore, UpdateOptions } from '../../conversations/store.ts';
import { Watchers } from '../platform/watchers.ts';

/** A store whose changes can be waited for, and which stays open when its app closes. */
export class WatchedStore implements ConversationStore {
  declare readonly isShared?: true;
  readonly #store: ConversationStore;
  readonly watchers = new Watchers();

  constructor(store: ConversationStore) {
    this.#store = store;
    if (store.isShared === true) this.isShared = true;
  }

  read(id: string): Awaitable<Conversation | undefined> {
    return this.#store.read(id);
  }

  async update<T>(
    id: string,
    change: (conversation: Conversation) => T,
    options?: UpdateOptions,
  ): Promise<T> {
    const result = await this.#store.update(id, change, options);
    this.watchers.changed();
    return result;
  }

  /** Whether what uses it goes on without it. */
  get isAway(): boolean {
    return this.#store.health?.().isDegraded === true;
  }

  runsAt(address: string): void {
    this.#store.runsAt?.(address);
  }

  count(): Awaitable<number> {
    return this.#store.count();
  }

  close(): void {
    // The next app goes on with it.
  }

  /** Closes it for good. */
  async end(): Promise<void> {
    await this.#store.close();
  }
}

import { emptyConversation, hasOpenTurn, type Conversation } from './conversation.ts';
import type { ConversationStore } from './store.ts';

export interface MemoryStoreOptions {
  /** A conversation that did not change for so long is dropped. */
  readonly ttlMs: number;
  /** Beyond it the conversation that was changed longest ago is dropped. One with an open turn never is, so it may be exceeded by as many. */
  readonly maxConversations: number;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

const SWEEP_INTERVAL_MS = 60_000;

interface Entry {
  readonly conversation: Conversation;
  /** Neighbours in the order of the last change. */
  older: Entry | undefined;
  newer: Entry | undefined;
}

/**
 * Conversations in a Map, and in a list in the order of their last change. Answers at once.
 *
 * A list, and not the Map's own order: deleting and setting again leaves tables behind that the garbage collector promotes,
 * with all they point to, which cost a turn a quarter of its time.
 */
export class MemoryStore implements ConversationStore {
  readonly #ttlMs: number;
  readonly #maxConversations: number;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  #oldest: Entry | undefined;
  #newest: Entry | undefined;
  readonly #sweeper: NodeJS.Timeout;

  constructor({ ttlMs, maxConversations, now = Date.now }: MemoryStoreOptions) {
    this.#ttlMs = ttlMs;
    this.#maxConversations = maxConversations;
    this.#now = now;
    // An idle server must give memory back too. Never keeps the process alive.
    this.#sweeper = setInterval(() => this.#dropExpired(), SWEEP_INTERVAL_MS).unref();
  }

  read(id: string): Conversation | undefined {
    const entry = this.#find(id);
    return entry === undefined || this.#isExpired(entry.conversation, this.#now()) ? undefined : entry.conversation;
  }

  update<T>(id: string, change: (conversation: Conversation) => T): T {
    const now = this.#now();
    let entry = this.#find(id);
    if (entry !== undefined && this.#isExpired(entry.conversation, now)) {
      this.#drop(entry);
      entry = undefined;
    }
    const conversation = entry?.conversation ?? emptyConversation(id);
    const result = change(conversation);
    if (conversation.turns.length === 0) {
      if (entry !== undefined) this.#drop(entry);
      return result;
    }
    conversation.updatedAt = now;
    if (entry === undefined) {
      entry = { conversation, older: undefined, newer: undefined };
      this.#entries.set(id, entry);
      this.#append(entry);
      if (this.#entries.size > this.#maxConversations) this.#dropOldest();
    } else this.#touch(entry);
    return result;
  }

  count(): number {
    return this.#entries.size;
  }

  close(): void {
    clearInterval(this.#sweeper);
    this.#entries.clear();
    this.#oldest = this.#newest = undefined;
  }

  /** The newest is looked at first: a turn that begins and ends at once asks for it twice in a row. */
  #find(id: string): Entry | undefined {
    return this.#newest?.conversation.id === id ? this.#newest : this.#entries.get(id);
  }

  #isExpired(conversation: Conversation, now: number): boolean {
    return now - conversation.updatedAt > this.#ttlMs && !hasOpenTurn(conversation);
  }

  #dropOldest(): void {
    for (let candidates = this.#entries.size; this.#entries.size > this.#maxConversations && candidates > 0; candidates--) {
      if (this.#oldest !== undefined) this.#dropUnlessOpen(this.#oldest);
    }
  }

  #dropExpired(): void {
    for (let candidates = this.#entries.size; candidates > 0; candidates--) {
      if (this.#oldest === undefined || this.#now() - this.#oldest.conversation.updatedAt <= this.#ttlMs) return;
      this.#dropUnlessOpen(this.#oldest);
    }
  }

  /** One that is in use goes to the end of the line, or every newcomer would have to step over it again. */
  #dropUnlessOpen(entry: Entry): void {
    if (!hasOpenTurn(entry.conversation)) return this.#drop(entry);
    entry.conversation.updatedAt = this.#now();
    this.#touch(entry);
  }

  #drop(entry: Entry): void {
    this.#entries.delete(entry.conversation.id);
    this.#unlink(entry);
  }

  #touch(entry: Entry): void {
    if (entry === this.#newest) return;
    this.#unlink(entry);
    this.#append(entry);
  }

  #append(entry: Entry): void {
    entry.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
  }

  #unlink(entry: Entry): void {
    const { older, newer } = entry;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    entry.older = entry.newer = undefined;
  }
}

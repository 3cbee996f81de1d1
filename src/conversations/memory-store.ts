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

/** Conversations in a Map, in the order of their last change. Answers at once. */
export class MemoryStore implements ConversationStore {
  readonly #ttlMs: number;
  readonly #maxConversations: number;
  readonly #now: () => number;
  readonly #conversations = new Map<string, Conversation>();
  readonly #sweeper: NodeJS.Timeout;

  constructor({ ttlMs, maxConversations, now = Date.now }: MemoryStoreOptions) {
    this.#ttlMs = ttlMs;
    this.#maxConversations = maxConversations;
    this.#now = now;
    // An idle server must give memory back too. Never keeps the process alive.
    this.#sweeper = setInterval(() => this.#dropExpired(), SWEEP_INTERVAL_MS).unref();
  }

  read(id: string): Conversation | undefined {
    const conversation = this.#conversations.get(id);
    return conversation === undefined || this.#isExpired(conversation) ? undefined : conversation;
  }

  update<T>(id: string, change: (conversation: Conversation) => T): T {
    const conversation = this.read(id) ?? emptyConversation(id);
    const result = change(conversation);
    this.#conversations.delete(id); // and in again at the end: the Map's order is the order of changes
    if (conversation.turns.length === 0) return result;
    conversation.updatedAt = this.#now();
    this.#conversations.set(id, conversation);
    if (this.#conversations.size > this.#maxConversations) this.#dropOldest();
    return result;
  }

  count(): number {
    return this.#conversations.size;
  }

  close(): void {
    clearInterval(this.#sweeper);
    this.#conversations.clear();
  }

  #isExpired(conversation: Conversation): boolean {
    return this.#now() - conversation.updatedAt > this.#ttlMs && !hasOpenTurn(conversation);
  }

  #dropOldest(): void {
    let candidates = this.#conversations.size;
    for (const [id, conversation] of this.#conversations) {
      if (this.#conversations.size <= this.#maxConversations || candidates-- === 0) return;
      this.#dropUnlessOpen(id, conversation);
    }
  }

  #dropExpired(): void {
    let candidates = this.#conversations.size;
    for (const [id, conversation] of this.#conversations) {
      if (this.#now() - conversation.updatedAt <= this.#ttlMs || candidates-- === 0) return;
      this.#dropUnlessOpen(id, conversation);
    }
  }

  /** One that is in use goes to the end of the line, or every newcomer would have to step over it again. */
  #dropUnlessOpen(id: string, conversation: Conversation): void {
    this.#conversations.delete(id);
    if (!hasOpenTurn(conversation)) return;
    conversation.updatedAt = this.#now();
    this.#conversations.set(id, conversation);
  }
}

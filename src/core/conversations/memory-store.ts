import { RecencyList, type RecencyEntry } from '../../base/recency-list.ts';
import {
  emptyConversation, isEmpty, isInUse, lengthOf, type Conversation,
} from './conversation.ts';
import type { ConversationStore } from './store.ts';

/**
 * Options of `MemoryStore`. A conversation is in use while a turn is open, and for an hour after
 * the claim of a `once` call that has not completed: it is running, or its outcome is unknown.
 */
export interface MemoryStoreOptions {
  /** A conversation that has not changed for this long is dropped, unless it is in use. */
  readonly ttlMs: number;
  /** Beyond this the least recently changed conversation is dropped, unless it is in use. */
  readonly maxConversations: number;
  /**
   * Maximum length of the text of all conversations together, in UTF-16 code units. Beyond this the
   * least recently changed are dropped, except the latest one and those in use. Default 67,108,864.
   */
  readonly maxCharacters?: number;
  /** Milliseconds on any monotonic clock. Default `performance.now`. */
  readonly now?: () => number;
}

const SWEEP_INTERVAL_MS = 60_000;

/** Bounds the search for a conversation to drop when very many are in use. */
const MAX_EVICTION_STEPS = 100;

interface Entry extends RecencyEntry<Entry> {
  readonly conversation: Conversation;
  /** By the store's own clock. `updatedAt` is wall time, which may jump. */
  lastUsedMs: number;
}

/**
 * Keeps conversations in a Map and in a list ordered by their last change. Never returns a
 * promise.
 */
export class MemoryStore implements ConversationStore {
  readonly #ttlMs: number;
  readonly #maxConversations: number;
  readonly #maxCharacters: number;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  #characters = 0;
  readonly #byLastUse = new RecencyList<Entry>();
  readonly #sweeper: NodeJS.Timeout;

  constructor({ ttlMs, maxConversations, maxCharacters = 67_108_864, now }: MemoryStoreOptions) {
    this.#ttlMs = ttlMs;
    this.#maxConversations = maxConversations;
    this.#maxCharacters = maxCharacters;
    this.#now = now ?? (() => performance.now());
    // Frees memory on an idle server as well. It never keeps the process alive.
    this.#sweeper = setInterval(() => this.#dropExpired(), SWEEP_INTERVAL_MS).unref();
  }

  read(id: string): Conversation | undefined {
    const entry = this.#find(id);
    if (entry === undefined || this.#isExpired(entry, this.#now())) return undefined;
    return entry.conversation;
  }

  update<T>(id: string, change: (conversation: Conversation) => T): T {
    // Whole milliseconds: V8 allocates an object for a fraction.
    const now = Math.floor(this.#now());
    let entry = this.#find(id);
    if (entry !== undefined && this.#isExpired(entry, now)) {
      this.#drop(entry);
      entry = undefined;
    }
    const conversation = entry?.conversation ?? emptyConversation(id);
    const before = lengthOf(conversation);
    const result = change(conversation);
    this.#characters += lengthOf(conversation) - before;
    if (isEmpty(conversation)) {
      if (entry !== undefined) this.#drop(entry);
      return result;
    }
    conversation.updatedAt = Date.now();
    if (entry === undefined) {
      entry = { conversation, lastUsedMs: now, older: undefined, newer: undefined };
      this.#entries.set(id, entry);
      this.#byLastUse.add(entry);
    } else this.#touch(entry, now);
    if (this.#isOverfull) this.#evict(entry, now);
    return result;
  }

  count(): number {
    return this.#entries.size;
  }

  close(): void {
    clearInterval(this.#sweeper);
    this.#entries.clear();
    this.#characters = 0;
    this.#byLastUse.clear();
  }

  /** Tries the newest first: a turn that begins and ends at once looks it up twice in a row. */
  #find(id: string): Entry | undefined {
    const { newest } = this.#byLastUse;
    return newest?.conversation.id === id ? newest : this.#entries.get(id);
  }

  #isExpired({ conversation, lastUsedMs }: Entry, now: number): boolean {
    return now - lastUsedMs > this.#ttlMs && !isInUse(conversation);
  }

  get #isOverfull(): boolean {
    return this.#entries.size > this.#maxConversations || this.#characters > this.#maxCharacters;
  }

  /** Drops the least recently used until the bounds are met, but never `kept`, the newest. */
  #evict(kept: Entry, now: number): void {
    for (let steps = 0; this.#isOverfull && steps < MAX_EVICTION_STEPS; steps++) {
      const { oldest } = this.#byLastUse;
      if (oldest === undefined || oldest === kept) return;
      this.#dropUnlessUsed(oldest, now);
    }
  }

  #dropExpired(): void {
    const now = Math.floor(this.#now());
    for (let candidates = this.#entries.size; candidates > 0; candidates--) {
      const { oldest } = this.#byLastUse;
      if (oldest === undefined || now - oldest.lastUsedMs <= this.#ttlMs) return;
      this.#dropUnlessUsed(oldest, now);
    }
  }

  /**
   * A conversation that is in use moves to the end. Otherwise every change would step over it
   * again.
   */
  #dropUnlessUsed(entry: Entry, now: number): void {
    if (isInUse(entry.conversation)) this.#touch(entry, now);
    else this.#drop(entry);
  }

  #drop(entry: Entry): void {
    this.#characters -= lengthOf(entry.conversation);
    this.#entries.delete(entry.conversation.id);
    this.#byLastUse.remove(entry);
  }

  #touch(entry: Entry, now: number): void {
    entry.lastUsedMs = now;
    this.#byLastUse.touch(entry);
  }
}

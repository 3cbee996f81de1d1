import { RecencyList, type RecencyEntry } from '../../../base/recency-list.ts';
import type { PartedConversation } from './parted-conversation.ts';

interface RememberedBounds {
  readonly maxConversations: number;
  /** UTF-16 code units of all their texts. */
  readonly maxCharacters: number;
  /** A conversation is forgotten when the store drops it: see `lifetimeMs`. */
  readonly ttlMs: number;
}

interface Entry extends RecencyEntry<Entry> {
  readonly id: string;
  kept: PartedConversation;
  characters: number;
}

/**
 * Conversations as this process saw them last. Beyond the bounds the least recently set one is
 * forgotten, but never the latest.
 */
export class Remembered {
  readonly #bounds: RememberedBounds;
  readonly #entries = new Map<string, Entry>();
  readonly #byLastUse = new RecencyList<Entry>();
  #characters = 0;

  constructor(bounds: RememberedBounds) {
    this.#bounds = bounds;
  }

  get(id: string): PartedConversation | undefined {
    const entry = this.#entries.get(id);
    if (entry?.kept.isExpired(this.#bounds.ttlMs) !== true) return entry?.kept;
    this.delete(id);
    return undefined;
  }

  /** Call it again after each change: the length is measured here. */
  set(id: string, kept: PartedConversation): void {
    const { characters } = kept;
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      const added = { id, kept, characters, older: undefined, newer: undefined };
      this.#entries.set(id, added);
      this.#byLastUse.add(added);
      this.#characters += characters;
    } else {
      this.#characters += characters - entry.characters;
      entry.kept = kept;
      entry.characters = characters;
      this.#byLastUse.touch(entry);
    }
    for (;;) {
      const { oldest } = this.#byLastUse;
      if (oldest === undefined || oldest.id === id) return;
      if (!this.#isOverfull && !oldest.kept.isExpired(this.#bounds.ttlMs)) return;
      this.delete(oldest.id);
    }
  }

  delete(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.#byLastUse.remove(entry);
    this.#characters -= entry.characters;
  }

  get #isOverfull(): boolean {
    const { maxConversations, maxCharacters } = this.#bounds;
    return this.#entries.size > maxConversations || this.#characters > maxCharacters;
  }
}

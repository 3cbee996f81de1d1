import { hasOpenTurn } from '../conversation.ts';
import type { PartedConversation } from './parted-conversation.ts';

export interface RememberedBounds {
  readonly maxConversations: number;
  /** UTF-16 code units of all their texts. */
  readonly maxCharacters: number;
  /** A conversation without a change for this long is forgotten, unless it has an open turn. */
  readonly ttlMs: number;
}

interface Entry {
  readonly kept: PartedConversation;
  readonly characters: number;
}

/**
 * Conversations as this process saw them last. Beyond the bounds the least recently set one is
 * forgotten, but never the latest.
 */
export class Remembered {
  readonly #bounds: RememberedBounds;
  readonly #entries = new Map<string, Entry>();
  #characters = 0;

  constructor(bounds: RememberedBounds) {
    this.#bounds = bounds;
  }

  get(id: string): PartedConversation | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined || !this.#isExpired(entry)) return entry?.kept;
    this.delete(id);
    return undefined;
  }

  /** Call it again after each change: the length is measured here. */
  set(id: string, kept: PartedConversation): void {
    this.delete(id); // a Map keeps the order of insertion: this moves the id to the end
    const characters = kept.conversation.textLength;
    this.#entries.set(id, { kept, characters });
    this.#characters += characters;
    for (const [oldest, entry] of this.#entries) {
      if (oldest === id || !(this.#isOverfull || this.#isExpired(entry))) return;
      this.delete(oldest);
    }
  }

  delete(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.#characters -= entry.characters;
  }

  get #isOverfull(): boolean {
    const { maxConversations, maxCharacters } = this.#bounds;
    return this.#entries.size > maxConversations || this.#characters > maxCharacters;
  }

  #isExpired({ kept: { conversation } }: Entry): boolean {
    const isOld = Date.now() - conversation.updatedAt > this.#bounds.ttlMs;
    return isOld && !hasOpenTurn(conversation);
  }
}

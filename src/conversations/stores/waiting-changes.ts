import type { Logger } from '../../log.ts';
import type { PartedConversation } from './parted-conversation.ts';

export interface WaitingBounds {
  readonly maxTurns: number;
  /** UTF-16 code units of all conversations that wait. */
  readonly maxCharacters: number;
}

interface Entry {
  readonly kept: PartedConversation;
  readonly turns: number;
  readonly characters: number;
}

/**
 * Conversations with changes that are not stored yet, the oldest first. Beyond the bounds the
 * oldest is given up, but never the latest.
 */
export class WaitingChanges {
  readonly #bounds: WaitingBounds;
  readonly #log: Logger;
  readonly #entries = new Map<string, Entry>();
  #turns = 0;
  #characters = 0;

  constructor(bounds: WaitingBounds, log: Logger) {
    this.#bounds = bounds;
    this.#log = log;
  }

  get turns(): number {
    return this.#turns;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The oldest first. A copy. */
  ids(): readonly string[] {
    return [...this.#entries.keys()];
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  get(id: string): PartedConversation | undefined {
    return this.#entries.get(id)?.kept;
  }

  /** Moves the conversation to the end. Call it after each change: the length is measured here. */
  set(id: string, kept: PartedConversation): void {
    this.delete(id);
    kept.forgetUnsaved();
    const turns = Math.max(kept.touched.size, 1); // a state or a caller alone takes room, too
    const { characters } = kept;
    this.#entries.set(id, { kept, turns, characters });
    this.#turns += turns;
    this.#characters += characters;
    while (this.#turns > this.#bounds.maxTurns || this.#characters > this.#bounds.maxCharacters) {
      const [oldest] = this.#entries.keys();
      if (oldest === undefined || oldest === id) return;
      const lost = this.#entries.get(oldest)?.turns;
      this.delete(oldest);
      this.#log.error('history lost: too much is waiting for the store', {
        conversationId: oldest,
        turns: lost,
      });
    }
  }

  delete(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.#turns -= entry.turns;
    this.#characters -= entry.characters;
  }
}

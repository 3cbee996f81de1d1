import type { Logger } from '../../../base/log.ts';
import type { PartedConversation } from './parted-conversation.ts';

/** Turns that wait unless the store's options say otherwise. */
export const MAX_TURNS_WAITING = 10_000;

interface WaitingBounds {
  readonly maxTurns: number;
  /** UTF-16 code units of all waiting conversations. */
  readonly maxCharacters: number;
  /** A conversation stops waiting once the store would have dropped it: see `lifetimeMs`. */
  readonly ttlMs: number;
}

interface Entry {
  readonly kept: PartedConversation;
  readonly turns: number;
  readonly characters: number;
  /** Called when it is stored. */
  readonly listeners: (() => void)[];
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
    return this.get(id) !== undefined;
  }

  get(id: string): PartedConversation | undefined {
    const kept = this.#entries.get(id)?.kept;
    if (kept?.isExpired(this.#bounds.ttlMs) !== true) return kept;
    this.delete(id);
    return undefined;
  }

  /** Moves the conversation to the end. Call it after each change: the length is measured here. */
  set(id: string, kept: PartedConversation): void {
    const { listeners = [] } = this.#entries.get(id) ?? {};
    this.delete(id);
    kept.forgetUnsaved();
    const turns = Math.max(kept.touched.size, 1); // a state or a caller alone also takes space
    const { characters } = kept;
    this.#entries.set(id, { kept, turns, characters, listeners });
    this.#turns += turns;
    this.#characters += characters;
    while (this.#turns > this.#bounds.maxTurns || this.#characters > this.#bounds.maxCharacters) {
      const oldest = this.#oldestExcept(id);
      if (oldest === undefined) return;
      const lost = this.#entries.get(oldest)?.turns;
      this.delete(oldest);
      this.#log.error('history lost: too much is waiting for the store', {
        conversationId: oldest,
        turns: lost,
      });
    }
  }

  /** Erasures are given up last: what they erased would return. */
  #oldestExcept(latest: string): string | undefined {
    let erased: string | undefined;
    for (const [id, { kept }] of this.#entries) {
      if (id === latest) continue;
      if (!kept.isErasing) return id;
      erased ??= id;
    }
    return erased;
  }

  /** Calls `listener` when the conversation is stored, if it is waiting. */
  whenStored(id: string, listener: () => void): void {
    if (this.has(id)) this.#entries.get(id)?.listeners.push(listener);
  }

  /** Call it when the store has all of the conversation. */
  stored(id: string): void {
    const { listeners = [] } = this.#entries.get(id) ?? {};
    this.delete(id);
    for (const listener of listeners) listener();
  }

  delete(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.#turns -= entry.turns;
    this.#characters -= entry.characters;
  }
}

import type { ConversationManager } from '../conversations/manager.ts';
import type { Logger } from '../log.ts';
import { RECONNECT_MS } from './peers.ts';

/** How many are remembered. Beyond this the oldest is left to the store alone. */
const MAX_MARKS = 1_000;

/**
 * The marks of erasures, as far as this process knows of them. A store that loses one would get the
 * erased conversation back from what processes remember, so they put the mark back, too.
 */
export class ErasureMarks {
  readonly #conversations: Pick<ConversationManager, 'recall' | 'remembered' | 'isStoreAway'>;
  readonly #log: Logger;
  /** Conversations that have one. */
  readonly #marked = new Set<string>();
  /** Conversations that are being read, and whether a message has come since. */
  readonly #reading = new Map<string, 'latest' | 'outdated'>();
  #reconnected: NodeJS.Timeout | undefined;

  constructor(
    conversations: Pick<ConversationManager, 'recall' | 'remembered' | 'isStoreAway'>,
    log: Logger,
  ) {
    this.#conversations = conversations;
    this.#log = log;
  }

  /** The conversation has one. */
  note(conversationId: string): void {
    this.#marked.delete(conversationId);
    this.#marked.add(conversationId);
    const [oldest] = this.#marked;
    if (oldest !== undefined && this.#marked.size > MAX_MARKS) this.#marked.delete(oldest);
  }

  /**
   * The conversation may have one: reads it, if this process remembers the conversation. One read
   * at a time, however many messages come: turns of the conversation wait behind it.
   */
  async read(conversationId: string): Promise<void> {
    const isReading = this.#reading.has(conversationId);
    this.#reading.set(conversationId, 'outdated');
    if (isReading) return;
    while (this.#reading.get(conversationId) === 'outdated') {
      this.#reading.set(conversationId, 'latest');
      await this.#readOnce(conversationId);
    }
    this.#reading.delete(conversationId);
  }

  async #readOnce(conversationId: string): Promise<void> {
    const conversations = this.#conversations;
    try {
      await conversations.recall(conversationId); // puts the mark back, if the store has lost it
      const remembered = conversations.remembered(conversationId);
      // While the store does not answer, its mark may be there or follow.
      const mayHaveOne = remembered !== undefined && conversations.isStoreAway;
      if (mayHaveOne || remembered?.erasedAt !== undefined) this.note(conversationId);
      else this.#marked.delete(conversationId);
    } catch (error) {
      this.#log.warn('a conversation could not be put back', { conversationId, error });
    }
  }

  /** Messages arrive again: the store may have had the same outage, and have lost marks. */
  reopened(): void {
    this.#readAll();
    // Then the store is connected again, and others have put back what they remember.
    clearTimeout(this.#reconnected);
    this.#reconnected = setTimeout(() => this.#readAll(), RECONNECT_MS).unref();
  }

  #readAll(): void {
    for (const conversationId of [...this.#marked]) void this.read(conversationId);
  }

  /** Stops reading conversations. */
  close(): void {
    clearTimeout(this.#reconnected);
  }
}

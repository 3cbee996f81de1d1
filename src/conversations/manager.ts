import { randomUUID } from 'node:crypto';

import { after, type Awaitable } from '../base/awaitable.ts';
import * as rules from './rules.ts';
import type { ConversationBounds, CutTurn, Interruption, OpenedTurn, TurnOpening, TurnSettlement } from './rules.ts';
import type { Message, TurnState } from './message.ts';
import type { ConversationStore } from './store.ts';

export interface ConversationManagerOptions {
  /** Messages a conversation holds at the most, at least 2. Default 200. */
  readonly maxMessages?: number;
  /** UTF-16 code units a conversation's texts have at the most. Default 1,048,576. */
  readonly maxTextLength?: number;
}

/** A message to add by hand. Without `turnId` it becomes a turn of its own. */
export interface NewMessage {
  readonly role: 'user' | 'assistant';
  readonly content: string;
  readonly turnId?: string;
}

/** The history of every conversation, over a store, within bounds. Answers at once where the store does. */
export class ConversationManager {
  readonly #store: ConversationStore;
  readonly #bounds: ConversationBounds;

  constructor(store: ConversationStore, { maxMessages = 200, maxTextLength = 1_048_576 }: ConversationManagerOptions = {}) {
    if (!Number.isInteger(maxMessages) || maxMessages < 2) throw new RangeError(`maxMessages must be an integer of at least 2, got ${maxMessages}`);
    this.#store = store;
    this.#bounds = { maxMessages, maxTextLength };
  }

  /** Adds a message at the end, or to its turn where that is known; begins the conversation where there is none. */
  addMessage(conversationId: string, { role, content, turnId = randomUUID() }: NewMessage): Awaitable<void> {
    const message: Message = role === 'user' ? { role, content, turnId } : { role, content, turnId, state: 'completed' };
    return this.#store.update(conversationId, (conversation) => rules.appendMessage(conversation, message, this.#bounds));
  }

  /** All messages in the order of their turns; the placeholder of a turn that runs is among them. Empty for an unknown id. */
  getHistory(conversationId: string): Awaitable<Message[]> {
    return after(this.#store.read(conversationId), (conversation) => (conversation === undefined ? [] : rules.historyOf(conversation)));
  }

  /** Forgets the conversation. A turn that still runs goes on, and is not written down. */
  clear(conversationId: string): Awaitable<void> {
    return this.#store.update(conversationId, (conversation) => rules.clearTurns(conversation));
  }

  /** How many conversations are held. */
  count(): Awaitable<number> {
    return this.#store.count();
  }

  /** The state of a turn; undefined when it is not known. */
  turnState(conversationId: string, turnId: string): Awaitable<TurnState | undefined> {
    return after(this.#store.read(conversationId), (conversation) => (conversation === undefined ? undefined : rules.findTurn(conversation, turnId)?.state));
  }

  /** See `openTurn` in conversation.ts. */
  openTurn(conversationId: string, opening: TurnOpening): Awaitable<OpenedTurn> {
    return this.#store.update(conversationId, (conversation) => rules.openTurn(conversation, opening, this.#bounds));
  }

  /** See `settleTurn` in conversation.ts. */
  settleTurn(conversationId: string, settlement: TurnSettlement): Awaitable<boolean> {
    return this.#store.update(conversationId, (conversation) => rules.settleTurn(conversation, settlement, this.#bounds));
  }

  /** See `cutTurn` in conversation.ts. */
  cutTurn(conversationId: string, interruption: Interruption): Awaitable<CutTurn | undefined> {
    return this.#store.update(conversationId, (conversation) => rules.cutTurn(conversation, interruption));
  }

  close(): Awaitable<void> {
    return this.#store.close();
  }
}

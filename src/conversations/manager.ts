import { randomUUID } from 'node:crypto';

import { andThen, toAwaitable, type Awaitable } from '../base/awaitable.ts';
import type { ConversationBounds } from './bounds.ts';
import {
  clearTurns, FORMAT, historyOf, upgrade, type Conversation, type KnownCaller,
} from './conversation.ts';
import { cutTurn, type CutTurn, type Interruption } from './heard.ts';
import type { Message } from './message.ts';
import * as rules from './rules.ts';
import type { TurnOpening, TurnOpeningResult, TurnSettlement } from './rules.ts';
import type { ConversationStore } from './store.ts';
import {
  noteProgress,
  noteToolResult,
  type Ownership,
  type ToolResult,
  type TurnProgress,
} from './tool-call-rules.ts';
import type { RunElsewhere } from './turn-record.ts';

export interface ConversationManagerOptions {
  /** Messages a conversation holds at the most, at least 2. Default 200. */
  readonly maxMessages?: number;
  /** UTF-16 code units a conversation's texts have at the most. Default 1,048,576. */
  readonly maxTextLength?: number;
  /**
   * The agent whose conversations these are, if several agents share the store: the same id is then
   * another conversation for each. Default: the agent has the store to itself.
   */
  readonly agentName?: string;
}

/** A message to add by hand. Without `turnId` it becomes a turn of its own. */
export interface NewMessage {
  readonly role: 'user' | 'assistant';
  readonly content: string;
  readonly turnId?: string;
}

/** A conversation as it is at one moment. */
export interface Snapshot {
  readonly history: Message[];
  /** The agent's state: JSON text. */
  readonly state: string | undefined;
  readonly caller?: KnownCaller;
}

/** A conversation that has had a turn. */
export interface KnownConversation {
  /** The name of the agent that it was handed over to last. */
  readonly agent?: string;
}

/**
 * The history of every conversation, over a store, within bounds. Answers at once where the store
 * does.
 */
export class ConversationManager {
  readonly #store: ConversationStore;
  readonly #bounds: ConversationBounds;
  readonly #agentName: string | undefined;

  constructor(
    store: ConversationStore,
    { maxMessages = 200, maxTextLength = 1_048_576, agentName }: ConversationManagerOptions = {},
  ) {
    if (!Number.isInteger(maxMessages) || maxMessages < 2)
      throw new RangeError(`maxMessages must be an integer of at least 2, got ${maxMessages}`);
    this.#store = agentName === undefined ? store : storeOf(agentName, store);
    this.#bounds = { maxMessages, maxTextLength };
    this.#agentName = agentName;
  }

  /** What the store knows the conversation by: no other agent's conversation has the same key. */
  keyOf(conversationId: string): string {
    return this.#agentName === undefined
      ? conversationId
      : keyOf(this.#agentName, conversationId);
  }

  /**
   * Adds a message at the end, or to its turn where that is known. Begins the conversation where it
   * is new.
   */
  addMessage(
    conversationId: string,
    { role, content, turnId = randomUUID() }: NewMessage,
  ): Awaitable<void> {
    const message: Message =
      role === 'user' ? { role, content, turnId } : { role, content, turnId, state: 'completed' };
    return toAwaitable(
      this.#store.update(conversationId, (conversation) =>
        rules.appendMessage(current(conversation), message, this.#bounds),
      ),
    );
  }

  /**
   * All messages in the order of their turns, the placeholder of a running turn among them. Empty
   * for an unknown id.
   */
  getHistory(conversationId: string): Awaitable<Message[]> {
    return andThen(toAwaitable(this.#store.read(conversationId)), (conversation) =>
      conversation === undefined ? [] : historyOf(toRead(conversation)),
    );
  }

  /** History, state and caller of a conversation. Empty for an unknown id. */
  snapshot(conversationId: string): Awaitable<Snapshot> {
    return andThen(toAwaitable(this.#store.read(conversationId)), (conversation) => {
      if (conversation === undefined) return { history: [], state: undefined };
      const { state, caller } = conversation;
      const history = historyOf(toRead(conversation));
      return { history, state, ...(caller === undefined ? {} : { caller }) };
    });
  }

  /**
   * Forgets the conversation, its state too. A turn that still runs goes on, and is not written
   * down.
   */
  clear(conversationId: string): Awaitable<void> {
    return toAwaitable(
      this.#store.update(conversationId, (conversation) => clearTurns(conversation)),
    );
  }

  /** How many conversations are held, those of other agents in the same store included. */
  count(): Awaitable<number> {
    return toAwaitable(this.#store.count());
  }

  /** What a turn that leaves nothing in it must know of a conversation. Undefined for a new one. */
  known(conversationId: string): Awaitable<KnownConversation | undefined> {
    return toAwaitable(this.#store.read(conversationId));
  }

  /** See `openTurn` in rules.ts. */
  openTurn(conversationId: string, opening: TurnOpening): Awaitable<TurnOpeningResult> {
    return toAwaitable(
      this.#store.update(conversationId, (conversation) =>
        rules.openTurn(current(conversation), opening, this.#bounds),
      ),
    );
  }

  /** The turns that other processes than this one run. */
  openRunsElsewhere(conversationId: string, own: string): Awaitable<readonly RunElsewhere[]> {
    return andThen(toAwaitable(this.#store.read(conversationId)), (conversation) =>
      conversation === undefined ? [] : rules.openRunsElsewhere(conversation, own),
    );
  }

  /** See `noteProgress` in tool-call-rules.ts. */
  noteProgress(conversationId: string, progress: TurnProgress): Awaitable<Ownership> {
    return toAwaitable(
      this.#store.update(conversationId, (conversation) =>
        noteProgress(current(conversation), progress, this.#bounds),
      ),
    );
  }

  /** See `noteToolResult` in tool-call-rules.ts. */
  noteToolResult(conversationId: string, result: ToolResult): Awaitable<boolean> {
    return toAwaitable(
      this.#store.update(conversationId, (conversation) =>
        noteToolResult(current(conversation), result, this.#bounds),
      ),
    );
  }

  /** See `settleTurn` in rules.ts. */
  settleTurn(conversationId: string, settlement: TurnSettlement): Awaitable<boolean> {
    return toAwaitable(
      this.#store.update(conversationId, (conversation) =>
        rules.settleTurn(current(conversation), settlement, this.#bounds),
      ),
    );
  }

  /** See `cutTurn` in heard.ts. */
  cutTurn(conversationId: string, interruption: Interruption): Awaitable<CutTurn | undefined> {
    return toAwaitable(
      this.#store.update(conversationId, (conversation) =>
        cutTurn(current(conversation), interruption, this.#bounds),
      ),
    );
  }

  close(): Awaitable<void> {
    return toAwaitable(this.#store.close());
  }
}

/** No agent's name has a slash, so no two agents have a key in common. */
function keyOf(agentName: string, conversationId: string): string {
  return `${agentName}/${conversationId}`;
}

/** The part of a store that belongs to one agent. */
function storeOf(agentName: string, store: ConversationStore): ConversationStore {
  return {
    read: (id) => store.read(keyOf(agentName, id)),
    update: (id, change) => store.update(keyOf(agentName, id), change),
    count: () => store.count(),
    close: () => store.close(),
  };
}

/** A draft that may be changed, in today's format. */
function current(conversation: Conversation): Conversation {
  if (conversation.format !== FORMAT) upgrade(conversation);
  return conversation;
}

/** What was read is not to be changed: a copy where it has an older format. */
function toRead(conversation: Conversation): Conversation {
  return conversation.format === FORMAT ? conversation : current(structuredClone(conversation));
}

import { randomUUID } from 'node:crypto';

import { andThen, toAwaitable, type Awaitable } from '../../base/awaitable.ts';
import type { JsonObject } from '../../base/json.ts';
import { mayLive } from '../../base/process-address.ts';
import type { Interruption } from '../calls/call-event.ts';
import { keepState, keepStateOfMissing, type StateChange } from './agent-state.ts';
import { addMessage, clearTurns, findTurn, historyOf, type Conversation } from './conversation.ts';
import { lostCallsOf, type KnownRuns, type LostCall } from './elsewhere.ts';
import { cutTurn, mayBeOfNewer, type CutTurn } from './heard.ts';
import { MAX_TEXT_LENGTH, trim, type ConversationBounds } from './history-bounds.ts';
import type { Message, ToolCallId } from './message.ts';
import type { ValueNumbers } from './numbering.ts';
import type { OnceCall } from './once-call.ts';
import { loseOnce, releaseOnce } from './once-rules.ts';
import { spend, type Spending, type SpendingLimits, type Spent } from './spending.ts';
import type { ConversationStore, UpdateOptions } from './store.ts';
import {
  noteProgress, noteToolResult, type NotedProgress, type NotedResult, type ToolResult,
  type TurnProgress,
} from './tool-call-rules.ts';
import {
  openTurn, withoutErased, type TurnOpening, type TurnOpeningResult,
} from './turn-opening.ts';
import { settleTurn, type TurnSettlement } from './turn-settlement.ts';

export interface ConversationManagerOptions {
  /** Maximum number of messages per conversation, at least 2. Default 200. */
  readonly maxMessages?: number;
  /** Maximum length of the text per conversation, in UTF-16 code units. Default 1,048,576. */
  readonly maxTextLength?: number;
  /**
   * The agent these conversations belong to, if several agents share the store. Each agent then
   * has its own conversation under the same id. Default: the agent has the store to itself.
   */
  readonly agentName?: string;
  /** Gives the marks of values in texts their numbers. Default: no text has marks. */
  readonly numbers?: ValueNumbers | undefined;
  /**
   * Called with the time of the erasure when a conversation has been cleared and, if that happened
   * without the store, again when the store has the mark. Must not throw. Default: nobody is told.
   */
  readonly onCleared?: ((conversationId: string, erasedAt: number) => void) | undefined;
}

/** A message to add. Without `turnId` it becomes a turn of its own. */
export interface NewMessage {
  readonly role: 'user' | 'assistant';
  readonly content: string;
  readonly turnId?: string;
}

/** What is known about a conversation before its next turn. */
export type KnownConversation = Readonly<Pick<Conversation, 'agent' | 'placeholders'>>;

/**
 * The history of every conversation: applies the rules and the bounds on top of a store. Returns a
 * plain value, not a promise, whenever the store does.
 */
export class ConversationManager {
  readonly #store: ConversationStore;
  readonly #bounds: ConversationBounds;
  readonly #agentName: string | undefined;
  readonly #numbers: ValueNumbers | undefined;
  readonly #onCleared: ConversationManagerOptions['onCleared'];

  constructor(
    store: ConversationStore,
    {
      maxMessages = 200, maxTextLength = MAX_TEXT_LENGTH, agentName, numbers, onCleared,
    }: ConversationManagerOptions = {},
  ) {
    if (!Number.isInteger(maxMessages) || maxMessages < 2)
      throw new RangeError(`maxMessages must be an integer of at least 2, got ${maxMessages}`);
    this.#store = store;
    this.#bounds = { maxMessages, maxTextLength };
    this.#agentName = agentName;
    this.#numbers = numbers;
    this.#onCleared = onCleared;
  }

  /** Whether calls continue from what this process remembers, because the store does not answer. */
  get isStoreAway(): boolean {
    return this.#store.health?.().isDegraded === true;
  }

  /**
   * The store's key for the conversation. Agent names contain no slash, so no other agent's
   * conversation has the same key.
   */
  keyOf(conversationId: string): string {
    return this.#agentName === undefined ? conversationId : `${this.#agentName}/${conversationId}`;
  }

  /**
   * Adds a message to its turn if that turn is known, otherwise as a new turn at the end. Begins
   * the conversation if it is new.
   */
  addMessage(
    conversationId: string,
    { role, content, turnId = randomUUID() }: NewMessage,
  ): Awaitable<void> {
    const message: Message =
      role === 'user' ? { role, content, turnId } : { role, content, turnId, state: 'completed' };
    return this.#update(conversationId, (conversation) => {
      addMessage(conversation, message);
      trim(conversation, this.#bounds);
    });
  }

  /**
   * All messages in turn order, including the placeholder of a running turn. Empty for an unknown
   * id.
   */
  getHistory(conversationId: string): Awaitable<Message[]> {
    return andThen(this.read(conversationId), (conversation) =>
      conversation === undefined ? [] : historyOf(conversation));
  }

  /**
   * A copy of the agent's state as last stored: before tools run, with each tool's result, and at
   * the end of each turn. Undefined if none is stored.
   */
  getState(conversationId: string): Awaitable<JsonObject | undefined> {
    return andThen(this.read(conversationId), (conversation) =>
      conversation?.state === undefined
        ? undefined
        : (JSON.parse(conversation.state) as JsonObject));
  }

  /** The current conversation. Do not change it. Undefined for an unknown id. */
  read(conversationId: string): Awaitable<Conversation | undefined> {
    return toAwaitable(this.#store.read(this.keyOf(conversationId)));
  }

  /** The same, but for an erased conversation the mark: an empty one with `erasedAt`. */
  readOrMark(conversationId: string): Awaitable<Conversation | undefined> {
    return andThen(this.read(conversationId), (conversation) =>
      conversation ?? this.remembered(conversationId));
  }

  /** See `remembered` in store.ts. */
  remembered(conversationId: string): Conversation | undefined {
    return this.#store.remembered?.(this.keyOf(conversationId));
  }

  /** Which of these processes are known to be gone. Never rejects. */
  async goneAmong(processes: Iterable<string>): Promise<ReadonlySet<string>> {
    const lives = [...processes].map(async (process): Promise<readonly string[]> =>
      (await this.#mayLive(process)) ? [] : [process]);
    return new Set((await Promise.all(lives)).flat());
  }

  #mayLive(process: string): Awaitable<boolean> {
    return this.#store.mayLive === undefined ? mayLive(process) : this.#store.mayLive(process);
  }

  /** Resolves once the store has all of the conversation. Undefined if it already has. */
  whenStored(conversationId: string): Promise<void> | undefined {
    const key = this.keyOf(conversationId);
    if (this.#store.unstored?.(key) === undefined) return undefined;
    return new Promise((resolve) => this.#store.whenStored?.(key, resolve));
  }

  /** Forgets the conversation and its state. A running turn carries on, but is not recorded. */
  clear(conversationId: string): Awaitable<void> {
    return andThen(
      this.#update(conversationId, (conversation) => clearTurns(conversation)),
      (erasedAt) => {
        this.#onCleared?.(conversationId, erasedAt);
        this.#store.whenStored?.(this.keyOf(conversationId), () => {
          const isLast = this.remembered(conversationId)?.erasedAt === erasedAt;
          if (isLast) this.#onCleared?.(conversationId, erasedAt);
        });
      },
    );
  }

  /** The number of conversations in the store, including those of other agents that share it. */
  count(): Awaitable<number> {
    return toAwaitable(this.#store.count());
  }

  /**
   * What a turn that leaves no trace needs to know about the conversation. Undefined for a new
   * one.
   */
  known(conversationId: string): Awaitable<KnownConversation | undefined> {
    return andThen(this.read(conversationId), (conversation) =>
      conversation?.turns.length === 0 ? undefined : conversation);
  }

  /** See `openTurn` in turn-opening.ts. */
  openTurn(conversationId: string, opening: TurnOpening): Awaitable<TurnOpeningResult> {
    const change = (conversation: Conversation): TurnOpeningResult => {
      const rest = withoutErased(conversation, opening);
      const said = this.#numbers?.opening(conversation, rest) ?? rest;
      return openTurn(conversation, said, this.#bounds);
    };
    const options = reportOptions(opening.interruption);
    return this.#update(conversationId, change, { ...options, isPatient: true });
  }

  /** See `noteProgress` in tool-call-rules.ts. */
  noteProgress(
    conversationId: string,
    progress: TurnProgress,
    options?: UpdateOptions,
  ): Awaitable<NotedProgress> {
    const { messages, filler } = progress;
    const change = (conversation: Conversation): NotedProgress => {
      const said = this.#numbered(conversation, { messages, filler });
      return noteProgress(conversation, { ...progress, ...said }, this.#bounds);
    };
    return this.#write(conversationId, progress, change, options);
  }

  /** See `noteToolResult` in tool-call-rules.ts. */
  noteToolResult(conversationId: string, result: ToolResult): Awaitable<NotedResult> {
    const change = (conversation: Conversation): NotedResult =>
      noteToolResult(conversation, this.#numbered(conversation, result), this.#bounds);
    return this.#write(conversationId, result, change);
  }

  /** See `releaseOnce` in once-rules.ts. A store that does not answer is told later. */
  releaseClaims(
    conversationId: string,
    claims: readonly (ToolCallId & { readonly key: string })[],
  ): Awaitable<void> {
    const change = (conversation: Conversation): void => {
      for (const claim of claims) releaseOnce(conversation, claim.key, claim);
    };
    return this.#update(conversationId, change);
  }

  /** See `loseOnce` in once-rules.ts. */
  loseClaim(conversationId: string, key: string, call: OnceCall): Awaitable<boolean> {
    return this.#update(conversationId, (conversation) => loseOnce(conversation, key, call));
  }

  /** See `lostCallsOf` in elsewhere.ts. */
  loseCalls(conversationId: string, runs: KnownRuns): Awaitable<readonly LostCall[]> {
    return this.#update(conversationId, (conversation) => lostCallsOf(conversation, runs));
  }

  /**
   * Stores what a turn has changed in the agent's state, unless that was taken back with the turn,
   * or erased. Rejects if the store does not confirm it.
   */
  saveState(conversationId: string, turnId: string, saved: StateChange): Awaitable<void> {
    const change = (conversation: Conversation): void => {
      const turn = findTurn(conversation, turnId);
      if (turn === undefined) keepStateOfMissing(conversation, saved);
      else if (turn.isDiscarded !== true || saved.agentState?.mayBeOfCall === true)
        keepState(conversation, turn, saved);
    };
    return this.#write(conversationId, saved, change, { mustBeStored: true });
  }

  /** See `spend` in spending.ts. */
  spend(conversationId: string, spending: Spending, limits?: SpendingLimits): Awaitable<Spent> {
    return this.#update(conversationId, (conversation) => spend(conversation, spending, limits));
  }

  /** See `settleTurn` in turn-settlement.ts. */
  settleTurn(conversationId: string, settlement: TurnSettlement): Awaitable<boolean> {
    const change = (conversation: Conversation): boolean => {
      const said = this.#numbers?.settlement(conversation, settlement) ?? settlement;
      return settleTurn(conversation, said, this.#bounds);
    };
    return this.#write(conversationId, settlement, change);
  }

  /** See `cutTurn` in heard.ts. */
  cutTurn(conversationId: string, interruption: Interruption): Awaitable<CutTurn | undefined> {
    const change = (conversation: Conversation): CutTurn | undefined =>
      cutTurn(conversation, interruption, this.#bounds);
    return this.#update(conversationId, change, reportOptions(interruption));
  }

  /**
   * Gives numbers to the marks in these texts, and returns the names of all values of the
   * conversation. Rejects if the store does not confirm them.
   */
  numberValues(conversationId: string, texts: unknown): Awaitable<Conversation['placeholders']> {
    const change = (conversation: Conversation): Conversation['placeholders'] => {
      this.#numbered(conversation, texts);
      return conversation.placeholders;
    };
    return this.#update(conversationId, change, { mustBeStored: true });
  }

  #update<T>(
    conversationId: string,
    change: (conversation: Conversation) => T,
    options?: UpdateOptions,
  ): Awaitable<T> {
    return toAwaitable(this.#store.update(this.keyOf(conversationId), change, options));
  }

  /**
   * Changes the conversation. If that fails, or the change does not take the new state, the next
   * write brings that.
   */
  #write<T>(
    conversationId: string,
    { agentState }: StateChange,
    change: (conversation: Conversation) => T,
    options?: UpdateOptions,
  ): Awaitable<T> {
    if (agentState === undefined) return this.#update(conversationId, change, options);
    const failed = (error: unknown): never => {
      agentState.failed();
      throw error;
    };
    let refuse: (() => void) | undefined;
    const attempt = (conversation: Conversation): T => {
      const { timesMade } = agentState;
      const result = change(conversation);
      const { state } = conversation;
      refuse = agentState.timesMade > timesMade ? undefined : () => agentState.refused(state);
      return result;
    };
    const done = (result: T): T => {
      refuse?.();
      return result;
    };
    try {
      const written = this.#update(conversationId, attempt, options);
      return written instanceof Promise ? written.then(done, failed) : done(written);
    } catch (error) {
      return failed(error);
    }
  }

  #numbered<T>(conversation: Conversation, value: T): T {
    return this.#numbers === undefined ? value : this.#numbers.numbered(conversation, value);
  }

  close(): Awaitable<void> {
    return toAwaitable(this.#store.close());
  }
}

/**
 * If the store fails during the very change that brings a report, what this process remembers must
 * not be cut to words that were heard of a newer turn.
 */
function reportOptions(interruption: Interruption | undefined): UpdateOptions | undefined {
  if (interruption?.turnId === undefined) return undefined;
  return { needsLatest: (remembered) => mayBeOfNewer(remembered, interruption) };
}

import type { Awaitable } from '../base/awaitable.ts';
import type { Channel } from '../base/channel.ts';
import type { Conversation } from './conversation.ts';

/**
 * Where conversations are kept. A store keeps plain data and knows no rule of turns: those are in
 * conversation.ts, and reach it as `change`.
 *
 * Of one conversation, reads and changes are answered in the order of the calls.
 *
 * Methods may answer at once or with a promise. The memory store answers at once, and a turn then
 * costs no promise here.
 */
export interface ConversationStore {
  /** To the other processes that use the store. `close()` closes it. */
  readonly channel?: Channel | undefined;

  /**
   * The conversation as it is now, not to be changed; undefined when there is none or its time is
   * up.
   */
  read(id: string): Awaitable<Conversation | undefined>;

  /**
   * Atomically: reads the conversation (a new empty one where there is none), applies `change`,
   * writes it, and returns what `change` returned. Changes of one conversation are applied in the
   * order of the calls. A conversation that is left without turns is not kept. `change` is
   * synchronous and may be called again after a conflict, so it must do nothing else, and throw
   * only before it has changed anything: that is thrown, and nothing is written.
   */
  update<T>(id: string, change: (conversation: Conversation) => T): Awaitable<T>;

  /** How many conversations are held. */
  count(): Awaitable<number>;

  /** Lets go of what it holds open. */
  close(): Awaitable<void>;

  /** For `/ready` and the metrics. A store that cannot fail has none. */
  health?(): StoreHealth;
}

/** How a store does that is reached over a network, or on a disk. */
export interface StoreHealth {
  /** Turns go on from what this process remembers, as the store does not answer. */
  readonly isDegraded: boolean;
  /** Turns that wait until they can be written. */
  readonly turnsWaiting: number;
  /** Commands that failed or took too long, since the start. */
  readonly failures: number;
  /** Changes that were made again, as another process had changed the conversation. */
  readonly conflicts: number;
}

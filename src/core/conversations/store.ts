import type { Awaitable } from '../../base/awaitable.ts';
import type { Channel } from '../../base/channel.ts';
import type { Conversation } from './conversation.ts';

/**
 * Where conversations are kept. A store keeps plain data and knows nothing about turns. Their rules
 * are pure functions, such as `openTurn`, and reach it as `change`.
 *
 * For one conversation, reads and changes are answered in the order they were requested.
 *
 * Methods may return a value or a promise. The memory store returns values, so its turns create no
 * promises here.
 */
export interface ConversationStore {
  /** Set if other processes may change the same conversations. */
  readonly isShared?: true;

  /** The channel to other processes using the store. `close()` closes it too. */
  readonly channel?: Channel | undefined;

  /**
   * The current conversation, which the caller must not change. Undefined if unknown or expired.
   */
  read(id: string): Awaitable<Conversation | undefined>;

  /**
   * Atomically reads the conversation (an empty one if unknown), applies `change`, writes it, and
   * returns what `change` returned. Changes to one conversation are applied in the order
   * requested. A conversation left without turns, `once` calls or `erasedTo` is not kept.
   *
   * `change` is synchronous and may be called again after a conflict, so it must have no other
   * effects. It may throw only before changing anything; the error is passed on and nothing is
   * written.
   *
   * A store that ignores `options` must reject if it could not write.
   */
  update<T>(
    id: string,
    change: (conversation: Conversation) => T,
    options?: UpdateOptions,
  ): Awaitable<T>;

  /** What this process remembers, without asking the store. Do not change it. */
  remembered?(id: string): Conversation | undefined;

  /** The same, if a shared store has not taken all of it yet. */
  unstored?(id: string): Conversation | undefined;

  /**
   * Goes with `unstored`: calls `listener` once the store has taken all of it, if it has not yet.
   */
  whenStored?(id: string, listener: () => void): void;

  /**
   * Tells a shared store the address with which turns of this process are stored. Each app that
   * uses the store tells its own, before its first turn. The store tells other processes that this
   * one is alive.
   */
  runsAt?(address: string): void;

  /**
   * Whether the process at that address may be alive. Must not reject: while nobody knows, it may.
   * Absent: only a process on the same machine can be known to be gone.
   */
  mayLive?(address: string): Awaitable<boolean>;

  /** Texts kept apart from conversations. Absent from a store that is not shared. */
  readonly aside?: StoreAside;

  /** The number of conversations. */
  count(): Awaitable<number>;

  /** Releases timers, files and connections. */
  close(): Awaitable<void>;

  /** For `/ready` and the metrics. Absent from a store that cannot fail. */
  health?(): StoreHealth;
}

/** Texts that the processes sharing a store keep for each other, for a time. */
export interface StoreAside {
  /** Replaces what was kept under the id. Rejects if the store does not confirm it. */
  keep(id: string, text: string, ttlMs: number): Promise<void>;
  /** Undefined if there is no such text, or its time is over. Rejects without an answer. */
  read(id: string): Promise<string | undefined>;
}

/** Options of `ConversationStore.update`. */
export interface UpdateOptions {
  /**
   * Rejects with a `StoreError` unless the store has confirmed the change. If the store is already
   * known not to answer, nothing is changed. After a time-out the change may have been made, and is
   * kept in memory like any other. Default false: calls continue from memory.
   */
  readonly mustBeStored?: boolean;

  /**
   * Whether a tool that acts once starts when the change is confirmed: see `ONCE_CLAIMS`. Rejects
   * with an `UnsafeClaim` if the store may lose the change. Default false.
   */
  readonly isClaim?: boolean;

  /** Called each time such a claim is sent, which may be later than the call of `update`. */
  readonly onSent?: () => void;

  /**
   * Waits for an answer until the store counts as away, not just for one time-out: what this
   * process remembers may be out of date. A change that must be stored waits, too. Default false.
   */
  readonly isPatient?: boolean;

  /**
   * Whether the change cannot be made to what this process remembers. Then the store is first asked
   * for the latest version. If it does not answer, the change is made without the store. Not called
   * by stores that remember nothing. Default: it can be made.
   */
  readonly needsLatest?: (remembered: Conversation) => boolean;
}

/**
 * A claim that was made but that the store may lose, or that was made under a key whose earlier
 * claims the store may have lost. The tool must not start.
 */
export class UnsafeClaim extends Error {
  override name = 'UnsafeClaim';
  /** After how many milliseconds it may be made again. 0: unknown. */
  readonly safeInMs: number;

  constructor(message: string, options: ErrorOptions & { readonly safeInMs?: number } = {}) {
    super(message, options);
    this.safeInMs = options.safeInMs ?? 0;
  }
}

/** The condition of a store that is reached over a network or on disk. */
export interface StoreHealth {
  /** Set while the store does not answer and turns rely on what this process remembers. */
  readonly isDegraded: boolean;
  /** Turns waiting to be written. */
  readonly turnsWaiting: number;
  /** Commands that failed or timed out since the start. */
  readonly failures: number;
  /** Changes repeated because another process had changed the conversation. */
  readonly conflicts: number;
  /** Values of agents' states that two runs set without knowing of each other. Default 0. */
  readonly stateCollisions?: number;
}

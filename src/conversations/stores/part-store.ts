import type { Awaitable } from '../../base/awaitable.ts';

/** A conversation as a store of parts keeps it. */
export interface StoredConversation {
  /** Another one after each write. */
  readonly version: string;
  /** JSON texts by their names. */
  readonly parts: ReadonlyMap<string, string>;
}

/** What one change makes of a conversation. */
export interface PartsChange {
  /** The version that it changes. Undefined: the store has no such conversation. */
  readonly from: string | undefined;
  /** The version that it makes. Undefined: the conversation is removed. */
  readonly to: string | undefined;
  /** Parts that are new, or have another text. */
  readonly set: ReadonlyMap<string, string>;
  /** Names of parts that are gone. */
  readonly remove: readonly string[];
  /** How long the conversation is kept if nobody changes it again. Milliseconds. */
  readonly ttlMs: number;
}

export interface IdPage {
  readonly ids: readonly string[];
  /** Where the next page begins. Undefined: this was the last one. */
  readonly next: string | undefined;
}

/**
 * Where conversations are kept in parts, one for each turn, so that a turn writes what it changed
 * and not its whole conversation. Knows neither what is in a part nor any rule of turns. Several
 * processes may share what it keeps.
 *
 * Methods may answer at once, or with a promise. They throw, or reject, when the store cannot be
 * reached, and then nothing is known of a write: it may have been done.
 */
export interface PartStore {
  /** For the log: `sqlite`, `redis`. Without user, password and path. */
  readonly name: string;

  /**
   * The conversation, `unchanged` where it still has the `known` version, undefined where there is
   * none or its time is up.
   */
  read(id: string, known?: string): Awaitable<StoredConversation | 'unchanged' | undefined>;

  /**
   * Compare and swap: makes the change if the conversation still has the version `from`. True when
   * it was made, now or by an earlier try; so it may be tried again after a failure. Otherwise what
   * the store has instead.
   */
  write(id: string, change: PartsChange): Awaitable<true | StoredConversation | undefined>;

  /**
   * Ids that begin with the prefix, in pages: begin after '', and go on after `next` until there is
   * none. In any order; an id may come twice. In a cluster of Redis: those of one node.
   */
  list(prefix: string, after: string): Awaitable<IdPage>;

  /** How many conversations are kept. */
  count(): Awaitable<number>;

  /** Lets go of files and connections. */
  close(): Awaitable<void>;
}

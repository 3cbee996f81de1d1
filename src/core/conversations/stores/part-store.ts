import type { Awaitable } from '../../../base/awaitable.ts';
import { isObject, isTooDeep } from '../../../base/fields.ts';
import { parseJson } from '../../../base/json.ts';

/** A conversation as it is stored: in parts. */
export interface StoredConversation {
  /** Changes with each write. */
  readonly version: string;
  /** Texts by the names of the parts. */
  readonly parts: ReadonlyMap<string, string>;
  /** Set if there is only news, for someone who knows an earlier version. */
  readonly news?: News;
}

/**
 * `parts` then has only the parts that have changed since that version, and those that the refused
 * change sets or removes.
 */
interface News {
  /** What was added to parts that have not changed in any other way. They are not in `parts`. */
  readonly added: ReadonlyMap<string, string>;
  /** Names of parts that no longer exist. */
  readonly removed: readonly string[];
}

/**
 * The object in a part. Undefined for anything else, such as text that was cut, or JSON that is
 * nested so deeply that it could not be written again.
 */
export function parsePart(text: string): object | undefined {
  const value: unknown = parseJson(text);
  return isObject(value) && !isTooDeep(value) ? value : undefined;
}

/**
 * Begins the version of a conversation that has been erased. Such conversations are not counted.
 */
export const ERASED = '~';

export interface PartsChange {
  /** The version that it applies to. Undefined: the conversation does not exist yet. */
  readonly from: string | undefined;
  /** The version that results. Undefined: the conversation is removed. */
  readonly to: string | undefined;
  /** Parts that are new or have changed. */
  readonly set: ReadonlyMap<string, string>;
  /** Texts to add to the ends of other parts, which exist already. */
  readonly add?: ReadonlyMap<string, string>;
  /** Names of the parts to remove. */
  readonly remove: readonly string[];
  /** How long the conversation is kept without further changes, in milliseconds. */
  readonly ttlMs: number;
  /** Whether a tool that acts once starts when this is made: see `ONCE_CLAIMS`. Default false. */
  readonly isClaim?: boolean;
}

/** `unchanged` if the known version is the latest. Undefined if there is no such conversation. */
export type ReadAnswer = StoredConversation | 'unchanged' | undefined;

/** True if the change was made. Otherwise what the store has instead, or what is new since then. */
export type WriteAnswer = true | StoredConversation | undefined;

/** A period in which the server has lost nothing. */
export interface Epoch {
  /** Changes once the server may have lost writes: it was restarted, or is another server. */
  readonly id: string;
  /**
   * For how many more milliseconds other processes may be putting back the claims that it has lost.
   */
  readonly restMs: number;
}

export interface IdPage {
  readonly ids: readonly string[];
  /** Where the next page begins. Undefined: this was the last one. */
  readonly next: string | undefined;
}

/**
 * Stores conversations in parts, one per turn, so that a turn writes only what it changed. Knows
 * neither what is in a part nor the rules of turns. Several processes may share what is stored.
 *
 * Methods return their result or a promise of it. They throw or reject if the store cannot be
 * reached. A write that failed may have been made nevertheless.
 */
export interface PartStore {
  /** For the log, such as `sqlite`. Contains no user, password or path. */
  readonly name: string;

  /**
   * The conversation, or what is new since the `known` version; `unchanged` if it still has that;
   * undefined if there is none or it has expired.
   */
  read(id: string, known?: string): Awaitable<ReadAnswer>;

  /**
   * Compare and swap: makes the change if the conversation still has the version `from`. Returns
   * true if it was made, now or by an earlier attempt, so that it is safe to try again. Otherwise
   * returns what the store has instead, or what is new since `from`. Rejects with an `UnsafeClaim`
   * if a claim was made that the store may lose. `onSent` may be called when a claim is sent, if
   * that is later than this call.
   */
  write(id: string, change: PartsChange, onSent?: () => void): Awaitable<WriteAnswer>;

  /**
   * Only for a server that may lose writes. `isAfterClaim`: to be answered by the server that has
   * just made a claim.
   */
  epoch?(isAfterClaim?: boolean): Awaitable<Epoch>;

  /** How long a claim may wait for replicas or a disk, and for earlier claims. Default 0. */
  readonly claimsWaitMs?: number;

  /**
   * Ids that begin with the prefix, page by page: start after '', then pass `next` until it is
   * undefined. They come in any order, and one may come twice.
   */
  list(prefix: string, after: string): Awaitable<IdPage>;

  /**
   * Whether an error of `read` or `write` is the store's answer about that one conversation, so
   * that it works for others. Without this method, a test write finds out.
   */
  isOfOne?(error: unknown): boolean;

  /** How many are stored, without erased ones if the store can tell. */
  count(): Awaitable<number>;

  /**
   * Overwrites what was removed, on replicas too. False if that has to wait because another process
   * is still reading it, or if no replica has confirmed it. Absent: it is overwritten at once, or
   * not by us.
   */
  overwrite?(): Awaitable<boolean>;

  /**
   * Whether the server keeps a log of all writes on disk, which holds what was removed until the
   * log is rewritten. True if the server does not say. Absent: it keeps none.
   */
  keepsWriteLog?(): Awaitable<boolean>;

  /** Closes files and connections. */
  close(): Awaitable<void>;
}

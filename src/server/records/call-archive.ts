import type { Awaitable } from '../../base/awaitable.ts';
import type { CallRecord } from './call-record.ts';

/** Where call records are kept. Several processes may use one at the same time. */
export interface CallArchive {
  /** For the log: `file`, `sqlite`, `redis`. */
  readonly name: string;

  /** Checks that records can be kept. Rejects with a `StoreError`. */
  begin(): Promise<void>;

  /** Stores a record. `key` is unique to the call. May be repeated after a failure. */
  keep(key: CallKey, record: CallRecord): Promise<void>;

  /** Whether there is a record of the call that says how it ended. */
  hasEnd(key: CallKey): Promise<boolean>;

  /** All records that have not expired, in any order. */
  all(): AsyncIterable<CallRecord>;

  /**
   * Erases the matching records, and fragments left by a full disk in which the text is a value, in
   * any spelling. By default, records of the conversation or session with that id match, for any
   * agent. Yields each erased record.
   */
  erase(
    text: string,
    isMeant?: (record: CallRecord) => boolean,
    isSame?: (value: string) => boolean,
  ): AsyncIterable<CallRecord>;

  /** See `PartStore`. */
  overwrite?(): Awaitable<boolean>;

  close(): Promise<void>;
}

/** Identifies a call among all others, including those of other agents. */
export interface CallKey {
  readonly conversationKey: string;
  readonly sessionId: string;
}

export function isOf({ conversationId, sessionId }: CallRecord, id: string): boolean {
  return conversationId === id || sessionId === id;
}

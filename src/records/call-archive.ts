import type { CallRecord } from './call-record.ts';

/** Where records of calls are kept. Several processes may use one at the same time. */
export interface CallArchive {
  /** For the log: `file`, `sqlite`, `redis`. */
  readonly name: string;

  /** Makes sure that records can be kept. Rejects with a `StoreError`. */
  begin(): Promise<void>;

  /** Keeps a record. `key` belongs to the call alone. May be tried again after a failure. */
  keep(key: CallKey, record: CallRecord): Promise<void>;

  /** All records whose time is not up, in any order. */
  all(): AsyncIterable<CallRecord>;

  /**
   * Erases the records of a conversation or a session, and pieces of them that a full disk has
   * left. Yields each record that is erased.
   */
  erase(id: string): AsyncIterable<CallRecord>;

  close(): Promise<void>;
}

/** What tells a call from all others, those of other agents included. */
export interface CallKey {
  readonly conversationKey: string;
  readonly sessionId: string;
}

export function isOf({ conversationId, sessionId }: CallRecord, id: string): boolean {
  return conversationId === id || sessionId === id;
}

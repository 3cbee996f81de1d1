import type { Awaitable } from '../../base/awaitable.ts';
import type { EndedCall } from '../calls/ended-call.ts';
import type { Conversation } from '../conversations/conversation.ts';

/** Reads the conversation of a call. Undefined if nothing is kept of it. */
export type ReadConversation = () => Awaitable<Conversation | undefined>;

/** Where a wire says that a call has ended. */
export interface EndedCallRecords {
  /**
   * Call this when the call's session has ended. `read` reads its conversation, or the mark of an
   * erased one; while `isStoreAway` (default: never), from what this process remembers. A call
   * without turns, such as an erased one, gets no record. Returns at once and never throws: a
   * record that cannot be written must not affect callers.
   */
  ended(call: EndedCall, read: ReadConversation, isStoreAway?: () => boolean): void;
  /**
   * Call this when the end of a call is reported again, with its times. They go into its record if
   * that is waiting for them: see `EndedCall.isReportedAgain`.
   */
  completed?(call: EndedCall): void;
}

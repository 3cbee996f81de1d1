// How a turn goes on for another delivery.

import { findTurn, type Conversation } from './conversation.ts';
import { earlierCallsIn, type EarlierToolCall } from './discarded-turns.ts';
import { mayWrite } from './last-word.ts';
import type { Claimer } from './once-rules.ts';
import { begin, noteRedelivery, type BegunRun } from './turn-begin.ts';
import { isDeliveredSince } from './turn-order.ts';
import { messagesOf } from './turn-record.ts';

/**
 * Whether a run may continue for another delivery of its turn. `owned`: yes, the record is this
 * run's. If a run in another process had it and did not complete, `earlierCalls` are that run's.
 * `closed`: no, a newer turn has begun. `taken`: no, another run has said everything, or goes on
 * for a later delivery.
 */
export type TurnClaim =
  | {
      readonly kind: 'owned';
      readonly earlierCalls: readonly EarlierToolCall[];
    }
  | { readonly kind: 'closed' | 'taken' };

const NO_CALLS: readonly EarlierToolCall[] = [];

/** Claims the record of a turn for the run that began it, to continue for another delivery. */
export function claimTurn(
  conversation: Conversation,
  claim: Claimer & Pick<BegunRun, 'waitedMs' | 'text' | 'trace' | 'figures'>,
): TurnClaim {
  const { turnId, runId } = claim;
  const record = findTurn(conversation, turnId);
  // It was cleared: the run goes on, unrecorded.
  if (record === undefined) return owned(NO_CALLS);
  if (record.runId === runId) {
    if (!mayWrite(record, 'its next delivery')) return { kind: 'closed' };
    noteRedelivery(record, claim);
    conversation.touched?.add(record);
    return owned(NO_CALLS);
  }
  const isLater = record.state === 'open' && isDeliveredSince(record, claim);
  if (isLater || record.state === 'completed') return { kind: 'taken' };
  const hasCalls = begin(conversation, record, claim, true);
  const calls = hasCalls ? earlierCallsIn(record, messagesOf(record)) : NO_CALLS;
  return owned(calls.filter((call) => call.runId !== runId));
}

function owned(earlierCalls: readonly EarlierToolCall[]): TurnClaim {
  return { kind: 'owned', earlierCalls };
}

// Gives a turn to a run, at its beginning or for another delivery.

import { keepFigures } from './captured-calls.ts';
import { add, findTurn, subtract, type Conversation } from './conversation.ts';
import { earlierCallsIn, type EarlierToolCall } from './discarded-turns.ts';
import { mayWrite } from './last-word.ts';
import { roundsOf, type Message, type ToolMessage } from './message.ts';
import type { Claimer } from './once-rules.ts';
import { earlierRounds } from './tool-call-rules.ts';
import type { TracedRun } from './trace-place.ts';
import type { TurnFigures } from './turn-figures.ts';
import { arrivalOf, isDeliveredSince, type Arrival } from './turn-order.ts';
import {
  countRuns, earlierRunsOf, forgetRun, messagesOf, setMessages, setPlain, type TurnRecord,
} from './turn-record.ts';

/** The run that gets a turn. */
export interface BegunRun extends Arrival {
  /** The caller's words. Undefined if the caller did not begin the turn. */
  readonly text?: string | undefined;
  /** Set if calls are recorded. */
  readonly figures?: TurnFigures | undefined;
  /** Set if the run is traced. */
  readonly trace?: TracedRun | undefined;
}

/**
 * Gives the record of a turn to this run. If the turn ran before, it keeps the earlier calls that
 * cannot be undone. Returns whether there are any.
 */
export function begin(
  conversation: Conversation,
  record: TurnRecord,
  { runId, text, process, figures, trace, waitedMs, redeliveredMs }: BegunRun,
  isAgain: boolean,
): boolean {
  const { id: turnId } = record;
  const earlier = isAgain ? earlierRounds(record) : [];
  if (!isAgain || record.state !== 'open') conversation.openTurns += 1;
  record.state = 'open';
  if (isAgain) {
    if (process !== undefined) record.earlierRuns = earlierRunsOf(record);
    if (record.arrivedAt !== undefined) record.firstArrivedAt ??= record.arrivedAt;
    record.runs = countRuns(record) + 1;
  }
  record.runId = runId;
  if (process !== undefined) {
    record.process = process;
    record.arrivedAt = arrivalOf({ waitedMs });
    const lastMs = redeliveredMs?.();
    if (lastMs !== undefined) noteRedelivery(record, { waitedMs: () => lastMs });
  }
  if (figures !== undefined) keepFigures(conversation, record, figures);
  subtract(conversation, record);
  if (isAgain) forgetRun(record);
  if (trace !== undefined) record.trace = trace;
  if (earlier.length === 0)
    setPlain(record, text ?? null, ''); // the placeholder
  else {
    // A run that takes its turn back writes its own calls again.
    const isOwn = (call: ToolMessage): boolean => call.runId === runId;
    const leading: Message[] = [
      ...(text === undefined ? [] : [{ role: 'user', content: text, turnId } as const]),
      ...roundsOf(earlier, (call) => !isOwn(call), {}),
    ];
    const own = roundsOf(earlier, isOwn, {});
    setMessages(
      record,
      [...leading, ...own, { role: 'assistant', content: '', turnId, state: 'open' }],
      leading.length,
    );
  }
  add(conversation, record);
  return earlier.length > 0;
}

/** Older deliveries that still wait in other processes leave the turn to this one. */
export function noteRedelivery(record: TurnRecord, delivery: Pick<Arrival, 'waitedMs'>): void {
  if (record.arrivedAt === undefined) return;
  record.firstArrivedAt ??= record.arrivedAt;
  // Claims may be stored in another order than that of their deliveries.
  record.arrivedAt = Math.max(record.arrivedAt, arrivalOf(delivery));
}

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

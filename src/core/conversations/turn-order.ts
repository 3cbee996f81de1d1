// The order of turns: that of arrival, in every process.

import { moveLastTurn, type Conversation } from './conversation.ts';
import { isLaterRun, type TurnRecord } from './turn-record.ts';

/** Where and when the delivery of a turn arrived. */
export interface Arrival {
  readonly runId: number;
  /** The address of this process, if it shares the conversation with others. */
  readonly process?: string | undefined;
  /** How long ago the turn arrived, on a monotonic clock, in milliseconds. Default 0. */
  readonly waitedMs?: (() => number) | undefined;
}

const NO_TURNS: readonly TurnRecord[] = [];

/**
 * A turn whose opening waited for less than this, in milliseconds, is the newest, whatever other
 * clocks say.
 */
export const PROMPT_MS = 100;

/**
 * The turns that arrived after this one and were added before it, because one of the two waited for
 * the store or for other processes. A turn that was already in history and is only running again is
 * not newer. Nor is `known`, the record of this turn. A turn that has run again since counts by the
 * delivery that added it.
 *
 * Within a process the run ids decide, because they grow, unless an older turn has run again. Times
 * count only if this turn has waited for `PROMPT_MS`. A time in the future comes from a wrong clock
 * and does not count.
 */
export function newerThan(
  { turns }: Conversation,
  arrival: Arrival,
  known?: TurnRecord,
): readonly TurnRecord[] {
  if (arrival.waitedMs === undefined) return NO_TURNS;
  const arrivedAtMs = arrivalOf(arrival);
  const waited = arrival.waitedMs();
  return turns.filter((turn) => {
    if (turn === known) return false;
    const { arrivedAt, firstArrivedAt, addedAt } = turn;
    if (addedAt !== undefined && addedAt < arrivedAtMs - 1) return false; // both are rounded
    const hasMoved = arrivedAt !== undefined && firstArrivedAt !== undefined;
    const wasOlder = hasMoved && firstArrivedAt < arrivedAtMs - 1; // the id of its run is newer
    if (!wasOlder && turn.process === arrival.process)
      return isLaterRun(turn.runId, arrival.runId);
    return isLaterTime(firstArrivedAt ?? arrivedAt, waited);
  });
}

/** Whether a later delivery of the same turn has run it, in another process. */
export function isDeliveredSince({ process, arrivedAt }: TurnRecord, arrival: Arrival): boolean {
  return process !== arrival.process && isLaterTime(arrivedAt, arrival.waitedMs?.() ?? 0);
}

/**
 * Whether a time is later than the arrival of something that has waited for this many milliseconds.
 */
function isLaterTime(time: number | undefined, waited: number): boolean {
  if (time === undefined || waited < PROMPT_MS) return false;
  const now = Date.now();
  return time > now - waited && time <= now;
}

/** When a turn arrived, by the clock of this process, in milliseconds since the epoch. */
export function arrivalOf({ waitedMs = () => 0 }: Pick<Arrival, 'waitedMs'>): number {
  return Math.round(Date.now() - waitedMs());
}

/** Whether everything has been forgotten since a turn arrived, by the clock of this process. */
export function isErasedSince(
  { erasedAt = 0 }: Conversation,
  { waitedMs = () => 0 }: Pick<Arrival, 'waitedMs'>,
): boolean {
  const now = Date.now();
  return erasedAt > Math.ceil(now - waitedMs()) && erasedAt <= now;
}

/** Moves the turn that was just added to before a newer one. */
export function moveBefore(
  conversation: Conversation,
  record: TurnRecord,
  newer: TurnRecord,
  arrivedAt: number,
): void {
  const { turns } = conversation;
  const index = turns.indexOf(newer);
  const { addedAt: before = 0 } = turns[index - 1] ?? {};
  const { addedAt: after = 1 } = newer;
  // After a turn from a process with a fast clock, no whole millisecond may be left between the
  // two.
  record.addedAt = after - before > 2
    ? Math.min(Math.max(arrivedAt, before + 1), after - 1)
    : (before + after) / 2;
  moveLastTurn(conversation, index);
}

// The earlier runs that a run is linked to in traces. Only stored if runs are traced.

import type { Conversation } from './conversation.ts';
import type { TracePlace } from './trace-place.ts';
import type { TurnRecord } from './turn-record.ts';

/** The earlier runs, in any process, that a run belongs to. */
export interface RunLinks {
  /** The last run of the same turn. */
  readonly repeats?: TracePlace | undefined;
  /**
   * The turn before, if it still runs, was interrupted in the same session, or the caller spoke
   * over its reply.
   */
  readonly interrupts?: TracePlace | undefined;
}

/**
 * The links of a run of that session that has not begun yet. `known`: the record of its turn, if
 * there is one. `hasSpokenOver`: whether the platform says that the caller spoke over the reply
 * before.
 */
export function linksOf(
  { turns }: Conversation,
  known: TurnRecord | undefined,
  hasSpokenOver: boolean,
  sessionId: string,
): RunLinks {
  if (known !== undefined) return { repeats: placeIn(known) };
  const before = turns.at(-1);
  const isSameSession = before?.trace?.sessionId === sessionId;
  const isCut = before?.state === 'open' || (before?.state === 'interrupted' && isSameSession);
  return before !== undefined && (isCut || hasSpokenOver) ? { interrupts: placeIn(before) } : {};
}

function placeIn({ trace }: TurnRecord): TracePlace | undefined {
  if (trace === undefined) return undefined;
  const { traceId, spanId, traceFlags } = trace;
  return { traceId, spanId, traceFlags };
}

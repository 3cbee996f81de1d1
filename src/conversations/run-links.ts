// What a run of a turn is linked to in traces. Only where runs are traced is anything stored for it.

import type { Conversation } from './conversation.ts';
import type { TurnRecord } from './turn-record.ts';

/** Where a run is found in traces: https://www.w3.org/TR/trace-context/ */
export interface TracePlace {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  readonly traceFlags: number;
}

/** The earlier runs, of whichever process, that a run belongs to. */
export interface RunLinks {
  /** The last run of the same turn. */
  readonly repeats?: TracePlace | undefined;
  /** The turn before, if it still runs, was interrupted, or the caller spoke over its reply. */
  readonly interrupts?: TracePlace | undefined;
}

/**
 * Of a run that has not begun yet. `known`: the record of its turn, if there is one.
 * `hasSpokenOver`: the platform says so.
 */
export function linksOf(
  { turns }: Conversation, known: TurnRecord | undefined, hasSpokenOver: boolean,
): RunLinks {
  if (known !== undefined) return { repeats: placeIn(known) };
  const before = turns.at(-1);
  const isCut = before?.state === 'open' || before?.state === 'interrupted';
  return before !== undefined && (isCut || hasSpokenOver) ? { interrupts: placeIn(before) } : {};
}

/** What is stored may be from another version. */
function placeIn({ trace }: TurnRecord): TracePlace | undefined {
  const { traceId, spanId, traceFlags }: Partial<TracePlace> = trace ?? {};
  const isPlace = /^[\da-f]{32}$/.test(String(traceId)) && /^[\da-f]{16}$/.test(String(spanId));
  return isPlace && typeof traceFlags === 'number' ? trace : undefined;
}

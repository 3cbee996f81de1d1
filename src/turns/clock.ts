import type { SpokenReply } from './spoken-reply.ts';
import type { TurnHost } from './turn-host.ts';

/** A turn whose time is limited. */
export interface TimedTurn {
  readonly host: Pick<TurnHost, 'turnTimeoutMs' | 'firstWordTimeoutMs'>;
  /** On the clock of `performance.now()`. */
  readonly startedAtMs: number;
  readonly spoken: Pick<SpokenReply, 'hasSpoken'>;
  /** The one timer of the turn. It is cleared when the turn ends. */
  timer: NodeJS.Timeout | undefined;
  fail(error: Error): void;
}

/**
 * Starts the timer of a turn. One timer serves both limits: it is set for the first word, and set
 * again for the whole turn if a word was said by then.
 */
export function startClock(turn: TimedTurn): void {
  const { turnTimeoutMs, firstWordTimeoutMs } = turn.host;
  const isSilent = !turn.spoken.hasSpoken;
  const limitMs = isSilent ? Math.min(firstWordTimeoutMs, turnTimeoutMs) : turnTimeoutMs;
  const elapsedMs = performance.now() - turn.startedAtMs;
  const ms = Math.max(0, Math.ceil(limitMs - elapsedMs)); // V8 allocates an object for a fraction
  // No closure, as it would live as long as the stream. A fourth argument would grow Node's array.
  turn.timer = setTimeout(timeIsUp, ms, turn, isSilent, limitMs);
}

function timeIsUp(turn: TimedTurn, wasSilent: boolean, limitMs: number): void {
  if (wasSilent && turn.spoken.hasSpoken && limitMs < turn.host.turnTimeoutMs)
    return startClock(turn);
  const reason = wasSilent
    ? `nothing was spoken for ${limitMs} ms`
    : `the turn took longer than ${limitMs} ms`;
  turn.fail(new Error(reason));
}

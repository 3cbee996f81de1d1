import { TurnTimeout } from './report/failure-reason.ts';
import type { TurnRun } from './turn-run.ts';

/**
 * Starts the timer of a turn. One timer serves both limits: it is set for the first word, and set
 * again for the whole turn if a word has been said by then. A tool that would finish anyway gets
 * more time: an apology would sound as if it had failed. `silentMs`: longest wait for the first
 * word.
 */
export function startClock(
  turn: TurnRun,
  silentMs: number = 1_000 * turn.host.options.settings.firstWordTimeoutSeconds,
): void {
  const turnTimeoutMs = 1_000 * turn.host.options.settings.turnTimeoutSeconds;
  const isSilent = !turn.spoken.hasSpoken;
  const limitMs = isSilent ? Math.min(silentMs, turnTimeoutMs) : turnTimeoutMs;
  const elapsedMs = performance.now() - turn.startedAtMs;
  const ms = Math.max(0, Math.ceil(limitMs - elapsedMs)); // V8 allocates an object for a fraction
  // No closure, because it would live as long as the stream. A fourth argument would grow Node's
  // array.
  turn.timer = setTimeout(timeIsUp, ms, turn, isSilent, limitMs);
}

function timeIsUp(turn: TurnRun, wasSilent: boolean, limitMs: number): void {
  const { firstWordTimeoutSeconds, turnTimeoutSeconds } = turn.host.options.settings;
  const mayGoOn = turn.spoken.hasSpoken || turn.callsSoFar?.isFinishing === true;
  if (wasSilent && mayGoOn && limitMs < 1_000 * turnTimeoutSeconds)
    return startClock(turn, limitMs + 1_000 * firstWordTimeoutSeconds);
  turn.fail(new TurnTimeout(turn.spoken.hasSpoken ? 'turn' : 'first word', limitMs));
}

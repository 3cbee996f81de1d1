import { AsyncResource } from 'node:async_hooks';
import { setImmediate } from 'node:timers';

/** Something that is ready to be sent. */
export interface Departing {
  /** Sends it. Must not throw. */
  depart(): void;
}

/** At most this many wait, so that the first one does not wait for long. */
export const MOST_TOGETHER = 64;

interface Waiting {
  readonly departing: Departing;
  /** The context in which it began to wait, so that an `AsyncLocalStorage` keeps its store. */
  readonly scope: AsyncResource;
}

let waiting: Waiting[] = [];

/**
 * Calls `depart` later, once the event loop has handled everything that had arrived, or when too
 * many are waiting. What became ready meanwhile is written in one go:
 * docs/decisions/005-tuned-for-v8.md.
 */
export function departTogether(departing: Departing): void {
  if (waiting.length === MOST_TOGETHER) departAll();
  const count = waiting.push({ departing, scope: new AsyncResource('Departure') });
  if (count === 1) setImmediate(departAll);
}

function departAll(): void {
  const departures = waiting;
  waiting = [];
  for (const { departing, scope } of departures) {
    scope.runInAsyncScope(departing.depart, departing);
  }
}

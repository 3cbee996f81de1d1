/** Something that is ready to be sent. */
export interface Departing {
  /** Sends it. Must not throw. */
  depart(): void;
}

/** Once this many wait, they depart at once, so that the first does not wait for long. */
export const MOST_TOGETHER = 64;

let waiting: Departing[] = [];

/**
 * Calls `depart` once the event loop has handled all that had arrived, or `MOST_TOGETHER` wait.
 * What became ready meanwhile is written in one go:
 * docs/decisions/012-replies-depart-together.md.
 */
export function departTogether(departing: Departing): void {
  const count = waiting.push(departing);
  if (count === MOST_TOGETHER) departAll();
  else if (count === 1) setImmediate(departAll);
}

function departAll(): void {
  const departures = waiting;
  waiting = [];
  for (const departing of departures) departing.depart();
}

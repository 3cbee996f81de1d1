/** Something that is ready to be sent. */
export interface Departing {
  /** Sends it. Must not throw. */
  depart(): void;
}

/** With so many none waits for more, so that the first does not wait for long. */
export const MOST_TOGETHER = 64;

let waiting: Departing[] = [];

/**
 * Calls `depart` once the event loop has handled all that had arrived, so that what became ready
 * meanwhile is written in one go: docs/decisions/012-replies-depart-together.md.
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

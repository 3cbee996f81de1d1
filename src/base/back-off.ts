const FIRST_MS = 100;
const LONGEST_MS = 10_000;
const LONG_LIFE_MS = 60_000;

/** How long to wait before something that died is started again: twice as long each time. */
export class BackOff {
  #nextMs = FIRST_MS;

  /** After a long life the waits start again from the shortest. */
  delayAfter(livedMs: number): number {
    const waitMs = livedMs < LONG_LIFE_MS ? this.#nextMs : FIRST_MS;
    this.#nextMs = Math.min(2 * waitMs, LONGEST_MS);
    return waitMs;
  }
}

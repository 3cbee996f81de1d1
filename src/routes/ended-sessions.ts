import { BoundedMap } from '../base/bounded-map.ts';

const REMEMBERED_MS = 600_000;
const MAX_SESSIONS = 10_000;

/**
 * The sessions that have ended, for 600 s and 10,000 of them. A signature is good for 300 s, so a
 * captured end of a session cannot be used again.
 */
export class EndedSessions {
  readonly #endedAtMs = new BoundedMap<string, number>(MAX_SESSIONS);
  readonly #now: () => number;

  /** `now` gives milliseconds on any clock that only goes forward. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Notes an end. False when it is known already. */
  add(sessionId: string): boolean {
    const endedAtMs = this.#endedAtMs.get(sessionId);
    const now = this.#now();
    if (endedAtMs !== undefined && now - endedAtMs < REMEMBERED_MS) return false;
    this.#endedAtMs.set(sessionId, now);
    return true;
  }

  /** The agent did not take the end in, and has to be told again. */
  forget(sessionId: string): void {
    this.#endedAtMs.delete(sessionId);
  }
}

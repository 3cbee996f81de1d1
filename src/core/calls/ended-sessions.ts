import { BoundedMap } from '../../base/bounded-map.ts';

const REMEMBERED_MS = 600_000;
const MAX_SESSIONS = 10_000;

/**
 * Remembers ended sessions, for 600 s and at most 10,000 of them. Signatures are valid for 300 s,
 * so a captured end of a session cannot be replayed.
 */
export class EndedSessions {
  readonly #endedAtMs = new BoundedMap<string, number>(MAX_SESSIONS);
  readonly #now: () => number;

  /** `now` returns milliseconds on any monotonic clock. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Records an end. False if it is already known. */
  add(sessionId: string): boolean {
    const endedAtMs = this.#endedAtMs.get(sessionId);
    const now = this.#now();
    if (endedAtMs !== undefined && now - endedAtMs < REMEMBERED_MS) return false;
    this.#endedAtMs.set(sessionId, now);
    return true;
  }

  /** Forgets an end that the agent failed to handle, so that it can be reported again. */
  forget(sessionId: string): void {
    this.#endedAtMs.delete(sessionId);
  }
}

import { BoundedMap } from '../../base/bounded-map.ts';

const MAX_SESSIONS = 10_000;

/** Sessions that have started here and not ended. Kept by an app whose shutdown waits for calls. */
export class OpenSessions {
  readonly #lastUses = new BoundedMap<string, number>(MAX_SESSIONS);
  readonly #idleMs: number;
  readonly #now: () => number;
  #onEnd: (() => void) | undefined;

  /**
   * A session counts as over after `idleMs` without events, in case its end was lost. `now`
   * returns milliseconds on any monotonic clock.
   */
  constructor(idleMs: number, now: () => number = () => performance.now()) {
    this.#idleMs = idleMs;
    this.#now = now;
  }

  start(sessionId: string): void {
    this.#lastUses.set(sessionId, this.#now());
  }

  /** Records a turn of a session, if the session started here. */
  use(sessionId: string): void {
    if (this.#lastUses.get(sessionId) !== undefined) this.start(sessionId);
  }

  end(sessionId: string): void {
    this.#lastUses.delete(sessionId);
    this.#onEnd?.();
  }

  /** Resolves when all sessions are over, including those that start meanwhile, or after `ms`. */
  over(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#onEnd = () => {
        if (this.#count() > 0) return;
        clearTimeout(timer);
        resolve();
      };
      this.#onEnd();
    });
  }

  #count(): number {
    const idleSinceMs = this.#now() - this.#idleMs;
    let count = 0;
    for (const [, lastUseMs] of this.#lastUses) if (lastUseMs > idleSinceMs) count += 1;
    return count;
  }
}

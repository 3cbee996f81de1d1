/** How long a call without an end waits for its record, in seconds. 0: it gets none. */
export function idleSecondsOf(settings: {
  readonly callRecordsIdleSeconds?: number | undefined;
  readonly conversationTtlSeconds: number;
}): number {
  return settings.callRecordsIdleSeconds ?? Math.min(900, settings.conversationTtlSeconds / 2);
}

/** With more calls than this, the one that has been silent longest is forgotten. */
const MAX_CALLS = 100_000;

/** Calls that have been active, until they have been silent for some time. */
export class IdleCalls {
  readonly #idleMs: number;
  /**
   * The call that has been silent longest comes first. Node keeps timers of equal length in a list.
   */
  readonly #timers = new Map<string, NodeJS.Timeout>();

  /** `idleMs`: how long a call must be silent, in milliseconds. */
  constructor(idleMs: number) {
    this.#idleMs = idleMs;
  }

  /**
   * Something has happened in the call with this key. `onIdle` is called once nothing more has
   * happened for `idleMs`. It must not throw.
   */
  add(key: string, onIdle: () => void): void {
    this.remove(key);
    const timer = setTimeout(() => {
      this.#timers.delete(key);
      onIdle();
    }, this.#idleMs);
    this.#timers.set(key, timer.unref());
    if (this.#timers.size <= MAX_CALLS) return;
    const [oldest = ''] = this.#timers.keys();
    this.remove(oldest);
  }

  /** The call is over. */
  remove(key: string): void {
    clearTimeout(this.#timers.get(key));
    this.#timers.delete(key);
  }

  close(): void {
    for (const key of this.#timers.keys()) this.remove(key);
  }
}

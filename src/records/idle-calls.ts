/** How long a call without an end waits for its record, in seconds. 0: it gets none. */
export function idleSecondsOf(settings: {
  readonly callRecordsIdleSeconds?: number | undefined;
  readonly conversationTtlSeconds: number;
}): number {
  return settings.callRecordsIdleSeconds ?? Math.min(900, settings.conversationTtlSeconds / 2);
}

/** With more calls than this, the one that has been silent longest is forgotten. */
const MAX_CALLS = 100_000;

/** Calls in which something has happened, until nothing has for some time. */
export class IdleCalls {
  readonly #idleMs: number;
  /** The one silent longest comes first. Node keeps timers of one length as a list. */
  readonly #timers = new Map<string, NodeJS.Timeout>();

  /** `idleMs`: how long nothing may happen, in milliseconds. */
  constructor(idleMs: number) {
    this.#idleMs = idleMs;
  }

  /**
   * Something has happened in the call with this key. `onIdle` is called once nothing has for that
   * long. It must not throw.
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

/** How long a call without an end waits for its record, in seconds. 0: it gets none. */
export function idleSecondsOf(settings: {
  readonly callRecordsIdleSeconds?: number | undefined;
  readonly conversationTtlSeconds: number;
}): number {
  return settings.callRecordsIdleSeconds ?? Math.min(900, settings.conversationTtlSeconds / 2);
}

/** With more calls than this, the one that has been silent longest is forgotten. */
const MAX_CALLS = 100_000;

interface Active<T> {
  readonly call: T;
  readonly timer: NodeJS.Timeout;
}

/** Calls that have been active, until they have been silent for some time. */
export class IdleCalls<T> {
  readonly #idleMs: number;
  readonly #onIdle: (call: T) => void;
  /**
   * The call that has been silent longest comes first. Node keeps timers of equal length in a list.
   */
  readonly #active = new Map<string, Active<T>>();

  /** `onIdle` gets each call that was silent for `idleMs` milliseconds. It must not throw. */
  constructor(idleMs: number, onIdle: (call: T) => void) {
    this.#idleMs = idleMs;
    this.#onIdle = onIdle;
  }

  /** Something has happened in the call with this key. */
  add(key: string, call: T): void {
    this.remove(key);
    const timer = setTimeout(() => {
      this.#active.delete(key);
      this.#onIdle(call);
    }, this.#idleMs).unref();
    this.#active.set(key, { call, timer });
    if (this.#active.size <= MAX_CALLS) return;
    const [oldest = ''] = this.#active.keys();
    this.remove(oldest);
  }

  /** The call is over. */
  remove(key: string): void {
    clearTimeout(this.#active.get(key)?.timer);
    this.#active.delete(key);
  }

  /** Removes and returns all calls. */
  takeAll(): T[] {
    return [...this.#active].map(([key, { call }]) => {
      this.remove(key);
      return call;
    });
  }
}

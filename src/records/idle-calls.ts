/** A call that may be over. */
export interface IdleCall {
  /** Unique to the call among all others. */
  readonly key: string;
}

export interface IdleCallsOptions<Call> {
  /** How long nothing may happen, in milliseconds. */
  readonly idleMs: number;
  /** Called once for each call in which nothing has happened for that long. Must not throw. */
  readonly onIdle: (call: Call) => void;
}

/** How long a call without an end waits for its record, in seconds. 0: it gets none. */
export function idleSecondsOf(settings: {
  readonly callRecordsIdleSeconds?: number | undefined;
  readonly conversationTtlSeconds: number;
}): number {
  return settings.callRecordsIdleSeconds ?? Math.min(900, settings.conversationTtlSeconds / 2);
}

/** With more calls than this, the one that has been silent longest is forgotten. */
const MAX_CALLS = 100_000;

interface Waiting<Call> {
  readonly call: Call;
  /** On the clock of `performance.now()`. */
  readonly idleAtMs: number;
}

/** Calls in which something has happened, until nothing has for some time. One timer for all. */
export class IdleCalls<Call extends IdleCall> {
  readonly #idleMs: number;
  readonly #onIdle: (call: Call) => void;
  /** In the order of their times, as all wait equally long. */
  readonly #waiting = new Map<string, Waiting<Call>>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ idleMs, onIdle }: IdleCallsOptions<Call>) {
    this.#idleMs = idleMs;
    this.#onIdle = onIdle;
  }

  /** Something has happened in the call. */
  add(call: Call): void {
    this.#waiting.delete(call.key);
    this.#waiting.set(call.key, { call, idleAtMs: performance.now() + this.#idleMs });
    if (this.#waiting.size > MAX_CALLS) {
      const [oldest = ''] = this.#waiting.keys();
      this.#waiting.delete(oldest);
    }
    this.#timer ??= this.#wait(this.#idleMs);
  }

  /** The call is over. */
  remove(key: string): void {
    this.#waiting.delete(key);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #wait(ms: number): NodeJS.Timeout {
    return setTimeout(() => this.#tellIdle(), ms).unref();
  }

  #tellIdle(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (const [key, { call, idleAtMs }] of this.#waiting) {
      if (idleAtMs > nowMs) {
        this.#timer = this.#wait(idleAtMs - nowMs);
        return;
      }
      this.#waiting.delete(key);
      this.#onIdle(call);
    }
  }
}

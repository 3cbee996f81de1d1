import type { Logger } from '../../log.ts';

/** Between attempts to store a conversation that cannot be stored. */
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 60_000;
/** Beyond this the oldest is forgotten, and found anew the next time it fails. */
const MAX_APART = 1_000;

interface Entry {
  readonly retryMs: number;
  /** `performance.now()` of the next attempt. */
  readonly nextAtMs: number;
}

/** Conversations that a store refuses though it takes others. Each has a back-off of its own. */
export class SetApart {
  readonly #entries = new Map<string, Entry>();
  readonly #log: Logger;
  readonly #store: string;

  constructor(store: string, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  /** Whether it is too early for another attempt. */
  isResting(id: string): boolean {
    const entry = this.#entries.get(id);
    return entry !== undefined && performance.now() < entry.nextAtMs;
  }

  /** How long until the next attempt for one of them. */
  nextInMs(): number {
    const times = [...this.#entries.values()].map(({ nextAtMs }) => nextAtMs - performance.now());
    return times.length === 0 ? FIRST_RETRY_MS : Math.max(0, Math.min(...times));
  }

  /** The first attempt may follow at once: most failures happen once. */
  add(id: string, error: unknown): void {
    if (this.#entries.has(id)) return;
    this.#entries.set(id, { retryMs: FIRST_RETRY_MS, nextAtMs: performance.now() });
    this.#log.error('the store failed for one conversation, which continues from memory', {
      store: this.#store, conversationId: id, error,
    });
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined && this.#entries.size > MAX_APART) this.#entries.delete(oldest);
  }

  failedAgain(id: string): void {
    const { retryMs } = this.#entries.get(id) ?? { retryMs: FIRST_RETRY_MS };
    const nextAtMs = performance.now() + retryMs;
    this.#entries.set(id, { retryMs: Math.min(2 * retryMs, LONGEST_RETRY_MS), nextAtMs });
  }

  /** The store has answered for it. */
  delete(id: string): void {
    if (!this.#entries.delete(id)) return;
    this.#log.info('the store works again for that conversation', {
      store: this.#store, conversationId: id,
    });
  }
}

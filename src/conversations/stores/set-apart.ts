import type { Logger } from '../../log.ts';

/** Pauses between attempts to store a conversation that cannot be stored. */
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 60_000;
/** Beyond this the oldest is forgotten, and added again the next time it fails. */
const MAX_APART = 1_000;

interface Entry {
  readonly retryMs: number;
  /** `performance.now()` of the next attempt. */
  readonly nextAtMs: number;
  /** Whether this has been logged. */
  readonly isSaid: boolean;
}

/** Conversations that a store refuses although it accepts others. Each has its own back-off. */
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

  /** How long until the next attempt for one of these, in milliseconds. */
  nextInMs(ids: readonly string[]): number {
    const now = performance.now();
    const pauses = ids.map((id) => (this.#entries.get(id)?.nextAtMs ?? now) - now);
    return Math.max(FIRST_RETRY_MS, Math.min(...pauses));
  }

  /** The next attempt may follow at once: most commands fail once. */
  add(id: string): void {
    if (this.#entries.has(id)) return;
    const nextAtMs = performance.now();
    this.#set(id, { retryMs: FIRST_RETRY_MS, nextAtMs, isSaid: false });
  }

  failedAgain(id: string, error: unknown): void {
    const { retryMs, isSaid } = this.#entries.get(id) ?? { retryMs: FIRST_RETRY_MS, isSaid: false };
    const nextAtMs = performance.now() + retryMs;
    const nextRetryMs = Math.min(2 * retryMs, LONGEST_RETRY_MS);
    this.#set(id, { retryMs: nextRetryMs, nextAtMs, isSaid: true });
    if (isSaid) return;
    this.#log.error('the store fails for one conversation, which continues from memory', {
      store: this.#store, conversationId: id, error,
    });
  }

  /** Call it when the store has answered for the conversation. */
  delete(id: string): void {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    if (entry?.isSaid !== true) return;
    this.#log.info('the store works again for that conversation', {
      store: this.#store, conversationId: id,
    });
  }

  #set(id: string, entry: Entry): void {
    this.#entries.set(id, entry);
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined && this.#entries.size > MAX_APART) this.#entries.delete(oldest);
  }
}

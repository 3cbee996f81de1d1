import { toAwaitable, type Awaitable } from '../../base/awaitable.ts';
import { within } from '../../base/time-limit.ts';
import type { Logger } from '../../log.ts';
import type { PartStore } from './part-store.ts';

export interface OutageOptions {
  /** A command that takes longer counts as failed. */
  readonly timeoutMs: number;
  readonly log: Logger;
  /** Called when the store answers again. False if something could still not be written. */
  readonly recovered: () => Promise<boolean>;
}

/** Between attempts to reach a store that did not answer. */
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 2_000;

/** The result of a command that failed or took too long. */
export const FAILED = Symbol('failed');

/**
 * Sends commands to a store that may fail. After a failure the store is degraded: nothing should
 * be asked until it answers an attempt made here.
 */
export class Outage {
  readonly #parts: PartStore;
  readonly #timeoutMs: number;
  readonly #log: Logger;
  readonly #recovered: () => Promise<boolean>;
  #isDegraded = false;
  /** From the first failure until all that waited is written. Meanwhile the store may answer. */
  #isOutage = false;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #failures = 0;
  #losses = 0;
  #lastId = '';
  #lastVersion: string | undefined;
  #isClosed = false;

  constructor(parts: PartStore, { timeoutMs, log, recovered }: OutageOptions) {
    this.#parts = parts;
    this.#timeoutMs = timeoutMs;
    this.#log = log;
    this.#recovered = recovered;
  }

  get isDegraded(): boolean {
    return this.#isDegraded;
  }

  /** Commands that failed or timed out since the start. */
  get failures(): number {
    return this.#failures;
  }

  /** How often the store may have lost data while it did not answer. */
  get losses(): number {
    return this.#losses;
  }

  ask<T>(command: () => Awaitable<T>): Awaitable<T | typeof FAILED> {
    try {
      const answer = toAwaitable(command());
      if (!(answer instanceof Promise)) return answer;
      return within(this.#timeoutMs, answer).catch((error: unknown) => this.#failed(error));
    } catch (error) {
      return this.#failed(error);
    }
  }

  /** Notes what was written last: if it is still there, everything before it is, too. */
  written(id: string, version: string | undefined): void {
    this.#lastId = id;
    this.#lastVersion = version;
  }

  /** No more attempts are made. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
  }

  #failed(error: unknown): typeof FAILED {
    this.#failures += 1;
    this.#isDegraded = true;
    if (!this.#isOutage) {
      this.#isOutage = true;
      const store = this.#parts.name;
      this.#log.error('the conversation store failed; calls continue from memory', { store, error });
    }
    this.#retryLater();
    return FAILED;
  }

  #retryLater(): void {
    if (this.#retry !== undefined || this.#isClosed) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#recover().catch((error: unknown) => this.#failed(error));
    }, this.#retryMs).unref();
    this.#retryMs = Math.min(2 * this.#retryMs, LONGEST_RETRY_MS);
  }

  /** Reads an id that no conversation has, to see whether the store answers. */
  async #recover(): Promise<void> {
    if ((await this.ask(() => this.#parts.read(''))) === FAILED) return;
    const last = await this.ask(() => this.#parts.read(this.#lastId, this.#lastVersion));
    if (last !== 'unchanged') this.#losses += 1;
    if (last === FAILED) {
      this.#lastId = ''; // the next attempt must not fail because of this one alone
      return;
    }
    this.#isDegraded = false;
    const isDone = await this.#recovered();
    if (this.#isDegraded) return;
    if (!isDone) return this.#retryLater();
    this.#retryMs = FIRST_RETRY_MS;
    this.#isOutage = false;
    this.#log.info('the conversation store answers again', { store: this.#parts.name });
  }
}

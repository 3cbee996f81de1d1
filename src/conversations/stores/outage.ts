import { randomUUID } from 'node:crypto';

import { toAwaitable, type Awaitable } from '../../base/awaitable.ts';
import { within } from '../../base/time-limit.ts';
import type { Logger } from '../../log.ts';
import type { PartStore } from './part-store.ts';

export interface OutageOptions {
  /** A command that takes longer counts as failed. */
  readonly timeoutMs: number;
  readonly log: Logger;
  /** Called when the store answers again. Resolves when everything that can be written has been. */
  readonly recovered: () => Promise<void>;
}

/** A command that may fail alone, although the store works. */
interface Suspect {
  readonly refused?: (error: unknown) => void;
  readonly isAlone?: () => void;
}

/** Between attempts to reach a store that did not answer. */
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 2_000;
/** Removes what a probe leaves if the process dies between its two commands. */
const PROBE_TTL_MS = 60_000;

/** The result of a command that failed or took too long. */
export const FAILED = Symbol('failed');

/**
 * Sends commands to a store that may fail. After a failure the store is degraded and should not be
 * used until a probe of our own has found whether the store fails or only that command. One bad key
 * must not stop all others.
 */
export class Outage {
  readonly #parts: PartStore;
  readonly #timeoutMs: number;
  readonly #log: Logger;
  readonly #recovered: () => Promise<void>;
  #isDegraded = false;
  /** From the first failed probe until everything that waited is written. */
  #isOutage = false;
  #isRecovering = false;
  #probe: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #failures = 0;
  /** What made the store degraded. */
  #cause: unknown;
  /** Called if the store works after all: then only their commands failed. */
  #suspects: (() => void)[] = [];
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

  /**
   * `refused` is called if the error says that only this command fails, `isAlone` if a probe finds
   * out.
   */
  ask<T>(
    command: () => Awaitable<T>,
    { refused, isAlone }: Suspect = {},
  ): Awaitable<T | typeof FAILED> {
    return this.#send(command, (error) => {
      if (refused !== undefined && this.#parts.isOfOne?.(error) === true) return refused(error);
      this.#cause = error;
      this.#isDegraded = true;
      if (isAlone !== undefined) this.#suspects.push(isAlone);
      if (this.#retry === undefined && !this.#isClosed) this.#probe ??= this.#look();
    });
  }

  /** For a command that failed alone before. If it fails again, the store is not suspected. */
  askAgain<T>(
    command: () => Awaitable<T>,
    failed: (error: unknown) => void,
  ): Awaitable<T | typeof FAILED> {
    return this.#send(command, failed);
  }

  /** No more attempts are made. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
  }

  #send<T>(
    command: () => Awaitable<T>,
    failed: (error: unknown) => void,
  ): Awaitable<T | typeof FAILED> {
    const fail = (error: unknown): typeof FAILED => {
      this.#failures += 1;
      failed(error);
      return FAILED;
    };
    try {
      const answer = toAwaitable(command());
      return answer instanceof Promise ? within(this.#timeoutMs, answer).catch(fail) : answer;
    } catch (error) {
      return fail(error);
    }
  }

  /** Finds out whether the store works, and acts on it. */
  async #look(): Promise<void> {
    const isWorking = await this.#isWorking();
    this.#probe = undefined;
    const suspects = this.#suspects.splice(0);
    if (!isWorking) return this.#down();
    this.#isDegraded = false;
    if (!this.#isOutage) {
      this.#log.warn('a command of the conversation store failed, but the store works', {
        store: this.#parts.name, error: this.#cause,
      });
    }
    for (const isAlone of suspects) isAlone();
    this.#recover().catch((error: unknown) => {
      this.#isDegraded = true;
      this.#cause = error;
      this.#down();
    });
  }

  #down(): void {
    if (!this.#isOutage) {
      this.#isOutage = true;
      this.#log.error('the conversation store failed; calls continue from memory', {
        store: this.#parts.name, error: this.#cause,
      });
    }
    if (this.#isClosed) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#probe ??= this.#look();
    }, this.#retryMs).unref();
    this.#retryMs = Math.min(2 * this.#retryMs, LONGEST_RETRY_MS);
  }

  /**
   * Writes and removes a conversation that nobody uses, because a full disk still answers reads.
   * Each time under a new id, which may be on another shard of a cluster.
   */
  async #isWorking(): Promise<boolean> {
    const id = `\tprobe\t${randomUUID()}`;
    const begin = { from: undefined, to: 'probe', set: new Map([['probe', '{}']]) };
    const end = { from: 'probe', to: undefined, set: new Map<string, string>() };
    try {
      for (const change of [begin, end]) {
        const made = this.#parts.write(id, { ...change, remove: [], ttlMs: PROBE_TTL_MS });
        await within(this.#timeoutMs, Promise.resolve(made));
      }
      return true;
    } catch {
      return false; // the failure of the command that led here is in the log
    }
  }

  async #recover(): Promise<void> {
    if (this.#isRecovering) return;
    this.#isRecovering = true;
    try {
      await this.#recovered();
    } finally {
      this.#isRecovering = false;
    }
    if (this.#isDegraded || !this.#isOutage) return;
    this.#retryMs = FIRST_RETRY_MS;
    this.#isOutage = false;
    this.#log.info('the conversation store answers again', { store: this.#parts.name });
  }
}

import { randomUUID } from 'node:crypto';

import { toAwaitable, type Awaitable } from '../../../base/awaitable.ts';
import type { Logger } from '../../../base/log.ts';
import { within } from '../../../base/time-limit.ts';
import type { PartStore } from './part-store.ts';

interface OutageOptions {
  /** A command that takes longer is late: nobody waits for it, but it may still be answered. */
  readonly timeoutMs: number;
  readonly log: Logger;
  /** Called when the store answers again. Resolves when everything that can be written has been. */
  readonly recovered: () => Promise<void>;
}

interface AskOptions {
  /** Called instead if the store answers that it fails for this one conversation. */
  readonly refused?: (error: unknown) => void;
  /** Called when the command is answered after the time-out. */
  readonly answered?: () => void;
  /** Whether to wait for the answer until the store counts as away. Default: no. */
  readonly isPatient?: boolean;
  /** How long the store itself waits before it answers: for replicas, or a disk. Default 0. */
  readonly waitsMs?: number;
}

/**
 * A store that has answered nothing for this long is away: no more commands are sent to it. Four
 * time-outs, if that is less.
 */
export const AWAY_MS = 1_000;

/** Pauses between attempts to reach a store that did not answer. */
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 2_000;
/** Removes what a probe leaves if the process dies between its two commands. */
const PROBE_TTL_MS = 60_000;

/** The result of a command that failed or is late. */
export const FAILED = Symbol('failed');

/**
 * Sends commands to a store that may fail or answer late. After a failure, or without an answer for
 * a second, the store is degraded, and should not be used until one of our own probes has found
 * that it works. What it refuses for one conversation does not affect the others.
 */
export class Outage {
  readonly #parts: PartStore;
  readonly #timeoutMs: number;
  readonly #awayMs: number;
  readonly #log: Logger;
  readonly #recovered: () => Promise<void>;
  #isDegraded = false;
  /** From the first failed probe until everything that was waiting has been written. */
  #isOutage = false;
  #isRecovering = false;
  /** Whether a command failed while that was being written, although the store works. */
  #hasFailedAgain = false;
  #probe: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #failures = 0;
  /** What made the store degraded. */
  #cause: unknown;
  #isClosed = false;

  constructor(parts: PartStore, { timeoutMs, log, recovered }: OutageOptions) {
    this.#parts = parts;
    this.#timeoutMs = timeoutMs;
    this.#awayMs = Math.max(timeoutMs, Math.min(4 * timeoutMs, AWAY_MS));
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

  ask<T>(command: () => Awaitable<T>, options: AskOptions = {}): Awaitable<T | typeof FAILED> {
    const failed = (error: unknown): void => {
      if (this.#parts.isOfOne?.(error) === true) return options.refused?.(error);
      this.#cause = error;
      this.#isDegraded = true;
      if (this.#retry === undefined && !this.#isClosed) this.#probe ??= this.#look();
    };
    return this.askAside(command, failed, options);
  }

  /** A command that nothing depends on: if it fails or is late, the store may work all the same. */
  askAside<T>(
    command: () => Awaitable<T>,
    failed: (error: unknown) => void = () => undefined,
    options: AskOptions = {},
  ): Awaitable<T | typeof FAILED> {
    try {
      const answer = toAwaitable(command());
      return answer instanceof Promise ? this.#inTime(answer, failed, options) : answer;
    } catch (error) {
      this.#failures += 1;
      failed(error);
      return FAILED;
    }
  }

  /** Makes no more attempts. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
  }

  /** The answer, or `FAILED` once it is late. A late answer is still waited for. */
  #inTime<T>(
    answer: Promise<T>,
    failed: (error: unknown) => void,
    { answered, isPatient = false, waitsMs = 0 }: AskOptions,
  ): Promise<T | typeof FAILED> {
    const awayMs = this.#awayMs + waitsMs;
    const lateMs = isPatient ? awayMs : this.#timeoutMs;
    return new Promise((resolve) => {
      let state: 'asked' | 'late' | 'over' = 'asked';
      const isLate = (): void => {
        if (state !== 'asked') return;
        state = 'late';
        this.#failures += 1;
        // The store is degraded before such a caller goes on: otherwise the caller would ask again.
        if (lateMs === awayMs) isAway();
        else timer = setTimeout(isAway, awayMs - lateMs).unref();
        resolve(FAILED);
      };
      const isAway = (): void => {
        if (state === 'late') failed(new Error(`no answer in ${awayMs} ms`));
      };
      // If the event loop was blocked, timers fire before the answers that arrived meanwhile are
      // read, so those answers get one more turn.
      let timer = setTimeout(() => setImmediate(isLate), lateMs);
      const isOver = (): boolean => {
        const wasLate = state === 'late';
        state = 'over';
        clearTimeout(timer);
        return wasLate;
      };
      answer.then(
        (value) => {
          if (!isOver()) return resolve(value);
          this.#lookNow();
          answered?.();
        },
        (error: unknown) => {
          if (!isOver()) this.#failures += 1;
          failed(error);
          resolve(FAILED);
        },
      );
    });
  }

  /** Probes now: the retry is due, or the store has answered something. */
  #lookNow(): void {
    if (this.#retry === undefined || this.#isClosed) return;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#probe ??= this.#look();
  }

  /** Finds out whether the store works, and acts on it. */
  async #look(): Promise<void> {
    const isWorking = await this.#isWorking();
    this.#probe = undefined;
    if (!isWorking) return this.#down();
    this.#isDegraded = false;
    if (!this.#isOutage)
      this.#log.warn('a command of the conversation store failed, but the store works', {
        store: this.#parts.name, error: this.#cause,
      });
    if (!this.#hasFailedAgain) return this.#recover();
    this.#hasFailedAgain = false; // it would fail once more: what is waiting is written later
  }

  #down(): void {
    this.#hasFailedAgain = false;
    if (!this.#isOutage) {
      this.#isOutage = true;
      this.#log.error('the conversation store failed; calls continue from memory', {
        store: this.#parts.name, error: this.#cause,
      });
    }
    if (this.#isClosed) return;
    this.#retry = setTimeout(() => this.#lookNow(), this.#retryMs).unref();
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
    } catch (error) {
      this.#isDegraded = true;
      this.#cause = error;
      return this.#down();
    } finally {
      this.#isRecovering = false;
    }
    this.#hasFailedAgain = this.#isDegraded;
    if (!this.#isOutage) return;
    this.#retryMs = FIRST_RETRY_MS;
    this.#isOutage = false;
    this.#log.info('the conversation store answers again', { store: this.#parts.name });
  }
}

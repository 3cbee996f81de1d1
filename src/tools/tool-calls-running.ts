// Tool calls that run in this process: which of them are the same call, and when they are aborted.

import type { ToolCallId, ToolCallState } from '../conversations/message.ts';
import { NOT_STARTED, UNFINISHED_RESULTS } from '../conversations/unfinished-tool-results.ts';

/**
 * How a call ended. An `interrupted` one may run again. `running`: it waited for the same call in
 * another process, which is still running.
 */
export interface ToolCallResult {
  readonly state: ToolCallState;
  /** JSON text for the model. */
  readonly content: string;
  /** Name of the agent that the call hands the conversation over to. */
  readonly handOver?: string | undefined;
  /** Set if the tool said that it did nothing: it may act again under the same key. */
  readonly isNotDone?: true;
  /** What it threw, if that is why its state is `unknown`. */
  readonly error?: unknown;
}

/** It has done nothing: its turn is over, its signal ended it, or it waits until it may begin. */
export const INTERRUPTED: ToolCallResult = {
  state: 'interrupted', content: UNFINISHED_RESULTS.interrupted,
};
/** It was not allowed to begin. */
export const REFUSED: ToolCallResult = { state: 'interrupted', content: NOT_STARTED };
/** Nobody knows whether it acted. */
export const UNKNOWN: ToolCallResult = { state: 'unknown', content: UNFINISHED_RESULTS.unknown };

/** How many tools whose time was up are waited for. Beyond this the oldest stays unknown. */
const MAX_LATE = 1_000;

/** A call that runs in this process. */
export class RunningToolCall {
  /** Never rejects. */
  readonly outcome: Promise<ToolCallResult>;
  /** Whether it has claimed its key or is about to, so that it does not wait for another call. */
  isClaimer = false;
  /** Its turn, while other processes are asked before it claims its key. */
  askingTurn: { readonly isOver: boolean } | undefined;
  readonly #controller = new AbortController();
  #settle!: (outcome: ToolCallResult) => void;
  #deadline: NodeJS.Timeout | undefined;

  constructor() {
    this.outcome = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: Error): void {
    clearTimeout(this.#deadline);
    this.#controller.abort(reason);
  }

  /** Aborts the call later, unless it has ended by then. A second time limit is ignored. */
  abortAfter(ms: number, reason: Error): void {
    this.#deadline ??= setTimeout(() => this.abort(reason), Math.max(0, ms));
  }

  end(outcome: ToolCallResult): void {
    clearTimeout(this.#deadline);
    this.#settle(outcome);
  }
}

/** A claim that is to be taken back. */
export interface Withdrawal extends ToolCallId {
  readonly key: string;
  readonly running: RunningToolCall;
  /** When to give up, on the clock of `performance.now()`. */
  readonly untilMs: number;
}

/**
 * All calls that run in this process, by key. A key may have several: nothing keeps an agent from
 * running a call twice itself.
 */
export class RunningToolCalls {
  readonly #calls = new Map<string, readonly RunningToolCall[]>();
  /**
   * Calls whose claims the store has not confirmed, under which nothing began, by key. Each claim
   * is taken back by itself: the store has at most the last one.
   */
  readonly #unconfirmed = new Map<string, Set<RunningToolCall>>();
  /** Unconfirmed claims that are being taken back, by conversation. */
  readonly withdrawals = new Map<string, Withdrawal[]>();
  /** Tools whose time was up, oldest first, and how to forget each. */
  readonly #late = new Map<Promise<void>, () => void>();
  /** Called when a call need not be waited for any more: see `whenStored`. */
  readonly #listeners = new Map<string, Set<() => void>>();

  /** Whether the call must not count as lost. */
  readonly isRunning = (key: string): boolean => this.#calls.has(key) || this.#unconfirmed.has(key);

  /** Whether a call with that key acts or is about to, rather than wait for another one. */
  readonly isClaimed = (key: string): boolean =>
    this.#calls.get(key)?.some(({ isClaimer }) => isClaimer) === true;

  /**
   * Whether a call with that key is about to find out whether it may claim it. Not one whose turn
   * is over: it claims nothing.
   */
  readonly isAsking = (key: string): boolean =>
    this.#calls.get(key)?.some(({ askingTurn }) => askingTurn?.isOver === false) === true;

  /** Whether there is only an unconfirmed claim, under which nothing began or is about to begin. */
  readonly isIdle = (key: string): boolean =>
    !this.isClaimed(key) && !this.isAsking(key) && this.isUnconfirmed(key);

  /**
   * The outcome of the calls with that key that were added before `call`, or of all of them: that
   * of the first one to complete, in their order, otherwise that of the last. Undefined if there is
   * none.
   */
  outcomeBefore(key: string, call?: RunningToolCall): Promise<ToolCallResult> | undefined {
    const calls = this.#calls.get(key) ?? [];
    const place = call === undefined ? -1 : calls.indexOf(call);
    const [first, ...others] = place === -1 ? calls : calls.slice(0, place);
    return first === undefined ? undefined : firstCompleted(first, others);
  }

  /** Call it before the call is stored. While it is here, it does not count as lost. */
  add(key: string, call: RunningToolCall): void {
    this.#calls.set(key, [...(this.#calls.get(key) ?? []), call]);
  }

  /** Call it once the result is stored. Until then the store says that the call runs. */
  remove(key: string, call: RunningToolCall): void {
    const others = this.#calls.get(key)?.filter((other) => other !== call) ?? [];
    if (others.length > 0) return void this.#calls.set(key, others);
    this.#calls.delete(key);
    this.#tellStored(key);
  }

  /**
   * Calls `listener` once the results of the calls with that key are stored, or the last claim is
   * gone under which nothing began.
   */
  whenStored(key: string, listener: () => void): void {
    const listeners = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, listeners.add(listener));
  }

  /** A claim may be in the store, though the store has not said so. Nothing has begun under it. */
  noteUnconfirmed(key: string, call: RunningToolCall): void {
    this.#unconfirmed.set(key, (this.#unconfirmed.get(key) ?? new Set()).add(call));
  }

  /**
   * Whether a claim under that key, of `call` or of any, may still be in the store without having
   * been confirmed.
   */
  isUnconfirmed(key: string, call?: RunningToolCall): boolean {
    const calls = this.#unconfirmed.get(key);
    return call === undefined ? calls !== undefined : calls?.has(call) === true;
  }

  /**
   * The claim of that call is no longer in the store, or cannot be taken back, or one with its key
   * is confirmed.
   */
  forgetUnconfirmed(key: string, call?: RunningToolCall): void {
    const calls = this.#unconfirmed.get(key);
    if (call !== undefined) calls?.delete(call);
    if (call === undefined || calls?.size === 0) this.#unconfirmed.delete(key);
    if (!this.isRunning(key)) this.#tellStored(key);
  }

  /**
   * For a tool whose time was up. `end` waits for it and must not reject. It stops waiting when
   * `forgotten` resolves: 1,000 newer ones are late, or all calls are aborted.
   */
  addLate(end: (forgotten: Promise<undefined>) => Promise<void>): void {
    let forget = (): void => undefined;
    const forgotten = new Promise<undefined>((resolve) => {
      forget = () => resolve(undefined);
    });
    const ended = end(forgotten).then(() => void this.#late.delete(ended));
    this.#late.set(ended, forget);
    const [oldest] = this.#late;
    if (oldest === undefined || this.#late.size <= MAX_LATE) return;
    this.#late.delete(oldest[0]);
    oldest[1]();
  }

  /** Aborts all calls, and stops waiting for tools whose time was up. */
  abortAll(reason: Error): void {
    for (const call of this.#all()) call.abort(reason);
    for (const forget of this.#late.values()) forget();
  }

  /** Resolves when all calls that run now have ended, and tools whose time was up by then. */
  async ended(): Promise<void> {
    await Promise.all(this.#all().map(({ outcome }) => outcome));
    while (this.#late.size > 0) await Promise.all(this.#late.keys());
  }

  #tellStored(key: string): void {
    const listeners = this.#listeners.get(key) ?? [];
    this.#listeners.delete(key);
    for (const listener of listeners) listener();
  }

  #all(): readonly RunningToolCall[] {
    return [...this.#calls.values()].flat();
  }
}

async function firstCompleted(
  first: RunningToolCall,
  others: readonly RunningToolCall[],
): Promise<ToolCallResult> {
  let outcome = await first.outcome;
  for (const call of others) {
    if (outcome.state === 'completed') break;
    outcome = await call.outcome;
  }
  return outcome;
}

// Tool calls running in this process: which of them are the same call, and when they are aborted.

import type { ToolCallState } from '../conversations/message.ts';
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

/** The call has done nothing: its turn is over, its signal ended it, or it waits to begin. */
export const INTERRUPTED: ToolCallResult = {
  state: 'interrupted', content: UNFINISHED_RESULTS.interrupted,
};
/** The call was not allowed to begin. */
export const REFUSED: ToolCallResult = { state: 'interrupted', content: NOT_STARTED };
/** Nobody knows whether it acted. */
export const UNKNOWN: ToolCallResult = { state: 'unknown', content: UNFINISHED_RESULTS.unknown };

/** How many tools whose time is up are waited for. Beyond this, the oldest stays unknown. */
const MAX_LATE = 1_000;

/** A call running in this process. */
export class RunningToolCall {
  /** Never rejects. */
  readonly outcome: Promise<ToolCallResult>;
  readonly #controller = new AbortController();
  #settle!: (outcome: ToolCallResult) => void;
  #deadline: NodeJS.Timeout | undefined;
  /** Reports a call that acts once, if this process ends first. */
  leftBehind: (() => void) | undefined;

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
    this.leftBehind = undefined;
    this.#settle(outcome);
  }
}

/** A call whose key may change before it begins. */
interface KeyedToolCall {
  key: string;
  readonly spoken: { key: string | undefined };
  readonly running: RunningToolCall;
}

/**
 * All calls running in this process, by key. A key may have several: nothing keeps an agent from
 * running a call of its own twice.
 */
export class RunningToolCalls {
  readonly #calls = new Map<string, readonly RunningToolCall[]>();
  /** Tools whose time is up, oldest first, and how to forget each. */
  readonly #late = new Map<Promise<void>, () => void>();

  /** Whether a call with this key is running here, and so must not count as lost. */
  readonly isRunning = (key: string): boolean => this.#calls.has(key);

  /**
   * The joint outcome of the calls with that key: of those added before `call`, or of all. It is
   * that of the first one, in order, that completes, otherwise that of the last. Undefined if there
   * are no calls.
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

  /** From now on the key of a call names what it does instead of its turn, or something else. */
  rename(call: KeyedToolCall, key: string): void {
    this.remove(call.key, call.running);
    call.key = call.spoken.key = key;
    this.add(key, call.running);
  }

  /** Call it once the result is stored. Until then the store says that the call is running. */
  remove(key: string, call: RunningToolCall): void {
    const others = this.#calls.get(key)?.filter((other) => other !== call) ?? [];
    if (others.length > 0) this.#calls.set(key, others);
    else this.#calls.delete(key);
  }

  /**
   * For a tool whose time is up. `end` waits for it and must not reject. It stops waiting when
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

  /** Aborts all calls, and stops waiting for tools whose time is up. */
  abortAll(reason: Error): void {
    for (const call of this.#all()) call.abort(reason);
    for (const forget of this.#late.values()) forget();
  }

  /** The process ends, and reports the calls that act once and have not ended. */
  leaveBehind(): void {
    for (const call of this.#all()) {
      call.leftBehind?.();
      call.leftBehind = undefined; // a shutdown in a hurry closes twice
    }
  }

  /** Resolves when all calls running now have ended, and all tools whose time is up by then. */
  async ended(): Promise<void> {
    await Promise.all(this.#all().map(({ outcome }) => outcome));
    while (this.#late.size > 0) await Promise.all(this.#late.keys());
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

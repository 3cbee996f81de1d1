// Tool calls that run in this process: which of them are the same call, and when their signals
// fire.

import type { ToolCallState } from '../conversations/message.ts';

/** How a call ended. An `interrupted` one may run again. */
export interface CallOutcome {
  readonly state: Exclude<ToolCallState, 'running'>;
  /** JSON text for the model. */
  readonly content: string;
  /** The agent that the call hands the conversation over to. */
  readonly handOver?: string | undefined;
}

/** A call that runs here. */
export class RunningCall {
  /** Never rejects. */
  readonly outcome: Promise<CallOutcome>;
  readonly #controller = new AbortController();
  #settle!: (outcome: CallOutcome) => void;
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

  /** Aborts it later, unless it has ended by then. */
  abortAfter(ms: number, reason: Error): void {
    this.#deadline ??= setTimeout(() => this.abort(reason), Math.max(0, ms));
  }

  end(outcome: CallOutcome): void {
    clearTimeout(this.#deadline);
    this.#settle(outcome);
  }
}

/**
 * All calls that run in this process, by their keys. Calls that an agent runs itself may run twice
 * under one key.
 */
export class RunningCalls {
  readonly #calls = new Map<string, readonly RunningCall[]>();

  readonly isRunning = (key: string): boolean => this.#calls.has(key);

  /**
   * How the calls of that key end that were noted before this one, or all of them: as the first
   * that completes, else as the last. Undefined where there are none.
   */
  outcomeBefore(key: string, call?: RunningCall): Promise<CallOutcome> | undefined {
    const calls = this.#calls.get(key) ?? [];
    const place = call === undefined ? -1 : calls.indexOf(call);
    const [first, ...others] = place === -1 ? calls : calls.slice(0, place);
    return first === undefined ? undefined : firstCompleted(first, others);
  }

  /** From when a call is noted: until it has a result, nobody is to take it for lost. */
  add(key: string, call: RunningCall): void {
    this.#calls.set(key, [...(this.#calls.get(key) ?? []), call]);
  }

  /**
   * To be called when the result is stored, and not before: until then the store says that the call
   * runs.
   */
  remove(key: string, call: RunningCall): void {
    const others = this.#calls.get(key)?.filter((other) => other !== call) ?? [];
    if (others.length === 0) this.#calls.delete(key);
    else this.#calls.set(key, others);
  }

  abortAll(reason: Error): void {
    for (const call of this.#all()) call.abort(reason);
  }

  /** Resolves when none of the calls runs that run now. */
  async ended(): Promise<void> {
    await Promise.all(this.#all().map(({ outcome }) => outcome));
  }

  #all(): readonly RunningCall[] {
    return [...this.#calls.values()].flat();
  }
}

async function firstCompleted(
  first: RunningCall,
  others: readonly RunningCall[],
): Promise<CallOutcome> {
  let outcome = await first.outcome;
  for (const call of others) {
    if (outcome.state === 'completed') break;
    outcome = await call.outcome;
  }
  return outcome;
}

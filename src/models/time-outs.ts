// The clocks of one request. All of them run out long before the 300 s after which undici ends a silent fetch (nodejs/undici#2362).

import { ModelError, type ModelErrorCode } from './model.ts';

/** Milliseconds a model may take, stage after stage. */
export interface TimeOuts {
  /** From sending the request to the headers of the answer. */
  readonly connectMs: number;
  /** From the headers to the first text or tool call; an open stream that says nothing useful is a failure. */
  readonly firstDeltaMs: number;
  /** Between two events after that, while the reader waits for one. Comments do not count. */
  readonly idleMs: number;
  /** From the finish reason to `[DONE]` or the end; then the reply counts as complete. */
  readonly trailerMs: number;
  /** For the whole request. */
  readonly totalMs: number;
}

export const TIME_OUTS: TimeOuts = {
  connectMs: 10_000,
  firstDeltaMs: 8_000,
  idleMs: 15_000,
  trailerMs: 1_000,
  totalMs: 110_000,
};

/**
 * For every model of a list but the last: a caller waits ten seconds for the first word (`FIRST_WORD_TIMEOUT_SECONDS`), and a
 * fall-back that starts when they are over is none (livekit/agents#5660, #6916).
 */
export const TIME_OUTS_BEFORE_FALL_BACK: Partial<TimeOuts> = {
  connectMs: 4_000,
  firstDeltaMs: 4_000,
};

const STAGES = {
  connect: ['connect_timeout', 'connectMs', 'sent no headers'],
  firstDelta: ['first_delta_timeout', 'firstDeltaMs', 'said nothing'],
  idle: ['idle_timeout', 'idleMs', 'fell silent'],
  trailer: ['idle_timeout', 'trailerMs', 'did not close its reply'],
} as const satisfies Record<string, readonly [ModelErrorCode, keyof TimeOuts, string]>;

/** One stage's clock and the clock of the whole request; the first to run out calls `onExpired` and stays in `expired`. */
export class RequestClock {
  readonly #modelName: string;
  readonly #timeOuts: TimeOuts;
  readonly #onExpired: (error: ModelError) => void;
  readonly #total: NodeJS.Timeout;
  #stage: NodeJS.Timeout | undefined;
  #expired: ModelError | undefined;

  constructor(modelName: string, timeOuts: TimeOuts, onExpired: (error: ModelError) => void) {
    this.#modelName = modelName;
    this.#timeOuts = timeOuts;
    this.#onExpired = onExpired;
    this.#total = setTimeout(
      () => this.#expire('total_timeout', 'was not done', timeOuts.totalMs),
      timeOuts.totalMs,
    );
  }

  get expired(): ModelError | undefined {
    return this.#expired;
  }

  /** Starts the clock of a stage in place of the one that runs. */
  start(stage: keyof typeof STAGES): void {
    this.stop();
    const [code, field, what] = STAGES[stage];
    const ms = this.#timeOuts[field];
    this.#stage = setTimeout(() => this.#expire(code, what, ms), ms);
  }

  /** Stops the stage's clock: what follows is the reader's time, not the model's. */
  stop(): void {
    clearTimeout(this.#stage);
    this.#stage = undefined;
  }

  /** Stops both clocks. */
  close(): void {
    this.stop();
    clearTimeout(this.#total);
  }

  #expire(code: ModelErrorCode, what: string, ms: number): void {
    // Not retryable: after seconds of silence no caller waits for the same model again. The next of the list is asked.
    this.#expired ??= new ModelError(code, `${this.#modelName} ${what} within ${ms} ms`);
    this.close();
    this.#onExpired(this.#expired);
  }
}

// The time limits of one request. All are far shorter than the 300 s after which undici ends a
// silent fetch (nodejs/undici#2362).

import { ModelError, type ModelErrorCode } from './model.ts';

/** How long a model may take for each stage, in milliseconds. */
export interface Timeouts {
  /** From sending the request to the answer's headers. */
  readonly connectMs: number;
  /**
   * From the headers to the first text or tool call. An open stream without either is a failure.
   */
  readonly firstDeltaMs: number;
  /** Between two events after that, while the reader waits for one. Comments do not count. */
  readonly idleMs: number;
  /** From the finish reason to `[DONE]` or the end. After that the reply counts as complete. */
  readonly trailerMs: number;
  /** For the whole request. */
  readonly totalMs: number;
}

export const TIMEOUTS: Timeouts = {
  connectMs: 10_000,
  firstDeltaMs: 8_000,
  idleMs: 15_000,
  trailerMs: 1_000,
  totalMs: 110_000,
};

/**
 * For every model in a list except the last. A caller waits `FIRST_WORD_TIMEOUT_SECONDS` for the
 * first word, so a fallback must start well before that (livekit/agents#5660, #6916).
 */
export const TIMEOUTS_BEFORE_FALLBACK: Partial<Timeouts> = {
  connectMs: 4_000,
  firstDeltaMs: 4_000,
};

const STAGES = {
  connect: ['connect_timeout', 'connectMs', 'sent no headers'],
  firstDelta: ['first_delta_timeout', 'firstDeltaMs', 'said nothing'],
  idle: ['idle_timeout', 'idleMs', 'sent nothing more'],
  trailer: ['idle_timeout', 'trailerMs', 'did not close its reply'],
} as const satisfies Record<string, readonly [ModelErrorCode, keyof Timeouts, string]>;

type Stage = keyof typeof STAGES;

/**
 * Two clocks: one for the current stage, one for the whole request. The first to run out calls
 * `onExpired` and leaves its error in `expired`.
 */
export class RequestClock {
  readonly #modelName: string;
  readonly #timeouts: Timeouts;
  readonly #onExpired: (error: ModelError) => void;
  readonly #total: NodeJS.Timeout;
  #stage: Stage | undefined;
  #stageTimer: NodeJS.Timeout | undefined;
  #isRunning = false;
  #expired: ModelError | undefined;

  constructor(modelName: string, timeouts: Timeouts, onExpired: (error: ModelError) => void) {
    this.#modelName = modelName;
    this.#timeouts = timeouts;
    this.#onExpired = onExpired;
    this.#total = setTimeout(
      () => this.#expire('total_timeout', 'did not finish', timeouts.totalMs),
      timeouts.totalMs,
    );
  }

  get expired(): ModelError | undefined {
    return this.#expired;
  }

  /** Starts a stage's clock and stops the one before it. */
  start(stage: Stage): void {
    this.#isRunning = true;
    if (stage === this.#stage) return void this.#stageTimer?.refresh();
    clearTimeout(this.#stageTimer);
    this.#stage = stage;
    this.#stageTimer = setTimeout(() => this.#stageIsUp(stage), this.#timeouts[STAGES[stage][1]]);
  }

  /**
   * Stops the stage's clock: from here on the time is the reader's, not the model's. The timer runs
   * on, because each token stops the clock and starts it again.
   */
  stop(): void {
    this.#isRunning = false;
  }

  /** Stops both clocks. */
  close(): void {
    this.stop();
    clearTimeout(this.#stageTimer);
    clearTimeout(this.#total);
  }

  #stageIsUp(stage: Stage): void {
    if (!this.#isRunning) return;
    const [code, field, what] = STAGES[stage];
    this.#expire(code, what, this.#timeouts[field]);
  }

  #expire(code: ModelErrorCode, what: string, ms: number): void {
    // Not retryable: after seconds of silence no caller waits for the same model again. The next
    // model in the list is asked.
    this.#expired ??= new ModelError(code, `${this.#modelName} ${what} within ${ms} ms`);
    this.close();
    this.#onExpired(this.#expired);
  }
}

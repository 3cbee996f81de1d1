// Repairs failures before the first delta: asks the same model again, then the next one.

import { setTimeout as wait } from 'node:timers/promises';

import {
  ModelError,
  type ChatMessage,
  type ChatModel,
  type ModelDelta,
  type ModelStreamOptions,
} from './model.ts';
import { createModelStream } from './model-stream.ts';

export interface RetryOptions {
  /** Requests in total, at least 1. Default 3. */
  readonly attempts?: number;
  /** The first wait before jitter. Doubles with each attempt. Default 200 ms. */
  readonly baseDelayMs?: number;
  /** Longest wait of our own choosing. Default 2,000 ms. */
  readonly maxDelayMs?: number;
  /**
   * If a vendor asks for a longer wait than this, the error is thrown at once. Default 3,000 ms.
   */
  readonly maxRetryAfterMs?: number;
  /** From 0 up to, but not including, 1. Default `Math.random`. */
  readonly random?: () => number;
  /** Rejects when its signal aborts. */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

const sleepFor = (ms: number, signal: AbortSignal): Promise<void> =>
  wait(ms, undefined, { signal });

/**
 * Asks the same model again while its errors are `retryable` and nothing has been yielded. Waits
 * between half and all of the doubled delay, or as long as the vendor asks. After the first delta
 * an error is thrown at once: what was spoken cannot be taken back.
 */
export function withRetries(model: ChatModel, options: RetryOptions = {}): ChatModel {
  const {
    attempts = 3,
    baseDelayMs = 200,
    maxDelayMs = 2_000,
    maxRetryAfterMs = 3_000,
    random = Math.random,
    sleep = sleepFor,
  } = options;

  async function* run(
    messages: readonly ChatMessage[],
    streamOptions: ModelStreamOptions,
  ): AsyncGenerator<ModelDelta, void, undefined> {
    for (let attempt = 1; ; attempt++) {
      let hasYielded = false;
      try {
        for await (const delta of model.stream(messages, streamOptions)) {
          hasYielded = true;
          yield delta;
        }
        return;
      } catch (error) {
        if (streamOptions.signal.aborted || hasYielded || attempt >= attempts) throw error;
        if (!(error instanceof ModelError) || !error.retryable) throw error;
        const { retryAfterMs = 0 } = error;
        if (retryAfterMs > maxRetryAfterMs) throw error;
        const delay = Math.min(baseDelayMs * 2 ** (attempt - 1), maxDelayMs) * (0.5 + random() / 2);
        await sleep(Math.max(delay, retryAfterMs), streamOptions.signal);
      }
    }
  }

  return {
    name: model.name,
    stream: (messages, streamOptions) =>
      createModelStream(streamOptions.signal, (signal) =>
        run(messages, { ...streamOptions, signal }),
      ),
    warm: (signal) => model.warm(signal),
    problems: () => model.problems(),
    isUsable: () => model.isUsable(),
  };
}

export interface FallbackOptions {
  /** Called with a model's error when the next model is asked instead. */
  readonly onFallback?: ((error: ModelError, next: ChatModel) => void) | undefined;
}

/**
 * Asks the first model. If it fails in any way before it yields, asks the next one: another vendor
 * may have a valid key, some quota left, or an answer. Throws the last model's error. Throws a
 * `RangeError` for an empty list.
 */
export function withFallbacks(
  models: readonly ChatModel[],
  { onFallback }: FallbackOptions = {},
): ChatModel {
  const [first] = models;
  if (first === undefined) throw new RangeError('withFallbacks needs at least one model');
  if (models.length === 1) return first; // a layer costs time with every token

  async function* run(
    messages: readonly ChatMessage[],
    streamOptions: ModelStreamOptions,
  ): AsyncGenerator<ModelDelta, void, undefined> {
    for (const [index, model] of models.entries()) {
      let hasYielded = false;
      try {
        for await (const delta of model.stream(messages, streamOptions)) {
          hasYielded = true;
          yield delta;
        }
        return;
      } catch (error) {
        const next = models[index + 1];
        if (streamOptions.signal.aborted || hasYielded || next === undefined) throw error;
        if (!(error instanceof ModelError)) throw error;
        onFallback?.(error, next);
      }
    }
  }

  return {
    name: models.map((model) => model.name).join(','),
    stream: (messages, streamOptions) =>
      createModelStream(streamOptions.signal, (signal) =>
        run(messages, { ...streamOptions, signal }),
      ),
    // Only the first: a fallback's connection would be closed as idle before it is needed.
    warm: (signal) => first.warm(signal),
    problems: () => models.flatMap((model) => model.problems()),
    isUsable: () => models.some((model) => model.isUsable()),
  };
}

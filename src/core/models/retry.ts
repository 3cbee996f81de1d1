// Repairs failures before the first delta: asks the same model again, then the next one.

import { setTimeout as wait } from 'node:timers/promises';

import { DeferredStream } from './deferred-stream.ts';
import { ModelError, type ChatModel } from './model.ts';
import { withStream } from './with-stream.ts';

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
 * an error is thrown at once: what has been spoken cannot be taken back.
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

  return withStream(model, (messages, streamOptions) =>
    new DeferredStream(streamOptions.signal, async (ask, signal) => {
      for (let attempt = 1; ; attempt++) {
        try {
          const again = attempt === 1 ? streamOptions : { ...streamOptions, attempt };
          return await ask(() => model.stream(messages, again));
        } catch (error) {
          if (signal.aborted || attempt >= attempts) throw error;
          if (!(error instanceof ModelError) || !error.retryable) throw error;
          const { retryAfterMs = 0 } = error;
          if (retryAfterMs > maxRetryAfterMs) throw error;
          streamOptions.onProblem?.(`${error.message}; asking again`);
          const backOffMs = Math.min(baseDelayMs * 2 ** (attempt - 1), maxDelayMs);
          const afterMs = Math.max(backOffMs * (0.5 + random() / 2), retryAfterMs);
          const { name } = model;
          const { code: failure } = error;
          streamOptions.onRequest?.({ type: 'retry', model: name, failure, afterMs });
          await sleep(afterMs, signal);
        }
      }
    }),
  );
}

/**
 * Asks the first model. If it fails in any way before it yields, asks the next one: another vendor
 * may have a valid key, some quota left, or an answer. Throws the last model's error. Throws a
 * `RangeError` for an empty list.
 */
export function withFallbacks(models: readonly ChatModel[]): ChatModel {
  const [first] = models;
  if (first === undefined) throw new RangeError('withFallbacks needs at least one model');
  if (models.length === 1) return first;

  return {
    name: models.map((model) => model.name).join(','),
    stream: (messages, streamOptions) =>
      new DeferredStream(streamOptions.signal, async (ask, signal) => {
        for (let index = 0, model = first; ; index++) {
          try {
            return await ask(() => model.stream(messages, streamOptions));
          } catch (error) {
            const next = models[index + 1];
            if (signal.aborted || next === undefined) throw error;
            if (!(error instanceof ModelError) || error.code === 'limit_reached') throw error;
            streamOptions.onProblem?.(`${error.message}; asking ${next.name}`);
            const { code: failure } = error;
            const fallback = { model: model.name, failure, to: next.name };
            streamOptions.onRequest?.({ type: 'fallback', ...fallback });
            model = next;
          }
        }
      }),
    // Only the first: a fallback's connection would be closed as idle before it is needed.
    warm: (signal) => first.warm(signal),
    problems: () => models.flatMap((model) => model.problems()),
    isUsable: () => models.some((model) => model.isUsable()),
  };
}

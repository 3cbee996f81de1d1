import { endingAtOnce } from '../../base/end-at-once.ts';
import type { ChatMessage, ChatModel, ModelDelta, ModelStreamOptions } from '../../models/model.ts';
import { modelRequestOf, type ModelRequest } from './model-request.ts';
import type { RecordedPart, RecordedReply, RecordedUsage } from './recording.ts';

/** What models have answered, in the order of the requests. */
export interface RecordedAnswers {
  readonly replies: readonly RecordedReply[];
  /** Why requests got no complete reply. */
  readonly failures: readonly unknown[];
}

/**
 * Keeps what models answer. A reply is read to its end even if the caller interrupts it, so that
 * the recording can be replayed with an interruption at another place.
 */
export class ModelRecorder {
  readonly #readings: { readonly request: ModelRequest; readonly reading: Reading }[] = [];

  /** The same model, heard by this recorder. */
  record(model: ChatModel): ChatModel {
    return {
      name: model.name,
      stream: (messages, options) => {
        const end = new AbortController();
        return endingAtOnce(this.#stream(model, messages, options, end), () => end.abort());
      },
      warm: (signal) => model.warm(signal),
      problems: () => model.problems(),
      isUsable: () => model.isUsable(),
    };
  }

  /** Waits for replies that are still arriving. */
  async heard(): Promise<RecordedAnswers> {
    const replies: RecordedReply[] = [];
    const failures: unknown[] = [];
    for (const { request, reading } of this.#readings) {
      const whole = await reading.whole;
      if ('error' in whole) failures.push(whole.error);
      else replies.push({ request, ...partsOf(whole) });
    }
    return { replies, failures };
  }

  async *#stream(
    model: ChatModel,
    messages: readonly ChatMessage[],
    options: ModelStreamOptions,
    end: AbortController,
  ): AsyncGenerator<ModelDelta, void, undefined> {
    const { signal } = options;
    if (signal.aborted) return;
    const abort = (): void => end.abort();
    signal.addEventListener('abort', abort, { once: true });
    try {
      const request = modelRequestOf(model.name, messages, options);
      const never = new AbortController().signal;
      const reading = new Reading(model.stream(messages, { ...options, signal: never }));
      this.#readings.push({ request, reading });
      yield* reading.deltas(end.signal);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }
}

/** A stream that is read to its end, however much of it is wanted. */
class Reading {
  readonly #deltas: ModelDelta[] = [];
  /** All deltas, or what the stream threw. Never rejects. */
  readonly whole: Promise<readonly ModelDelta[] | { readonly error: unknown }>;
  #isOver = false;
  #wake = (): void => undefined;

  constructor(stream: AsyncIterable<ModelDelta>) {
    this.whole = this.#read(stream);
  }

  /** As they arrive. Throws what the stream throws. */
  async *deltas(signal: AbortSignal): AsyncGenerator<ModelDelta, void, undefined> {
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    for (let index = 0; !signal.aborted; ) {
      const delta = this.#deltas[index];
      if (delta !== undefined) {
        index += 1;
        yield delta;
      } else if (this.#isOver) {
        const whole = await this.whole;
        if ('error' in whole) throw whole.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  async #read(
    stream: AsyncIterable<ModelDelta>,
  ): Promise<readonly ModelDelta[] | { readonly error: unknown }> {
    try {
      for await (const delta of stream) {
        this.#deltas.push(delta);
        this.#wake();
      }
      return this.#deltas;
    } catch (error) {
      return { error };
    } finally {
      this.#isOver = true;
      this.#wake();
    }
  }
}

function partsOf(
  deltas: readonly ModelDelta[],
): { readonly parts: readonly RecordedPart[]; readonly usage: RecordedUsage } {
  const parts: RecordedPart[] = [];
  let usage: RecordedUsage = {};
  for (const delta of deltas) {
    const last = parts.at(-1);
    if (delta.type === 'toolCall') {
      const { name: call, args } = delta.call;
      parts.push({ call, args });
    } else if (delta.type === 'usage') {
      const { inputTokens, outputTokens, cachedTokens, finishReason } = delta;
      usage = {
        ...(inputTokens === undefined ? {} : { inputTokens }),
        ...(outputTokens === undefined ? {} : { outputTokens }),
        ...(cachedTokens === undefined ? {} : { cachedTokens }),
        ...(finishReason === 'length' ? { finishReason } : {}),
      };
    } else if (typeof last === 'string') parts[parts.length - 1] = last + delta.text;
    else parts.push(delta.text);
  }
  return { parts, usage };
}

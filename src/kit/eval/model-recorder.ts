import { endingAtOnce } from '../../base/end-at-once.ts';
import type {
  ChatMessage, ChatModel, ModelDelta, ModelStreamOptions,
} from '../../core/models/model.ts';
import { withStream } from '../../core/models/with-stream.ts';
import { normalRequest, type NormalRequest } from './model-request.ts';
import {
  withPartTexts, type RecordedPart, type RecordedReply, type RecordedUsage,
} from './recording.ts';
import { replaceVarying } from './varying-values.ts';

/**
 * Keeps what models answer. A reply is read to its end even if the caller interrupts it, so that
 * the recording can be replayed with an interruption at another place.
 */
export class ModelRecorder {
  /** Never reject. */
  readonly #answers: Promise<readonly PromiseSettledResult<RecordedReply>[]>[] = [];

  /** The same model, with this recorder listening. */
  record(model: ChatModel): ChatModel {
    return withStream(model, (messages, options) => {
      const end = new AbortController();
      return endingAtOnce(this.#stream(model, messages, options, end.signal), () => end.abort());
    });
  }

  /**
   * What models have answered, in the order of the requests, and why some requests got no complete
   * reply. Waits for replies that are still arriving.
   */
  async heard(): Promise<{ replies: readonly RecordedReply[]; failures: readonly unknown[] }> {
    const answers = (await Promise.all(this.#answers)).flat();
    return {
      replies: answers.flatMap((answer) => ('value' in answer ? [answer.value] : [])),
      failures: answers.flatMap((answer) => ('reason' in answer ? [answer.reason as unknown] : [])),
    };
  }

  async *#stream(
    model: ChatModel,
    messages: readonly ChatMessage[],
    options: ModelStreamOptions,
    end: AbortSignal,
  ): AsyncGenerator<ModelDelta, void, undefined> {
    const signal = AbortSignal.any([options.signal, end]);
    if (signal.aborted) return;
    const request = normalRequest(model.name, messages, options);
    const never = new AbortController().signal;
    const deltas = ReadableStream.from(model.stream(messages, { ...options, signal: never }));
    const [passedOn, kept] = deltas.tee();
    this.#answers.push(Promise.allSettled([replyOf(request, kept)]));
    const reader = passedOn.getReader();
    const stop = (): void => void reader.cancel().catch(() => undefined); // it may have failed
    signal.addEventListener('abort', stop, { once: true });
    while (!signal.aborted) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  }
}

async function replyOf(
  { text, values }: NormalRequest,
  deltas: AsyncIterable<ModelDelta>,
): Promise<RecordedReply> {
  const reply: RecordedPart[] = [];
  let usage: RecordedUsage = {};
  for await (const delta of deltas) {
    const last = reply.at(-1);
    if (delta.type === 'toolCall') {
      const { name: call, args } = delta.call;
      reply.push({ call, args });
    } else if (delta.type === 'usage') {
      const { inputTokens, outputTokens, cachedTokens, finishReason } = delta;
      usage = { inputTokens, outputTokens, cachedTokens, finishReason };
    } else if (typeof last === 'string') reply[reply.length - 1] = last + delta.text;
    else reply.push(delta.text);
  }
  const withNames = (said: string): string => replaceVarying(said, (value) => {
    const index = values.lastIndexOf(value);
    return index === -1 ? value : `<value ${index + 1}>`;
  });
  return { request: text, reply: withPartTexts(reply, withNames), usage };
}

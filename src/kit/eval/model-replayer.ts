import type {
  ChatMessage, ChatModel, ModelDelta, ModelStreamOptions,
} from '../../core/models/model.ts';
import { toWords } from '../scripted-model.ts';
import { normalRequest, type NormalRequest } from './model-request.ts';
import { withPartTexts, type RecordedPart, type RecordedReply } from './recording.ts';
import { textDiff } from './text-diff.ts';

/**
 * Answers requests with recorded replies, word by word and without a key. Never asks a model: a
 * request that no reply fits throws, and is listed in `misses`.
 *
 * Ids, numbers, e-mail addresses and times in a request may differ from the recorded ones. The
 * reply then has those of the request.
 */
export class ModelReplayer {
  /** Replies by request, in the order in which they were recorded. */
  readonly #kept = new Map<string, RecordedReply[]>();
  /**
   * What differs between a request that no recorded reply fits and the nearest recorded one, as
   * lines that begin with `-` (recorded), `+` (asked) or a blank (the line before).
   */
  readonly misses: (readonly string[])[] = [];
  #calls = 0;

  constructor(replies: readonly RecordedReply[]) {
    for (const reply of replies)
      this.#kept.set(reply.request, [...(this.#kept.get(reply.request) ?? []), reply]);
  }

  /** A model with the same name that answers from the recording. */
  replay({ name }: Pick<ChatModel, 'name'>): ChatModel {
    return {
      name,
      stream: (messages, options) => this.#stream(name, messages, options),
      warm: () => Promise.resolve(),
      problems: () => [],
      isUsable: () => true,
    };
  }

  async *#stream(
    name: string,
    messages: readonly ChatMessage[],
    options: ModelStreamOptions,
  ): AsyncGenerator<ModelDelta, void, undefined> {
    const { signal, onFailedRequest } = options;
    if (signal.aborted) return;
    const sentAt = performance.now();
    const found = this.#replyTo(normalRequest(name, messages, options));
    if (found === undefined) {
      onFailedRequest?.(name, 'failed');
      throw new Error('no recorded reply fits this request to the model');
    }
    const firstDeltaMs = performance.now() - sentAt;
    for (const delta of found.reply.flatMap((part) => this.#deltasOf(part))) {
      yield delta;
      if (!signal.aborted) continue;
      onFailedRequest?.(name, 'interrupted');
      return;
    }
    const durationMs = performance.now() - sentAt;
    const tokens = { inputTokens: undefined, outputTokens: undefined, ...found.usage };
    yield { type: 'usage', model: name, ...tokens, firstDeltaMs, durationMs };
  }

  /**
   * The next reply to this request, with the request's values. The last one is repeated, because a
   * turn that runs again asks again.
   */
  #replyTo({ text, values }: NormalRequest): RecordedReply | undefined {
    const kept = this.#kept.get(text) ?? [];
    const found = kept.length > 1 ? kept.shift() : kept[0];
    if (found === undefined) {
      this.misses.push(this.#nearestDiff(text));
      return undefined;
    }
    const withValues = (said: string): string =>
      said.replace(/<value (\d+)>/g, (name, count: string) => values[Number(count) - 1] ?? name);
    return { ...found, reply: withPartTexts(found.reply, withValues) };
  }

  #deltasOf(part: RecordedPart): readonly ModelDelta[] {
    if (typeof part === 'string') return toWords(part);
    const { call: name, args } = part;
    return [{ type: 'toolCall', call: { id: `call_${++this.#calls}`, name, args } }];
  }

  #nearestDiff(text: string): readonly string[] {
    const [first, ...others] = [...this.#kept.keys()].map((asked) => textDiff(asked, text));
    return others.reduce(
      (best, diff) => (diff.length < best.length ? diff : best), first ?? textDiff('', text),
    );
  }
}

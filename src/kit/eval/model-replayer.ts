import type { ChatMessage, ChatModel, ModelDelta, ModelStreamOptions } from '../../models/model.ts';
import { toWords } from '../scripted-model.ts';
import {
  comparable, modelRequestOf, type ComparableRequest, type ModelRequest,
} from './model-request.ts';
import type { RecordedReply } from './recording.ts';
import { textDiff } from './text-diff.ts';
import { replaceVarying } from './varying-values.ts';

/** A request that no recorded reply fits. */
export interface Miss {
  /**
   * What differs from the nearest recorded request, as lines that begin with `-` (recorded) or `+`
   * (asked), or with a blank for the line before a difference.
   */
  readonly diff: readonly string[];
}

interface Kept {
  readonly reply: RecordedReply;
  readonly asked: ComparableRequest;
}

const MAX_DIFF_LINES = 60;

/**
 * Answers requests with recorded replies, word by word and without a key. Asks nobody: a request
 * that no reply fits throws, and is listed in `misses`.
 *
 * Ids, numbers, e-mail addresses and times in a request may differ from the recorded ones. In the
 * reply, those of the request stand in their place.
 */
export class ModelReplayer {
  /** By the request's comparable text, in the order in which they were recorded. */
  readonly #kept = new Map<string, Kept[]>();
  readonly #asked = new Map<string, number>();
  readonly #misses: Miss[] = [];
  #calls = 0;

  constructor(replies: readonly RecordedReply[]) {
    for (const reply of replies) {
      const asked = comparable(reply.request);
      const kept = this.#kept.get(asked.text) ?? [];
      kept.push({ reply, asked });
      this.#kept.set(asked.text, kept);
    }
  }

  get misses(): readonly Miss[] {
    return this.#misses;
  }

  /** A model of the same name that answers from the recording. */
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
    const found = this.#find(modelRequestOf(name, messages, options));
    if (found === undefined) {
      onFailedRequest?.(name, 'failed');
      throw new Error('no recorded reply fits this request to the model');
    }
    const { parts, usage } = found;
    let firstDeltaMs: number | undefined;
    for (const part of parts) {
      for (const delta of this.#deltasOf(part)) {
        firstDeltaMs ??= performance.now() - sentAt;
        yield delta;
        if (!signal.aborted) continue;
        onFailedRequest?.(name, 'interrupted');
        return;
      }
    }
    const durationMs = performance.now() - sentAt;
    yield {
      type: 'usage', model: name,
      inputTokens: usage.inputTokens,
      outputTokens: usage.outputTokens,
      cachedTokens: usage.cachedTokens,
      finishReason: usage.finishReason,
      firstDeltaMs: firstDeltaMs ?? durationMs,
      durationMs,
    };
  }

  /**
   * The next reply to this request. After the last one it is given again: a turn that runs anew
   * asks again.
   */
  #find(request: ModelRequest): RecordedReply | undefined {
    const now = comparable(request);
    const { text } = now;
    const kept = this.#kept.get(text);
    const count = this.#asked.get(text) ?? 0;
    this.#asked.set(text, count + 1);
    const found = kept?.[Math.min(count, kept.length - 1)];
    if (found !== undefined) return withValues(found, now);
    this.#misses.push({ diff: this.#nearestDiff(now) });
    return undefined;
  }

  #deltasOf(part: RecordedReply['parts'][number]): readonly ModelDelta[] {
    if (typeof part === 'string') return toWords(part);
    const { call: name, args } = part;
    return [{ type: 'toolCall', call: { id: `call_${++this.#calls}`, name, args } }];
  }

  #nearestDiff(now: ComparableRequest): readonly string[] {
    const asked = shown(now);
    // Replies to the same request differ from this one in the same way.
    const diffs = [...this.#kept.values()].flatMap(([kept]) =>
      kept === undefined ? [] : [textDiff(shown(kept.asked), asked)],
    );
    const [first = textDiff('', asked), ...others] = diffs;
    const nearest = others.reduce((best, diff) => (diff.length < best.length ? diff : best), first);
    if (nearest.length <= MAX_DIFF_LINES) return nearest;
    const left = nearest.length - MAX_DIFF_LINES;
    return [...nearest.slice(0, MAX_DIFF_LINES), ` … and ${left} more lines`];
  }
}

/** The reply with the values of the request that is made now. The last place of a value counts. */
function withValues({ reply, asked }: Kept, now: ComparableRequest): RecordedReply {
  const current = new Map(asked.values.map((value, index) => [value, now.values[index] ?? value]));
  const change = (text: string): string =>
    replaceVarying(text, (value) => current.get(value) ?? value);
  return {
    ...reply,
    parts: reply.parts.map((part) =>
      typeof part === 'string' ? change(part) : { ...part, args: change(part.args) },
    ),
  };
}

/** For a person to read. */
function shown({ request: { model, options, tools, messages } }: ComparableRequest): string {
  return [
    `model: ${model}`,
    `options: ${JSON.stringify(options)}`,
    ...tools.map(({ name, description, parameters }) =>
      `tool ${name}: ${description} ${JSON.stringify(parameters)}`),
    ...messages.flatMap((message) => [
      ...(message.content === '' ? [] : [`${message.role}: ${message.content}`]),
      ...(message.role === 'assistant' ? (message.toolCalls ?? []) : []).map(
        ({ name, args }) => `call of ${name}: ${args}`,
      ),
    ]),
  ].join('\n');
}

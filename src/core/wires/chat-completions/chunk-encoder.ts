import { jsonText } from '../../../base/json.ts';
import type { ModelUsage } from '../../agents/agent.ts';
import type { ReplyEvent, SentEvent } from '../../calls/reply-event.ts';
import type { ReplyEncoder } from '../reply-stream.ts';
import { partOf, type PartOptions } from './completion-part.ts';

export interface ChunkOptions extends PartOptions {
  /** The name of the agent. */
  readonly model: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly wantsUsage: boolean;
  /** Whether texts that leave together are one chunk. */
  readonly joinsTexts: boolean;
}

/** How a chunk with text ends. */
const TEXT_END = '"},"finish_reason":null}]}\n\n';
/** Joining copies what is queued, which must not be much: many texts may leave together. */
const MAX_JOINED_LENGTH = 4_096;

/**
 * Writes a reply as chunks of a streamed Chat Completion. Strict clients want a role first, an
 * index in every choice and in every tool call, and a reason at the end.
 */
export class ChunkEncoder implements ReplyEncoder {
  readonly canTransfer: boolean;
  readonly hasBrowser = false;
  readonly start: string;
  readonly #head: string;
  readonly #options: ChunkOptions;
  #toolCalls = 0;

  constructor(options: ChunkOptions) {
    const { id, model, now } = options;
    this.#options = options;
    this.canTransfer = options.actions.canTransfer;
    const created = Math.floor(now / 1_000);
    this.#head =
      `data: {"id":${jsonText(`chatcmpl-${id}`)},"object":"chat.completion.chunk",`
      + `"created":${created},"model":${jsonText(model)},"choices":[`;
    this.start = this.#chunk('{"role":"assistant","content":""}', 'null');
  }

  event(event: ReplyEvent): string {
    const part = partOf(event, this.#options);
    if (part === undefined) return '';
    if (part.type === 'text') return this.#chunk(`{"content":${jsonText(part.text)}}`, 'null');
    const indexed = JSON.stringify({ index: this.#toolCalls, ...part.call });
    this.#toolCalls += 1;
    return this.#chunk(`{"tool_calls":[${indexed}]}`, 'null');
  }

  /** What is queued, then a block, with the texts in one chunk if they are to be joined. */
  join(queued: string, block: string): string {
    const begin = `${this.#head}{"index":0,"delta":{"content":"`;
    const isJoined = this.#options.joinsTexts
      && queued.length <= MAX_JOINED_LENGTH
      && queued.endsWith(TEXT_END)
      && block.startsWith(begin);
    if (!isJoined) return queued + block;
    return queued.slice(0, -TEXT_END.length) + block.slice(begin.length);
  }

  drops(event: SentEvent): boolean {
    return this.#options.actions.drops(event);
  }

  end(usage: readonly ModelUsage[] | undefined): string {
    const last = this.#chunk('{}', this.#toolCalls > 0 ? '"tool_calls"' : '"stop"');
    const { wantsUsage } = this.#options;
    const tokens = wantsUsage
      ? `${this.#head}],"usage":${JSON.stringify(usageOf(usage))}}\n\n`
      : '';
    return `${last}${tokens}data: [DONE]\n\n`;
  }

  #chunk(delta: string, reason: string): string {
    return `${this.#head}{"index":0,"delta":${delta},"finish_reason":${reason}}]}\n\n`;
  }
}

/** Tokens in the form of this wire. */
interface CompletionUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/** The tokens of a turn's requests to models. A count that a vendor did not report is 0. */
export function usageOf(usage: readonly ModelUsage[] = []): CompletionUsage {
  let [prompt, completion] = [0, 0];
  for (const { inputTokens = 0, outputTokens = 0 } of usage) {
    prompt += inputTokens;
    completion += outputTokens;
  }
  return {
    prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion,
  };
}

import type { ModelUsage } from '../../agents/agent.ts';
import { jsonText } from '../../base/json-text.ts';
import type { ReplyEvent, SentEvent } from '../../calls/reply-event.ts';
import type { ReplyEncoder } from '../reply-encoder.ts';
import type { CallAction, CallActions } from './call-actions.ts';
import { usageOf } from './usage.ts';

export interface ChunkOptions {
  /** Without the prefix `chatcmpl-`. */
  readonly id: string;
  /** The name of the agent. */
  readonly model: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly wantsUsage: boolean;
  /** What ends a filler. */
  readonly fillerEnd: string;
  readonly actions: CallActions;
}

/**
 * Writes a reply as chunks of a streamed Chat Completion. Strict clients want a role first, an
 * index in every choice and in every tool call, and a reason at the end.
 */
export class ChunkEncoder implements ReplyEncoder {
  readonly canTransfer: boolean;
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
      `data: {"id":${jsonText(`chatcmpl-${id}`)},"object":"chat.completion.chunk",` +
      `"created":${created},"model":${jsonText(model)},"choices":[`;
    this.start = this.#chunk('{"role":"assistant","content":""}', 'null');
  }

  event(event: ReplyEvent): string {
    switch (event.type) {
      case 'say':
        return this.#chunk(`{"content":${jsonText(this.#textOf(event))}}`, 'null');
      case 'hangup':
      case 'transfer':
        return this.#action(event);
      case 'data':
        return '';
      case 'error':
        return ''; // the caller has already heard the apology
      default:
        event satisfies never;
        return '';
    }
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

  #textOf({ text, isFiller }: Extract<ReplyEvent, { type: 'say' }>): string {
    return isFiller === true ? fillerText(text, this.#options.fillerEnd) : text;
  }

  #action(event: CallAction): string {
    const { actions, id } = this.#options;
    const call = actions.callFor(event, id);
    if (call === undefined) return '';
    const indexed = JSON.stringify({ index: this.#toolCalls, ...call });
    this.#toolCalls += 1;
    return this.#chunk(`{"tool_calls":[${indexed}]}`, 'null');
  }

  #chunk(delta: string, reason: string): string {
    return `${this.#head}{"index":0,"delta":${delta},"finish_reason":${reason}}]}\n\n`;
  }
}

/** A filler as the platform speaks it at once. */
export function fillerText(text: string, end: string): string {
  return end === ' ' ? text : `${text.trimEnd().replace(/[.…!]+$/, '')}${end}`;
}

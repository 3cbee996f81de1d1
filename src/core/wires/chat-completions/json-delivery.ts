import type { IncomingHttpHeaders } from 'node:http';

import type { Context } from '../../../base/http/context.ts';
import type { Logger } from '../../../base/log.ts';
import type { ModelUsage } from '../../agents/agent.ts';
import type { TurnEvent } from '../../calls/call-event.ts';
import type { ReplyEvent, SentEvent } from '../../calls/reply-event.ts';
import type { DeliveredTurn, Delivery, TurnReport } from '../../turns/delivery.ts';
import type { StreamEnd } from '../../turns/machine.ts';
import type { WireOptions } from '../wire-options.ts';
import type { CompletionToolCall } from './call-actions.ts';
import { usageOf, type ChunkOptions } from './chunk-encoder.ts';
import { partOf } from './completion-part.ts';

/** One delivery of a turn whose reply is sent whole, as one JSON body. */
export class JsonDelivery implements Delivery {
  readonly event: TurnEvent;
  readonly context: Context;
  readonly canTransfer: boolean;
  readonly hasBrowser = false;
  turn: DeliveredTurn | undefined;
  /** Resolves when the reply has been sent, or its connection is gone. */
  readonly closed: Promise<void>;
  readonly #options: ChunkOptions;
  readonly #wire: WireOptions;
  #text = '';
  #events = 0;
  readonly #toolCalls: CompletionToolCall[] = [];
  #isEnded = false;
  /** Whether the operating system has taken all of the reply. */
  #isSent = false;

  constructor(
    context: Context,
    event: TurnEvent,
    options: ChunkOptions,
    wire: WireOptions,
  ) {
    this.context = context;
    this.event = event;
    this.canTransfer = options.actions.canTransfer;
    this.#options = options;
    this.#wire = wire;
    wire.open.streams += 1;
    this.closed = new Promise((resolve) => {
      context.onClose((isFinished) => {
        wire.open.streams -= 1;
        this.#isSent = isFinished;
        if (isFinished) this.turn?.delivered();
        else this.turn?.dropped();
        resolve();
      });
    });
  }

  get headers(): IncomingHttpHeaders {
    return this.context.headers;
  }

  get log(): Logger {
    return this.context.log;
  }

  get isOpen(): boolean {
    return !this.#isEnded && !this.context.response.destroyed;
  }

  /** While it is open, an interruption sends all that was said so far. */
  get unsent(): number {
    return this.isOpen || this.#isSent ? 0 : this.#events;
  }

  drops(event: SentEvent): boolean {
    return this.#options.actions.drops(event);
  }

  send(event: ReplyEvent): boolean {
    if (!this.isOpen) return false;
    this.#events += 1;
    const part = partOf(event, this.#options);
    if (part?.type === 'text') this.#text += part.text;
    else if (part !== undefined) this.#toolCalls.push(part.call);
    return true;
  }

  end(when?: StreamEnd): boolean {
    if (this.isOpen) {
      const { usage } = this.turn ?? {};
      const reply = { text: this.#text, calls: this.#toolCalls, isCut: when === 'cut short' };
      this.context.json(200, completionOf(this.#options, reply, usage));
      const { request: { socket }, response } = this.context;
      // A failed write also leaves nothing to write. Only the socket knows that it failed.
      const isLost = response.destroyed || socket?.errored instanceof Error;
      this.#isSent = response.writableLength === 0 && !isLost;
    }
    this.#isEnded = true;
    return this.#isSent;
  }

  onOutcome(report: TurnReport): void {
    this.#wire.onTurnEnd(this, report);
  }
}

/** What a completion says. */
interface WholeReply {
  readonly text: string;
  readonly calls: readonly CompletionToolCall[];
  /** Whether the agent would have gone on. */
  readonly isCut: boolean;
}

/** A completion that says nothing. */
export const SILENT_REPLY: WholeReply = { text: '', calls: [], isCut: false };

/** A whole Chat Completion. */
export function completionOf(
  { id, model, now }: ChunkOptions,
  { text, calls, isCut }: WholeReply,
  usage: readonly ModelUsage[] | undefined,
): object {
  const called = calls.length > 0;
  const message = {
    role: 'assistant', content: text, ...(called ? { tool_calls: calls } : {}),
  };
  // `length` is this wire's word for an incomplete text. Nobody must take it for the whole reply.
  const reason = isCut ? 'length' : called ? 'tool_calls' : 'stop';
  return {
    id: `chatcmpl-${id}`,
    object: 'chat.completion',
    created: Math.floor(now / 1_000),
    model,
    choices: [{ index: 0, message, finish_reason: reason }],
    usage: usageOf(usage),
  };
}

import type { IncomingHttpHeaders } from 'node:http';

import type { ModelUsage } from '../../agents/agent.ts';
import type { TurnEvent } from '../../calls/call-event.ts';
import type { ReplyEvent, SentEvent } from '../../calls/reply-event.ts';
import type { Context } from '../../http/context.ts';
import type { Logger } from '../../log.ts';
import type { DeliveredTurn, Delivery, TurnReport } from '../../turns/delivery.ts';
import type { OpenRequests } from '../open-requests.ts';
import type { TurnObserver } from '../stream-delivery.ts';
import type { CompletionToolCall } from './call-actions.ts';
import { fillerText, type ChunkOptions } from './chunk-encoder.ts';
import { usageOf } from './usage.ts';

/** One delivery of a turn whose reply is sent whole, as one JSON body. */
export class JsonDelivery implements Delivery {
  readonly event: TurnEvent;
  readonly context: Context;
  readonly canTransfer: boolean;
  turn: DeliveredTurn | undefined;
  /** Resolves when the reply has been sent, or its connection is gone. */
  readonly closed: Promise<void>;
  readonly #options: ChunkOptions;
  readonly #observer: TurnObserver;
  #text = '';
  #events = 0;
  readonly #toolCalls: CompletionToolCall[] = [];
  #isEnded = false;
  #isSent = false;

  constructor(
    context: Context,
    event: TurnEvent,
    options: ChunkOptions,
    observer: TurnObserver,
    open: OpenRequests,
  ) {
    this.context = context;
    this.event = event;
    this.canTransfer = options.actions.canTransfer;
    this.#options = options;
    this.#observer = observer;
    open.streams += 1;
    this.closed = new Promise((resolve) => {
      context.onClose((isFinished) => {
        open.streams -= 1;
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

  get unsent(): number {
    return this.#isSent ? 0 : this.#events;
  }

  drops(event: SentEvent): boolean {
    return this.#options.actions.drops(event);
  }

  send(event: ReplyEvent): boolean {
    if (!this.isOpen) return false;
    const { actions, fillerEnd, id } = this.#options;
    this.#events += 1;
    if (event.type === 'say')
      this.#text += event.isFiller === true ? fillerText(event.text, fillerEnd) : event.text;
    else if (event.type === 'hangup' || event.type === 'transfer') {
      const call = actions.callFor(event, id);
      if (call !== undefined) this.#toolCalls.push(call);
    }
    return true;
  }

  end(): boolean {
    if (this.isOpen) {
      const { usage } = this.turn ?? {};
      const body = completionOf(this.#options, this.#text, this.#toolCalls, usage);
      this.context.json(200, body);
    }
    this.#isEnded = true;
    return this.#isSent;
  }

  onOutcome(report: TurnReport): void {
    this.#observer(this, report);
  }
}

/** A whole Chat Completion. */
export function completionOf(
  { id, model, now }: ChunkOptions,
  text: string,
  calls: readonly CompletionToolCall[],
  usage: readonly ModelUsage[] | undefined,
): object {
  const called = calls.length > 0;
  const message = {
    role: 'assistant', content: text, ...(called ? { tool_calls: calls } : {}),
  };
  return {
    id: `chatcmpl-${id}`,
    object: 'chat.completion',
    created: Math.floor(now / 1_000),
    model,
    choices: [{ index: 0, message, finish_reason: called ? 'tool_calls' : 'stop' }],
    usage: usageOf(usage),
  };
}

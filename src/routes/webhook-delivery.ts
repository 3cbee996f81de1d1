import type { IncomingHttpHeaders } from 'node:http';

import type { Context } from '../http/context.ts';
import type { Logger } from '../log.ts';
import type { Delivery, TurnEvent, TurnOutcome, TurnReport } from '../turns/delivery.ts';
import type { Turns } from '../turns/turns.ts';
import { ReplyStream } from './reply-stream.ts';

/** Called when a delivery of a turn has been answered. */
export type TurnObserver = (delivery: WebhookDelivery, report: TurnReport) => void;

/** The outcome and timing of a turn's delivery. Times are in milliseconds. */
export interface TurnFigures {
  readonly requestId: string;
  /** Undefined if the platform sent none. */
  readonly turnId: string | undefined;
  readonly outcome: TurnOutcome;
  /**
   * From the first model request to its first text or tool call. Undefined if no model was called.
   */
  readonly firstTokenMs: number | undefined;
  /** From the verified event to the first speech. Undefined if nothing was spoken. */
  readonly firstSpeechMs: number | undefined;
  /** From the request's headers to the end. */
  readonly durationMs: number;
  /** See `TurnReport`. */
  readonly speakers: readonly string[] | undefined;
  /** Why it failed. For developers only: it may quote what a model or a tool said. */
  readonly error: unknown;
}

export function figuresOf(
  { turnId, context }: WebhookDelivery,
  { outcome, firstSpeechMs, usage, speakers, error }: TurnReport,
): TurnFigures {
  return {
    requestId: context.requestId,
    turnId,
    outcome,
    firstTokenMs: usage?.[0]?.firstDeltaMs,
    firstSpeechMs,
    durationMs: performance.now() - context.receivedAtMs,
    speakers,
    error,
  };
}

/**
 * One delivery of a turn over HTTP: the event and its reply stream. An open stream needs nothing
 * else.
 */
export class WebhookDelivery extends ReplyStream implements Delivery {
  readonly event: TurnEvent;
  readonly conversationId: string;
  readonly #turns: Turns;
  readonly #observer: TurnObserver;

  constructor(
    context: Context,
    event: TurnEvent,
    conversationId: string,
    heartbeatMs: number,
    turns: Turns,
    observer: TurnObserver,
  ) {
    super(context, event, heartbeatMs);
    this.event = event;
    this.conversationId = conversationId;
    this.#turns = turns;
    this.#observer = observer;
  }

  get turnId(): string | undefined {
    return this.event.turn_id ?? undefined;
  }

  get headers(): IncomingHttpHeaders {
    return this.context.headers;
  }

  get log(): Logger {
    return this.context.log;
  }

  /** Starts the turn. Whatever it says synchronously leaves together with the headers. */
  begin(): void {
    this.#turns.start(this);
    this.flush();
  }

  override finished(): void {
    this.#turns.delivered(this);
  }

  override destroyed(): void {
    this.#turns.drop(this);
  }

  onOutcome(report: TurnReport): void {
    this.#observer(this, report);
  }
}

import type { IncomingHttpHeaders } from 'node:http';

import type { ModelUsage } from '../agents/agent.ts';
import type { SentEvent } from '../calls/reply-event.ts';
import type { TurnEvent } from '../calls/call-event.ts';
import type { Context } from '../http/context.ts';
import type { Logger } from '../log.ts';
import type { DeliveredTurn, Delivery, TurnReport } from '../turns/delivery.ts';
import type { StreamEnd } from '../turns/machine.ts';
import type { Turns } from '../turns/turns.ts';
import type { ReplyEncoder } from './reply-encoder.ts';
import { ReplyStream } from './reply-stream.ts';

/** A delivery as its observers see it. */
export type ObservedDelivery = Pick<StreamDelivery, 'event' | 'context'>;

/** Called when a delivery of a turn has been answered. */
export type TurnObserver = (delivery: ObservedDelivery, report: TurnReport) => void;

/** A turn's report, and the request it belongs to. */
export interface DeliveryReport extends TurnReport {
  readonly requestId: string;
  /** Undefined if the platform sent none. */
  readonly turnId: string | undefined;
  /** From the request's headers to the end, in milliseconds. */
  readonly durationMs: number;
}

export function deliveryReport(
  { event: { turnId }, context }: ObservedDelivery,
  report: TurnReport,
): DeliveryReport {
  const { requestId, receivedAtMs } = context;
  return { ...report, requestId, turnId, durationMs: performance.now() - receivedAtMs };
}

/**
 * One delivery of a turn over HTTP: the event and its reply stream. An open stream needs nothing
 * else.
 */
export class StreamDelivery extends ReplyStream implements Delivery {
  readonly event: TurnEvent;
  readonly canTransfer: boolean;
  turn: DeliveredTurn | undefined;
  readonly #encoder: ReplyEncoder;
  readonly #observer: TurnObserver;
  readonly #open: { streams: number };
  #isCounted = true;
  #isClosed = false;

  constructor(
    context: Context,
    event: TurnEvent,
    encoder: ReplyEncoder,
    heartbeatMs: number,
    observer: TurnObserver,
    open: { streams: number },
  ) {
    super(context, encoder, heartbeatMs);
    this.event = event;
    this.canTransfer = encoder.canTransfer;
    this.#encoder = encoder;
    this.#observer = observer;
    this.#open = open;
    open.streams += 1;
  }

  get headers(): IncomingHttpHeaders {
    return this.context.headers;
  }

  override get usage(): readonly ModelUsage[] | undefined {
    return this.turn?.usage;
  }

  get log(): Logger {
    return this.context.log;
  }

  get hasBrowser(): boolean {
    return this.#encoder.hasBrowser !== false;
  }

  drops(event: SentEvent): boolean {
    return this.#encoder.drops?.(event) === true;
  }

  /** Starts the turn. Whatever it says synchronously leaves together with the headers. */
  begin(turns: Turns): void {
    turns.start(this);
    this.flush();
  }

  override end(when?: StreamEnd): boolean {
    const hasLeft = super.end(when);
    this.#count();
    return hasLeft;
  }

  override closed(): void {
    if (this.#isCounted) this.#open.streams -= 1;
    this.#isClosed = true;
    super.closed();
  }

  /**
   * A stream counts as open until its connection closes, but not while its complete reply waits for
   * others. Those that arrive meanwhile would be refused for it.
   */
  #count(): void {
    if (this.#isClosed || this.#isCounted !== this.isWaiting) return;
    this.#isCounted = !this.#isCounted;
    this.#open.streams += this.#isCounted ? 1 : -1;
  }

  override delayed(): void {
    this.turn?.delayed();
  }

  override finished(): void {
    this.turn?.delivered();
  }

  override destroyed(): void {
    this.turn?.dropped();
  }

  onOutcome(report: TurnReport): void {
    this.#observer(this, report);
  }
}

import type { IncomingHttpHeaders } from 'node:http';

import type { Awaitable } from '../../base/awaitable.ts';
import type { Context } from '../../base/http/context.ts';
import { departTogether, type Departing } from '../../base/http/departures.ts';
import { ServiceUnavailable } from '../../base/http/errors.ts';
import type { EventWriter, EventWriterListener } from '../../base/http/event-writer.ts';
import type { Logger } from '../../base/log.ts';
import type { ModelUsage } from '../agents/agent.ts';
import type { TurnEvent } from '../calls/call-event.ts';
import type { ReplyEvent, SentEvent } from '../calls/reply-event.ts';
import type { DeliveredTurn, Delivery, TurnReport } from '../turns/delivery.ts';
import type { StreamEnd } from '../turns/machine.ts';
import type { WireOptions } from './wire-options.ts';

/** Writes one reply as blocks of an event stream, in the form of a wire. */
export interface ReplyEncoder {
  /** Whether the platform can be asked to transfer the call. */
  readonly canTransfer: boolean;
  /** See `Delivery.hasBrowser`. Default true. */
  readonly hasBrowser?: boolean;
  /** See `Delivery.drops`. Default: none. */
  drops?(event: SentEvent): boolean;
  /** What begins the reply, and leaves at once. '' if the wire has no such thing. */
  readonly start: string;
  /**
   * The event as text, or '' if this wire cannot express it, or if a newer version stored it for a
   * reply that is sent again.
   */
  event(event: ReplyEvent): string;
  /** What is queued, then a block that leaves in the same write. Default: one after the other. */
  join?(queued: string, block: string): string;
  /** What ends the reply. Called once. `usage`: one entry for each request to a model. */
  end(usage: readonly ModelUsage[] | undefined): string;
}

/** The reply to one request of a platform: an event stream, in the form of its wire. */
export class ReplyStream implements EventWriterListener, Departing {
  readonly context: Context;
  readonly #writer: EventWriter;
  readonly #encoder: ReplyEncoder;
  /** Whether its first events wait to depart with others. */
  #isDeparting = false;
  #hasDeparted = false;
  /** Whether the stream ends when it departs. */
  #isComplete = false;

  /** After `heartbeatMs` without an event a comment is sent; 0 turns that off. */
  constructor(context: Context, encoder: ReplyEncoder, heartbeatMs: number) {
    this.context = context;
    this.#writer = context.eventWriter(this);
    this.#encoder = encoder;
    if (encoder.start !== '') void this.#writer.sendComment(encoder.start);
    this.#writer.beatEvery(heartbeatMs);
    context.onClose(closed, this);
  }

  /** True until the stream has ended or its connection is gone. */
  get isOpen(): boolean {
    return !this.#isComplete && this.#writer.isOpen;
  }

  /** True while a complete reply waits to depart with others. */
  get isWaiting(): boolean {
    return this.#isComplete && this.#isDeparting;
  }

  /** The number of events, always the latest ones, that have not left this process. */
  get unsent(): number {
    return this.#writer.unsentEvents;
  }

  /** Returns the same as `EventWriter.send`. */
  send(event: ReplyEvent): Awaitable<boolean> {
    if (!this.isOpen) return false;
    return this.#writer.send(this.#encoder.event(event), this.#encoder);
  }

  /**
   * Lets what was sent so far depart with other replies, headers included. Must be called at least
   * once. Later events leave at the end of their tick.
   */
  flush(): void {
    if (this.#isDeparting || this.#hasDeparted) return;
    if (this.unsent === 0 && !this.#isComplete) {
      this.#hasDeparted = true;
      this.#writer.flush();
      return;
    }
    this.#isDeparting = true;
    this.context.departing = this;
    departTogether(this);
  }

  /**
   * Ends the stream properly. `with others`: its end may depart together with its first events, if
   * those are still waiting. Idempotent. True if everything has left this process; otherwise
   * `finished` or `destroyed` is called, if it has not been already.
   */
  end(when: StreamEnd = 'now'): boolean {
    this.#isComplete = true;
    if (when === 'with others' && !this.#hasDeparted) {
      this.flush();
      return false;
    }
    this.#isDeparting = false;
    this.#hasDeparted = true;
    try {
      return this.#writer.finish(this.#encoder.end(this.usage));
    } catch (error) {
      this.#notSent(error);
      return false;
    }
  }

  depart(): void {
    if (!this.#isDeparting) return; // it has ended since
    this.#isDeparting = false;
    this.#hasDeparted = true;
    try {
      if (!this.#isComplete) this.#writer.flush();
      else if (this.end()) this.finished();
      else this.delayed();
    } catch (error) {
      this.#notSent(error); // nothing else would catch it
    }
  }

  /** The writer throws if a layer has written headers of its own. It is destroyed by then. */
  #notSent(error: unknown): void {
    this.context.log.error('a reply could not be sent', { error });
  }

  /** Tokens of this reply, one entry for each request to a model. Undefined if not known. */
  get usage(): readonly ModelUsage[] | undefined {
    return undefined;
  }

  /** The response is over. The writer knows whether all of it has left. */
  closed(): void {
    this.#writer.destroy();
  }

  /** The stream is complete and should have departed, but the client has no room for it yet. */
  delayed(): void {}

  /** See `EventWriterListener`. */
  finished(): void {}

  /** See `EventWriterListener`. */
  destroyed(): void {}
}

/** Not a closure, because it would live as long as the stream. */
function closed(_isFinished: boolean, _context: Context, stream: ReplyStream): void {
  stream.closed();
}

/** A turn's report, and the request it belongs to. */
export interface DeliveryReport extends TurnReport {
  readonly requestId: string;
  /** Undefined if the platform sent none. */
  readonly turnId: string | undefined;
  /** From the request's headers to the end, in milliseconds. */
  readonly durationMs: number;
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
  readonly #options: WireOptions;
  #isCounted = true;
  #isClosed = false;

  constructor(
    context: Context,
    event: TurnEvent,
    encoder: ReplyEncoder,
    options: WireOptions,
  ) {
    super(context, encoder, options.settings.heartbeatSeconds * 1_000);
    this.event = event;
    this.canTransfer = encoder.canTransfer;
    this.#encoder = encoder;
    this.#options = options;
    options.open.streams += 1;
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
  begin(): void {
    this.#options.turns.start(this);
    this.flush();
  }

  override end(when?: StreamEnd): boolean {
    const hasLeft = super.end(when);
    this.#count();
    return hasLeft;
  }

  override closed(): void {
    if (this.#isCounted) this.#options.open.streams -= 1;
    this.#isClosed = true;
    super.closed();
  }

  /**
   * A stream counts as open until its connection closes, but not while its complete reply waits for
   * others. Otherwise requests that arrive meanwhile could be refused.
   */
  #count(): void {
    if (this.#isClosed || this.#isCounted !== this.isWaiting) return;
    this.#isCounted = !this.#isCounted;
    this.#options.open.streams += this.#isCounted ? 1 : -1;
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
    this.#options.onTurnEnd(this, report);
  }
}

/** Throws a `ServiceUnavailable` if no more streams may be opened. */
export function checkRoomForStream({ open, settings: { maxStreams } }: WireOptions): void {
  if (open.streams < maxStreams) return;
  throw new ServiceUnavailable(`no more streams can be opened: the limit is ${maxStreams}`, 1);
}

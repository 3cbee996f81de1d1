import type { ModelUsage } from '../agents/agent.ts';
import type { Awaitable } from '../base/awaitable.ts';
import type { ReplyEvent } from '../calls/reply-event.ts';
import type { Context } from '../http/context.ts';
import { departTogether, type Departing } from '../http/departures.ts';
import type { EventWriter, EventWriterListener } from '../http/event-writer.ts';
import { startHeartbeat } from '../http/heartbeat.ts';
import type { StreamEnd } from '../turns/machine.ts';
import type { ReplyEncoder } from './reply-encoder.ts';

/** The reply to one request of a platform: an event stream, in the form of its wire. */
export class ReplyStream implements EventWriterListener, Departing {
  readonly context: Context;
  readonly #writer: EventWriter;
  readonly #encoder: ReplyEncoder;
  readonly #heartbeat: NodeJS.Timeout | undefined;
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
    this.#heartbeat = startHeartbeat(this.#writer, heartbeatMs);
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
    this.#heartbeat?.refresh();
    const block = this.#encoder.event(event);
    return block === '' || this.#writer.send(block);
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
   * those still wait. Idempotent. True if everything has left this process; otherwise `finished` or
   * `destroyed` is called, if it was not yet.
   */
  end(when: StreamEnd = 'now'): boolean {
    clearInterval(this.#heartbeat);
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
      this.#notSent(error); // nobody else is there to catch it
    }
  }

  /** Where a layer has written headers of its own, the writer throws. It is destroyed by then. */
  #notSent(error: unknown): void {
    this.context.log.error('a reply could not be sent', { error });
  }

  /** Tokens of this reply, one entry for each request to a model. Undefined if not known. */
  get usage(): readonly ModelUsage[] | undefined {
    return undefined;
  }

  /** Call it when the response is over. The writer knows whether all of it has left. */
  closed(): void {
    clearInterval(this.#heartbeat);
    this.#writer.destroy();
  }

  /** The stream is complete and should have departed, but the client has no room for it yet. */
  delayed(): void {}

  /** See `EventWriterListener`. */
  finished(): void {}

  /** See `EventWriterListener`. */
  destroyed(): void {}
}

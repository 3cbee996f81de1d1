import type { Awaitable } from '../awaitable.ts';
import type { SseEvent } from '../sse/encode.ts';
import type { EventWriter } from '../sse/event-writer.ts';
import type { ReplyEvent, ReplySink } from './reply.ts';

/** How a wire writes a reply down. `turnId` is the request's, undefined where it had none. */
export interface Dialect {
  event(event: ReplyEvent, turnId: string | undefined): SseEvent | undefined;
  end(turnId: string | undefined): SseEvent;
}

export interface ReplyStreamOptions {
  readonly dialect: Dialect;
  readonly turnId: string | undefined;
  /** A comment is sent after so long without an event; 0 never sends one. */
  readonly heartbeatMs: number;
}

/** A reply on one event stream. */
export class ReplyStream implements ReplySink {
  readonly #writer: EventWriter;
  readonly #dialect: Dialect;
  readonly #turnId: string | undefined;
  #hasEnded = false;
  readonly #heartbeat: NodeJS.Timeout | undefined;

  constructor(writer: EventWriter, { dialect, turnId, heartbeatMs }: ReplyStreamOptions) {
    this.#writer = writer;
    this.#dialect = dialect;
    this.#turnId = turnId;
    if (heartbeatMs > 0) this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs);
  }

  get unsent(): number {
    return Math.max(0, this.#writer.unsentEvents - (this.#hasEnded ? 1 : 0)); // the end itself is no event of the reply
  }

  send(event: ReplyEvent): Awaitable<boolean> {
    this.#heartbeat?.refresh();
    const written = this.#dialect.event(event, this.#turnId);
    return written === undefined ? this.#writer.isOpen : this.#writer.send(written);
  }

  end(): void {
    clearInterval(this.#heartbeat);
    if (!this.#writer.isOpen) return;
    this.#hasEnded = true;
    this.#writer.finish(this.#dialect.end(this.#turnId));
  }

  /** Lets go of everything: the connection is gone. */
  destroy(): void {
    clearInterval(this.#heartbeat);
    this.#writer.destroy();
  }

  #beat(): void {
    if (this.#writer.isOpen) this.#writer.send({ comment: '' });
    else clearInterval(this.#heartbeat);
  }
}

import type { Awaitable } from '../base/awaitable.ts';
import { encodeEvent } from '../sse/encode.ts';
import type { EventWriter } from '../sse/event-writer.ts';
import type { ReplyEvent, ReplySink } from './reply.ts';

/** How a wire writes a reply down, each event as a block of an event stream. */
export interface Dialect {
  /** What the events of a reply end with, made once a reply. `turnId` is the request's, undefined where it had none. */
  tail(turnId: string | undefined): string;
  /** '' for what this wire has no word for. */
  event(event: ReplyEvent, tail: string): string;
  end(tail: string): string;
}

export interface ReplyStreamOptions {
  readonly dialect: Dialect;
  readonly turnId: string | undefined;
  /** A comment is sent after so long without an event; 0 never sends one. */
  readonly heartbeatMs: number;
}

const HEARTBEAT = encodeEvent({ comment: '' });

/** A reply on one event stream. */
export class ReplyStream implements ReplySink {
  readonly #writer: EventWriter;
  readonly #dialect: Dialect;
  readonly #tail: string;
  #hasEnded = false;
  readonly #heartbeat: NodeJS.Timeout | undefined;

  constructor(writer: EventWriter, { dialect, turnId, heartbeatMs }: ReplyStreamOptions) {
    this.#writer = writer;
    this.#dialect = dialect;
    this.#tail = dialect.tail(turnId);
    if (heartbeatMs > 0) this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs);
  }

  get unsent(): number {
    return Math.max(0, this.#writer.unsentEvents - (this.#hasEnded ? 1 : 0)); // the end itself is no event of the reply
  }

  send(event: ReplyEvent): Awaitable<boolean> {
    this.#heartbeat?.refresh();
    const block = this.#dialect.event(event, this.#tail);
    return block === '' ? this.#writer.isOpen : this.#writer.send(block);
  }

  flush(): void {
    this.#writer.flush();
  }

  end(): void {
    clearInterval(this.#heartbeat);
    if (!this.#writer.isOpen) return;
    this.#hasEnded = true;
    this.#writer.finish(this.#dialect.end(this.#tail));
  }

  /** Lets go of everything: the connection is gone. */
  destroy(): void {
    clearInterval(this.#heartbeat);
    this.#writer.destroy();
  }

  #beat(): void {
    if (this.#writer.isOpen) this.#writer.sendComment(HEARTBEAT);
    else clearInterval(this.#heartbeat);
  }
}

import type { Awaitable } from '../base/awaitable.ts';
import type { EventWriter } from '../sse/event-writer.ts';
import { startHeartbeat } from '../sse/heartbeat.ts';
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

/** A reply on one event stream. */
export class ReplyStream implements ReplySink {
  readonly #writer: EventWriter;
  readonly #dialect: Dialect;
  readonly #tail: string;
  readonly #heartbeat: NodeJS.Timeout | undefined;

  constructor(writer: EventWriter, { dialect, turnId, heartbeatMs }: ReplyStreamOptions) {
    this.#writer = writer;
    this.#dialect = dialect;
    this.#tail = dialect.tail(turnId);
    this.#heartbeat = startHeartbeat(writer, heartbeatMs);
  }

  get unsent(): number {
    return this.#writer.unsentEvents;
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
    this.#writer.finish(this.#dialect.end(this.#tail));
  }

  /** Lets go of everything: the connection is gone. */
  destroy(): void {
    clearInterval(this.#heartbeat);
    this.#writer.destroy();
  }
}

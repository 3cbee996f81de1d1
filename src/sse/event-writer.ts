import type { Awaitable } from '../base/awaitable.ts';

/** Where a writer writes: the part of `http.ServerResponse` that it needs. */
export interface SseDestination extends NodeJS.EventEmitter {
  readonly writableLength: number;
  readonly destroyed: boolean;
  /** Null while an earlier response of the same connection is under way. */
  readonly socket?: object | null;
  /** The request that is answered. It knows its connection all the time. */
  readonly req?: { readonly socket: SseConnection };
  cork?(): void;
  uncork?(): void;
  write(chunk: string, callback?: (error?: Error | null) => void): boolean;
  end(chunk?: string): unknown;
  destroy(error?: Error): unknown;
}

/** What a writer needs of a `net.Socket`: whether it lost what was written. */
export interface SseConnection {
  readonly destroyed: boolean;
  /** Set as soon as a write failed, which is before `error` and `close` are emitted. */
  readonly errored: Error | null;
}

export interface EventWriterOptions {
  /**
   * A client that has read nothing for this long is disconnected, at the latest after twice the time.
   * Default 30,000 ms.
   */
  readonly stallTimeoutMs?: number;
  /** Called before the first chunk is written, with its bytes when it is the only one. */
  readonly writeHead?: (contentLength: number | undefined) => void;
}

/** Is told, at most once, how a stream ended that `finish` could not end at once. */
export interface EventWriterListener {
  /** Everything, the end included, is now with the operating system. */
  finished(): void;
  /**
   * The stream was cut before its end had left; `unsentEvents` says how many events never did. May
   * be called from within `finish`.
   */
  destroyed(): void;
}

/**
 * Writes Server-Sent Events to an HTTP response. It passes back-pressure on and disconnects a
 * client that stops reading. An event leaves as one string, so no code point is ever split.
 *
 * The creator must call `flush()` once; nothing is written before. It must also call `destroy()`
 * when the connection closes: the writer itself watches it only while the connection has no room.
 *
 * A stream ends in exactly one of three ways: `finish()` returns true, or the listener's
 * `finished` or its `destroyed` is called. Only the first two mean that the whole stream has left.
 *
 * Deliberately not a `Writable`, which would make every turn slower and larger; `SseEncoder` is
 * one.
 */
export class EventWriter {
  readonly #destination: SseDestination;
  readonly #stallTimeoutMs: number;
  #writeHead: ((contentLength: number | undefined) => void) | undefined;
  /** Blocks of this tick, or all since the connection has no room. */
  #queue = '';
  #queuedEvents = 0;
  /** Events in chunks that are not with the operating system yet. */
  #eventsInFlight = 0;
  #bytesWritten = 0;
  /** Whether a flush is due. The first one is the creator's, so none is scheduled before it. */
  #isScheduled = true;
  #isFinished = false;
  /** Whether the end was handed to the destination. */
  #hasEnded = false;
  /** Whether everything, the end included, is with the operating system. */
  #isSent = false;
  #isDestroyed = false;
  /** Set while the connection has no room. */
  #waiting: Waiting | undefined;
  readonly #listener: EventWriterListener | undefined;

  constructor(
    destination: SseDestination,
    options: EventWriterOptions = {},
    listener?: EventWriterListener,
  ) {
    this.#destination = destination;
    this.#stallTimeoutMs = options.stallTimeoutMs ?? 30_000;
    this.#writeHead = options.writeHead;
    this.#listener = listener;
  }

  /**
   * True until `finish`, `destroy` or the loss of the client: an event sent now may still arrive.
   */
  get isOpen(): boolean {
    return !this.#isFinished && !this.#isDestroyed && !this.#destination.destroyed;
  }

  /** False while the connection takes nothing: what is sent now waits here. */
  get hasRoom(): boolean {
    return this.#waiting === undefined;
  }

  /** Bytes handed to the destination. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /**
   * How many of the events sent last have not left this process. Comments and the block given to
   * `finish` do not count.
   */
  get unsentEvents(): number {
    return this.#queuedEvents + this.#eventsInFlight;
  }

  /**
   * Writes an event: a whole block, as `encodeEvent` makes it. Returns true, or a promise of it
   * when the sender should wait for room; false when the stream is over and the event was dropped.
   * Never throws or rejects because the client left. A sender that does not wait fills memory.
   *
   * The events of one tick leave as one chunk, together with the headers if those are still
   * unsent.
   */
  send(block: string): Awaitable<boolean> {
    return this.#send(block, 1);
  }

  /**
   * Writes a block that is no event: `unsentEvents` does not count it. Returns what `send` does.
   */
  sendComment(block: string): Awaitable<boolean> {
    return this.#send(block, 0);
  }

  #send(block: string, events: number): Awaitable<boolean> {
    if (!this.isOpen) return false;
    this.#queue += block;
    this.#queuedEvents += events;
    if (this.#waiting === undefined) {
      // A burst does not wait for the end of the tick: a sender that awaits each event must meet
      // back-pressure.
      if (this.#queue.length > MAX_QUEUE_LENGTH) this.flush();
      else if (!this.#isScheduled) {
        this.#isScheduled = true;
        process.nextTick(flush, this);
      }
    }
    return this.#waiting === undefined ? true : this.#roomForMore(this.#waiting);
  }

  /**
   * Ends the stream behind the events sent and a last block. Returns true when all of it is with
   * the operating system, so that nothing more can be learned about it. Returns false when it
   * still has to leave, or was cut: the listener is told which.
   *
   * Idempotent: a later call changes nothing and returns what is true by then.
   */
  finish(last = ''): boolean {
    if (this.isOpen) {
      this.#queue += last;
      this.#isFinished = true;
      if (this.#waiting === undefined) this.#handOver();
      else settle(this.#waiting.senders); // what they sent still leaves; they need not wait for it
    } else if (this.#destination.destroyed) this.destroy();
    return this.#isSent;
  }

  /**
   * Hands what is queued to the destination. The creator owes the first call, after the first
   * events or before them. From then on events leave by themselves at the end of their tick.
   */
  flush(): void {
    this.#isScheduled = false;
    if (this.isOpen && this.#waiting === undefined && this.#queue !== '') this.#handOver();
  }

  #handOver(): void {
    const text = this.#queue;
    const bytes = Buffer.byteLength(text);
    const events = this.#queuedEvents;
    const isWhole = this.#isFinished && this.#writeHead !== undefined;
    try {
      this.#writeHead?.(isWhole ? bytes : undefined);
    } catch (error) {
      this.destroy(); // or the stream would be tried again, and again
      throw error;
    }
    this.#writeHead = undefined;
    this.#bytesWritten += bytes;
    this.#eventsInFlight += events;
    this.#queue = '';
    this.#queuedEvents = 0;
    if (this.#isFinished) {
      this.#hasEnded = true;
      if (isWhole) this.#endWhole(text);
      else this.#destination.end(text); // with the end of the chunks in one system call
      if (this.#destination.writableLength > 0) this.#waitForRoom();
      else this.#settleEnd();
      return;
    }
    const hasRoom = this.#destination.write(text, (error) => {
      if (!error) this.#eventsInFlight -= events;
    });
    if (!hasRoom) this.#waitForRoom();
  }

  /**
   * Writes the head and all of the body as one string, in one piece. `end(text)` would hand over an
   * empty one behind it, and the socket would gather both with `writev`.
   */
  #endWhole(text: string): void {
    const destination = this.#destination;
    destination.cork?.(); // or the response would cork its socket itself, until the end of the tick
    destination.write(text);
    destination.uncork?.();
    destination.end();
  }

  /** This process holds nothing of the stream any more: all of it has left, or failed to. */
  #settleEnd(): void {
    const socket = this.#destination.req?.socket;
    // A response that lost its last bytes emits `finish` all the same: only the socket says so.
    if (socket?.errored instanceof Error || socket?.destroyed === true) this.destroy();
    else {
      this.#isSent = true;
      this.#eventsInFlight = 0;
    }
  }

  /**
   * Cuts the stream: drops what has not left yet and destroys the destination. Idempotent, and
   * without effect once all of it has left.
   */
  destroy(): void {
    if (this.#isDestroyed || this.#isSent) return;
    this.#isDestroyed = true;
    this.#destination.destroy();
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      waiting.stop();
      settle(waiting.senders);
    }
    this.#listener?.destroyed();
  }

  /**
   * Waits for `drain`, or after the end for `finish`. The client may do neither: then `close`
   * comes, or the clock, which starts again whenever bytes have left.
   */
  #waitForRoom(): void {
    const destination = this.#destination;
    const room = this.#hasEnded ? 'finish' : 'drain';
    let queued = queuedBytes(destination);
    const clock = setTimeout(() => {
      const before = queued;
      queued = queuedBytes(destination);
      // Behind another response of the connection it is that one which the client reads.
      if (destination.socket === null || queued !== before) clock.refresh();
      else this.destroy();
    }, this.#stallTimeoutMs);
    const onRoom = (): void => {
      waiting.stop();
      if (this.#hasEnded) this.#settleEnd();
      else if (this.#isFinished) this.#handOver();
      else this.flush();
      if (this.#waiting === undefined) settle(waiting.senders);
      else this.#waiting.senders.push(...waiting.senders);
      if (this.#isSent) this.#listener?.finished();
    };
    const onClose = (): void => this.destroy();
    const waiting: Waiting = {
      senders: [],
      stop: () => {
        this.#waiting = undefined;
        clearTimeout(clock);
        destination.off(room, onRoom);
        destination.off('close', onClose);
      },
    };
    this.#waiting = waiting;
    destination.on(room, onRoom);
    destination.on('close', onClose);
  }

  #roomForMore({ senders }: Waiting): Promise<boolean> {
    return new Promise((resolve) => senders.push(() => resolve(this.isOpen)));
  }
}

/** A connection without room. */
interface Waiting {
  /** Who waits. */
  readonly senders: (() => void)[];
  readonly stop: () => void;
}

function settle(senders: (() => void)[]): void {
  for (const sender of senders.splice(0)) sender();
}

/**
 * Bytes that the connection holds because the operating system did not take them; undefined where
 * that is not known. A chunk counts as a whole in every public figure, and `drain` comes when all
 * of it has left, so neither shows that a slow client reads. `_handle` does; Node's own socket
 * time-outs look there, too.
 */
function queuedBytes({ req }: SseDestination): unknown {
  const socket = req?.socket;
  if (socket === undefined || !('_handle' in socket)) return undefined;
  const handle = socket._handle;
  return typeof handle === 'object' && handle !== null && 'writeQueueSize' in handle
    ? handle.writeQueueSize
    : undefined;
}

/**
 * A burst is handed over in pieces of about this many UTF-16 code units. Node's own bound for a
 * connection without room is 16,384 bytes.
 */
const MAX_QUEUE_LENGTH = 16_384;

function flush(writer: EventWriter): void {
  writer.flush();
}

import type { Awaitable } from '../awaitable.ts';
import { encodeEvent } from '../sse/encode.ts';
import { bytesNotAccepted } from './node-internals.ts';

/** Where a writer writes: the part of `http.ServerResponse` that it needs. */
export interface SseDestination extends NodeJS.EventEmitter {
  readonly writableLength: number;
  readonly destroyed: boolean;
  /** Null while an earlier response on the same connection is in progress. */
  readonly socket?: object | null;
  /** The request that is being answered. Unlike the response, it always knows its connection. */
  readonly req?: { readonly socket?: SseConnection | undefined };
  cork?(): void;
  uncork?(): void;
  write(chunk: string, callback?: (error?: Error | null) => void): boolean;
  end(chunk?: string): unknown;
  destroy(error?: Error): unknown;
}

/** The part of a `net.Socket` that a writer needs: it says whether written bytes were lost. */
interface SseConnection {
  readonly destroyed: boolean;
  /** Set as soon as a write fails, before `error` and `close` are emitted. */
  readonly errored: Error | null;
}

export interface EventWriterOptions {
  /**
   * A client that reads nothing for this long is disconnected, after at most twice as long. Default
   * 30,000 ms.
   */
  readonly stallTimeoutMs?: number;
  /** Called before the first chunk is written; gets its size in bytes if it is the only one. */
  readonly writeHead?: (contentLength: number | undefined) => void;
}

/** How a block is joined to those that have not left yet. */
interface BlockJoining {
  join?(queued: string, block: string): string;
}

/** Called at most once, for a stream that `finish` could not end at once. */
export interface EventWriterListener {
  /** Everything, including the end, has been passed to the operating system. */
  finished(): void;
  /**
   * The stream was cut before its end had left. `unsentEvents` says how many events were lost. May
   * be called from within `finish`.
   */
  destroyed(): void;
}

/**
 * Writes Server-Sent Events to an HTTP response. Applies back-pressure, and disconnects a client
 * that stops reading. An event leaves as one string, so no code point is ever split.
 *
 * The creator must call `flush()` once; nothing is written before that. The creator must also call
 * `destroy()` when the connection closes: the writer watches it only while the connection has no
 * room.
 *
 * A stream ends in exactly one of three ways: `finish()` returns true, the listener's `finished` is
 * called, or its `destroyed` is. Only in the first two cases has the whole stream left.
 *
 * Deliberately not a `Writable`, which would make every turn slower and larger. `SseEncoder` is
 * one.
 */
export class EventWriter {
  readonly #destination: SseDestination;
  readonly #stallTimeoutMs: number;
  #writeHead: ((contentLength: number | undefined) => void) | undefined;
  /** The blocks of this tick; if the connection has no room, all blocks since it ran out. */
  #queue = '';
  #queuedEvents = 0;
  /** Events in chunks that have not been passed to the operating system yet. */
  #eventsInFlight = 0;
  #bytesWritten = 0;
  /** Whether a flush is due. True at first: the creator must call flush once. */
  #isScheduled = true;
  #isFinished = false;
  /** Whether the end has been passed to the destination. */
  #hasEnded = false;
  /** Whether everything, including the end, has been passed to the operating system. */
  #isSent = false;
  #isDestroyed = false;
  /** Set while the connection has no room. */
  #waiting: Waiting | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
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
   * True until `finish`, `destroy` or the loss of the client. While true, an event that is sent may
   * still arrive.
   */
  get isOpen(): boolean {
    return !this.#isFinished && !this.#isDestroyed && !this.#destination.destroyed;
  }

  /** Bytes passed to the destination. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /**
   * The number of events, always the latest ones, that have not left this process. Comments and
   * the last block of `finish` do not count.
   */
  get unsentEvents(): number {
    return this.#queuedEvents + this.#eventsInFlight;
  }

  /**
   * Writes an event. `block` must be complete, as `encodeEvent` returns it. An empty one leaves
   * with the next.
   *
   * Returns true, or a promise of true if the sender should wait for room. Returns false if the
   * stream is over and the event was dropped. Never throws or rejects because the client left. A
   * sender that does not wait fills memory.
   *
   * The events of one tick leave as one chunk, together with the headers if those are unsent.
   * `joining` may turn several events into one.
   */
  send(block: string, joining?: BlockJoining): Awaitable<boolean> {
    return this.#send(block, 1, joining);
  }

  /** Like `send`, for a block that `unsentEvents` should not count. */
  sendComment(block: string): Awaitable<boolean> {
    return this.#send(block, 0, undefined);
  }

  /**
   * From now on sends a comment after each `intervalMs` without an event, so that proxies do not
   * close a silent stream. Does nothing for 0.
   */
  beatEvery(intervalMs: number): void {
    if (intervalMs > 0) this.#heartbeat = setInterval(EventWriter.#beat, intervalMs, this);
  }

  /** A stream without room is not silent: bytes wait to leave, and this would add to them. */
  static #beat(this: void, writer: EventWriter): void {
    if (writer.#waiting === undefined) writer.sendComment(HEARTBEAT);
  }

  #send(block: string, events: number, joining: BlockJoining | undefined): Awaitable<boolean> {
    if (!this.isOpen) return false;
    if (events > 0) this.#heartbeat?.refresh();
    this.#queue = joining?.join?.(this.#queue, block) ?? this.#queue + block;
    this.#queuedEvents += events;
    if (this.#waiting === undefined) {
      // A burst does not wait for the end of the tick, so that a sender that awaits each event
      // notices back-pressure.
      if (this.#queue.length > MAX_QUEUE_LENGTH) this.flush();
      else if (!this.#isScheduled) {
        this.#isScheduled = true;
        process.nextTick(flush, this);
      }
    }
    return this.#waiting === undefined ? true : this.#roomForMore(this.#waiting);
  }

  /**
   * Ends the stream after the events sent so far and a last block. Returns true if all of it has
   * been passed to the operating system. Returns false if some of it still has to leave, or the
   * stream was cut; the listener learns which.
   *
   * Idempotent: a later call changes nothing and returns the current state.
   */
  finish(last = ''): boolean {
    clearInterval(this.#heartbeat);
    if (this.isOpen) {
      this.#queue += last;
      this.#isFinished = true;
      if (this.#waiting === undefined) this.#handOver();
      else release(this.#waiting.senders); // their events still leave; they need not wait for that
    } else if (this.#destination.destroyed) this.destroy();
    return this.#isSent;
  }

  /**
   * Passes the queue to the destination. The creator must call it once, before or after the first
   * events. From then on events leave by themselves at the end of their tick.
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
      this.destroy(); // otherwise every flush would try again
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
      else this.#destination.end(text); // text and end in one system call
      if (this.#destination.writableLength > 0) this.#waitForRoom();
      else this.#endLeft();
      return;
    }
    const hasRoom = this.#destination.write(text, (error) => {
      if (!error) this.#eventsInFlight -= events;
    });
    if (!hasRoom) this.#waitForRoom();
  }

  /**
   * Writes the headers and the whole body as one string. Before Node 24.21 and 26.8 `end(text)`
   * would pass on an empty string after it, and the socket would need `writev` to send both.
   */
  #endWhole(text: string): void {
    const destination = this.#destination;
    destination.cork?.(); // otherwise the response corks its socket until the end of the tick
    destination.write(text);
    destination.uncork?.();
    destination.end();
  }

  /** Nothing of the stream is left in this process: all of it has been sent, or lost. */
  #endLeft(): void {
    const socket = this.#destination.req?.socket;
    // A response emits `finish` even if its last bytes were lost. Only the socket knows.
    if (socket?.errored instanceof Error || socket?.destroyed === true) this.destroy();
    else {
      this.#isSent = true;
      this.#eventsInFlight = 0;
    }
  }

  /**
   * Cuts the stream: drops what has not left yet, and destroys the destination. Idempotent. Has no
   * effect once everything has left.
   */
  destroy(): void {
    if (this.#isDestroyed || this.#isSent) return;
    this.#isDestroyed = true;
    clearInterval(this.#heartbeat);
    this.#destination.destroy();
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      waiting.stop();
      release(waiting.senders);
    }
    this.#listener?.destroyed();
  }

  /**
   * Waits for `drain`, or after the end for `finish`. If neither comes, `close` or the clock ends
   * the wait. The clock starts again whenever bytes have left.
   */
  #waitForRoom(): void {
    const destination = this.#destination;
    const room = this.#hasEnded ? 'finish' : 'drain';
    let queued = queuedBytes(destination);
    const clock = setTimeout(() => {
      const before = queued;
      queued = queuedBytes(destination);
      // While an earlier response on the connection is in progress, the client reads that one.
      if (destination.socket === null || queued !== before) clock.refresh();
      else this.destroy();
    }, this.#stallTimeoutMs);
    const onRoom = (): void => {
      waiting.stop();
      if (this.#hasEnded) this.#endLeft();
      else if (this.#isFinished) this.#handOver();
      else this.flush();
      if (this.#waiting === undefined) release(waiting.senders);
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
  /** The senders that wait for room. */
  readonly senders: (() => void)[];
  readonly stop: () => void;
}

function release(senders: (() => void)[]): void {
  for (const sender of senders.splice(0)) sender();
}

/**
 * Bytes that the operating system has not accepted yet; without a socket, those the reader has not
 * requested.
 */
function queuedBytes({ req, writableLength }: SseDestination): number {
  const socket = req?.socket;
  return (socket && bytesNotAccepted(socket)) ?? writableLength;
}

/**
 * A burst is written in pieces of about this many UTF-16 code units. Node's own limit for a
 * connection without room is 16,384 bytes.
 */
const MAX_QUEUE_LENGTH = 16_384;

const HEARTBEAT = encodeEvent({ comment: '' });

function flush(writer: EventWriter): void {
  writer.flush();
}

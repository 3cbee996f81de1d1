import type { Awaitable } from '../base/awaitable.ts';

/** Where a writer writes: the part of `http.ServerResponse` that it needs. */
export interface SseDestination extends NodeJS.EventEmitter {
  readonly writableLength: number;
  readonly destroyed: boolean;
  cork?(): void;
  uncork?(): void;
  write(chunk: string, callback?: (error?: Error | null) => void): boolean;
  end(chunk?: string): unknown;
  destroy(error?: Error): unknown;
}

export interface EventWriterOptions {
  /** Unsent bytes beyond which a reader that does not read is cut off. Default 1 MiB. */
  readonly maxUnsentBytes?: number;
  /** Time without room for more after which a reader that does not read is cut off. Default 30,000 ms. */
  readonly stallTimeoutMs?: number;
  /** Called before the first chunk is written, with its bytes when it is the only one. */
  readonly writeHead?: (contentLength: number | undefined) => void;
}

/** What a writer tells of itself. */
export interface EventWriterListener {
  /** The last chunk was handed to the destination. */
  ended(): void;
  /** It was destroyed: by `destroy`, or because its reader stopped reading. */
  destroyed(): void;
}

/**
 * Writes Server-Sent Events to an HTTP response. Passes back-pressure on, and destroys the response of a reader that stops reading. Never
 * splits a code point: an event leaves as one string.
 *
 * No stream itself, as most writers live for one turn and what a `Writable` keeps is 0.5 KB and 1.8 of a turn's 20 µs; `SseEncoder` is one.
 */
export class EventWriter {
  readonly #destination: SseDestination;
  readonly #maxUnsentBytes: number;
  readonly #stallTimeoutMs: number;
  #writeHead: ((contentLength: number | undefined) => void) | undefined;
  /** Events of this tick, or since the connection has no room. */
  #queue = '';
  #queuedEvents = 0;
  /** Events of the chunks that are not with the operating system yet. */
  #eventsInFlight = 0;
  #bytesWritten = 0;
  /** Whether a flush is to come, so that none need be asked for: the first is the maker's. */
  #isScheduled = true;
  #isFinished = false;
  #hasEnded = false;
  #isDestroyed = false;
  /** Set while the connection has no room. */
  #waiting: Waiting | undefined;
  readonly #listener: EventWriterListener | undefined;

  constructor(destination: SseDestination, options: EventWriterOptions = {}, listener?: EventWriterListener) {
    this.#destination = destination;
    this.#maxUnsentBytes = options.maxUnsentBytes ?? 1_048_576;
    this.#stallTimeoutMs = options.stallTimeoutMs ?? 30_000;
    this.#writeHead = options.writeHead;
    this.#listener = listener;
  }

  /** True until `finish`, `destroy` or the loss of the reader: an event sent now may still arrive. */
  get isOpen(): boolean {
    return !this.#isFinished && !this.#isDestroyed && !this.#destination.destroyed;
  }

  /** Bytes handed to the destination. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** How many of the events sent last, comments not counted, have not left this process. */
  get unsentEvents(): number {
    return this.#queuedEvents + this.#eventsInFlight;
  }

  /** Whether the end waits for room, and was not handed over yet: what a stream around this one has to wait for. */
  get isEnding(): boolean {
    return this.#isFinished && !this.#hasEnded && this.#waiting !== undefined;
  }

  /**
   * Writes an event, a whole block as `encodeEvent` makes them. True, or a promise of it where the sender should wait for room; false when the stream is over
   * and the event went nowhere. Never throws and never rejects for a reader that left.
   *
   * The events of one tick leave as one chunk, in the packet of the headers where those are still to be sent.
   */
  send(block: string): Awaitable<boolean> {
    return this.#send(block, 1);
  }

  /** Writes a block that is no event: it does not count in `unsentEvents`. Answers as `send` does. */
  sendComment(block: string): Awaitable<boolean> {
    return this.#send(block, 0);
  }

  #send(block: string, events: number): Awaitable<boolean> {
    if (!this.isOpen) return false;
    // What this tick holds is not unread yet.
    if (this.#destination.writableLength + (this.#waiting?.bytes ?? 0) > this.#maxUnsentBytes) {
      this.destroy();
      return false;
    }
    this.#enqueue(block, events);
    if (this.#waiting === undefined) {
      // A burst does not wait for the tick to end: a sender that awaits each event must meet back-pressure, and a queue has a bound.
      if (this.#queue.length > MAX_QUEUE_LENGTH) this.flush();
      else if (!this.#isScheduled) {
        this.#isScheduled = true;
        process.nextTick(flush, this);
      }
    }
    return this.#waiting === undefined ? true : this.#roomForMore(this.#waiting);
  }

  /** Ends the stream behind the events sent and a last one, for which there is always room. Idempotent. */
  finish(last?: string): void {
    if (!this.isOpen) return;
    if (last !== undefined) this.#enqueue(last, 1);
    this.#isFinished = true;
    if (this.#waiting === undefined) this.flush();
    else settle(this.#waiting.senders); // what they sent still leaves, but they wait for nothing any more
  }

  /**
   * Hands what is queued to the destination. Nothing leaves before the first call, which whoever made the writer owes it: when the first
   * events are sent, or there are none yet. What is sent from then on goes by itself at the end of its tick.
   */
  flush(): void {
    this.#isScheduled = false;
    if (this.#hasEnded || this.#isDestroyed || this.#destination.destroyed || this.#waiting !== undefined) return;
    const text = this.#queue;
    if (text === '' && !this.#isFinished) return;
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
      this.#listener?.ended();
      if (this.#destination.writableLength > 0) this.#waitForRoom(); // a reader may leave the last chunk unread, too
      else this.#eventsInFlight = 0;
      return;
    }
    const hasRoom = this.#destination.write(text, (error) => {
      if (!error) this.#eventsInFlight -= events;
    });
    if (!hasRoom) this.#waitForRoom();
  }

  /**
   * The head and all of the body as one string, in one piece. `end(text)` would hand over an empty one behind it, for which the socket
   * gathers both with `writev`: 8 % more of what a turn costs.
   */
  #endWhole(text: string): void {
    const destination = this.#destination;
    destination.cork?.(); // or the response would cork its socket itself, until the end of the tick
    destination.write(text);
    destination.uncork?.();
    destination.end();
  }

  /** Lets go of everything: what was not sent yet never is. Destroys the destination, unless that has all and is taking it. */
  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    const waiting = this.#waiting;
    if (!this.#hasEnded || waiting !== undefined) this.#destination.destroy();
    if (waiting !== undefined) {
      waiting.stop();
      settle(waiting.senders);
    }
    this.#listener?.destroyed();
  }

  #enqueue(block: string, events: number): void {
    this.#queue += block;
    this.#queuedEvents += events;
    if (this.#waiting !== undefined) this.#waiting.bytes += Buffer.byteLength(block);
  }

  /** `drain` does not come after `close`, nor after the end, so `close` is waited for too, and the clock: a reader may do neither. */
  #waitForRoom(): void {
    const destination = this.#destination;
    const stalled = setTimeout(() => this.destroy(), this.#stallTimeoutMs);
    const onRoom = (): void => {
      waiting.stop();
      this.flush();
      if (this.#waiting === undefined) settle(waiting.senders);
      else this.#waiting.senders.push(...waiting.senders);
    };
    const waiting: Waiting = {
      bytes: 0,
      senders: [],
      stop: () => {
        this.#waiting = undefined;
        clearTimeout(stalled);
        destination.off('drain', onRoom);
        destination.off('close', onRoom);
      },
    };
    this.#waiting = waiting;
    destination.on('drain', onRoom);
    destination.on('close', onRoom);
  }

  #roomForMore({ senders }: Waiting): Promise<boolean> {
    return new Promise((resolve) => senders.push(() => resolve(this.isOpen)));
  }
}

/** A connection without room. */
interface Waiting {
  /** Of the queue. */
  bytes: number;
  /** Who waits. */
  readonly senders: (() => void)[];
  readonly stop: () => void;
}

function settle(senders: (() => void)[]): void {
  for (const sender of senders.splice(0)) sender();
}

/**
 * A burst is handed over in pieces of about so many UTF-16 code units, which are up to three times as many bytes; Node takes 16,384 of
 * those for a connection without room. */
const MAX_QUEUE_LENGTH = 16_384;

function flush(writer: EventWriter): void {
  writer.flush();
}

import { Writable } from 'node:stream';

import type { Awaitable } from '../awaitable.ts';
import { encodeEvent, type SseEvent } from './encode.ts';

/** Where an encoder writes: the part of `http.ServerResponse` that it needs. */
export interface SseDestination extends NodeJS.EventEmitter {
  readonly writableLength: number;
  readonly destroyed: boolean;
  write(chunk: string): boolean;
  end(chunk?: string): unknown;
  destroy(error?: Error): unknown;
}

export interface SseEncoderOptions {
  /** Unsent bytes beyond which a reader that does not read is cut off. Default 1 MiB. */
  readonly maxUnsentBytes?: number;
  /** Time without room for more after which a reader that does not read is cut off. Default 30,000 ms. */
  readonly stallTimeoutMs?: number;
  /** Called before the first chunk is written, with its bytes when it is the only one. */
  readonly writeHead?: (contentLength: number | undefined) => void;
}

type WriteCallback = (error?: Error | null) => void;

/**
 * An event stream: a `Writable` in object mode that takes `SseEvent`s and writes them to an HTTP response. Passes
 * back-pressure on, and destroys the response of a reader that stops reading. Never splits a code point: an event
 * leaves as one string.
 *
 * `send` and `finish` do the work, and `write` and `end` lead to them; called directly they spare a turn the stream's
 * bookkeeping, 1.8 of its 20 µs.
 */
export class SseEncoder extends Writable {
  readonly #destination: SseDestination;
  readonly #maxUnsentBytes: number;
  readonly #stallTimeoutMs: number;
  #writeHead: ((contentLength: number | undefined) => void) | undefined;
  /** Events of this tick, or since the reader's connection has no room. */
  #queue = '';
  #queuedEvents = 0;
  /** Handed over when the connection had no room: they may be with the operating system, or not. */
  #stalledEvents = 0;
  #bytesWritten = 0;
  #isScheduled = false;
  #isFinished = false;
  /** Set while the connection has no room: who waits for that to change. */
  #waiting: (() => void)[] | undefined;

  constructor(destination: SseDestination, options: SseEncoderOptions = {}) {
    // emitClose: the 'close' of the response already says that all is over.
    super({ objectMode: true, decodeStrings: false, emitClose: false });
    this.#destination = destination;
    this.#maxUnsentBytes = options.maxUnsentBytes ?? 1_048_576;
    this.#stallTimeoutMs = options.stallTimeoutMs ?? 30_000;
    this.#writeHead = options.writeHead;
  }

  /** True until `finish`, `destroy` or the loss of the reader: an event sent now may still arrive. */
  get isOpen(): boolean {
    return !this.#isFinished && !this.destroyed && !this.#destination.destroyed;
  }

  /** Bytes handed to the destination. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** How many of the events sent last are not known to have left this process. */
  get unsentEvents(): number {
    return this.#queuedEvents + this.#stalledEvents;
  }

  /**
   * Writes an event. True, or a promise of it where the sender should wait for room; false when the stream is over
   * and the event went nowhere. Never throws and never rejects for a reader that left.
   *
   * The events of one tick leave as one chunk, in the packet of the headers where those are still to be sent.
   */
  send(event: SseEvent): Awaitable<boolean> {
    if (!this.isOpen) return false;
    if (this.#unsentBytes > this.#maxUnsentBytes) {
      this.destroy();
      return false;
    }
    this.#queue += encodeEvent(event);
    this.#queuedEvents += 1;
    if (this.#waiting !== undefined) return this.#roomForMore(this.#waiting);
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      process.nextTick(flush, this);
    }
    return true;
  }

  /** Ends the stream behind the events sent. Idempotent. */
  finish(): void {
    if (!this.isOpen) return;
    this.#isFinished = true;
    if (this.#waiting === undefined) this.flush();
  }

  /** Hands what is queued to the destination. Called at the end of a tick, there is no need to. */
  flush(): void {
    this.#isScheduled = false;
    if (this.destroyed || this.#destination.destroyed || this.#waiting !== undefined) return;
    const text = this.#queue;
    if (text === '' && !this.#isFinished) return;
    const bytes = Buffer.byteLength(text);
    this.#bytesWritten += bytes;
    this.#writeHead?.(this.#isFinished ? bytes : undefined);
    this.#writeHead = undefined;
    const events = this.#queuedEvents;
    this.#queue = '';
    this.#queuedEvents = 0;
    if (this.#isFinished) this.#destination.end(text); // one call, which spares the response a second write
    else if (!this.#destination.write(text)) this.#waitForRoom(events);
  }

  override _write(event: SseEvent, _encoding: BufferEncoding, callback: WriteCallback): void {
    const sent = this.send(event);
    if (sent instanceof Promise) sent.then(() => callback(), callback);
    else callback();
  }

  override _final(callback: WriteCallback): void {
    this.finish();
    callback();
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    if (!this.#isFinished || this.#waiting !== undefined) this.#destination.destroy();
    this.#settleWaiting();
    callback(error);
  }

  get #unsentBytes(): number {
    return this.#queue === '' ? this.#destination.writableLength : Buffer.byteLength(this.#queue) + this.#destination.writableLength;
  }

  /** `drain` does not come after `close`, so both are waited for, and the clock: a reader may do neither. */
  #waitForRoom(events: number): void {
    const destination = this.#destination;
    this.#stalledEvents = events;
    const stalled = setTimeout(() => this.destroy(), this.#stallTimeoutMs);
    const onRoom = (): void => {
      this.#settleWaiting();
      this.flush();
    };
    this.#waiting = [() => {
      clearTimeout(stalled);
      destination.off('drain', onRoom);
      destination.off('close', onRoom);
      if (!destination.destroyed) this.#stalledEvents = 0;
    }];
    destination.on('drain', onRoom);
    destination.on('close', onRoom);
  }

  #roomForMore(waiting: (() => void)[]): Promise<boolean> {
    return new Promise((resolve) => waiting.push(() => resolve(this.isOpen)));
  }

  #settleWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    for (const settle of waiting ?? []) settle();
  }
}

function flush(encoder: SseEncoder): void {
  encoder.flush();
}

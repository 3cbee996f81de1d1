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
}

/** The reader stopped reading, and its response was destroyed. */
export class StalledReaderError extends Error {
  override readonly name = 'StalledReaderError';
  readonly code = 'ERR_SSE_STALLED_READER';
}

type WriteCallback = (error?: Error | null) => void;

/**
 * An event stream: a `Writable` in object mode that takes `SseEvent`s and writes them to an HTTP response. Passes
 * back-pressure on, and destroys the response of a reader that stops reading. Never splits a code point: an event
 * leaves as one string.
 *
 * `writableLength` is the number of events that are not with the operating system yet, as far as can be known.
 */
export class SseEncoder extends Writable {
  readonly #destination: SseDestination;
  readonly #maxUnsentBytes: number;
  readonly #stallTimeoutMs: number;
  #queuedBytes = 0;
  #isEnding = false;
  #hasEnded = false;
  /** Set while the destination has no room: what was asked to hear of the next drain or close. */
  #waiting: (() => void)[] | undefined;

  constructor(destination: SseDestination, options: SseEncoderOptions = {}) {
    // emitClose: the 'close' of the response already says that all is over.
    super({ objectMode: true, decodeStrings: false, emitClose: false });
    this.#destination = destination;
    this.#maxUnsentBytes = options.maxUnsentBytes ?? 1_048_576;
    this.#stallTimeoutMs = options.stallTimeoutMs ?? 30_000;
  }

  /** True until `end`, `destroy` or the loss of the reader: an event sent now may still arrive. */
  get isOpen(): boolean {
    return !this.#isEnding && !this.destroyed && !this.#destination.destroyed;
  }

  /**
   * Writes an event. True, or a promise of it where the sender should wait for room; false when the stream is over
   * and the event went nowhere. Never throws and never rejects for a reader that left.
   *
   * The events of one tick leave as one chunk, in the packet of the headers where those are still to be sent.
   */
  send(event: SseEvent): Awaitable<boolean> {
    if (!this.isOpen) return false;
    if (this.#queuedBytes + this.#destination.writableLength > this.#maxUnsentBytes) {
      this.destroy(new StalledReaderError(`the reader left ${this.#maxUnsentBytes} bytes unread`));
      return false;
    }
    if (this.writableCorked === 0) {
      this.cork();
      process.nextTick(uncork, this);
    }
    this.#queuedBytes += 'data' in event ? Buffer.byteLength(event.data) : event.comment.length;
    this.write(event);
    return this.#waiting === undefined ? true : this.#roomForMore(this.#waiting);
  }

  override end(...args: []): this {
    this.#isEnding = true;
    super.end(...args);
    return this;
  }

  override _write(event: SseEvent, _encoding: BufferEncoding, callback: WriteCallback): void {
    this.#flush(encodeEvent(event), callback);
  }

  override _writev(events: { chunk: SseEvent }[], callback: WriteCallback): void {
    let text = '';
    for (const { chunk } of events) text += encodeEvent(chunk);
    this.#flush(text, callback);
  }

  override _final(callback: WriteCallback): void {
    if (!this.#hasEnded) this.#destination.end();
    callback();
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    this.#settleWaiting();
    this.#destination.destroy();
    callback(error instanceof StalledReaderError ? null : error);
  }

  #flush(text: string, callback: WriteCallback): void {
    this.#queuedBytes = 0; // `_writev` takes all there is, and `_write` is called for a queue of one
    if (this.#isEnding) {
      // Nothing can follow: one call for the last chunk and the end, which spares the response a second write.
      this.#hasEnded = true;
      this.#destination.end(text);
      callback();
    } else if (this.#destination.destroyed || this.#destination.write(text)) callback();
    else this.#waitForRoom(callback);
  }

  /** `drain` does not come after `close`, so both are waited for, and the clock: a reader may do neither. */
  #waitForRoom(callback: WriteCallback): void {
    const destination = this.#destination;
    const stalled = setTimeout(() => {
      this.destroy(new StalledReaderError(`the reader read nothing for ${this.#stallTimeoutMs} ms`));
    }, this.#stallTimeoutMs);
    this.#waiting = [() => {
      clearTimeout(stalled);
      destination.off('drain', onRoom);
      destination.off('close', onRoom);
      callback();
    }];
    const onRoom = (): void => this.#settleWaiting();
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

function uncork(encoder: SseEncoder): void {
  encoder.uncork();
}

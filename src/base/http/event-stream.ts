import { Writable } from 'node:stream';

import type { Awaitable } from '../awaitable.ts';
import { encodeEvent, type SseEvent } from '../sse/encode.ts';
import { EventWriter, type EventWriterOptions, type SseDestination } from './event-writer.ts';

/** Options of `SseEncoder`. */
export type SseEncoderOptions = EventWriterOptions;

type WriteCallback = (error?: Error | null) => void;

/**
 * An event stream as a `Writable` in object mode, which takes `SseEvent`s. An `EventWriter` does
 * the work.
 *
 * It is destroyed without an `error` when the client leaves or stops reading. A `pipeline` into it
 * then rejects, and stops its source.
 */
export class SseEncoder extends Writable {
  readonly #writer: EventWriter;
  #onEnded: WriteCallback | undefined;

  constructor(destination: SseDestination, options: SseEncoderOptions = {}) {
    // autoDestroy would disconnect a slow client before it has read the end.
    super({ objectMode: true, decodeStrings: false, autoDestroy: false });
    this.#writer = new EventWriter(destination, options, {
      finished: () => this.#onEnded?.(),
      destroyed: () => this.destroy(),
    });
    this.#writer.flush();
    destination.once('close', () => this.#writer.destroy());
  }

  /** See `EventWriter.isOpen`. */
  get isOpen(): boolean {
    return this.#writer.isOpen;
  }

  /** See `EventWriter.bytesWritten`. */
  get bytesWritten(): number {
    return this.#writer.bytesWritten;
  }

  /** See `EventWriter.unsentEvents`. */
  get unsentEvents(): number {
    return this.#writer.unsentEvents;
  }

  /** See `EventWriter.send`. `write` calls this. */
  send(event: SseEvent): Awaitable<boolean> {
    if (!this.#writer.isOpen) return false;
    const block = encodeEvent(event);
    return 'data' in event ? this.#writer.send(block) : this.#writer.sendComment(block);
  }

  /** See `EventWriter.finish`; takes an optional last event. `end` does the same without one. */
  finish(last?: SseEvent): boolean {
    return this.#writer.finish(last === undefined || !this.#writer.isOpen ? '' : encodeEvent(last));
  }

  /** Writes at once what would otherwise leave at the end of the tick. Optional. */
  flush(): void {
    this.#writer.flush();
  }

  override _write(event: SseEvent, _encoding: BufferEncoding, callback: WriteCallback): void {
    const sent = this.send(event);
    if (sent instanceof Promise) sent.then(() => callback(), callback);
    else callback();
  }

  override _final(callback: WriteCallback): void {
    if (this.#writer.finish()) callback();
    else this.#onEnded = callback;
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    this.#writer.destroy();
    callback(error);
  }
}

import { Writable } from 'node:stream';

import type { Awaitable } from '../base/awaitable.ts';
import { encodeEvent, type SseEvent } from './encode.ts';
import { EventWriter, type EventWriterOptions, type SseDestination } from './event-writer.ts';

export type SseEncoderOptions = EventWriterOptions;

type WriteCallback = (error?: Error | null) => void;

/** An event stream: a `Writable` in object mode that takes `SseEvent`s, around an `EventWriter` that does the work. */
export class SseEncoder extends Writable {
  readonly #writer: EventWriter;
  #onEnded: WriteCallback | undefined;

  constructor(destination: SseDestination, options: SseEncoderOptions = {}) {
    // emitClose: the 'close' of the response already says that all is over. autoDestroy: it would cut off a slow reader at the end.
    super({ objectMode: true, decodeStrings: false, emitClose: false, autoDestroy: false });
    this.#writer = new EventWriter(destination, options, { ended: () => this.#onEnded?.(), destroyed: () => this.destroy() });
    this.#writer.flush();
  }

  /** As `EventWriter.isOpen`. */
  get isOpen(): boolean {
    return this.#writer.isOpen;
  }

  /** As `EventWriter.bytesWritten`. */
  get bytesWritten(): number {
    return this.#writer.bytesWritten;
  }

  /** As `EventWriter.unsentEvents`. */
  get unsentEvents(): number {
    return this.#writer.unsentEvents;
  }

  /** As `EventWriter.send`. `write` leads to it. */
  send(event: SseEvent): Awaitable<boolean> {
    if (!this.#writer.isOpen) return false;
    const block = encodeEvent(event);
    return 'data' in event ? this.#writer.send(block) : this.#writer.sendComment(block);
  }

  /** As `EventWriter.finish`. `end` leads to it. */
  finish(last?: SseEvent): void {
    if (this.#writer.isOpen) this.#writer.finish(last === undefined ? undefined : encodeEvent(last));
  }

  /** Hands over at once what would leave at the end of the tick. There is no need to. */
  flush(): void {
    this.#writer.flush();
  }

  override _write(event: SseEvent, _encoding: BufferEncoding, callback: WriteCallback): void {
    const sent = this.send(event);
    if (sent instanceof Promise) sent.then(() => callback(), callback);
    else callback();
  }

  override _final(callback: WriteCallback): void {
    this.#writer.finish();
    if (this.#writer.isEnding) this.#onEnded = callback;
    else callback(); // ended, or the reader has left
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    this.#writer.destroy();
    callback(error);
  }
}

// What writers are tested with: a response that notes what is done to it, and a clock set by hand.

import { EventEmitter } from 'node:events';
import type { TestContext } from 'node:test';

import type { SseDestination } from '../../../src/base/http/event-writer.ts';

/** As much of a Node connection as a writer looks at. */
class Connection {
  destroyed = false;
  errored: Error | null = null;
  readonly _handle = { writeQueueSize: 0 };
}

/** A response that has room or not, as the test decides. */
export class Destination extends EventEmitter implements SseDestination {
  readonly calls: string[] = [];
  readonly req = { socket: new Connection() };
  /** Null while the response waits behind an earlier one. */
  socket: object | null = this.req.socket;
  writableLength = 0;
  destroyed = false;
  readonly #waiting: ((error?: Error) => void)[] = [];
  room: boolean;
  #hasEnded = false;

  constructor({ room = true }: { readonly room?: boolean } = {}) {
    super();
    this.room = room;
  }

  cork(): void {
    this.calls.push('cork');
  }

  uncork(): void {
    this.calls.push('uncork');
  }

  write(chunk: string, callback: (error?: Error) => void = () => undefined): boolean {
    this.calls.push(`write ${chunk}`);
    this.#take(chunk, callback);
    return this.room;
  }

  end(chunk = ''): void {
    this.calls.push(`end ${chunk}`);
    this.#hasEnded = true;
    this.#take(chunk, () => undefined);
  }

  destroy(): void {
    if (this.destroyed) return;
    this.calls.push('destroy');
    this.close();
  }

  /** The client has read everything. As with Node, no `drain` comes after the end. */
  drain(): void {
    this.room = true;
    this.writableLength = 0;
    for (const callback of this.#waiting.splice(0)) callback();
    this.emit(this.#hasEnded ? 'finish' : 'drain');
  }

  /** The client has read part of a chunk; the rest still waits. */
  readSome(): void {
    this.req.socket._handle.writeQueueSize -= 1;
  }

  /** The connection is gone. */
  close(): void {
    this.destroyed = this.req.socket.destroyed = true;
    for (const callback of this.#waiting.splice(0)) callback(new Error('closed'));
    this.emit('close');
  }

  get listeners_(): number {
    return ['drain', 'finish', 'close', 'error'].reduce(
      (sum, name) => sum + this.listenerCount(name),
      0,
    );
  }

  #take(chunk: string, callback: (error?: Error) => void): void {
    if (this.req.socket.errored !== null) callback(this.req.socket.errored);
    else if (this.room) callback();
    else {
      this.#waiting.push(callback);
      this.writableLength += chunk.length + 1; // framing counts, too
      this.req.socket._handle.writeQueueSize += chunk.length + 1;
    }
  }
}

/** Timeouts that fire on `tick()`: those of Node 20's own mock cannot be refreshed. */
export class Clock {
  #now = 0;
  readonly #timers = new Map<object, { at: number; readonly fire: () => void }>();

  constructor({ mock }: TestContext) {
    mock.method(globalThis, 'setTimeout', (fire: () => void, delayMs: number) => {
      const timer = {
        refresh: (): void => {
          this.#timers.set(timer, { at: this.#now + delayMs, fire });
        },
      };
      timer.refresh();
      return timer;
    });
    mock.method(globalThis, 'clearTimeout', (timer: object) => this.#timers.delete(timer));
  }

  get timers(): number {
    return this.#timers.size;
  }

  tick(ms: number): void {
    this.#now += ms;
    for (const [timer, { at, fire }] of [...this.#timers]) {
      if (at <= this.#now && this.#timers.delete(timer)) fire();
    }
  }
}

export const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

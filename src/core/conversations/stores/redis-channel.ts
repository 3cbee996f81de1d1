import type { Awaitable } from '../../../base/awaitable.ts';
import type { Channel } from '../../../base/channel.ts';
import { processAddress } from '../../../base/process-address.ts';
import { atMost } from '../../../base/time-limit.ts';
import type { RedisPublisher, RedisSubscriber } from './redis-client.ts';

/** Prefix of every process's address. */
const PREFIX = 'layercode:process:';
/** How many messages may wait for the server's confirmation. Beyond this new ones are dropped. */
const MAX_WAITING = 1_000;
/** How long closing waits for the last messages. */
const CLOSING_MS = 250;

/**
 * Messages between processes over Redis or Valkey pub/sub. Each process has an address of its own.
 */
export class RedisChannel implements Channel {
  readonly address = processAddress();
  readonly #publisher: RedisPublisher;
  readonly #closeClient: (() => Awaitable<void>) | undefined;
  #listener: ((message: string) => void) | undefined;
  #subscriber: RedisSubscriber | undefined;
  readonly #receive = (message: unknown): void => {
    if (typeof message === 'string') this.#listener?.(message);
  };
  readonly #waiting = new Set<Promise<void>>();

  constructor(publisher: RedisPublisher, closeClient?: () => Awaitable<void>) {
    this.#publisher = publisher;
    this.#closeClient = closeClient;
  }

  /** Receives messages through that client. */
  async subscribe(subscriber: RedisSubscriber): Promise<void> {
    this.#subscriber = subscriber;
    await subscriber.subscribe(PREFIX + this.address, this.#receive);
  }

  send(address: string, message: string): void {
    if (this.#waiting.size >= MAX_WAITING) return;
    const done = this.#publish(address, message).finally(() => this.#waiting.delete(done));
    this.#waiting.add(done);
  }

  listen(listener: (message: string) => void): void {
    this.#listener = listener;
  }

  async close(): Promise<void> {
    this.#listener = undefined;
    if (this.#waiting.size > 0) await atMost(CLOSING_MS, Promise.all(this.#waiting));
    if (this.#subscriber !== undefined) await atMost(CLOSING_MS, this.#leave(this.#subscriber));
    await this.#closeClient?.();
  }

  /** A client of the user's own stays open, and may serve another channel. */
  async #leave(subscriber: RedisSubscriber): Promise<void> {
    try {
      await subscriber.unsubscribe?.(PREFIX + this.address, this.#receive);
    } catch {
      // It has no connection, so there is nothing to leave.
    }
  }

  /** Rejects if the server refuses messages. */
  async check(): Promise<void> {
    await this.#publisher.publish(PREFIX, ''); // nobody has that address
  }

  async #publish(address: string, message: string): Promise<void> {
    try {
      await this.#publisher.publish(PREFIX + address, message);
    } catch {
      // Messages may be lost. The store's own commands report that the server fails.
    }
  }
}

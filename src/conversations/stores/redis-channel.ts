import { randomUUID } from 'node:crypto';

import type { Awaitable } from '../../base/awaitable.ts';
import { EVERYONE, type Channel } from '../../base/channel.ts';
import { atMost } from '../../base/time-limit.ts';
import type { RedisPublisher, RedisSubscriber } from './redis-client.ts';

/** Prefix of every process's address. */
const PREFIX = 'layercode:process:';
/** How many messages may wait for the server's confirmation. Beyond this new ones are dropped. */
const MAX_WAITING = 1_000;
/** Their total length in UTF-16 code units. */
const MAX_WAITING_CHARACTERS = 8_388_608;
/** How long closing waits for the last messages. */
const CLOSING_MS = 250;

/**
 * Messages between processes over Redis or Valkey pub/sub. Each process subscribes to its own
 * address and to that of everyone.
 */
export class RedisChannel implements Channel {
  readonly address = randomUUID();
  readonly #publisher: RedisPublisher;
  readonly #scope: string;
  readonly #closeClient: (() => Awaitable<void>) | undefined;
  #listener: ((message: string) => void) | undefined;
  #reopened: (() => void) | undefined;
  #subscriber: RedisSubscriber | undefined;
  readonly #receive = (message: unknown): void => {
    if (typeof message === 'string') this.#listener?.(message);
  };
  readonly #ready = (): void => {
    if (this.#reopened === undefined) this.mayLackOthers = true; // nobody listens yet
    else this.#reopened();
  };
  readonly #waiting = new Set<Promise<void>>();
  #waitingCharacters = 0;
  /**
   * Set if the server has just begun, or was away until a moment ago, so that others may not be
   * connected again yet.
   */
  mayLackOthers = false;

  /**
   * `scope`: what sets the deployment apart from others on the server. `closeClient` is called when
   * the channel is closed.
   */
  constructor(publisher: RedisPublisher, scope: string, closeClient?: () => Awaitable<void>) {
    this.#publisher = publisher;
    this.#scope = scope;
    this.#closeClient = closeClient;
  }

  get isOpen(): boolean {
    return this.#subscriber?.isReady !== false;
  }

  /** Receives messages through that client. */
  async subscribe(subscriber: RedisSubscriber): Promise<void> {
    this.#subscriber = subscriber;
    for (const address of [this.address, EVERYONE])
      await subscriber.subscribe(this.#nameOf(address), this.#receive);
    subscriber.on?.('ready', this.#ready);
  }

  send(address: string, message: string): void {
    const { length } = message;
    if (this.#waiting.size >= MAX_WAITING) return;
    if (this.#waitingCharacters + length > MAX_WAITING_CHARACTERS) return;
    this.#waitingCharacters += length;
    const done = this.#publish(address, message).finally(() => {
      this.#waiting.delete(done);
      this.#waitingCharacters -= length;
    });
    this.#waiting.add(done);
  }

  listen(listener: (message: string) => void, reopened?: () => void): void {
    this.#listener = listener;
    this.#reopened = reopened;
    // Later, as an app whose agents share the channel is not complete yet.
    if (this.mayLackOthers) queueMicrotask(this.#ready);
  }

  async close(): Promise<void> {
    this.#listener = this.#reopened = undefined;
    if (this.#waiting.size > 0) await atMost(CLOSING_MS, Promise.all(this.#waiting));
    if (this.#subscriber !== undefined) await atMost(CLOSING_MS, this.#leave(this.#subscriber));
    await this.#closeClient?.();
  }

  /** A client of the user's own lives on, and may serve another channel. */
  async #leave(subscriber: RedisSubscriber): Promise<void> {
    subscriber.off?.('ready', this.#ready);
    const names = [this.address, EVERYONE].map((address) => this.#nameOf(address));
    try {
      await Promise.all(names.map((name) => subscriber.unsubscribe?.(name, this.#receive)));
    } catch {
      // It has no connection, so that there is nothing to leave.
    }
  }

  /** Rejects if the server refuses messages. */
  async check(): Promise<void> {
    await this.#publisher.publish(PREFIX, ''); // nobody has that address
  }

  async #publish(address: string, message: string): Promise<void> {
    try {
      await this.#publisher.publish(this.#nameOf(address), message);
    } catch {
      // Messages may be lost. The store's own commands report that the server fails.
    }
  }

  /** Pub/sub knows no databases. The address of one process is unique without the scope. */
  #nameOf(address: string): string {
    return PREFIX + address + (address === EVERYONE ? this.#scope : '');
  }
}

import type { Awaitable } from './awaitable.ts';

/**
 * Messages between processes that share conversations. Any may be late or lost: what must be true
 * is in the store.
 */
export interface Channel {
  /**
   * The address at which other processes reach this one: 1 to 256 characters without control
   * characters.
   */
  readonly address: string;
  /** Sends a text to the process at that address. Never throws: a message that fails is lost. */
  send(address: string, message: string): void;
  /** Sets the only listener, which is called with each incoming message. It must not throw. */
  listen(listener: (message: string) => void): void;
  close(): Awaitable<void>;
}

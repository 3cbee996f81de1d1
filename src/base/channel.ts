import type { Awaitable } from './awaitable.ts';

/**
 * Messages between processes that share conversations. Any of them may be late or lost: only the
 * store is reliable.
 */
export interface Channel {
  /**
   * The address at which other processes reach this one: 1 to 256 characters without control
   * characters.
   */
  readonly address: string;
  /**
   * Sends a message to the process at that address. Never throws: a message that cannot be sent is
   * lost.
   */
  send(address: string, message: string): void;
  /** Sets the only listener, which is called with each incoming message. It must not throw. */
  listen(listener: (message: string) => void): void;
  close(): Awaitable<void>;
}

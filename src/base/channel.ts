import type { Awaitable } from './awaitable.ts';

/** The address of all processes that share conversations. */
export const EVERYONE = '*';

/**
 * Messages between processes that share conversations. They are only hints: any may be late or
 * lost, and what must be true is in the store.
 */
export interface Channel {
  /**
   * The address at which other processes reach this one: 1 to 256 characters, and not `EVERYONE`.
   */
  readonly address: string;
  /**
   * Sends a text to the process at that address, or to `EVERYONE`, which may include this process.
   * Never throws: a message that fails is lost.
   */
  send(address: string, message: string): void;
  /** Sets the only listener, which is called with each incoming message. It must not throw. */
  listen(listener: (message: string) => void): void;
  close(): Awaitable<void>;
}

import type { Awaitable } from './awaitable.ts';

/** The address of all processes that share conversations. */
export const EVERYONE = '*';

/**
 * Messages between processes that share conversations. Any may be late or lost: what must be true
 * is in the store. Only what the store itself has lost is learnt from messages alone.
 */
export interface Channel {
  /**
   * The address at which other processes reach this one: 1 to 256 characters without control
   * characters, and not `*`.
   */
  readonly address: string;
  /** False while messages do not arrive, as far as the channel knows. Default true. */
  readonly isOpen?: boolean | undefined;
  /**
   * Sends a text to the process at that address, or with the address `*` to all, which may include
   * this process. Never throws: a message that fails is lost.
   */
  send(address: string, message: string): void;
  /**
   * Sets the only listener, which is called with each incoming message, and what is called when
   * messages arrive again after some may have been lost. Neither may throw. A channel that cannot
   * tell never calls `reopened`.
   */
  listen(listener: (message: string) => void, reopened?: () => void): void;
  close(): Awaitable<void>;
}

import type { Awaitable } from './awaitable.ts';

/**
 * Messages between the processes that share conversations. Hints: any of them may be lost or late,
 * and what must be true is in the store.
 */
export interface Channel {
  /** Where other processes reach this one. */
  readonly address: string;
  /** Sends a text to the process at that address. Never throws; a failure is as good as a loss. */
  send(address: string, message: string): void;
  /** Calls the listener, the only one, with each message that comes. It must not throw. */
  listen(listener: (message: string) => void): void;
  close(): Awaitable<void>;
}

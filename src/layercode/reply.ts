import type { Awaitable } from '../base/awaitable.ts';
import type { SentEvent } from '../conversations/message.ts';
import type { Json } from './fields.ts';

/** What is written to a call: what an agent sent, and the word that it failed (an apology was said before it). */
export type ReplyEvent = SentEvent | { readonly type: 'error' };

/** What an agent speaks through during one turn, whatever the dialect. Every method is a no-op once the turn is over. */
export interface Reply {
  /**
   * Speaks a piece of text, at once: a word or a paragraph, spaces as they are to be. True when it was taken, false when
   * the turn is over; a promise of that while the caller's connection has no room, which is worth awaiting in a loop.
   */
  say(text: string): Awaitable<boolean>;
  /** Sends any JSON value to the caller's browser. Answers as `say` does. Throws a `TypeError` for what is not JSON. */
  data(content: Json): Awaitable<boolean>;
  /** Ends the call, after `say` if there is something left to say, and with it the turn. */
  hangup(options?: { readonly say?: string }): void;
  /** Ends the turn. A turn also ends by itself when the agent's handler does. */
  end(): void;
  /** True once the turn is over, however it ended: nothing that is said now is heard. */
  readonly isOver: boolean;
  /** Fires when nobody waits for this turn any more: the caller left or spoke over it, its time is up, the server closes. */
  readonly signal: AbortSignal;
}

/** Where the events of a reply go: one HTTP response, in the dialect that the request spoke. */
export interface ReplySink {
  /** As `Reply.say`. */
  send(event: ReplyEvent): Awaitable<boolean>;
  /** How many of the events sent last did not reach the socket. */
  readonly unsent: number;
  /** Sends what was said so far. Nothing leaves before the first call; what is said from then on leaves at the end of its tick. */
  flush(): void;
  /** Ends the stream properly, and the waiting of whoever `send` made wait for room. Idempotent. */
  end(): void;
}

import type { SentEvent } from '../conversations/message.ts';

/** An event of a reply: what an agent sent, or the news that it failed. An apology is said before that. */
export type ReplyEvent = SentEvent | { readonly type: 'error' };

/** How one of LayerCode's two wires writes a reply: each event as a block of an event stream. */
export interface Dialect {
  /** What every event of a reply ends with, made once. `turnId` is the request's, undefined where it had none. */
  tail(turnId: string | undefined): string;
  /** '' where this wire has no word for the event. */
  event(event: ReplyEvent, tail: string): string;
  end(tail: string): string;
}

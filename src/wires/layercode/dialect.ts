import type { ReplyEvent } from '../../calls/reply-event.ts';

/** How one of LayerCode's two wires writes a reply. Each event is one block of an event stream. */
export interface Dialect {
  /**
   * The text that ends every event of one reply. Made once per reply. `turnId` is the request's;
   * undefined if the request had none.
   */
  tail(turnId: string | undefined): string;
  /**
   * The event as text, or '' if this wire cannot express it, or if a newer version stored it for a
   * reply that is sent again.
   */
  event(event: ReplyEvent, tail: string): string;
  /** The last event of every reply. */
  end(tail: string): string;
}

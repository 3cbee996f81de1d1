import type { ReplyEvent } from '../calls/reply-event.ts';

/** Writes one reply as blocks of an event stream, in the form of a wire. */
export interface ReplyEncoder {
  /**
   * The event as text, or '' if this wire cannot express it, or if a newer version stored it for a
   * reply that is sent again.
   */
  event(event: ReplyEvent): string;
  /** What ends the reply. Called once. */
  end(): string;
}

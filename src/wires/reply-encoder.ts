import type { ModelUsage } from '../agents/agent.ts';
import type { ReplyEvent, SentEvent } from '../calls/reply-event.ts';

/** Writes one reply as blocks of an event stream, in the form of a wire. */
export interface ReplyEncoder {
  /** Whether the platform can be asked to transfer the call. */
  readonly canTransfer: boolean;
  /** See `Delivery.hasBrowser`. Default true. */
  readonly hasBrowser?: boolean;
  /** See `Delivery.drops`. Default: none. */
  drops?(event: SentEvent): boolean;
  /** What begins the reply, and leaves at once. '' if the wire has no such thing. */
  readonly start: string;
  /**
   * The event as text, or '' if this wire cannot express it, or if a newer version stored it for a
   * reply that is sent again.
   */
  event(event: ReplyEvent): string;
  /** What ends the reply. Called once. `usage`: one entry for each request to a model. */
  end(usage: readonly ModelUsage[] | undefined): string;
}

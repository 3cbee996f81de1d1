import type { JsonObject } from '../../base/json.ts';
import type { SignatureKind } from './frames.ts';

/** What the platform says about the caller with each event, where the wire has a place for it. */
export interface CallerFacts {
  /** The number they call from. Undefined for a caller in a browser. */
  readonly from?: string | undefined;
  readonly metadata?: JsonObject | undefined;
}

/**
 * A caller in text mode, and the platform between them and the agent. Methods that post return when
 * their request has been answered, and never reject.
 */
export interface CallerSession {
  readonly id?: string;
  /** What the next message says of the newest reply, where the wire says it. */
  readonly interruption?: JsonObject | undefined;
  /** The call begins. The agent's welcome is an assistant turn. */
  start(): Promise<void>;
  /**
   * The caller says something. It is an interruption if a reply is still streaming, or if a voice
   * would still be speaking it.
   */
  say(text: string): Promise<void>;
  /** The front end sends data for the agent. Undefined if the wire has no such event. */
  data?(data: JsonObject): Promise<void>;
  /** The caller begins to speak. */
  interrupt(): void;
  /**
   * The front end has played a reply to its end, or plays none. It may say so in the middle of a
   * reply, which does not end it. Default: the newest reply.
   */
  finishPlaying(turnId?: string): void;
  /**
   * Delivers the last message again. If its reply is still streaming, it continues in the new
   * delivery.
   */
  redeliver(): Promise<void>;
  /** The connection breaks in the middle of a reply, and nobody interrupted. */
  drop(): void;
  /** Posts the last message, or a greeting, in a way that must be refused. */
  forge(signature: Exclude<SignatureKind, 'right'>): Promise<void>;
  /** The caller hangs up. */
  end(): Promise<void>;
  /** Stops waiting for answers: an open request would keep the process alive. */
  abandon(): void;
  /**
   * The number of the delivery that made this request; undefined if it is not from this session.
   */
  deliveryOf(requestId: string): number | undefined;
}

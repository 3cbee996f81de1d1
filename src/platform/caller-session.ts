import type { JsonObject } from '../base/json.ts';

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
  /** The front end has played the reply to its end, or plays none. */
  finishPlaying(): void;
  /** The caller hangs up. */
  end(): Promise<void>;
  /** Stops waiting for answers: an open request would keep the process alive. */
  abandon(): void;
}

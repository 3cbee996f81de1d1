import type { Awaitable } from '../../base/awaitable.ts';
import type { Json } from '../../base/json.ts';

/**
 * What an agent speaks through during one turn, in either dialect. Its methods are bound, and do
 * nothing once the turn is over.
 */
export interface Reply {
  /**
   * Speaks a piece of text at once: a word or a paragraph, including its spaces. True if it was
   * accepted, false if the turn is over. While the connection is full, it returns a promise of the
   * same, which a loop should await.
   */
  say(text: string): Awaitable<boolean>;
  /**
   * Sends any JSON value to the caller's browser. Returns the same as `say`. Throws a `TypeError`
   * if the value is not JSON.
   */
  data(content: Json): Awaitable<boolean>;
  /**
   * Ends the call and the turn, after speaking `say` if given. If the reply already ends with these
   * words, they are not spoken again.
   */
  hangup(options?: { readonly say?: string }): void;
  /**
   * Transfers the call to a number or name that the platform knows, and ends the turn, after
   * speaking `say` if given. `briefing` is for the person being called, on platforms that tell them
   * something first. Returns false, and says nothing, if the platform offers no transfer. LayerCode
   * offers none.
   */
  transfer(options: {
    readonly to: string;
    readonly say?: string;
    readonly briefing?: string;
  }): boolean;
  /** Ends the turn. A turn also ends when the agent's hook returns. */
  end(): void;
  /** True once the turn is over, however it ended. Nothing said after that is heard. */
  readonly isOver: boolean;
  /** The same as `Turn.signal`. */
  readonly signal: AbortSignal;
}

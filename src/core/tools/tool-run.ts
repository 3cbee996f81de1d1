import type { Awaitable } from '../../base/awaitable.ts';
import type { ToolCall } from '../conversations/message.ts';

/** What every tool call receives. */
export interface ToolCallContext {
  /** Fires when the result is no longer needed: see `ToolRun.whenInterrupted`. */
  readonly signal: AbortSignal;
  /** Unique within the turn. */
  readonly toolCallId: string;
  /**
   * 64 hex digits, the same each time when a turn is delivered again and makes the same call. For
   * APIs that accept an idempotency key.
   */
  readonly idempotencyKey: string;
  /**
   * Only for a call that acts once per conversation: 1, and one more each time that the tool began
   * under this key and said that it did nothing. For a bank that refuses the key of a declined
   * payment.
   */
  readonly attempt?: number | undefined;
}

/** How to run one tool call. */
export interface ToolRun {
  /** The tool's name for logs and metrics. Default `unknown`: a model may invent names. */
  readonly name?: string | undefined;
  /** Returns JSON text for the model. An error it throws is reported to the model. */
  run(context: ToolCallContext): Awaitable<string>;
  /**
   * What the tool still returns after `run` has rejected because its time was up, as JSON text.
   * Undefined if it has ended. Asked only for a call that acts once per conversation.
   */
  readonly late?: (() => Promise<string> | undefined) | undefined;
  /**
   * `abort` (default): the signal fires when the turn ends. `finish`: it fires only at
   * `TURN_TIMEOUT_SECONDS` and at the end of a drain, so the tool can finish after the caller has
   * left.
   */
  readonly whenInterrupted?: 'abort' | 'finish' | undefined;
  /**
   * Whether the call may run again, with the same key, if the process died before storing a
   * result, or if another turn replaces its own. For tools that only read, or only change the
   * agent's state. Default false.
   */
  readonly repeatable?: boolean | undefined;
  /**
   * Whether it acts only on the reply of its own turn, as hanging up does. Then it runs in each
   * turn, even if a turn that this one replaces has made the same call. Default false.
   */
  readonly isOfTurn?: boolean | undefined;
  /**
   * Set for a call that acts once per conversation: the text that says what it does, such as the
   * number of an order. Calls with the same tool and text are the same call. Undefined if `run`
   * will refuse it without acting. If it throws, nothing starts, and the model gets the error.
   */
  readonly once?: ((signal: AbortSignal) => Awaitable<string | undefined>) | undefined;
  /**
   * Whether `run` will refuse it without acting although `once` has a text: then only an earlier
   * call is looked for. Default false.
   */
  readonly isRefused?: boolean | undefined;
}

/**
 * Whether a call of the tool may change something outside. One that acts once does, even if it is
 * repeatable.
 */
export function hasEffects(
  { once, repeatable }: { readonly once?: unknown; readonly repeatable?: boolean | undefined },
): boolean {
  return once !== undefined || repeatable !== true;
}

/**
 * How a tool call ended. `failed`: its arguments were invalid, or it threw. `interrupted`: its
 * signal ended it.
 */
export type ToolCallOutcome = 'completed' | 'failed' | 'interrupted';

/** A tool call as recorded in history, and its result. */
export interface ToolOutcome {
  /** Its id is made unique within the turn. */
  readonly call: ToolCall;
  /** JSON text for the model. */
  readonly content: string;
  /** The agent that the call handed the conversation over to. It speaks once the hook has ended. */
  readonly handOver?: string | undefined;
}

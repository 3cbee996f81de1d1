// What the rest of the server knows of a language model: messages in, deltas out, one error class.

import type { ToolCall } from '../conversations/message.ts';

/** One message of the prompt, in the order the model reads them. */
export type ChatMessage =
  | { readonly role: 'system' | 'user'; readonly content: string }
  | {
      readonly role: 'assistant';
      readonly content: string;
      readonly toolCalls?: readonly ToolCall[];
    }
  | { readonly role: 'tool'; readonly content: string; readonly toolCallId: string };

/** A JSON Schema of type `object`, sent to the vendor as it is. */
export type JsonSchemaObject = Readonly<Record<string, unknown>>;

/** A tool the model may call. */
export interface ToolDefinition {
  readonly name: string;
  readonly description: string;
  readonly parameters: JsonSchemaObject;
}

/**
 * What a model streams. `text` holds no thought and no control token. It may end between the halves
 * of a surrogate pair: whoever joins the texts has whole characters.
 * `toolCall` comes whole, once its arguments are complete, and has an id even where the vendor gave none. `usage` comes
 * last, once per answered request: tokens are undefined where the vendor told none, `firstDeltaMs` counts from the
 * sending of the answered request to its first text or tool call.
 */
export type ModelDelta =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'toolCall'; readonly call: ToolCall }
  | {
      readonly type: 'usage';
      readonly model: string;
      readonly inputTokens: number | undefined;
      readonly outputTokens: number | undefined;
      readonly firstDeltaMs: number;
    };

export interface ModelStreamOptions {
  readonly tools?: readonly ToolDefinition[];
  /** Ends the request at the vendor at once. An aborted stream returns; it does not throw. */
  readonly signal: AbortSignal;
}

export interface ChatModel {
  /** `provider:model`, or several of them joined by commas where the later ones are fall-backs. */
  readonly name: string;

  /**
   * Asks the model once. Throws a `ModelError` on every failure; returns quietly only at the end of the reply and after
   * `signal` aborted. Whoever stops iterating ends the request too, even while a delta is awaited.
   */
  stream(
    messages: readonly ChatMessage[],
    options: ModelStreamOptions,
  ): AsyncGenerator<ModelDelta, void, undefined>;

  /** Opens the connection (DNS, TLS) ahead of the first request. Sends no key and never rejects. */
  warm(signal: AbortSignal): Promise<void>;

  /**
   * What stands in the way of an answer right now, one sentence each, for `/ready` and the log: settings that are missing and
   * keys that were refused at run time. A refused key leaves the list as soon as an answer comes. Never holds a key.
   */
  problems(): readonly string[];

  /**
   * False while settings are missing without which no model of the list can be asked. Can be true while there are
   * `problems()`: with fall-backs, and with a refused key, which is tried again with every turn.
   */
  isUsable(): boolean;
}

/** Why a model failed; stable, for logs and metrics. */
export type ModelErrorCode =
  | 'bad_model_name'
  | 'bad_base_url'
  | 'key_missing'
  | 'key_refused'
  | 'rate_limited'
  | 'http_error'
  | 'connect_timeout'
  | 'first_delta_timeout'
  | 'idle_timeout'
  | 'total_timeout'
  | 'connection_failed'
  | 'connection_dropped'
  | 'malformed_stream'
  | 'error_in_stream'
  | 'empty_reply'
  | 'unclosed_thought'
  | 'content_filter'
  | 'reply_too_large';

export interface ModelErrorOptions {
  readonly retryable?: boolean;
  readonly status?: number | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/**
 * A model did not answer, or did not finish. The message is one line that names the model and holds
 * no key and no sentence of the vendor's, which may quote the caller; so do its causes.
 */
export class ModelError extends Error {
  override readonly name = 'ModelError';
  readonly code: ModelErrorCode;
  /** Whether the same request may succeed on the same model within the patience of a caller, some two seconds. */
  readonly retryable: boolean;
  /** The HTTP status, where there was one. */
  readonly status: number | undefined;
  /** How long the vendor asks to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ModelErrorCode, message: string, options: ModelErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
  }
}

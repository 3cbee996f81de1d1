// What the rest of the server knows about a language model: messages in, deltas out, one error
// class.

import { knowInAnyCopy } from '../../base/any-copy.ts';
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

/** A JSON Schema of type `object`. It is sent to the vendor unchanged. */
type JsonSchemaObject = Readonly<Record<string, unknown>>;

export type JsonFields = Readonly<Record<string, unknown>>;

/**
 * Options of a request to a model. An option the model refuses is left out, which is logged once.
 */
export interface ModelOptions {
  /** From 0 to 2; higher is more surprising. Default: the vendor's. */
  readonly temperature?: number | undefined;
  /** Longest reply including thoughts, in tokens. Default: we set no limit. */
  readonly maxOutputTokens?: number | undefined;
  /** In the vendor's words, for example `low`. Default: the lowest the model allows. */
  readonly reasoningEffort?: string | undefined;
  /**
   * Extra fields of the request body, keyed by provider: `{ openai: { service_tier: 'priority' }
   * }`. They cannot be `model`, `messages`, `tools` or `stream`.
   */
  readonly providerOptions?: Readonly<Record<string, JsonFields>> | undefined;
}

/** Options that are also settings. */
export type DefaultOptions = Pick<ModelOptions, 'temperature' | 'maxOutputTokens'>;

/** `required`: the model must call a tool. `none`: it must speak. */
export type ToolChoice = 'auto' | 'none' | 'required';

/** A tool the model may call. */
export interface ModelTool {
  readonly name: string;
  readonly description: string;
  readonly parameters: JsonSchemaObject;
}

/**
 * One piece of what a model streams:
 *
 * - `text` holds no thoughts or control tokens. It may end between the halves of a surrogate pair;
 *   the joined texts have whole characters.
 * - `toolCall` comes once its arguments are complete. It always has an id, even if the vendor sent
 *   none.
 * - `usage` comes last, once per answered request. Tokens are undefined if the vendor did not
 *   report them. `cachedTokens` are those of the `inputTokens` that the vendor had cached.
 *   `firstDeltaMs` is the time from sending the request to its first text or tool call, and
 *   `durationMs` to its end. `finishReason` is why the answer ended, as far as the vendor says:
 *   `stop`, `tool_calls`, or `length` if it was cut at the model's limit.
 */
export type ModelDelta =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'toolCall'; readonly call: ToolCall }
  | (ModelTokens & {
      readonly type: 'usage';
      readonly model: string;
      readonly firstDeltaMs: number;
      readonly durationMs?: number | undefined;
      readonly finishReason?: string | undefined;
    });

export interface ModelTokens {
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
  readonly cachedTokens?: number | undefined;
}

/** What a request has used. */
export interface UsedTokens extends ModelTokens {
  /** Whether the vendor has not reported all of them. */
  readonly isEstimated: boolean;
}

/** Why a request to a model got no complete answer. `failed`: a reason without a code. */
export type RequestFailure = ModelErrorCode | 'interrupted' | 'failed';

/** Where a request goes. */
export interface ModelServer {
  readonly address: string;
  readonly port: number;
}

/** What the vendor says about its answer, if anything. */
export interface ModelResponse {
  readonly id: string | undefined;
  /** The model that has answered, in the vendor's words. May be a version of the one asked. */
  readonly model: string | undefined;
}

/** What a model has answered so far. */
export interface ModelAnswer {
  readonly text: string;
  readonly calls: readonly ToolCall[];
}

/**
 * What becomes of requests to models, reported as it happens. `request` identifies one request in
 * this process, because several may run at the same time.
 *
 * - `sent`: `body` is the JSON that the model gets, without headers. `attempt` counts the requests
 *   to this model for one answer, from 1. Occurs again, with the same `request`, if the model
 *   refuses a field and gets the request without it. `usedSoFar` says, at any time, what the
 *   request has used if it is cut off now. `server` is where it goes, if that is known.
 * - `firstDelta`: the first text or tool call has come, `ms` after the request was sent.
 * - `completed`: the same object as the `usage` delta, which the reader might not get to.
 * - `failed`: there is no complete answer. May come without `sent`, if nothing could be sent.
 *   `reason` is the message of a `ModelError`; it is safe to log. `tokens` are those that the
 *   vendor had reported, and `used` has an estimate of the others. `used` is undefined for a
 *   request that the vendor has refused.
 * - `retry`: the same model is asked again, `afterMs` from now.
 * - `fallback`: the model `to` is asked instead.
 */
export type RequestEvent =
  | {
      readonly type: 'sent';
      readonly request: number;
      readonly model: string;
      readonly attempt: number;
      readonly body: string;
      readonly usedSoFar?: (() => UsedTokens | undefined) | undefined;
      readonly server?: ModelServer | undefined;
    }
  | {
      readonly type: 'firstDelta';
      readonly request: number;
      readonly model: string;
      readonly ms: number;
    }
  | {
      readonly type: 'completed';
      readonly request: number;
      readonly usage: Extract<ModelDelta, { readonly type: 'usage' }>;
      readonly answer: ModelAnswer;
      readonly response?: ModelResponse | undefined;
    }
  | {
      readonly type: 'failed';
      readonly request: number;
      readonly model: string;
      readonly failure: RequestFailure;
      readonly reason: string | undefined;
      readonly durationMs: number;
      readonly tokens: ModelTokens;
      readonly used?: UsedTokens | undefined;
      readonly answer: ModelAnswer;
      readonly response?: ModelResponse | undefined;
    }
  | {
      readonly type: 'retry';
      readonly model: string;
      readonly failure: RequestFailure;
      readonly afterMs: number;
    }
  | {
      readonly type: 'fallback';
      readonly model: string;
      readonly failure: RequestFailure;
      readonly to: string;
    };

/** What a request to a model may say besides its messages. */
export interface ModelStreamOptions extends ModelOptions {
  readonly tools?: readonly ModelTool[] | undefined;
  /** Default `auto`. */
  readonly toolChoice?: ToolChoice | undefined;
  /**
   * The same for requests with the same beginning, so that a vendor can find what it has cached.
   */
  readonly cacheKey?: string | undefined;
  /** Called as requests are sent, answered, repeated and replaced. It must not throw. */
  readonly onRequest?: ((event: RequestEvent) => void) | undefined;
  /**
   * Runs the step that sends a request, after `sent`, so that a trace knows what the request is
   * part of. Returns or throws what the step does. Default: the step is just run.
   */
  readonly runRequest?: (<T>(request: number, step: () => T) => T) | undefined;
  /** Counts the requests to this model for one answer, for `onRequest`. Default 1. */
  readonly attempt?: number | undefined;
  /**
   * For models of your own that do not call `onRequest`. Call it with the model's name for each
   * request that gets no complete answer, even if another request replaces it.
   */
  readonly onFailedRequest?: ((model: string, failure: RequestFailure) => void) | undefined;
  /**
   * For the log. Called with one sentence for each refused key, option left out, retry and fallback
   * of this request. Never contains a key.
   */
  readonly onProblem?: ((problem: string) => void) | undefined;
  /** Ends the vendor's request at once. An aborted stream returns; it does not throw. */
  readonly signal: AbortSignal;
}

/** A language model, as agents ask it. Implement it to use your own. */
export interface ChatModel {
  /** `provider:model`, or several joined by commas, with the later ones as fallbacks. */
  readonly name: string;

  /**
   * Asks the model once. Throws a `ModelError` on every failure. Returns normally only at the end
   * of the reply, or after `signal` aborted. Stopping the iteration ends the request too, even
   * while a delta is awaited.
   */
  stream(
    messages: readonly ChatMessage[],
    options: ModelStreamOptions,
  ): AsyncGenerator<ModelDelta, void, undefined>;

  /** Opens the connection (DNS, TLS) before the first request. Sends no key and never rejects. */
  warm(signal: AbortSignal): Promise<void>;

  /**
   * What currently prevents an answer, one sentence each: missing settings, and keys that were
   * refused at run time. For `/ready` and the log. A refused key is removed as soon as an answer
   * comes. Never holds a key.
   */
  problems(): readonly string[];

  /**
   * False if missing settings leave no model to ask. May be true even if there are `problems()`:
   * with fallbacks, and with a refused key, which every turn tries again.
   */
  isUsable(): boolean;
}

/** Why a model failed. Stable: for logs and metrics. */
export type ModelErrorCode =
  | 'bad_model_name'
  | 'bad_base_url'
  | 'key_missing'
  | 'key_refused'
  | 'rate_limited'
  | 'no_credit'
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
  | 'reply_too_large'
  | 'limit_reached';

interface ModelErrorOptions {
  readonly retryable?: boolean;
  readonly status?: number | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/**
 * A model did not answer, or did not finish its answer. The message is one line that names the
 * model. Neither it nor its causes contain a key, or any text from the vendor that may quote the
 * caller.
 */
export class ModelError extends Error {
  static { knowInAnyCopy(this, 'ModelError'); }
  override readonly name = 'ModelError';
  readonly code: ModelErrorCode;
  /**
   * Whether the same request may succeed on the same model within about two seconds, the limit of
   * a caller's patience.
   */
  readonly retryable: boolean;
  /** The HTTP status, if there was one. */
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

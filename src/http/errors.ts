import type { Context } from './context.ts';
import type { Awaitable } from '../awaitable.ts';

export interface HttpErrorOptions {
  /** Stable, for programs: `ERR_…`. */
  readonly code?: string;
  /** Whether the client may read `message`. Default: below 500. */
  readonly expose?: boolean;
  /** Flat list of header names and values of the answer. */
  readonly headers?: readonly string[];
  readonly cause?: unknown;
}

/** An error that knows its answer: `{"error": message}` with `status`, or a fixed sentence where it is not exposed. */
export class HttpError extends Error {
  override readonly name: string = 'HttpError';
  readonly status: number;
  readonly code: string | undefined;
  readonly expose: boolean;
  readonly headers: readonly string[];

  constructor(status: number, message: string, { code, expose, headers, cause }: HttpErrorOptions = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.status = status;
    this.code = code;
    this.expose = expose ?? status < 500;
    this.headers = headers ?? [];
  }
}

/** 400: the request is at fault, and the message says where. */
export class BadRequest extends HttpError {
  override readonly name = 'BadRequest';
  constructor(message: string, options?: HttpErrorOptions) {
    super(400, message, options);
  }
}

/** 401, with the one sentence that tells a forger nothing. */
export class InvalidSignature extends HttpError {
  override readonly name = 'InvalidSignature';
  constructor(options?: HttpErrorOptions) {
    super(401, 'Invalid signature', options);
  }
}

/** 503 with `Retry-After`. The message is shown. */
export class ServiceUnavailable extends HttpError {
  override readonly name = 'ServiceUnavailable';
  constructor(message: string, retryAfterSeconds: number) {
    super(503, message, { expose: true, headers: ['retry-after', String(retryAfterSeconds)] });
  }
}

// The constructors of user errors take whatever they like.
export type ErrorClass<E extends Error = Error> = abstract new (...args: never[]) => E;
export type ErrorHandler<E extends Error = Error> = (error: E, context: Context) => Awaitable<void>;

const INTERNAL = 'Internal server error';

/** Turns what a handler or middleware threw into an answer: the class's own handler, or the error's status as JSON. */
export class ErrorBoundary {
  readonly #handlers = new Map<ErrorClass, ErrorHandler>();

  /** `handler` answers for errors of this class and of its subclasses that have no handler of their own. */
  on<E extends Error>(errorClass: ErrorClass<E>, handler: ErrorHandler<E>): void {
    // Sound: `#handlerFor` finds it only for instances of `errorClass`.
    this.#handlers.set(errorClass, handler as ErrorHandler);
  }

  handle(error: unknown, context: Context): Awaitable<void> {
    const handler = error instanceof Error && !context.response.headersSent ? this.#handlerFor(error) : undefined;
    if (handler === undefined) return answerError(error, context);
    const failed = (cause: unknown): void => answerError(new Error('an error handler failed', { cause }), context);
    try {
      const answered = handler(error as Error, context);
      return answered instanceof Promise ? answered.catch(failed) : answered;
    } catch (cause) {
      return failed(cause);
    }
  }

  #handlerFor(error: Error): ErrorHandler | undefined {
    if (this.#handlers.size === 0) return undefined;
    for (let type: unknown = error.constructor; typeof type === 'function'; type = Object.getPrototypeOf(type)) {
      const handler = this.#handlers.get(type as ErrorClass);
      if (handler !== undefined) return handler;
    }
    return undefined;
  }
}

function answerError(error: unknown, context: Context): void {
  const known = error instanceof HttpError ? error : undefined;
  if (known?.expose) context.logFields['error'] = known.message;
  else context.log.error('request failed', { error });
  if (context.response.headersSent) {
    // An answer is on its way and cannot be taken back; cut short, it does not pass for a whole one.
    context.response.destroy();
    return;
  }
  context.json(known?.status ?? 500, { error: known?.expose ? known.message : INTERNAL }, known?.headers);
}

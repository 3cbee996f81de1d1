import type { Awaitable } from '../base/awaitable.ts';
import type { Context } from './context.ts';
import { HttpError } from './errors.ts';

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
    const handler = error instanceof Error && !context.isAnswered ? this.#handlerFor(error) : undefined;
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
  if (context.response.destroyed) return; // the client left, and nobody waits for an answer
  if (known?.expose) context.logFields['error'] = known.message;
  else context.log.error('request failed', { error });
  if (context.isAnswered) {
    // An answer is on its way, or a stream that was to begin; cut short, it does not pass for a whole one.
    context.response.destroy();
    return;
  }
  context.json(known?.status ?? 500, { error: known?.expose ? known.message : INTERNAL }, known?.headers);
}

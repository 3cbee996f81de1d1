import { orElse, type Awaitable } from '../awaitable.ts';
import type { Context } from './context.ts';
import { HttpError } from './errors.ts';

// Constructors of user-defined errors may take any arguments.
export type ErrorClass<E extends Error = Error> = abstract new (...args: never[]) => E;
export type ErrorHandler<E extends Error = Error> = (error: E, context: Context) => Awaitable<void>;

const INTERNAL = 'Internal server error';

/**
 * Answers errors thrown by handlers and middleware: with the handler for the error's class,
 * otherwise with the status as JSON, in the form that the context asks for.
 */
export class ErrorBoundary {
  readonly #handlers = new Map<ErrorClass, ErrorHandler>();

  /** `handler` answers errors of this class, and of its subclasses without a handler. */
  on<E extends Error>(errorClass: ErrorClass<E>, handler: ErrorHandler<E>): void {
    // Sound: `#handlerFor` finds it only for instances of `errorClass`.
    this.#handlers.set(errorClass, handler as ErrorHandler);
  }

  handle(error: unknown, context: Context): Awaitable<void> {
    const canAnswer = error instanceof Error && !context.isAnswered;
    const handler = canAnswer ? this.#handlerFor(error) : undefined;
    if (handler === undefined) return answerError(error, context);
    const failed = (cause: unknown): void =>
      answerError(new Error('an error handler failed', { cause }), context);
    return orElse(() => handler(error as Error, context), failed);
  }

  #handlerFor(error: Error): ErrorHandler | undefined {
    let nearest: ErrorClass | undefined;
    for (const type of this.#handlers.keys())
      if (error instanceof type && (nearest === undefined || type.prototype instanceof nearest))
        nearest = type;
    return nearest === undefined ? undefined : this.#handlers.get(nearest);
  }
}

function answerError(error: unknown, context: Context): void {
  const known = error instanceof HttpError ? error : undefined;
  if (context.response.destroyed) return; // the client has left
  if (known?.expose) context.logFields['error'] = known.message;
  else context.log.error('request failed', { error });
  if (context.isAnswered) {
    context.departing?.depart();
    // An answer or a stream has begun. Cutting it short shows the client that it is incomplete.
    context.response.destroy();
    return;
  }
  const message = known?.expose ? known.message : INTERNAL;
  const status = known?.status ?? 500;
  const body = context.errorBody?.(status, message, error) ?? { error: message };
  context.json(status, body, known?.headers);
}

import type { Awaitable } from '../base/awaitable.ts';
import type { Context } from './context.ts';

/** Answers a request. */
export type Handler = (context: Context) => Awaitable<void>;

/**
 * Runs the rest of the chain. Never throws or rejects: errors inside have been answered by then.
 */
export type Next = () => Awaitable<void>;

/**
 * One layer around the handlers. It returns what `next` returned, awaits it to act on the way back,
 * or answers itself. Write a plain function if there is nothing to wait for: a promise costs.
 */
export type Middleware = (context: Context, next: Next) => Awaitable<void>;

/** Looks at a request on its way in: it notes something, or throws to refuse the request. */
export type Check = (context: Context) => void;

/**
 * Told when a response is over, and changes nothing. `isFinished` is false when it was cut short
 * because the caller left.
 */
export type Observer = (isFinished: boolean, context: Context) => void;

/** The handler of a method and a path. */
export interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly handler: Handler;
}

/** Every method that some route may take (RFC 9110 §15.5.6 has a refusal name them). */
export const SERVED_METHODS = 'GET, HEAD, POST, OPTIONS';

/** Checks as one layer, in the order given. As layers with a closure each they would cost more. */
export function passChecks(checks: readonly Check[]): Middleware {
  return function passChecks(context, next) {
    for (const check of checks) check(context);
    return next();
  };
}

/** A handler behind checks of its own, in the order given. */
export function afterChecks(checks: readonly Check[], handler: Handler): Handler {
  if (checks.length === 0) return handler;
  return (context) => {
    for (const check of checks) check(context);
    return handler(context);
  };
}

/**
 * Folds the layers around `handler`, the first outermost, once and not per request.
 *
 * What a layer throws goes to `onError` there and then, so the layers outside it still see an
 * answer on their way back. Misuse is an error: a layer that is no function (`TypeError`, here),
 * one that calls `next` twice, and a chain that ends without an answer, as a client would wait for
 * ever.
 */
export function compose(
  middleware: readonly Middleware[],
  handler: Handler,
  onError: (error: unknown, context: Context) => Awaitable<void>,
): Handler {
  const catching =
    (run: Handler): Handler =>
    (context) => {
      try {
        const ended = run(context);
        if (!(ended instanceof Promise)) return ended;
        return ended.catch((error: unknown) => onError(error, context));
      } catch (error) {
        return onError(error, context);
      }
    };
  const around = (layer: Middleware, inner: Handler): Handler => {
    if (typeof layer !== 'function') {
      throw new TypeError(`middleware must be a function (context, next), got ${typeof layer}`);
    }
    return (context) => {
      let isCalled = false;
      let passedOn: unknown;
      const next = (): Awaitable<void> => {
        if (isCalled) {
          throw new Error(`middleware ${layer.name || 'anonymous'} called next() more than once`);
        }
        isCalled = true;
        const ended = inner(context);
        passedOn = ended;
        return ended;
      };
      try {
        const ended = layer(context, next);
        // What `next` returned never rejects. Catching it again would cost a promise per layer.
        if (!(ended instanceof Promise) || ended === passedOn) return ended;
        return ended.catch((error: unknown) => onError(error, context));
      } catch (error) {
        return onError(error, context);
      }
    };
  };
  const chain = middleware.reduceRight<Handler>(
    (inner, layer) => around(layer, inner),
    catching(handler),
  );
  const checked = (context: Context): Awaitable<void> => {
    if (context.isAnswered) return;
    return onError(new Error(`nothing answered ${context.method} ${context.path}`), context);
  };
  return (context) => {
    const ended = chain(context);
    return ended instanceof Promise ? ended.then(() => checked(context)) : checked(context);
  };
}

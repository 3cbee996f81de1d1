import type { Awaitable } from '../awaitable.ts';
import type { Context } from './context.ts';

/** Answers a request. */
export type Handler = (context: Context) => Awaitable<void>;

/**
 * Runs the rest of the chain. Never throws or rejects, because errors inside have already been
 * answered.
 */
export type Next = () => Awaitable<void>;

/**
 * One layer around the handlers. It returns what `next` returned, awaits it to act afterwards, or
 * answers itself. If there is nothing to await, use a plain function: a promise takes time.
 */
export type Middleware = (context: Context, next: Next) => Awaitable<void>;

/** Inspects a request on its way in: records something, or throws to refuse the request. */
export type Check = (context: Context) => void;

/**
 * Called when a response is over, to observe it. `isFinished` is false if it was cut short because
 * the caller left.
 */
export type Observer = (isFinished: boolean, context: Context) => void;

/** The handler for a method and a path. */
export interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly handler: Handler;
}

/** Every method that any route accepts. RFC 9110 §15.5.6 requires a refusal to list them. */
export const SERVED_METHODS = 'GET, HEAD, POST, OPTIONS';

/**
 * Runs the checks as one layer, in the given order. Faster than one layer with a closure per
 * check.
 */
export function passChecks(checks: readonly Check[]): Middleware {
  return function passChecks(context, next) {
    for (const check of checks) check(context);
    return next();
  };
}

/** A handler that runs after its own checks, in the given order. */
export function afterChecks(checks: readonly Check[], handler: Handler): Handler {
  if (checks.length === 0) return handler;
  return (context) => {
    for (const check of checks) check(context);
    return handler(context);
  };
}

/**
 * A handler whose code `load` loads once, on the first request. If that fails, so does the request,
 * and the next one tries again.
 */
export function loadedHandler(load: () => Promise<Handler>): Handler {
  let loading: Promise<Handler> | undefined;
  let loaded: Handler | undefined;
  return (context) => {
    if (loaded !== undefined) return loaded(context);
    loading ??= load().catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading.then((handler) => (loaded = handler)(context));
  };
}

/**
 * Wraps the layers around `handler` once, not per request. The first layer is the outermost.
 *
 * An error thrown by a layer is passed to `onError` immediately, so the layers outside it still
 * see an answer. Misuse is an error: a layer that calls `next` twice, and a chain that ends without
 * an answer, because the client would wait forever.
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
  const around = (layer: Middleware, inner: Handler): Handler => (context) => {
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
      // The promise from `next` never rejects. Catching again would create a promise per layer.
      if (!(ended instanceof Promise) || ended === passedOn) return ended;
      return ended.catch((error: unknown) => onError(error, context));
    } catch (error) {
      return onError(error, context);
    }
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

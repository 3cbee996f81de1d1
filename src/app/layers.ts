import type { Awaitable } from '../base/awaitable.ts';
import { BodyBudget } from '../http/body.ts';
import {
  compose, passChecks, type Handler, type Middleware, type Observer, type Route,
} from '../http/compose.ts';
import { Context, type ContextDependencies } from '../http/context.ts';
import { ErrorBoundary } from '../http/error-boundary.ts';
import { BadRequest, HttpError } from '../http/errors.ts';
import type { HttpRequest, HttpResponse } from '../http/exchange.ts';
import { Router } from '../http/router.ts';
import { UncheckedBodies } from '../http/unchecked-bodies.ts';
import { allowedOrigins, cors, preflight } from '../middleware/cors.ts';
import { wellFormed } from '../middleware/well-formed.ts';
import { accessLog, requestMetrics } from '../observers/requests.ts';
import { formErrorBody } from '../wires/chat-completions/error-body.ts';
import type { AppParts } from './app-parts.ts';
import type { Shutdown } from './shutdown.ts';

/** Everything that a request passes, in order. */
export class Layers {
  readonly boundary = new ErrorBoundary();
  readonly #parts: AppParts;
  readonly #shutdown: Shutdown;
  readonly #servesCompletions: boolean;
  readonly #shared: ContextDependencies;
  readonly #observers: readonly Observer[];
  readonly #added: Middleware[] = [];
  readonly #router = new Router<Handler>();
  #chain: Handler | undefined;

  constructor(parts: AppParts, shutdown: Shutdown, servesCompletions: boolean) {
    this.#parts = parts;
    this.#shutdown = shutdown;
    this.#servesCompletions = servesCompletions;
    this.#shared = sharedByRequests(parts);
    const { settings, log, metrics } = parts;
    const hasAccessLog = settings.accessLog && log.isEnabled('info');
    this.#observers = [requestMetrics(metrics), ...(hasAccessLog ? [accessLog(log)] : [])];
  }

  /** See `App.use`. */
  add(middleware: Middleware): void {
    if (this.#chain !== undefined) throw new Error('use() must be called before the first request');
    if (typeof middleware !== 'function') {
      const got = typeof middleware;
      throw new TypeError(`middleware must be a function (context, next), got ${got}`);
    }
    this.#added.push(middleware);
  }

  addRoute({ method, path, handler }: Route): void {
    this.#router.add(method, path, handler);
  }

  hasPath({ method, path }: Context): boolean {
    return this.#router.find(method, path).kind !== 'unknown path';
  }

  contextOf(request: HttpRequest, response: HttpResponse): Context {
    return new Context(request, response, this.#shared);
  }

  /** Outside of all layers: the response is counted while it is open, and observed at its end. */
  readonly serve = (context: Context): void => {
    this.#shutdown.enter();
    context.onClose(this.#closed);
    this.#chain ??= this.#compose();
    // The boundary answers all errors, so this is an error of the boundary itself.
    const failed = (error: unknown): void => {
      const { requestId } = context;
      this.#shared.log.error('request failed beyond its error boundary', { requestId, error });
      context.response.destroy();
    };
    try {
      const handled = this.#chain(context);
      if (handled instanceof Promise) handled.catch(failed);
    } catch (error) {
      failed(error);
    }
  };

  /** An error of any layer or handler goes to the boundary. The layers outside see its answer. */
  #compose(): Handler {
    const { settings, platform } = this.#parts;
    const origins = allowedOrigins(settings);
    const webSocketPaths = platform?.webSocketPaths ?? [];
    return compose(
      [
        passChecks([cors(origins), this.#shutdown.check, wellFormed({ webSocketPaths })]),
        preflight(origins),
        ...this.#added,
      ],
      this.#route,
      this.#onError,
    );
  }

  readonly #route: Handler = (context) => {
    const match = this.#router.find(context.method, context.path);
    switch (match.kind) {
      case 'found':
        context.params = match.params;
        return match.value(context); // its own checks come first: routes.ts
      case 'wrong method':
        return refuseMethod(context, match.allowed.join(', '));
      case 'malformed path':
        throw new BadRequest('the path is not percent-encoded UTF-8');
      case 'unknown path':
        throw new HttpError(404, 'Not found');
      default:
        match satisfies never;
    }
  };

  readonly #onError = (error: unknown, context: Context): Awaitable<void> => {
    if (this.#servesCompletions) formErrorBody(context);
    return this.boundary.handle(error, context);
  };

  readonly #closed: Observer = (isFinished, context) => {
    this.#shutdown.leave();
    for (const observer of this.#observers) observer(isFinished, context);
  };
}

function refuseMethod(context: Context, allowed: string): void {
  if (context.method === 'OPTIONS') return context.empty(204, ['allow', allowed]);
  const message = `${context.path} only allows ${allowed}`;
  throw new HttpError(405, message, { headers: ['allow', allowed] });
}

/**
 * Memory for all bodies that are being read or kept, of clients with credentials. The others have
 * a quarter of it, and each of them half of that. More if a single one may be very large.
 */
const MIN_BODIES_BYTES = 64 * 1_048_576;

function sharedByRequests(
  { settings: { maxBodyBytes, trustProxy }, log, processes }: AppParts,
): ContextDependencies {
  const bytes = Math.max(Math.ceil(MIN_BODIES_BYTES / processes), 2 * maxBodyBytes);
  const uncheckedBytes = Math.max(bytes / 4, 2 * maxBodyBytes);
  return {
    log, maxBodyBytes, trustProxy,
    bodies: new BodyBudget(bytes),
    uncheckedBodies: new UncheckedBodies(uncheckedBytes, uncheckedBytes / 2),
  };
}

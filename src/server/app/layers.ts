import type { Awaitable } from '../../base/awaitable.ts';
import { bodyBudgets } from '../../base/http/body-budgets.ts';
import {
  compose, passChecks, type Handler, type Middleware, type Observer, type Route,
} from '../../base/http/compose.ts';
import { Context, type ContextDependencies } from '../../base/http/context.ts';
import { ErrorBoundary } from '../../base/http/error-boundary.ts';
import { BadRequest, HttpError } from '../../base/http/errors.ts';
import type { HttpRequest, HttpResponse } from '../../base/http/exchange.ts';
import { Router } from '../../base/http/router.ts';
import { wellFormed } from '../../base/http/well-formed.ts';
import { formErrorBody, hintForUnknown } from '../../core/wires/chat-completions/error-body.ts';
import { allowedOrigins, cors, preflight } from '../middleware/cors.ts';
import { accessLog, requestMetrics } from '../observers/requests.ts';
import type { AppParts } from './app-parts.ts';
import type { Shutdown } from './shutdown.ts';

export type Layers = ReturnType<typeof createLayers>;

/** Everything that a request passes, in order. */
export function createLayers(parts: AppParts, shutdown: Shutdown, servesCompletions: boolean) {
  const { settings, log, metrics, platform } = parts;
  const boundary = new ErrorBoundary();
  const shared = sharedByRequests(parts);
  const hasAccessLog = settings.accessLog && log.isEnabled('info');
  const observers = [requestMetrics(metrics), ...(hasAccessLog ? [accessLog(log)] : [])];
  const added: Middleware[] = [];
  const router = new Router<Handler>();
  let chain: Handler | undefined;

  /** An error in any layer or handler goes to the boundary. The layers outside see its answer. */
  function composed(): Handler {
    const origins = allowedOrigins(settings);
    const webSocketPaths = platform?.webSocketPaths ?? [];
    const checks = [cors(origins), shutdown.check, wellFormed(webSocketPaths)];
    return compose([passChecks(checks), preflight(origins), ...added], route, onError);
  }

  function route(context: Context): Awaitable<void> {
    const match = router.find(context.method, context.path);
    switch (match.kind) {
      case 'found':
        context.params = match.params;
        return match.value(context); // its own checks come first: routes.ts
      case 'wrong method':
        return refuseMethod(context, match.allowed.join(', '));
      case 'malformed path':
        throw new BadRequest('the path is not percent-encoded UTF-8');
      case 'unknown path':
        context.logFields['hint'] = hintForUnknown(context.path, servesCompletions);
        throw new HttpError(404, 'Not found');
      default:
        match satisfies never;
    }
  }

  function onError(error: unknown, context: Context): Awaitable<void> {
    if (servesCompletions) formErrorBody(context);
    return boundary.handle(error, context);
  }

  const closed: Observer = (isFinished, context) => {
    shutdown.leave();
    for (const observer of observers) observer(isFinished, context);
  };

  return {
    boundary,
    /** See `App.use`. */
    add(middleware: Middleware): void {
      if (chain !== undefined) throw new Error('use() must be called before the first request');
      if (typeof middleware !== 'function') {
        const got = typeof middleware;
        throw new TypeError(`middleware must be a function (context, next), got ${got}`);
      }
      added.push(middleware);
    },
    addRoute: ({ method, path, handler }: Route): void => router.add(method, path, handler),
    hasPath: ({ method, path }: Context): boolean =>
      router.find(method, path).kind !== 'unknown path',
    contextOf: (request: HttpRequest, response: HttpResponse): Context =>
      new Context(request, response, shared),
    /** Outside of all layers: the response is counted while it is open, and observed at its end. */
    serve(context: Context): void {
      shutdown.enter();
      context.onClose(closed);
      chain ??= composed();
      // The boundary answers all errors, so this is an error in the boundary itself.
      const failed = (error: unknown): void => {
        const { requestId } = context;
        log.error('request failed outside its error boundary', { requestId, error });
        context.response.destroy();
      };
      try {
        const handled = chain(context);
        if (handled instanceof Promise) handled.catch(failed);
      } catch (error) {
        failed(error);
      }
    },
  };
}

function refuseMethod(context: Context, allowed: string): void {
  if (context.method === 'OPTIONS') return context.empty(204, ['allow', allowed]);
  const message = `${context.path} only allows ${allowed}`;
  throw new HttpError(405, message, { headers: ['allow', allowed] });
}

function sharedByRequests(
  { settings: { maxBodyBytes, trustProxy }, log, processes }: AppParts,
): ContextDependencies {
  return { log, maxBodyBytes, trustProxy, ...bodyBudgets(maxBodyBytes, processes) };
}

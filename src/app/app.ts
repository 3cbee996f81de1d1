import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { Awaitable } from '../base/awaitable.ts';
import type { Channel } from '../base/channel.ts';
import { OpenSessions } from '../calls/open-sessions.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import type { ConversationStore } from '../conversations/store.ts';
import { BodyBudget, isBodyArriving } from '../http/body.ts';
import {
  compose, passChecks, type Handler, type Middleware, type Observer, type Route,
} from '../http/compose.ts';
import { Context, type ContextDependencies } from '../http/context.ts';
import { ErrorBoundary, type ErrorClass, type ErrorHandler } from '../http/error-boundary.ts';
import { BadRequest, HttpError } from '../http/errors.ts';
import type { HttpResponse } from '../http/exchange.ts';
import { Router } from '../http/router.ts';
import { createHttpServer } from '../http/server.ts';
import { Shutdown } from '../http/shutdown.ts';
import { UncheckedBodies } from '../http/unchecked-bodies.ts';
import type { Logger } from '../log.ts';
import { Metrics, type SumMetrics } from '../metrics.ts';
import { cors, preflight } from '../middleware/cors.ts';
import { wellFormed } from '../middleware/well-formed.ts';
import type { ChatModel } from '../models/model.ts';
import { accessLog } from '../observers/access-log.ts';
import { addCallRecordMetrics } from '../observers/call-record-metrics.ts';
import { addLogMetrics } from '../observers/log-metrics.ts';
import { addProcessMetrics } from '../observers/process-metrics.ts';
import { requestMetrics } from '../observers/request-metrics.ts';
import { addStoreMetrics } from '../observers/store-metrics.ts';
import { openTracing } from '../observers/tracing.ts';
import type { CallRecords } from '../records/call-recorder.ts';
import type { Settings } from '../settings/settings.ts';
import type { CallLimits } from '../turns/call-limits.ts';
import type { Tracing } from '../turns/report/turn-trace.ts';
import type { CostOf } from '../turns/report/turn-work.ts';
import { formErrorBody } from '../wires/chat-completions/error-body.ts';
import type { AppPlatform } from './app-platform.ts';
import type { Prices } from './prices.ts';
import {
  routeAgents, type GivenAgents, type RoutedAgent, type RoutedAgents,
} from './routed-agents.ts';
import { createRoutes, createUserRoute } from './routes.ts';

/** Options of `createApp`. */
export interface AppOptions {
  /** Default: no logging. */
  readonly log?: Logger;
  /**
   * Where conversations are kept. Default: in memory, within the settings' bounds. `close()`
   * closes it.
   */
  readonly store?: ConversationStore;
  /** Keeps a record of each call. Default: no records. `close()` closes it. */
  readonly records?: CallRecords;
  /**
   * The channel to other processes using the same store. Default: the store's own, if it has one.
   * `close()` closes it.
   */
  readonly channel?: Channel;
  /** Used for models and LayerCode's REST API. Default: the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** Stands in for LayerCode's cloud on this machine. Default: none. `close()` closes it. */
  readonly platform?: AppPlatform;
  /**
   * The number of processes serving the same port. Limits that are not settings are divided by it.
   * Default 1.
   */
  readonly processes?: number;
  /** Answers `/metrics` for all of those processes. Default: only this app's metrics. */
  readonly sumMetrics?: SumMetrics;
}

/** The options with their defaults. */
export interface AppParts extends AppOptions {
  readonly log: Logger;
  readonly store: ConversationStore;
  readonly prices: Prices;
  /** Undefined if calls have no limit. */
  readonly limits: CallLimits | undefined;
}

/** An agent as an app serves it. */
export interface ServedAgent {
  /** The name given to it among several agents, otherwise its own. */
  readonly name: string;
  /** The path its events are posted to. */
  readonly path: string;
  /** Undefined for an agent that needs no model. */
  readonly model: ChatModel | undefined;
  readonly conversations: ConversationManager;
}

/**
 * Memory for all bodies that are being read or kept, of clients with credentials. The others have
 * a quarter of it, and each of them half of that. More if a single one may be very large.
 */
const MIN_BODIES_BYTES = 64 * 1_048_576;
/** For connections without a stream: health checks, browsers, keep-alive. */
const SPARE_CONNECTIONS = 1_024;

/** A server for one or several agents. */
export class App {
  /** The first one also has the agent route itself. */
  readonly agents: readonly [ServedAgent, ...ServedAgent[]];
  /** Your own metrics can be added and are served with the others. */
  readonly metrics = new Metrics();
  readonly #settings: Settings;
  readonly #shared: ContextDependencies;
  readonly #routed: RoutedAgents;
  readonly #userSecrets: readonly string[];
  readonly #router = new Router<Handler>();
  readonly #boundary = new ErrorBoundary();
  readonly #platform: AppPlatform | undefined;
  readonly #channel: Channel | undefined;
  readonly #records: CallRecords | undefined;
  readonly #tracing: Tracing;
  readonly #shutdown = new Shutdown();
  /** Set only if a shutdown waits for sessions. */
  readonly #openSessions: OpenSessions | undefined;
  readonly #processes: number;
  /** Called after all other close listeners. */
  readonly #observers: readonly Observer[];
  readonly #middleware: Middleware[];
  /** Open responses of `fetch`. */
  readonly #fetched = new Set<HttpResponse>();
  #chain: Handler | undefined;
  #server: Server | undefined;

  /** Use `createApp`. */
  constructor(settings: Settings, given: GivenAgents, parts: AppParts) {
    const { log, store, channel = store.channel, records, platform, processes = 1 } = parts;
    const { metrics } = this;
    this.#settings = settings;
    this.#channel = channel;
    this.#records = records;
    this.#platform = platform;
    this.#processes = processes;
    this.#shared = sharedByRequests(settings, log, processes);
    this.#openSessions = openSessionsToWaitFor(settings);
    const { limits, prices } = parts;
    const costOf: CostOf = (model, tokens) => prices.costOf(model, tokens);
    const tracing = (this.#tracing = openTracing(settings.environment, log, costOf));
    this.#routed = routeAgents(given, {
      settings, store, channel, metrics, log, records, tracing, limits, costOf,
      capturesRequests: settings.captureModelRequests || platform?.showsRequests === true,
    });
    const [first, ...others] = this.#routed;
    this.agents = [served(first), ...others.map(served)];
    this.#userSecrets = [...new Set(given.flatMap(({ secrets }) => secrets))];
    this.#observers = requestObservers(settings, log, metrics);
    this.#middleware = ownLayers(settings, this.#shutdown, platform?.webSocketPaths);
    addOwnMetrics(metrics, settings, parts);
    const routes = createRoutes({
      settings,
      agents: this.#routed,
      secrets: this.#userSecrets,
      metrics,
      fetch: parts.fetch,
      costOf,
      platform,
      notReadyReasons: () => (this.#shutdown.isReady ? [] : ['the server is shutting down']),
      storeHealth: store.health?.bind(store),
      openSessions: this.#openSessions,
      records,
      sumMetrics: parts.sumMetrics,
    });
    for (const route of routes) this.#add(route);
  }

  /** The first agent's conversations. */
  get conversations(): ConversationManager {
    return this.agents[0].conversations;
  }

  /** The first agent's model. Undefined if it needs none. */
  get model(): ChatModel | undefined {
    return this.agents[0].model;
  }

  /**
   * Adds a layer around all handlers, inside earlier layers. Must be called before the first
   * request.
   */
  use(middleware: Middleware): this {
    if (this.#chain !== undefined) throw new Error('use() must be called before the first request');
    if (typeof middleware !== 'function') {
      const got = typeof middleware;
      throw new TypeError(`middleware must be a function (context, next), got ${got}`);
    }
    this.#middleware.push(middleware);
    return this;
  }

  /**
   * Serves `GET` and `HEAD` of a path like `/things/:id`. Below `/api/` requests must be signed.
   */
  get(path: string, handler: Handler): this {
    return this.#add(createUserRoute('GET', path, handler, this.#userSecrets));
  }

  /** Serves `POST` of a path. Below `/api/` requests must be signed. */
  post(path: string, handler: Handler): this {
    return this.#add(createUserRoute('POST', path, handler, this.#userSecrets));
  }

  /** Answers errors of a class thrown by handlers and middleware. The nearest class wins. */
  onError<E extends Error>(errorClass: ErrorClass<E>, handler: ErrorHandler<E>): this {
    this.#boundary.on(errorClass, handler);
    return this;
  }

  /**
   * A request listener for any `http.Server`: `createServer(app.handle)`. Timeouts, header limits
   * and connection limits are then that server's own. Paths are always the ones the client
   * requested, even if the app is mounted below another path.
   *
   * With `next` the app answers only its own paths. For any other path it calls `next`
   * synchronously, leaving the request and the response untouched.
   */
  readonly handle = (
    request: IncomingMessage,
    response: ServerResponse,
    next?: () => void,
  ): void => {
    const context = new Context(request, response, this.#shared);
    if (next !== undefined && !this.#hasPath(context)) return next();
    // In the next tick, a body that came with the headers can be read without waiting for it.
    if (isBodyArriving(request)) process.nextTick(this.#serve, context);
    else this.#serve(context);
  };

  /**
   * Answers a fetch `Request`, for servers based on fetch, with the same routes, layers and
   * limits. The request's body must be unread. The response's body streams at its reader's pace.
   * Cancelling it or aborting the request counts as a dropped connection.
   *
   * There is no connection to show where the request comes from. So routes for this machine only
   * answer 403, and the rate limit trusts `clientAddress`. Rejects if the request is aborted
   * before it is answered.
   */
  readonly fetch = async (
    request: Request,
    { clientAddress }: { readonly clientAddress?: string | undefined } = {},
  ): Promise<Response> => {
    const { FetchExchange } = await loadFetchExchange();
    const exchange = new FetchExchange(request, clientAddress);
    const { request: asked, response } = exchange;
    this.#fetched.add(response);
    response.once('close', () => this.#fetched.delete(response));
    this.#serve(new Context(asked, response, this.#shared));
    return exchange.answer;
  };

  readonly #closed: Observer = (isFinished, context) => {
    this.#shutdown.leave();
    for (const observer of this.#observers) observer(isFinished, context);
  };

  readonly #onError = (error: unknown, context: Context): Awaitable<void> => {
    if (this.#routed.some(({ keys }) => keys.length > 0)) formErrorBody(context);
    return this.#boundary.handle(error, context);
  };

  readonly #serve = (context: Context): void => {
    this.#shutdown.enter();
    context.onClose(this.#closed);
    this.#chain ??= compose(this.#middleware, this.#dispatch, this.#onError);
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

  /**
   * Listens on a host and a port, by default those of the settings. Resolves with the address;
   * rejects with the system's error.
   */
  listen(options: { readonly host?: string; readonly port?: number } = {}): Promise<AddressInfo> {
    const { host = this.#settings.host, port = this.#settings.port } = options;
    if (this.#server !== undefined) throw new Error('listen() has already been called');
    const server = (this.#server = createHttpServer({
      listener: this.handle,
      maxConnections: this.#settings.maxStreams + Math.ceil(SPARE_CONNECTIONS / this.#processes),
      takesUpgrades: this.#platform !== undefined,
    }));
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        // Null only if the server does not listen, a string only for a pipe.
        resolve(server.address() as AddressInfo);
      });
    });
  }

  /**
   * Stops, as configured by the settings. `/ready` answers 503 immediately. Requests are still
   * served during the drain delay, and until sessions end if the settings allow time for that.
   * Then open turns and tools that should finish have until the timeout, which interrupts them.
   * Resolves when history has been written, or a few seconds after that has failed, and everything
   * is closed.
   *
   * `isReplaced` means that another process serves the same port. This one then accepts no new
   * connections and interrupts no turns: it serves its open connections until they close.
   */
  async close({ isReplaced = false }: { readonly isReplaced?: boolean } = {}): Promise<void> {
    const { drainDelaySeconds, drainCallsSeconds, turnTimeoutSeconds } = this.#settings;
    const { shutdownTimeoutSeconds } = this.#settings;
    const timeoutMs =
      1_000 * Math.max(shutdownTimeoutSeconds, isReplaced ? turnTimeoutSeconds : 0);
    let timesOutAtMs = performance.now() + drainDelaySeconds * 1_000 + timeoutMs;
    await this.#shutdown.close(this.#server, {
      isReplaced,
      onDraining: async () => {
        await this.#openSessions?.over(drainCallsSeconds * 1_000);
        await this.#platform?.close();
        timesOutAtMs = Math.max(timesOutAtMs, performance.now() + timeoutMs);
      },
      drainDelayMs: drainDelaySeconds * 1_000,
      timeoutMs,
      onTimeout: () => {
        for (const { turns } of this.#routed) turns.interruptAll('the server is shutting down');
      },
    });
    for (const response of this.#fetched) response.destroy(); // no server closes them
    const toolsMs = Math.max(0, timesOutAtMs - performance.now());
    await Promise.all(this.#routed.map(({ turns }) => turns.close(toolsMs)));
    await this.#records?.close();
    await this.#channel?.close();
    await this.conversations.close();
    await this.#tracing.tracer?.flush();
  }

  /** The number of turns whose agent is running. */
  get runningTurns(): number {
    return this.#routed.reduce((sum, { turns }) => sum + turns.count, 0);
  }

  #hasPath({ method, path }: Context): boolean {
    return this.#router.find(method, path).kind !== 'unknown path';
  }

  #add({ method, path, handler }: Route): this {
    this.#router.add(method, path, handler);
    return this;
  }

  #refuseMethod(context: Context, allowed: string): void {
    if (context.method === 'OPTIONS') return context.empty(204, ['allow', allowed]);
    const message = `${context.path} only allows ${allowed}`;
    throw new HttpError(405, message, { headers: ['allow', allowed] });
  }

  readonly #dispatch: Handler = (context) => {
    const match = this.#router.find(context.method, context.path);
    switch (match.kind) {
      case 'found':
        context.params = match.params;
        return match.value(context);
      case 'wrong method':
        return this.#refuseMethod(context, match.allowed.join(', '));
      case 'malformed path':
        throw new BadRequest('the path is not percent-encoded UTF-8');
      case 'unknown path':
        throw new HttpError(404, 'Not found');
      default:
        match satisfies never;
    }
  };
}

let fetchExchange: Promise<typeof import('../http/fetch-exchange.ts')> | undefined;

/** Imports once: a loader of TypeScript resolves a module at every `import()`. */
function loadFetchExchange(): Promise<typeof import('../http/fetch-exchange.ts')> {
  return (fetchExchange ??= import('../http/fetch-exchange.ts'));
}

function served({ name, path, agent, conversations }: RoutedAgent): ServedAgent {
  return { name: name ?? agent.name, path, model: agent.model, conversations };
}

function sharedByRequests(
  { maxBodyBytes, trustProxy }: Settings,
  log: Logger,
  processes: number,
): ContextDependencies {
  const bytes = Math.max(Math.ceil(MIN_BODIES_BYTES / processes), 2 * maxBodyBytes);
  const uncheckedBytes = Math.max(bytes / 4, 2 * maxBodyBytes);
  return {
    log, maxBodyBytes, trustProxy,
    bodies: new BodyBudget(bytes),
    uncheckedBodies: new UncheckedBodies(uncheckedBytes, uncheckedBytes / 2),
  };
}

function openSessionsToWaitFor(settings: Settings): OpenSessions | undefined {
  const { drainCallsSeconds, conversationTtlSeconds } = settings;
  return drainCallsSeconds > 0 ? new OpenSessions(conversationTtlSeconds * 1_000) : undefined;
}

/** Those that belong to no agent and no request. */
function addOwnMetrics(
  metrics: Metrics,
  settings: Settings,
  { log, store, records }: AppParts,
): void {
  addStoreMetrics(metrics, store);
  if (records !== undefined) addCallRecordMetrics(metrics, records);
  addLogMetrics(metrics, log);
  if (settings.metrics) addProcessMetrics(metrics);
}

function requestObservers(
  { accessLog: isWanted }: Settings,
  log: Logger,
  metrics: Metrics,
): readonly Observer[] {
  const hasAccessLog = isWanted && log.isEnabled('info');
  return [requestMetrics(metrics), ...(hasAccessLog ? [accessLog(log)] : [])];
}

/** The layers around all others. */
function ownLayers(
  { corsOrigins: origins }: Settings,
  shutdown: Shutdown,
  webSocketPaths: readonly string[] = [],
): Middleware[] {
  const checks = [cors({ origins }), shutdown.check, wellFormed({ webSocketPaths })];
  return [passChecks(checks), preflight({ origins })];
}

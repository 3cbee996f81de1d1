import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { BoundAgent } from '../agents/agent.ts';
import type { Awaitable } from '../base/awaitable.ts';
import type { Channel } from '../base/channel.ts';
import { Turns } from '../turns/turns.ts';
import type { CallRecords } from '../records/call-recorder.ts';
import { ConversationManager } from '../conversations/manager.ts';
import { MemoryStore } from '../conversations/memory-store.ts';
import type { ConversationStore } from '../conversations/store.ts';
import { BodyBudget, isBodyArriving } from '../http/body.ts';
import { compose, passChecks } from '../http/compose.ts';
import type { Handler, Middleware, Observer, Route } from '../http/compose.ts';
import { Context, type ContextDependencies } from '../http/context.ts';
import { ErrorBoundary, type ErrorClass, type ErrorHandler } from '../http/error-boundary.ts';
import { BadRequest, HttpError } from '../http/errors.ts';
import type { HttpResponse } from '../http/exchange.ts';
import { Router } from '../http/router.ts';
import { createHttpServer } from '../http/server.ts';
import { Shutdown } from '../http/shutdown.ts';
import { createLogger, type Logger } from '../log.ts';
import { Gauge, Metrics, type SumMetrics } from '../metrics.ts';
import type { ChatModel } from '../models/model.ts';
import { accessLog } from '../observers/access-log.ts';
import { cors } from '../middleware/cors.ts';
import { draining } from '../middleware/draining.ts';
import { preflight } from '../middleware/preflight.ts';
import { requestId } from '../middleware/request-id.ts';
import { wellFormed } from '../middleware/well-formed.ts';
import { addCallRecordMetrics } from '../observers/call-record-metrics.ts';
import { addLogMetrics } from '../observers/log-metrics.ts';
import { addProcessMetrics } from '../observers/process-metrics.ts';
import { requestMetrics } from '../observers/request-metrics.ts';
import { workMetrics } from '../observers/work-metrics.ts';
import { addStoreMetrics } from '../observers/store-metrics.ts';
import { OpenSessions } from '../calls/open-sessions.ts';
import { processAddress } from '../base/process-address.ts';
import { checkOnceTools, onceToolsOf } from '../agents/once-tools.ts';
import { agentChannels } from './agent-channels.ts';
import type { AppPlatform } from './app-platform.ts';
import { createRoutes, createUserRoute, type RoutedAgent, type RoutedAgents } from './routes.ts';
import { agentPath } from '../settings/named-agents.ts';
import type { Settings } from '../settings/settings.ts';

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

/** An agent, with the name and secrets it is served under. */
export interface GivenAgent {
  /** Undefined for an app's only agent. */
  readonly name: string | undefined;
  readonly agent: BoundAgent;
  /** Any of these may have signed its events. */
  readonly secrets: readonly string[];
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

/** Memory for all bodies that are being read or kept. More if a single one may be very large. */
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
  /** Of this process, if others use the store without exchanging messages with it. */
  readonly #address: string | undefined;
  readonly #records: CallRecords | undefined;
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
  constructor(
    settings: Settings,
    given: readonly [GivenAgent, ...GivenAgent[]],
    options: AppOptions,
  ) {
    const log = options.log ?? noLog();
    this.#settings = settings;
    this.#platform = options.platform;
    this.#records = options.records;
    this.#processes = options.processes ?? 1;
    const { maxBodyBytes, trustProxy, drainCallsSeconds, conversationTtlSeconds } = settings;
    const bodiesBytes = Math.ceil(MIN_BODIES_BYTES / this.#processes);
    const bodies = new BodyBudget(Math.max(bodiesBytes, 2 * maxBodyBytes));
    this.#shared = { log, maxBodyBytes, trustProxy, bodies };
    const ttlMs = conversationTtlSeconds * 1_000;
    if (drainCallsSeconds > 0) this.#openSessions = new OpenSessions(ttlMs);
    const store: ConversationStore = options.store ?? new MemoryStore({
      ttlMs,
      maxConversations: settings.maxConversations,
      maxCharacters: settings.maxHistoryCharacters,
    });
    const [first, ...others] = given;
    const channel = options.channel ?? store.channel;
    this.#channel = channel;
    this.#address = channel === undefined && store.isShared ? processAddress() : undefined;
    checkOnceTools(given.map(({ agent }) => agent));
    warnOfForgetting(store, given, log);
    const isOnly = first.name === undefined;
    const agents = new Map<string, BoundAgent>();
    for (const { name, agent } of given) if (name !== undefined) agents.set(name, agent);
    const channelFor = channel === undefined || isOnly ? () => channel : agentChannels(channel);
    const route = (agent: GivenAgent): RoutedAgent =>
      this.#route(agent, agents, store, channelFor(agent.name ?? ''));
    this.#routed = [route(first), ...others.map(route)];
    this.agents = [served(this.#routed[0]), ...this.#routed.slice(1).map(served)];
    this.#userSecrets = [...new Set(given.flatMap(({ secrets }) => secrets))];
    const hasAccessLog = settings.accessLog && log.isEnabled('info');
    this.#observers = [requestMetrics(this.metrics), ...(hasAccessLog ? [accessLog(log)] : [])];
    this.#middleware = [
      passChecks([
        requestId(),
        cors({ origins: settings.corsOrigins }),
        draining(this.#shutdown),
        wellFormed({ webSocketPaths: options.platform?.webSocketPaths ?? [] }),
      ]),
      preflight({ origins: settings.corsOrigins }),
    ];
    const count = (): Awaitable<number> => this.conversations.count();
    const held = 'Conversations held.';
    this.metrics.add(new Gauge('layercode_conversations', held, count, 'gauge', 'max'));
    const health = store.health?.bind(store);
    if (health !== undefined) addStoreMetrics(this.metrics, health);
    if (this.#records !== undefined) addCallRecordMetrics(this.metrics, this.#records);
    addLogMetrics(this.metrics, log);
    if (settings.metrics) addProcessMetrics(this.metrics);
    const routes = createRoutes({
      settings,
      agents: this.#routed,
      secrets: this.#userSecrets,
      metrics: this.metrics,
      fetch: options.fetch,
      platform: options.platform,
      notReadyReasons: () => (this.#shutdown.isReady ? [] : ['the server is shutting down']),
      storeHealth: health,
      openSessions: this.#openSessions,
      records: this.#records,
      sumMetrics: options.sumMetrics,
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

  #route(
    { name, agent, secrets }: GivenAgent,
    agents: ReadonlyMap<string, BoundAgent>,
    store: ConversationStore,
    channel: Channel | undefined,
  ): RoutedAgent {
    const settings = this.#settings;
    const { agentRoute, maxMessages, turnTimeoutSeconds, firstWordTimeoutSeconds } = settings;
    const metrics = name === undefined ? this.metrics : this.metrics.labelled('agent', name);
    const conversations = new ConversationManager(store, {
      maxMessages,
      ...(name === undefined ? {} : { agentName: name }),
    });
    const turns = new Turns({
      process: channel?.address ?? this.#address,
      agent,
      ownName: name,
      agents,
      conversations,
      others: channel === undefined ? undefined : { channel, log: this.#shared.log },
      turnTimeoutMs: turnTimeoutSeconds * 1_000,
      firstWordTimeoutMs: firstWordTimeoutSeconds * 1_000,
      storeTimeoutMs: settings.storeTimeoutMs,
      observer: workMetrics(metrics, onceToolsOf([agent, ...agents.values()])),
      recordsCalls: this.#records !== undefined,
    });
    const path = name === undefined ? agentRoute : agentPath(agentRoute, name);
    return { name, path, agent, secrets, conversations, turns, metrics };
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
    const { FetchExchange } = await import('../http/fetch-exchange.ts');
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

  readonly #onError = (error: unknown, context: Context): Awaitable<void> =>
    this.#boundary.handle(error, context);

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

function served({ name, path, agent, conversations }: RoutedAgent): ServedAgent {
  return { name: name ?? agent.name, path, model: agent.model, conversations };
}

/** The default log of an app. */
export function noLog(): Logger {
  return createLogger({ level: 'silent', write: () => undefined });
}

/** Tools that act once do so as long as the conversation is remembered. */
function warnOfForgetting(
  store: ConversationStore,
  given: readonly GivenAgent[],
  log: Logger,
): void {
  if (!(store instanceof MemoryStore)) return;
  const tools = onceToolsOf(given.map(({ agent }) => agent));
  if (tools.length === 0) return;
  log.warn('tools that act once may act again after a restart', {
    tools: tools.join(', '),
    hint: 'keep conversations in SQLite or Redis (CONVERSATION_STORE)',
  });
}

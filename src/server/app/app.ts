import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { Handler, Middleware } from '../../base/http/compose.ts';
import type { ErrorClass, ErrorHandler } from '../../base/http/error-boundary.ts';
import type { HttpResponse } from '../../base/http/exchange.ts';
import { createHttpServer } from '../../base/http/server.ts';
import { isBodyArriving } from '../../base/http/unread-body.ts';
import type { Metrics } from '../../base/metrics.ts';
import type { ConversationManager } from '../../core/conversations/manager.ts';
import type { ChatModel } from '../../core/models/model.ts';
import {
  addCallRecordMetrics, addGauge, addLogMetrics, addProcessMetrics, addStoreMetrics,
} from '../observers/gauges.ts';
import type { AppParts } from './app-parts.ts';
import { createLayers, type Layers } from './layers.ts';
import {
  routeAgents, type GivenAgents, type RoutedAgent, type RoutedAgents,
} from './routed-agents.ts';
import { createRoutes, createUserRoute } from './routes.ts';
import { Shutdown } from './shutdown.ts';

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

/** For connections without a stream: health checks, browsers, keep-alive. */
const SPARE_CONNECTIONS = 1_024;

/** A server for one or several agents. */
export class App {
  /** The first one also has the agent route itself. */
  readonly agents: readonly [ServedAgent, ...ServedAgent[]];
  /** Your own metrics can be added and are served with the others. */
  readonly metrics: Metrics;
  readonly #parts: AppParts;
  readonly #routed: RoutedAgents;
  readonly #userSecrets: readonly string[];
  readonly #shutdown: Shutdown;
  readonly #layers: Layers;
  /** Open responses of `fetch`. */
  readonly #fetched = new Set<HttpResponse>();
  #server: Server | undefined;

  /** Use `createApp`. */
  constructor(given: GivenAgents, parts: AppParts) {
    this.#parts = parts;
    this.metrics = parts.metrics;
    this.#routed = routeAgents(given, parts);
    const [first, ...others] = this.#routed;
    this.agents = [served(first), ...others.map(served)];
    this.#userSecrets = [...new Set(given.flatMap(({ secrets }) => secrets))];
    this.#shutdown = new Shutdown(parts, this.#routed, this.#fetched);
    const servesCompletions = given.some(({ keys }) => keys.length > 0);
    this.#layers = createLayers(parts, this.#shutdown, servesCompletions);
    this.#addOwnMetrics();
    const routes = createRoutes(parts, {
      agents: this.#routed, secrets: this.#userSecrets, shutdown: this.#shutdown,
    });
    for (const route of routes) this.#layers.addRoute(route);
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
    this.#layers.add(middleware);
    return this;
  }

  /**
   * Serves `GET` and `HEAD` of a path like `/things/:id`. Below `/api/` requests must be signed.
   */
  get(path: string, handler: Handler): this {
    return this.#add('GET', path, handler);
  }

  /** Serves `POST` of a path. Below `/api/` requests must be signed. */
  post(path: string, handler: Handler): this {
    return this.#add('POST', path, handler);
  }

  /** Answers errors of a class thrown by handlers and middleware. The nearest class wins. */
  onError<E extends Error>(errorClass: ErrorClass<E>, handler: ErrorHandler<E>): this {
    this.#layers.boundary.on(errorClass, handler);
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
    const context = this.#layers.contextOf(request, response);
    if (next !== undefined && !this.#layers.hasPath(context)) return next();
    // In the next tick, a body that came with the headers can be read without waiting for it.
    if (isBodyArriving(request)) process.nextTick(this.#layers.serve, context);
    else this.#layers.serve(context);
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
    this.#layers.serve(this.#layers.contextOf(asked, response));
    return exchange.answer;
  };

  /**
   * Listens on a host and a port, by default those of the settings. Resolves with the address;
   * rejects with the system's error, or if the app has been closed.
   */
  listen(options: { readonly host?: string; readonly port?: number } = {}): Promise<AddressInfo> {
    const { settings, processes, platform, loading } = this.#parts;
    const { host = settings.host, port = settings.port } = options;
    if (this.#server !== undefined) throw new Error('listen() has already been called');
    const server = (this.#server = createHttpServer({
      listener: this.handle,
      maxConnections: settings.maxStreams + Math.ceil(SPARE_CONNECTIONS / processes),
      takesUpgrades: platform !== undefined,
    }));
    const listening = (): Promise<AddressInfo> =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, host, () => {
          server.off('error', reject);
          // Null only if the server does not listen, a string only for a pipe.
          resolve(server.address() as AddressInfo);
        });
      });
    if (loading.length === 0) return listening();
    return Promise.all(loading).then(() => {
      if (this.#shutdown.isReady) return listening();
      throw new Error('the app was closed before it listened');
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
  close({ isReplaced = false }: { readonly isReplaced?: boolean } = {}): Promise<void> {
    return this.#shutdown.close(this.#server, isReplaced);
  }

  /** The number of turns whose agent is running. */
  get runningTurns(): number {
    return this.#routed.reduce((sum, { turns }) => sum + turns.count, 0);
  }

  #add(method: 'GET' | 'POST', path: string, handler: Handler): this {
    this.#layers.addRoute(createUserRoute(method, path, handler, this.#userSecrets));
    return this;
  }

  /** Adds the metrics that belong to neither an agent nor a request. */
  #addOwnMetrics(): void {
    const { metrics, open, store, records, log, settings } = this.#parts;
    addGauge(metrics, 'layercode_open_streams', 'Open event streams.', () => open.streams);
    addGauge(metrics, 'layercode_running_turns', 'Turns whose agent is running.',
      () => this.runningTurns);
    addStoreMetrics(metrics, store);
    if (records !== undefined) addCallRecordMetrics(metrics, records);
    addLogMetrics(metrics, log);
    if (settings.metrics) addProcessMetrics(metrics);
  }
}

let fetchExchange: Promise<typeof import('../../base/http/fetch-exchange.ts')> | undefined;

/** Imports once: TypeScript loaders resolve a module at every `import()`. */
function loadFetchExchange(): Promise<typeof import('../../base/http/fetch-exchange.ts')> {
  return (fetchExchange ??= import('../../base/http/fetch-exchange.ts'));
}

function served({ name, path, agent, conversations }: RoutedAgent): ServedAgent {
  return { name: name ?? agent.name, path, model: agent.model, conversations };
}

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import type { BoundAgent } from '../agents/agent.ts';
import { Turns } from '../turns/turns.ts';
import { ConversationManager } from '../conversations/manager.ts';
import { MemoryStore } from '../conversations/memory-store.ts';
import type { ConversationStore } from '../conversations/store.ts';
import { hasUnreadBody } from '../http/body.ts';
import { checkpoint, compose, type Handler, type Middleware, type Route } from '../http/compose.ts';
import { Context, type CloseListener, type ContextScope } from '../http/context.ts';
import { ErrorBoundary, type ErrorClass, type ErrorHandler } from '../http/error-boundary.ts';
import { BadRequest, HttpError } from '../http/errors.ts';
import { Router } from '../http/router.ts';
import { Shutdown } from '../http/shutdown.ts';
import { ignoreUpgrade, offersWebSocket, serveUpgrade } from '../http/upgrade.ts';
import { WholeRequest } from '../http/whole-request.ts';
import { createLogger, type Logger } from '../log.ts';
import { Metrics } from '../metrics.ts';
import type { ChatModel } from '../models/model.ts';
import { accessLog } from '../observers/access-log.ts';
import { conformance, SERVED_METHODS } from '../middleware/well-formed.ts';
import { cors, preflight } from '../middleware/cors.ts';
import { draining } from '../middleware/draining.ts';
import { requestId } from '../middleware/request-id.ts';
import { requestMetrics } from '../observers/request-metrics.ts';
import type { AppPlatform } from './app-platform.ts';
import { createRoutes, createUserRoute } from './routes.ts';
import type { Settings } from '../settings/settings.ts';

export interface AppOptions {
  /** Default: no log at all, as behoves a library. */
  readonly log?: Logger;
  /** Where conversations are kept. Default: in memory, within the settings' bounds. Closed by `close()`. */
  readonly store?: ConversationStore;
  /** For models and the platform's REST API. Default the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** Stands in for LayerCode's cloud, for callers of this machine. Default: none. Closed by `close()`. */
  readonly platform?: AppPlatform;
}

/** Node's own limits, which take effect only where the server is constructed. Milliseconds and bytes. */
const SERVER_LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16_384,
  keepAliveTimeout: 75_000, // longer than a proxy's, or the proxy sends a request into a connection that closes
  noDelay: true,
  IncomingMessage: WholeRequest,
} as const;

/** Node 24.9 and later ask before they hand an offer over; the others hand over all of them. */
const UPGRADING_SERVER = { ...SERVER_LIMITS, shouldUpgradeCallback: ({ headers }: IncomingMessage) => offersWebSocket(headers.upgrade ?? '') };

/** An agent, served. */
export class App {
  readonly conversations: ConversationManager;
  /** Figures of your own can be added; they are served with the others. */
  readonly metrics = new Metrics();
  /** The model the agent speaks with; undefined for an agent that needs none. */
  readonly model: ChatModel | undefined;
  readonly #settings: Settings;
  #scope: ContextScope;
  readonly #turns: Turns;
  readonly #router = new Router<Handler>();
  readonly #boundary = new ErrorBoundary();
  readonly #platform: AppPlatform | undefined;
  readonly #shutdown = new Shutdown();
  /** Told of every response when it is over, behind all others. */
  readonly #observers: readonly CloseListener[];
  readonly #middleware: Middleware[];
  #chain: Handler | undefined;
  #server: Server | undefined;

  /** Made by `createApp`. */
  constructor(settings: Settings, agent: BoundAgent, options: AppOptions) {
    const log = options.log ?? noLog();
    this.#settings = settings;
    this.#platform = options.platform;
    this.#scope = { log, maxBodyBytes: settings.maxBodyBytes, trustProxy: settings.trustProxy, keepsBodies: false };
    const store = options.store ?? new MemoryStore({
      ttlMs: settings.conversationTtlSeconds * 1_000,
      maxConversations: settings.maxConversations,
      maxCharacters: settings.maxHistoryCharacters,
    });
    this.conversations = new ConversationManager(store, { maxMessages: settings.maxMessages });
    this.model = agent.model;
    this.#turns = new Turns({
      agent,
      conversations: this.conversations,
      turnTimeoutMs: settings.turnTimeoutSeconds * 1_000,
      firstWordTimeoutMs: settings.firstWordTimeoutSeconds * 1_000,
    });
    this.#observers = [requestMetrics(this.metrics), ...(settings.accessLog && log.isEnabled('info') ? [accessLog(log)] : [])];
    this.#middleware = [
      checkpoint([
        requestId(),
        cors({ origins: settings.corsOrigins }),
        draining(this.#shutdown),
        conformance({ webSocketPaths: options.platform?.webSocketPaths ?? [] }),
      ]),
      preflight({ origins: settings.corsOrigins }),
    ];
    const routes = createRoutes({
      settings,
      agent,
      conversations: this.conversations,
      turns: this.#turns,
      metrics: this.metrics,
      fetch: options.fetch,
      platform: options.platform,
      notReadyReasons: () => this.#notReadyReasons(),
    });
    for (const route of routes) this.#add(route);
  }

  /** Adds a layer around all handlers, inside those that are there. Only before the first request. */
  use(middleware: Middleware): this {
    if (this.#chain !== undefined) throw new Error('use() must be called before the first request');
    if (typeof middleware !== 'function') throw new TypeError(`middleware must be a function (context, next), got ${typeof middleware}`);
    this.#middleware.push(middleware);
    this.#scope = { ...this.#scope, keepsBodies: true };
    return this;
  }

  /** Serves `GET` (and `HEAD`) of a path, `/things/:id` for instance. Below `/api/` requests must be signed. */
  get(path: string, handler: Handler): this {
    return this.#add(createUserRoute('GET', path, handler, this.#settings));
  }

  /** Serves `POST` of a path. Below `/api/` requests must be signed. */
  post(path: string, handler: Handler): this {
    return this.#add(createUserRoute('POST', path, handler, this.#settings));
  }

  /** Answers for errors of a class and its subclasses that a handler or middleware throws. The nearest class wins. */
  onError<E extends Error>(errorClass: ErrorClass<E>, handler: ErrorHandler<E>): this {
    this.#boundary.on(errorClass, handler);
    return this;
  }

  /** A request listener for any `http.Server`; bound, so that `createServer(app.handle)` works. Node's limits are then that server's own. */
  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    const context = new Context(request, response, this.#scope);
    if (request instanceof WholeRequest && hasUnreadBody(request)) request.whenWhole(() => this.#serve(context));
    else this.#serve(context);
  };

  readonly #closed: CloseListener = (isFinished, context) => {
    this.#shutdown.leave();
    for (const observer of this.#observers) observer(isFinished, context, undefined);
  };

  #serve(context: Context): void {
    this.#shutdown.enter();
    context.onClose(this.#closed);
    this.#chain ??= compose(this.#middleware, this.#dispatch, (error, failing) => this.#boundary.handle(error, failing));
    // The boundary answers for whatever was thrown; what gets here is a fault in the boundary itself.
    const failed = (error: unknown): void => {
      this.#scope.log.error('request failed beyond its error boundary', { requestId: context.requestId, error });
      context.response.destroy();
    };
    try {
      const handled = this.#chain(context);
      if (handled instanceof Promise) handled.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** Serves on the settings' host and port, or others. Resolves with the address; rejects when it cannot be had. */
  listen({ host = this.#settings.host, port = this.#settings.port }: { readonly host?: string; readonly port?: number } = {}): Promise<AddressInfo> {
    if (this.#server !== undefined) throw new Error('listen() was called before');
    const server = (this.#server = createServer(this.#platform === undefined ? SERVER_LIMITS : UPGRADING_SERVER, this.handle));
    // Without a listener Node takes no offer up, and a request that makes one is served as any other.
    if (this.#platform !== undefined) server.on('upgrade', (request, socket, head) => this.#upgrade(server, request, socket as Socket, head));
    server.on('connect', (_request, socket) => refuseRaw(socket, 405));
    server.on('clientError', (error: Error & { code?: string }, socket) => refuseRaw(socket, CLIENT_ERROR_STATUS[error.code ?? ''] ?? 400));
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve(server.address() as AddressInfo); // null only for a server that does not listen, a string only for a pipe
      });
    });
  }

  /**
   * Stops as the settings say: `/ready` is 503 at once, requests are served through the drain delay, open turns may finish until
   * the time-out, what is open then is interrupted. History is written either way. Resolves when all is closed.
   */
  async close(): Promise<void> {
    await this.#shutdown.close(this.#server, {
      onDraining: async () => this.#platform?.close(),
      drainDelayMs: this.#settings.drainDelaySeconds * 1_000,
      timeoutMs: this.#settings.shutdownTimeoutSeconds * 1_000,
      onTimeout: () => this.#turns.interruptAll('the server is shutting down'),
    });
    await this.conversations.close();
  }

  /** Turns whose agent is at work now. */
  get runningTurns(): number {
    return this.#turns.count;
  }

  #upgrade(server: Server, request: IncomingMessage, socket: Socket, head: Buffer): void {
    if (offersWebSocket(request.headers.upgrade ?? '')) serveUpgrade(request, socket, head, this.handle);
    else ignoreUpgrade(server, request, socket, head);
  }

  #notReadyReasons(): readonly string[] {
    if (this.#shutdown.state !== 'ready') return ['the server is shutting down'];
    return this.model === undefined || this.model.isUsable() ? [] : this.model.problems();
  }

  #add({ method, path, handler }: Route): this {
    this.#router.add(method, path, handler);
    return this;
  }

  readonly #dispatch: Handler = (context) => {
    const match = this.#router.find(context.method, context.path);
    switch (match.kind) {
      case 'found':
        context.params = match.params;
        return match.value(context);
      case 'wrong method':
        if (context.method === 'OPTIONS') return context.empty(204, ['allow', match.allowed.join(', ')]);
        throw new HttpError(405, `${context.path} takes ${match.allowed.join(', ')}`, { headers: ['allow', match.allowed.join(', ')] });
      case 'malformed path':
        throw new BadRequest('the path is not percent-encoded UTF-8');
      case 'unknown path':
        throw new HttpError(404, 'Not found');
    }
  };
}

/** What a library writes that was given no log. */
export function noLog(): Logger {
  return createLogger({ level: 'silent', write: () => undefined });
}

const CLIENT_ERROR_STATUS: Readonly<Record<string, number>> = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 };
const RAW_REFUSALS: Readonly<Record<number, string>> = {
  400: 'Bad Request', 405: 'Method Not Allowed', 408: 'Request Timeout', 431: 'Request Header Fields Too Large',
};

/** An answer where there is no `ServerResponse`: the bytes were no request, or one for a tunnel. */
function refuseRaw(socket: Duplex, status: number): void {
  if (!socket.writable || isAnsweringAnother(socket)) {
    socket.destroy();
    return;
  }
  const reason = RAW_REFUSALS[status] ?? '';
  const body = JSON.stringify({ error: reason });
  socket.on('error', () => socket.destroy()); // a reset is how such clients mostly leave
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nconnection: close\r\n${status === 405 ? `allow: ${SERVED_METHODS}\r\n` : ''}content-type: application/json; charset=utf-8\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

/**
 * Whether a whole request of this connection is still being answered: a refusal of what followed it would be read as part of its
 * answer, or as its answer. `_httpMessage` is the response under way; Node's own handler of such errors looks at it too.
 */
function isAnsweringAnother(socket: Duplex): boolean {
  const response = '_httpMessage' in socket ? (socket._httpMessage as ServerResponse | null) : null;
  return response !== null && response !== undefined && (response.headersSent || response.req.complete);
}

import { createServer, type RequestListener, type Server } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { SERVED_METHODS } from './compose.ts';
import { requestsUpgradedIf, responseUnderWay } from './node-internals.ts';
import { keepsUnread, oneAtATime, type ParserError } from './pipeline.ts';
import { closeStalledConnections } from './stalled-connections.ts';
import { offersWebSocket, serveUpgrade } from './upgrade.ts';

/** Node applies these only when a server is constructed. Milliseconds and bytes. */
const SERVER_LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16_384,
  // Longer than a proxy's own timeout. Otherwise the proxy would send requests on connections
  // that are closing.
  keepAliveTimeout: 75_000,
  noDelay: true,
  // Node would answer at once, even a request that has to wait. `refusing` does so when its turn
  // comes.
  requireHostHeader: false,
} as const;

interface HttpServerOptions {
  readonly listener: RequestListener;
  /**
   * Maximum number of connections open at once, inclusive. The next one is closed before a byte is
   * read.
   */
  readonly maxConnections: number;
  /** Whether `Context.switchProtocols` may accept WebSocket offers. */
  readonly takesUpgrades: boolean;
}

/** A server with all limits set. It does not listen yet. */
export function createHttpServer(options: HttpServerOptions): Server {
  const { maxConnections, takesUpgrades } = options;
  const listener = oneAtATime(refusing(options.listener));
  const server = createServer(
    takesUpgrades ? { ...SERVER_LIMITS, IncomingMessage: WebSocketRequest } : SERVER_LIMITS,
    listener,
  );
  server.maxConnections = maxConnections;
  // Node silently drops headers beyond this count, possibly a second `host` or signature.
  // `maxHeaderSize` is the limit instead.
  server.maxHeadersCount = 0;
  closeStalledConnections(server);
  server.on('checkExpectation', listener); // for the same reason as `requireHostHeader`
  if (takesUpgrades) {
    server.on('upgrade', (request, socket, head) => {
      serveUpgrade(request, socket as Socket, head, listener);
    });
  }
  server.on('connect', (_request, socket) => refuseRaw(socket, 405));
  server.on('clientError', (error: ParserError, socket) => {
    if (keepsUnread(error, socket as Socket)) return;
    refuseRaw(socket, CLIENT_ERROR_STATUS[error.code ?? ''] ?? 400);
  });
  return server;
}

/**
 * Stops listening. Resolves when all connections have closed: each closes after its next response,
 * or after the longest keep-alive.
 */
export function lastConnectionClosed(server: Server | undefined): Promise<void> | undefined {
  if (server === undefined) return undefined;
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, server.keepAliveTimeout).unref();
    // Not the HTTP server's own `close`, which also closes idle connections: a request may be on
    // its way.
    NetServer.prototype.close.call(server, () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Resolves when all connections have closed, the idle ones at once. */
export function stopListening(server: Server | undefined): Promise<void> {
  if (server === undefined || !server.listening) return Promise.resolve();
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
  });
}

const WebSocketRequest = requestsUpgradedIf(({ headers }) =>
  offersWebSocket(headers.upgrade ?? ''),
);

const CLIENT_ERROR_STATUS: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

const RAW_REFUSALS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large',
};

/** Refuses what Node itself would: HTTP/1.1 without `Host`, and unknown expectations. */
function refusing(listener: RequestListener): RequestListener {
  return (request, response) => {
    const { headers: { expect, host }, httpVersion } = request;
    const isUnknown = expect !== undefined && !/\b100-continue\b/i.test(expect);
    const status = host === undefined ? 400 : isUnknown ? 417 : 200;
    if (status === 200 || httpVersion !== '1.1') return listener(request, response);
    response.writeHead(status, { 'connection': 'close', 'content-type': JSON_TYPE });
    response.end(JSON.stringify({ error: RAW_REFUSALS[status] }));
  };
}

const JSON_TYPE = 'application/json; charset=utf-8';

/** Answers without a `ServerResponse`: the bytes were not a request, or asked for a tunnel. */
function refuseRaw(socket: Duplex, status: number): void {
  if (!socket.writable || isAnsweringAnother(socket)) {
    socket.destroy();
    return;
  }
  const reason = RAW_REFUSALS[status] ?? '';
  const body = JSON.stringify({ error: reason });
  const head = [
    `HTTP/1.1 ${status} ${reason}`,
    'connection: close',
    ...(status === 405 ? [`allow: ${SERVED_METHODS}`] : []),
    `content-type: ${JSON_TYPE}`,
    `content-length: ${body.length}`,
  ];
  socket.on('error', () => socket.destroy()); // such clients often reset the connection
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

/**
 * Whether an earlier request on this connection is still being answered. A refusal now would be
 * read as part of that answer, or instead of it.
 */
function isAnsweringAnother(socket: Duplex): boolean {
  const response = responseUnderWay(socket);
  return response !== undefined && (response.headersSent || response.req.complete);
}

// Handles `Upgrade` requests. Ruled by https://www.rfc-editor.org/rfc/rfc9110#section-7.8

import { ServerResponse, type IncomingMessage, type RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Whether an `Upgrade` header offers WebSocket. */
export function offersWebSocket(upgrade: string): boolean {
  return /\bwebsocket\b/i.test(upgrade);
}

/**
 * Serves a request that offers WebSocket like any other. An ordinary answer refuses the offer and
 * closes the connection; `Context.switchProtocols` accepts it. `head` is the data received after
 * the headers.
 */
export function serveUpgrade(
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
  listener: RequestListener,
): void {
  // A socket has one response at a time, and this one is still busy with an earlier request.
  if (responseUnderWay(socket) !== undefined) {
    socket.destroy();
    return;
  }
  if (head.length > 0) socket.unshift(head);
  // Node removed its own listener together with its parser. A WebSocket adds another one.
  socket.on('error', () => socket.destroy());
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.on('finish', () => {
    if (response.statusCode !== 101) socket.destroySoon();
  });
  response.assignSocket(socket);
  listener(request, response);
}

/**
 * The response being written to a socket. `_httpMessage` is internal to Node, whose own handler of
 * malformed requests reads it too.
 */
export function responseUnderWay(socket: Duplex): ServerResponse | undefined {
  if (!('_httpMessage' in socket)) return undefined;
  return (socket._httpMessage as ServerResponse | null | undefined) ?? undefined;
}

// Handles `Upgrade` requests. Specified by https://www.rfc-editor.org/rfc/rfc9110#section-7.8

import { ServerResponse, type IncomingMessage, type RequestListener } from 'node:http';
import type { Socket } from 'node:net';

import { responseUnderWay } from './node-internals.ts';

/** Whether an `Upgrade` header offers WebSocket. Others, like h2c, may be ignored. */
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
  // Node has removed its own listener together with its parser. A WebSocket adds another one.
  socket.on('error', () => socket.destroy());
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.on('finish', () => {
    if (response.statusCode !== 101) socket.destroySoon();
  });
  response.assignSocket(socket);
  listener(request, response);
}

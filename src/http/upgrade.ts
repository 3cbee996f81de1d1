// What becomes of an `Upgrade` offer once a server listens to such offers: Node then hands over every one of them, h2c's too. Ruled by
// https://www.rfc-editor.org/rfc/rfc9110#section-7.8

import { ServerResponse, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { Socket } from 'node:net';

/** Whether an `Upgrade` header offers to speak WebSocket. */
export function offersWebSocket(upgrade: string): boolean {
  return /\bwebsocket\b/i.test(upgrade);
}

/**
 * Serves a request that offers WebSocket as any other: refused by an ordinary answer, behind which the connection is closed, or
 * accepted by `Context.switchProtocols`. `head` is what came behind the request's headers.
 */
export function serveUpgrade(request: IncomingMessage, socket: Socket, head: Buffer, listener: RequestListener): void {
  // Pipelined behind a request that is still being answered, it has no place for an answer of its own: a socket has one response.
  if (isAnswering(socket)) {
    socket.destroy();
    return;
  }
  if (head.length > 0) socket.unshift(head);
  // Node's own listener is gone with its parser; whoever takes the socket over adds another.
  socket.on('error', () => socket.destroy());
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.on('finish', () => {
    if (response.statusCode !== 101) socket.destroySoon();
  });
  response.assignSocket(socket);
  listener(request, response);
}

/** `_httpMessage` is the response under way on a socket; Node's own code looks at it too. */
function isAnswering(socket: Socket): boolean {
  return '_httpMessage' in socket && socket._httpMessage !== null && socket._httpMessage !== undefined;
}

/** Ignores an offer: the request is read anew without it, and served as if it had made none. */
export function ignoreUpgrade(server: Server, request: IncomingMessage, socket: Socket, head: Buffer): void {
  const { method, url, httpVersion, rawHeaders } = request;
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() !== 'upgrade') text += `${rawHeaders[index]}: ${rawHeaders[index + 1]}\r\n`;
  }
  socket.unshift(Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), head]));
  server.emit('connection', socket);
}

// Requests that arrive on a connection before its earlier ones have been answered. Specified by
// https://www.rfc-editor.org/rfc/rfc9112#section-9.3.2

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import { isUpgraded, responseUnderWay, resumeParser, stopParserIf } from './node-internals.ts';

/** How many requests of one connection may wait. The bytes after them are not read. */
const MAX_WAITING = 16;

/** How many requests of one packet need not wait. */
const MAX_IN_A_ROW = 16;

/**
 * A listener that gets the requests of a connection one at a time, in order. Node itself passes on
 * every request of a packet, and keeps all the answers for a client that reads none. A request
 * still waiting when its connection closes is dropped.
 */
export function oneAtATime(listener: RequestListener): RequestListener {
  const pipelines = new WeakMap<Socket, Pipeline>();
  let latest: Socket | undefined;
  let bytesRead = 0;
  let inARow = 0;
  return (request, response) => {
    const { socket } = request;
    const isOfPacket = socket === latest && socket.bytesRead === bytesRead;
    inARow = isOfPacket ? inARow + 1 : 1;
    if (!isOfPacket) [latest, bytesRead] = [socket, socket.bytesRead];
    // Node ends a request with a body, and so its answer, before it reads on in the packet.
    const mayPass = inARow <= MAX_IN_A_ROW || isUpgraded(request);
    if (response.socket !== null && mayPass) return listener(request, response);
    inARow = 0;
    let pipeline = pipelines.get(socket);
    if (pipeline === undefined) pipelines.set(socket, (pipeline = new Pipeline(socket, listener)));
    pipeline.add(request, response);
  };
}

/** The waiting requests of a connection. */
class Pipeline {
  readonly #socket: Socket;
  readonly #listener: RequestListener;
  readonly #waiting: (readonly [IncomingMessage, ServerResponse])[] = [];
  /** Whether the end of the current response will be noticed. */
  #isWatching = false;

  constructor(socket: Socket, listener: RequestListener) {
    this.#socket = socket;
    this.#listener = listener;
    stopParserIf(socket, () => this.#waiting.length >= MAX_WAITING);
  }

  add(request: IncomingMessage, response: ServerResponse): void {
    this.#waiting.push([request, response]);
    if (this.#isWatching) return;
    this.#isWatching = true;
    if (response.socket !== null) this.#next();
    else responseUnderWay(this.#socket)?.once('close', this.#next);
  }

  readonly #next = (): void => {
    this.#isWatching = this.#waiting.length > 0;
    // In its own round of the event loop: a packet of 64 KiB holds 2,000 requests.
    if (this.#isWatching) setImmediate(this.#serve);
  };

  readonly #serve = (): void => {
    const [request, response] = this.#waiting.shift() ?? [];
    // Without a socket, or with one that is destroyed, the connection is closing.
    if (request === undefined || response?.socket?.destroyed !== false) return;
    response.once('close', this.#next);
    if (this.#waiting.length === 0) this.#socket.resume();
    this.#listener(request, response);
  };
}

/** What Node adds to a parser's error. */
export interface ParserError extends Error {
  readonly code?: string;
  readonly bytesParsed?: number;
  readonly rawPacket?: Buffer;
}

/**
 * Whether the error says that too many requests are waiting. If so, the rest of the packet waits in
 * the socket, which is paused.
 */
export function keepsUnread(error: ParserError, socket: Socket): boolean {
  const { code, bytesParsed, rawPacket } = error;
  if (code !== 'HPE_PAUSED' || bytesParsed === undefined || rawPacket === undefined) return false;
  const rest = rawPacket.subarray(bytesParsed);
  resumeParser(socket);
  socket.pause(); // the end of a request has resumed it
  if (socket.listenerCount('data') > 1) socket.unshift(rest);
  else {
    // Until now Node has read from the socket's handle. A listener makes it read from the stream,
    // which is empty and has to learn that it may read: `unshift` would not tell it.
    socket.on('data', () => undefined);
    socket.push(rest);
  }
  return true;
}

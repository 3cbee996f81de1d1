import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';

import type { Awaitable } from '../base/awaitable.ts';
import type { Logger } from '../log.ts';
import { SseEncoder } from '../sse/event-stream.ts';
import { EventWriter } from '../sse/event-writer.ts';
import type { EventWriterListener, EventWriterOptions } from '../sse/event-writer.ts';
import { hasUnreadBody, lingerOverBody, readRawBody, type BodyBudget } from './body.ts';
import { BadRequest, checkHeaders } from './errors.ts';
import type { HttpRequest, HttpResponse } from './exchange.ts';
import { IncomingMessage, STATUS_CODES } from './node-http.ts';
import { parseRequestTarget, requestTargetOf } from './request-target.ts';
import { ResponseClose, type CloseListener } from './response-close.ts';
import type { Params } from './router.ts';

/** What all requests of an app share. */
export interface ContextScope {
  readonly log: Logger;
  readonly maxBodyBytes: number;
  /** Whether to believe the rightmost entries of `x-forwarded-for` and `x-forwarded-proto`. */
  readonly trustProxy: boolean;
  /** What all bodies that are being read or kept may take. */
  readonly bodies: BodyBudget;
}

const NO_PARAMS: Params = Object.freeze({});
const NO_HEADERS: readonly string[] = [];
const JSON_TYPE = 'application/json; charset=utf-8';

export const REQUEST_ID_HEADER = 'x-request-id';

/** Anybody may send one, it is logged and sent back: so it must be short and of sane characters. */
export function isRequestId(id: string): boolean {
  return /^[\w.-]{1,128}$/.test(id);
}

/** One request on its way through the middleware to its handler, and the means to answer it. */
export class Context {
  /** Node's `IncomingMessage`, unless the app was asked by `fetch`. */
  readonly request: HttpRequest;
  /** Node's `ServerResponse`, unless the app was asked by `fetch`. */
  readonly response: HttpResponse;
  /** As the client asked for it, wherever the app is mounted; '' for a malformed target. */
  readonly path: string;
  /** Without the `?`; '' where there is none. */
  readonly query: string;
  /** The values of the route's `:parameters`. */
  params: Params = NO_PARAMS;
  /** Joins the request's access-log line, and every line of `log` from then on. */
  readonly logFields: Record<string, unknown> = {};
  /** `performance.now()` when the request's headers were there, in milliseconds. */
  readonly receivedAtMs = performance.now();
  readonly #scope: ContextScope;
  #requestId = '';
  #headers: readonly string[] = NO_HEADERS;
  readonly #close: ResponseClose<Context>;
  #rawBody: Awaitable<Buffer> | undefined;
  /** Set when a layer or a handler asked for the body, and may ask again. */
  #isBodyKept = false;
  /** Of the body, in the budget of all bodies. */
  #budgetedBytes = 0;
  #isAnswered = false;
  #bodyBytes = 0;
  #stream: SseEncoder | EventWriter | undefined;

  constructor(request: HttpRequest, response: HttpResponse, scope: ContextScope) {
    this.request = request;
    this.response = response;
    const target = parseRequestTarget(requestTargetOf(request));
    this.path = target?.path ?? '';
    this.query = target?.query ?? '';
    this.#scope = scope;
    this.#close = new ResponseClose<Context>(response, this);
  }

  /** Sent with the answer as `x-request-id`. Setting one that is not sane throws a `TypeError`. */
  get requestId(): string {
    return this.#requestId;
  }

  set requestId(id: string) {
    if (!isRequestId(id)) {
      const rule = 'a request id must be 1–128 characters of A-Za-z0-9._-';
      throw new TypeError(`${rule}, got ${JSON.stringify(id)}`);
    }
    this.#requestId = id;
  }

  get method(): string {
    return this.request.method ?? 'GET';
  }

  get headers(): IncomingHttpHeaders {
    return this.request.headers;
  }

  /** A header of the request, or undefined. Names are lower case; Node joins repeated headers. */
  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** The whole URL as the client used it; a trusted proxy names the scheme. */
  get url(): URL {
    const forwarded = this.#scope.trustProxy ? this.#lastEntry('x-forwarded-proto') : undefined;
    const scheme = forwarded === 'https' || 'encrypted' in this.request.socket ? 'https' : 'http';
    const host = this.header('host') ?? 'localhost';
    const url = `${scheme}://${host}${this.path}${this.query === '' ? '' : `?${this.query}`}`;
    if (!URL.canParse(url)) {
      throw new BadRequest(`the host header is malformed: ${JSON.stringify(host.slice(0, 100))}`);
    }
    return new URL(url);
  }

  /** The client's address: the peer's, or the one that a trusted proxy saw. */
  get clientAddress(): string {
    const forwarded = this.#scope.trustProxy ? this.#lastEntry('x-forwarded-for') : undefined;
    const { clientAddress, socket } = this.request;
    return forwarded || (clientAddress ?? socket.remoteAddress ?? '');
  }

  /** What the nearest proxy wrote. Entries before it may be anybody's. */
  #lastEntry(name: string): string | undefined {
    return this.header(name)?.split(',').at(-1)?.trim();
  }

  /** A logger whose lines carry the request's id and what `logFields` holds now. */
  get log(): Logger {
    return this.#scope.log.child({ requestId: this.requestId, ...this.logFields });
  }

  /** Fires when the connection closes before the answer was written: nobody waits for it. */
  get callerSignal(): AbortSignal {
    return this.#close.callerSignal;
  }

  /**
   * Calls `listener` once, when the response is over: finished, or cut short. The latest listener
   * is called first, so that an outer layer sees what the inner ones noted at the end.
   */
  onClose(listener: CloseListener<Context>): void;
  onClose<T>(listener: CloseListener<Context, T>, subject: T): void;
  onClose<T>(listener: CloseListener<Context, T | undefined>, subject?: T): void {
    this.#close.add(listener, subject);
  }

  /**
   * The body's bytes, read once however often they are asked for. Rejects with 413 beyond
   * `MAX_BODY_BYTES`, with 503 when too many bodies are being read, and with 400 if the client
   * leaves in mid-body. An open turn keeps no body, unless it was asked for before it began.
   */
  readRawBody(): Awaitable<Buffer> {
    this.#isBodyKept = true;
    return this.takeRawBody();
  }

  /** As `readRawBody`, for whoever needs the bytes only until the answer begins. */
  takeRawBody(): Awaitable<Buffer> {
    return (this.#rawBody ??= this.#readBody());
  }

  #readBody(): Awaitable<Buffer> {
    const { maxBodyBytes, bodies } = this.#scope;
    const reading = readRawBody(this.request, maxBodyBytes, bodies);
    if (!(reading instanceof Promise)) return reading; // one piece, which came with the head
    return reading.then((body) => {
      this.#budgetedBytes = body.buffer.byteLength;
      this.onClose(Context.#giveBack);
      return (this.#rawBody = body);
    });
  }

  static #giveBack(this: void, _isFinished: boolean, context: Context): void {
    context.#scope.bodies.give(context.#budgetedBytes);
    context.#budgetedBytes = 0;
  }

  /** Whether an answer was begun. */
  get isAnswered(): boolean {
    return this.#isAnswered || this.response.headersSent || this.response.destroyed;
  }

  /** Adds a header to the answer, whatever that will be. A `TypeError` if HTTP forbids it. */
  setHeader(name: string, value: string): void {
    checkHeaders([name, value]);
    // An array of the very size: one that grows by `push` has 17 slots while the stream is open.
    this.#headers = this.#headers.length === 0 ? [name, value] : this.#headers.concat(name, value);
  }

  /** Bytes of the answer's body so far. */
  get bodyBytes(): number {
    return this.#stream?.bytesWritten ?? this.#bodyBytes;
  }

  json(status: number, value: unknown, headers: readonly string[] = []): void {
    this.#answer(status, JSON_TYPE, JSON.stringify(value), headers);
  }

  text(
    status: number,
    text: string,
    contentType = 'text/plain; charset=utf-8',
    headers: readonly string[] = [],
  ): void {
    this.#answer(status, contentType, text, headers);
  }

  /** An answer without a body. */
  empty(status: number, headers: readonly string[] = []): void {
    this.#answer(status, undefined, '', headers);
  }

  /**
   * Begins an event stream. The headers wait for the first event and share its packet: apart they
   * cost far more. Proxies must neither buffer nor compress it.
   */
  eventStream(): SseEncoder {
    return (this.#stream = new SseEncoder(this.response, this.#beginStream()));
  }

  /**
   * As `eventStream`, for a turn. It is no `Writable`, the creator must call `flush()` once, and
   * the body is kept only if it was asked for by `readRawBody`.
   */
  eventWriter(listener?: EventWriterListener): EventWriter {
    this.#stream = new EventWriter(this.response, this.#beginStream(), listener);
    if (!this.#isBodyKept) {
      this.#rawBody = undefined;
      if (this.#budgetedBytes > 0) Context.#giveBack(true, this);
    }
    return this.#stream;
  }

  #beginStream(): EventWriterOptions {
    // Not for a caller who left: what was said has to be heard and kept all the same.
    if (this.#isAnswered || this.response.headersSent) throw this.#answeredBefore();
    this.#isAnswered = true;
    return {
      writeHead: (contentLength) => {
        const headers = [
          'content-type', 'text/event-stream',
          'cache-control', 'no-cache, no-transform',
          'x-accel-buffering', 'no',
          REQUEST_ID_HEADER, this.#requestId,
        ];
        for (const part of this.#headers) headers.push(part);
        // A short reply needs no chunks.
        if (contentLength !== undefined) headers.push('content-length', String(contentLength));
        this.response.writeHead(200, headers);
        if (contentLength === undefined) flattenHead(this.response);
      },
    };
  }

  /**
   * Accepts the protocol that the request offers, with a 101 of these headers, and hands over the
   * connection. The request is over when that is closed. Throws if nothing was offered, or the
   * server does not take offers.
   */
  switchProtocols(headers: readonly string[]): Socket {
    const { request, response } = this;
    if (!(request instanceof IncomingMessage && 'upgrade' in request && request.upgrade === true)) {
      throw new Error(`${this.method} ${this.path} offers no other protocol`);
    }
    if (this.isAnswered) throw this.#answeredBefore();
    response.writeHead(101, [...this.#allHeaders(), ...headers]);
    response.end();
    this.#isAnswered = true;
    return request.socket;
  }

  #answeredBefore(): Error {
    return new Error(`${this.method} ${this.path} has an answer already`);
  }

  #allHeaders(): readonly string[] {
    return [REQUEST_ID_HEADER, this.#requestId, ...this.#headers];
  }

  #answer(
    status: number,
    contentType: string | undefined,
    body: string,
    headers: readonly string[],
  ): void {
    if (this.isAnswered) throw this.#answeredBefore();
    const all = [...this.#allHeaders(), ...headers];
    if (contentType !== undefined) all.push('content-type', contentType);
    const bodyBytes = Buffer.byteLength(body);
    if (status !== 204 && status !== 304) all.push('content-length', String(bodyBytes));
    const mustLinger = status >= 400 && hasUnreadBody(this.request);
    if (mustLinger) all.push('connection', 'close');
    // It throws for headers that HTTP forbids, and then nothing is answered.
    this.response.writeHead(status, STATUS_CODES[status] ?? '', all);
    this.#isAnswered = true;
    if (this.method !== 'HEAD') this.#bodyBytes = bodyBytes;
    if (!mustLinger) {
      this.response.end(body);
      return;
    }
    this.response.write(body);
    lingerOverBody(this.request, () => this.response.end());
  }
}

/**
 * Makes one string of a response's head. Node keeps the head while the response is open, as a tree
 * of four pieces per header. `_header` is Node's own; without it nothing is lost.
 */
function flattenHead(response: HttpResponse): void {
  if (!('_header' in response) || typeof response._header !== 'string') return;
  response._header.charCodeAt(0); // for which V8 joins the pieces
}

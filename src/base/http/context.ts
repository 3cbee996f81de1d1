import { randomBytes } from 'node:crypto';
import { IncomingMessage, STATUS_CODES, type IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';

import type { Awaitable } from '../awaitable.ts';
import type { Logger } from '../log.ts';
import type { BodyBudgets, BodyShare } from './body-budgets.ts';
import { readRawBody, tooManyBodies } from './body.ts';
import { clientKey } from './client-key.ts';
import type { Departing } from './departures.ts';
import { BadRequest, checkHeaders } from './errors.ts';
import { SseEncoder } from './event-stream.ts';
import { EventWriter } from './event-writer.ts';
import type { EventWriterListener, EventWriterOptions } from './event-writer.ts';
import type { HttpConnection, HttpRequest, HttpResponse } from './exchange.ts';
import { flattenHead, isUpgraded } from './node-internals.ts';
import { parseRequestTarget, requestTargetOf } from './request-target.ts';
import { ResponseClose, type CloseListener } from './response-close.ts';
import type { Params } from './router.ts';
import { isBodyArriving, lingerOverBody } from './unread-body.ts';

/** What a `Context` needs from its app. All requests share it. */
export interface ContextDependencies extends BodyBudgets {
  readonly log: Logger;
  readonly maxBodyBytes: number;
  /** Whether to believe the rightmost entries of `x-forwarded-for` and `x-forwarded-proto`. */
  readonly trustProxy: boolean;
}

const NO_PARAMS: Params = Object.freeze({});
const NO_HEADERS: readonly string[] = [];
const JSON_TYPE = 'application/json; charset=utf-8';

const REQUEST_ID_HEADER = 'x-request-id';

/**
 * Anyone may send a request id, and it is logged and sent back. So it must be short and use only
 * safe characters.
 */
const REQUEST_ID = /^[\w.-]{1,128}$/;

/** Unique across processes by its random prefix, within one by its counter. Faster than a UUID. */
const idPrefix = `${randomBytes(9).toString('base64url')}-`;
let lastId = 0;

/** One request on its way through the middleware to its handler, and the methods to answer it. */
export class Context {
  /** Node's `IncomingMessage`, unless the request came through `app.fetch`. */
  readonly request: HttpRequest;
  /** Node's `ServerResponse`, unless the request came through `app.fetch`. */
  readonly response: HttpResponse;
  /**
   * The path the client requested, even if the app is mounted below another; '' for a malformed
   * target.
   */
  readonly path: string;
  /** The query without its `?`; '' if there is none. */
  readonly query: string;
  /** The values of the route's `:parameters`. */
  params: Params = NO_PARAMS;
  /** Added to the request's access-log line and to every later line of `log`. */
  readonly logFields: Record<string, unknown> = {};
  /** `performance.now()` when the request's headers had arrived, in milliseconds. */
  readonly receivedAtMs = performance.now();
  readonly #shared: ContextDependencies;
  /** '' until it is first read. */
  #requestId = '';
  #headers: readonly string[] = NO_HEADERS;
  readonly #close: ResponseClose<Context>;
  #rawBody: Awaitable<Buffer> | undefined;
  /** Set if a layer or a handler has read the body and may read it again. */
  #isBodyKept = false;
  /** What the body counts against, if it did not come with the head. */
  #bodyShare: BodyShare | undefined;
  #budgetedBytes = 0;
  #isAuthenticated = false;
  #isAnswered = false;
  #bodyBytes = 0;
  #stream: SseEncoder | EventWriter | undefined;
  /** What waits to be sent together with other answers. An error must not cut it short. */
  departing: Departing | undefined;
  /**
   * The JSON body of an error that nobody else answers. `message` may be shown to the client.
   * Default: an object whose field `error` is the message.
   */
  errorBody: ((status: number, message: string, error: unknown) => object) | undefined;

  constructor(request: HttpRequest, response: HttpResponse, shared: ContextDependencies) {
    this.request = request;
    this.response = response;
    const target = parseRequestTarget(requestTargetOf(request));
    this.path = target?.path ?? '';
    this.query = target?.query ?? '';
    this.#shared = shared;
    this.#close = new ResponseClose<Context>(response, this);
  }

  /**
   * Sent with the answer as `x-request-id`: the client's, if it has sent one of 1 to 128 characters
   * of `A-Za-z0-9._-`, otherwise a new one. Setting an invalid one throws a `TypeError`.
   */
  get requestId(): string {
    if (this.#requestId === '') {
      const given = this.header(REQUEST_ID_HEADER) ?? '';
      this.#requestId = REQUEST_ID.test(given) ? given : idPrefix + (++lastId).toString(36);
    }
    return this.#requestId;
  }

  set requestId(id: string) {
    if (!REQUEST_ID.test(id)) {
      const rule = 'a request id must be 1 to 128 characters of A-Za-z0-9._-';
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

  /** The full URL the client used. A trusted proxy names the scheme. */
  get url(): URL {
    const forwarded = this.#shared.trustProxy ? this.#lastEntry('x-forwarded-proto') : undefined;
    const isEncrypted = 'encrypted' in (this.#connection ?? {});
    const scheme = forwarded === 'https' || isEncrypted ? 'https' : 'http';
    const host = this.header('host') ?? 'localhost';
    const url = `${scheme}://${host}${this.path}${this.query === '' ? '' : `?${this.query}`}`;
    if (!URL.canParse(url)) {
      throw new BadRequest(`the host header is malformed: ${JSON.stringify(host.slice(0, 100))}`);
    }
    return new URL(url);
  }

  /** The client's address: the peer's, or the one a trusted proxy reported. */
  get clientAddress(): string {
    const forwarded = this.#shared.trustProxy ? this.#lastEntry('x-forwarded-for') : undefined;
    const { clientAddress } = this.request;
    return forwarded || (clientAddress ?? this.#connection?.remoteAddress ?? '');
  }

  /** Undefined on hosts that make requests without a connection. */
  get #connection(): HttpConnection | undefined {
    return this.request.socket;
  }

  /** The entry added by the nearest proxy. Anyone may have sent the ones before it. */
  #lastEntry(name: string): string | undefined {
    return this.header(name)?.split(',').at(-1)?.trim();
  }

  /** A logger whose lines carry the request id and the current `logFields`. */
  get log(): Logger {
    return this.#shared.log.child({ requestId: this.requestId, ...this.logFields });
  }

  /** Fires if the connection closes before the answer has been written. */
  get callerSignal(): AbortSignal {
    return this.#close.callerSignal;
  }

  /**
   * Calls `listener` once, when the response is over: finished, or cut short. Listeners run in
   * reverse order, so that an outer layer sees what the inner ones recorded at the end.
   */
  onClose(listener: CloseListener<Context>): void;
  onClose<T>(listener: CloseListener<Context, T>, subject: T): void;
  onClose<T>(listener: CloseListener<Context, T | undefined>, subject?: T): void {
    this.#close.add(listener, subject);
  }

  /**
   * The raw body, read once no matter how often this is called. Rejects with 413 beyond
   * `MAX_BODY_BYTES`, with 503 when too many bodies are being read, and with 400 if the client
   * leaves before the end of the body. An open turn frees the body, unless it was read with this
   * method before the turn began.
   */
  readRawBody(): Awaitable<Buffer> {
    this.#isBodyKept = true;
    return this.takeRawBody();
  }

  /** Like `readRawBody`, for code that needs the bytes only until the answer begins. */
  takeRawBody(): Awaitable<Buffer> {
    return (this.#rawBody ??= this.#readBody());
  }

  #readBody(): Awaitable<Buffer> {
    const { maxBodyBytes, bodies, uncheckedBodies } = this.#shared;
    const reading = readRawBody(this.request, maxBodyBytes, () => (this.#bodyShare =
      this.#isAuthenticated ? bodies : uncheckedBodies.share(clientKey(this.clientAddress))));
    if (!(reading instanceof Promise)) return reading; // it came with the head
    return reading.then((body) => {
      this.#budgetedBytes = body.buffer.byteLength;
      this.onClose(Context.#giveBack);
      return (this.#rawBody = body);
    });
  }

  static #giveBack(this: void, _isFinished: boolean, context: Context): void {
    context.#bodyShare?.give(context.#budgetedBytes);
    context.#budgetedBytes = 0;
  }

  /**
   * The client has shown credentials. Call this before the body is read, if they are in the
   * headers. From now on the body counts with those of such clients, whose room others cannot take.
   * Throws 503 if too many such bodies are being read or kept.
   */
  authenticated(): void {
    this.#isAuthenticated = true;
    const { bodies } = this.#shared;
    if (this.#bodyShare === undefined || this.#bodyShare === bodies) return;
    const bytes = this.#budgetedBytes;
    Context.#giveBack(true, this);
    this.#bodyShare = bodies;
    if (!bodies.take(bytes)) throw tooManyBodies();
    this.#budgetedBytes = bytes;
  }

  /** Whether an answer has begun. */
  get isAnswered(): boolean {
    return this.#isAnswered || this.response.headersSent || this.response.destroyed;
  }

  /**
   * Adds a header to the answer, whatever the answer will be. Throws a `TypeError` if HTTP forbids
   * it.
   */
  setHeader(name: string, value: string): void {
    checkHeaders([name, value]);
    // Not `push`: it would reserve 17 slots, kept while the stream is open.
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
   * Begins an event stream. The headers wait for the first event and share its packet, because
   * sending them separately takes far more time. Tells proxies neither to buffer nor to compress
   * it.
   */
  eventStream(): SseEncoder {
    return (this.#stream = new SseEncoder(this.response, this.#beginStream()));
  }

  /**
   * Like `eventStream`, for a turn. Not a `Writable`, and the creator must call `flush()` once.
   * Frees the body, unless it was read with `readRawBody`.
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
    // A caller who has left is not an error here: their words must still be processed and stored.
    if (this.#isAnswered || this.response.headersSent) throw this.#answeredBefore();
    this.#isAnswered = true;
    return {
      writeHead: (contentLength) => {
        const headers = [
          'content-type', 'text/event-stream',
          'cache-control', 'no-cache, no-transform',
          'x-accel-buffering', 'no',
          REQUEST_ID_HEADER, this.requestId,
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
   * Accepts the protocol the request offers, with a 101 that carries these headers, and returns
   * the connection. The request is over when the connection closes. Throws if nothing was offered,
   * or if the server does not accept upgrades.
   */
  switchProtocols(headers: readonly string[]): Socket {
    const { request, response } = this;
    if (!(request instanceof IncomingMessage && isUpgraded(request))) {
      throw new Error(`${this.method} ${this.path} does not offer another protocol`);
    }
    if (this.isAnswered) throw this.#answeredBefore();
    response.writeHead(101, [...this.#allHeaders(), ...headers]);
    response.end();
    this.#isAnswered = true;
    return request.socket;
  }

  #answeredBefore(): Error {
    return new Error(`${this.method} ${this.path} has already been answered`);
  }

  #allHeaders(): readonly string[] {
    return [REQUEST_ID_HEADER, this.requestId, ...this.#headers];
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
    const isRead = Buffer.isBuffer(this.#rawBody);
    const mustLinger = status >= 400 && !isRead && isBodyArriving(this.request);
    if (mustLinger) all.push('connection', 'close');
    // Throws for headers that HTTP forbids, before anything is answered.
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

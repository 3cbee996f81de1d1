// Lets an app answer a fetch `Request` with a `Response`, for servers that pass these instead of a
// connection. Specified by https://fetch.spec.whatwg.org/ and, for the bodies, by
// https://streams.spec.whatwg.org/

import { EventEmitter } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import { Readable, Writable } from 'node:stream';
import type { ReadableStreamDefaultController, ReadableStreamDefaultReader } from 'node:stream/web';

import type { HeadersToWrite, HttpConnection, HttpRequest, HttpResponse } from './exchange.ts';

type Done = (error?: Error | null) => void;

/** A fetch `Request` and its answer. */
export class FetchExchange {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  /**
   * The answer, as soon as it has begun. Rejects if the response is cut short before that: with
   * the reason of the request's signal if that has fired.
   */
  readonly answer: Promise<Response>;

  /** `clientAddress` is for the rate limit. */
  constructor(given: Request, clientAddress: string | undefined) {
    const connection = new Connection();
    if (given.url.startsWith('https:')) Object.assign(connection, { encrypted: true });
    const request = new FetchedRequest(given, connection, clientAddress);
    const response = new FetchedResponse(given, connection);
    const { signal } = given;
    const onAbort = (): void => void response.destroy();
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    this.request = request;
    this.response = response;
    this.answer = new Promise((resolve, reject) => {
      response.once('head', resolve);
      response.once('close', () => {
        signal.removeEventListener('abort', onAbort);
        request.destroy();
        reject(signal.aborted ? signal.reason : new Error('the request was not answered'));
      });
    });
  }
}

/** What is known about a connection that another server owns. */
class Connection extends EventEmitter implements HttpConnection {
  destroyed = false;
  readonly errored = null;
}

class FetchedRequest extends Readable implements HttpRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly httpVersion = '1.1';
  readonly httpVersionMajor = 1;
  /** The other server takes care of an unread body. */
  readonly complete = true;
  readonly isTaken: boolean;
  readonly socket: HttpConnection;
  readonly clientAddress: string | undefined;
  /** Kept alive: on Node 20 its signal never fires once the request has been collected. */
  readonly #given: Request;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  constructor(given: Request, socket: HttpConnection, clientAddress: string | undefined) {
    super();
    const { host, pathname, search } = new URL(given.url);
    const headers = [...given.headers];
    if (!given.headers.has('host')) headers.push(['host', host]);
    this.method = given.method;
    this.url = pathname + search;
    this.headers = Object.fromEntries(headers);
    this.rawHeaders = headers.flat();
    this.isTaken = given.bodyUsed || given.body?.locked === true;
    this.socket = socket;
    this.clientAddress = clientAddress;
    this.#given = given;
    this.on('error', () => undefined); // readers of the body have their own listener
  }

  override _read(): void {
    void this.#pull();
  }

  async #pull(): Promise<void> {
    try {
      this.#reader ??= this.#given.body?.getReader();
      const piece = await this.#reader?.read();
      this.push(piece === undefined || piece.done ? null : piece.value);
    } catch (error) {
      const broken = new Error('the body could not be read', { cause: error });
      this.destroy(error instanceof Error ? error : broken);
    }
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#reader?.releaseLock();
    done(error);
  }
}

/** Statuses whose responses have no body, not even an empty one. */
const BODILESS: ReadonlySet<number> = new Set([204, 205, 304]);

/**
 * Emits `head` with the `Response`. If `end` is called first, with a string, that is the whole
 * body. Otherwise the body streams, and accepts a chunk whenever its reader requests one.
 */
class FetchedResponse extends Writable implements HttpResponse {
  headersSent = false;
  statusCode = 200;
  readonly req: { readonly socket: HttpConnection };
  readonly socket: HttpConnection;
  readonly #connection: Connection;
  readonly #given: Request;
  /** Whether the `Response` has been created. */
  #hasBegun = false;
  /** Set when written, until the body begins. */
  #head: { readonly status: number; readonly headers: Headers } | undefined;
  /** Undefined until the body streams, and for a body that does not. */
  #body: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Set while a reader is waiting for a chunk. */
  #onChunk: (() => void) | undefined;
  /** Set while a chunk is waiting for a reader. */
  #unread: { readonly chunk: Buffer; readonly taken: Done } | undefined;

  constructor(given: Request, connection: Connection) {
    super();
    this.req = { socket: connection };
    this.socket = connection;
    this.#connection = connection;
    this.#given = given;
    this.on('error', () => undefined); // ignores writes after the end
  }

  get #isHead(): boolean {
    return this.#given.method === 'HEAD';
  }

  writeHead(status: number, reason?: string | HeadersToWrite, given?: HeadersToWrite): void {
    if (this.headersSent) throw new Error('the head has already been written');
    const headers = new Headers();
    for (const [name, value] of pairsOf(typeof reason === 'object' ? reason : given)) {
      headers.append(name, value);
    }
    headers.delete('connection'); // the other server's business
    new Response(null, { status }); // throws if a `Response` cannot have the status
    this.headersSent = true;
    this.statusCode = status;
    this.#head = { status, headers };
  }

  /** Emits the `Response` with the written head, or with 200 if none was written. */
  #begin(body: Uint8Array | ReadableStream<Uint8Array> | null): void {
    if (!this.headersSent) this.writeHead(200);
    const isBodiless = this.#isHead || BODILESS.has(this.statusCode);
    this.emit('head', new Response(isBodiless ? null : body, this.#head));
    this.#head = undefined;
    this.#hasBegun = true;
  }

  override end(...given: unknown[]): this {
    const [text] = given;
    // A whole body counts as sent even if nobody reads it.
    if (!this.#hasBegun && typeof text === 'string') {
      this.#begin(text === '' ? null : new TextEncoder().encode(text));
      return super.end();
    }
    return super.end(...(given as Parameters<Writable['end']>));
  }

  /**
   * Requests a chunk only when its reader does, so a chunk that has been taken has left this
   * process.
   */
  #openBody(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#body = controller;
        },
        pull: () =>
          new Promise((resolve) => {
            this.#onChunk = resolve;
            this.#handOver();
          }),
        cancel: () => void this.destroy(),
      },
      { highWaterMark: 0 },
    );
  }

  #handOver(): void {
    if (this.#unread === undefined || this.#onChunk === undefined) return;
    const { chunk, taken } = this.#unread;
    this.#unread = undefined;
    // Copied, because a reader may detach the memory, which the buffer may share with others.
    this.#body?.enqueue(new Uint8Array(chunk));
    this.#release();
    taken();
  }

  #release(): void {
    this.#onChunk?.();
    this.#onChunk = undefined;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, taken: Done): void {
    if (!this.#hasBegun) this.#begin(this.#isHead ? null : this.#openBody());
    if (this.#body === undefined) return taken();
    this.#unread = { chunk, taken };
    this.#handOver();
  }

  override _final(done: Done): void {
    if (!this.#hasBegun) this.#begin(null);
    this.#body?.close();
    this.#release();
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    if (!this.writableFinished) {
      this.#connection.destroyed = true;
      const { aborted, reason } = this.#given.signal;
      // Hosts ignore the reason of an aborted request, but print the stack of any other error.
      this.#body?.error(aborted ? reason : new Error('the answer was cut short'));
      this.#release();
    }
    done(error);
  }
}

function* pairsOf(headers: HeadersToWrite = []): Generator<[name: string, value: string]> {
  const given: [unknown, unknown][] = Array.isArray(headers)
    ? headers.flatMap((name, index) => (index % 2 === 0 ? [[name, headers[index + 1]]] : []))
    : Object.entries(headers);
  for (const [name, values] of given) {
    for (const value of [values].flat()) yield [String(name), String(value ?? '')];
  }
}

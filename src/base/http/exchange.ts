// The parts of a request and its response that an app needs. Node's own classes have them, and so
// do those in fetch-exchange.ts.

import type { EventEmitter } from 'node:events';
import type { IncomingHttpHeaders, OutgoingHttpHeader, OutgoingHttpHeaders } from 'node:http';
import type { Readable, Writable } from 'node:stream';

export interface HttpConnection extends EventEmitter {
  readonly destroyed: boolean;
  /** Set as soon as a write fails, before `error` and `close` are emitted. */
  readonly errored: Error | null;
  /** Undefined if the connection is gone, or known only to another server. */
  readonly remoteAddress?: string | undefined;
}

/** A stream of the body's bytes, with the request's head. */
export interface HttpRequest extends Readable {
  readonly method?: string | undefined;
  /** The request target, as in the request line. */
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  /** Alternating names and values, as received. */
  readonly rawHeaders: readonly string[];
  readonly httpVersion: string;
  readonly httpVersionMajor: number;
  /** Whether no more of the body will arrive, or another server takes care of the rest. */
  readonly complete: boolean;
  /** Whether something else has read the body, without using this stream. */
  readonly isTaken?: boolean;
  readonly socket: HttpConnection;
  /** The client's address as reported by another server. If undefined, the connection has it. */
  readonly clientAddress?: string | undefined;
}

/** Keyed by name, or alternating names and values. */
export type HeadersToWrite = OutgoingHttpHeaders | OutgoingHttpHeader[];

export interface HttpResponse extends Writable {
  readonly headersSent: boolean;
  readonly statusCode: number;
  /** Hosts that make requests without a connection, as serverless ones do, have no socket here. */
  readonly req: { readonly socket?: HttpConnection | undefined };
  /** Null while an earlier response on the same connection is in progress. */
  readonly socket: HttpConnection | null;
  writeHead(status: number, reason?: string, headers?: HeadersToWrite): unknown;
  writeHead(status: number, headers?: HeadersToWrite): unknown;
}

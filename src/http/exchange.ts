// What an app needs of a request and its response. Node's own have it, and so have those of `fetch`
// in fetch-exchange.ts.

import type { EventEmitter } from 'node:events';
import type { IncomingHttpHeaders, OutgoingHttpHeader, OutgoingHttpHeaders } from 'node:http';
import type { Readable, Writable } from 'node:stream';

export interface HttpConnection extends EventEmitter {
  readonly destroyed: boolean;
  /** Set as soon as a write fails, before `error` and `close` are emitted. */
  readonly errored: Error | null;
  /** Undefined for a connection that is gone, and for one that only another server knows. */
  readonly remoteAddress?: string | undefined;
}

/** A stream of the body's bytes, and what came before them. */
export interface HttpRequest extends Readable {
  readonly method?: string | undefined;
  /** The target, as in the request line. */
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
  readonly httpVersion: string;
  readonly httpVersionMajor: number;
  /** Whether no more of the body will come, or somebody else sees to what does. */
  readonly complete: boolean;
  /** Whether the body was taken in another way than from the stream. */
  readonly isTaken?: boolean;
  readonly socket: HttpConnection;
  /** Who asks, as another server says it. Otherwise the connection says so. */
  readonly clientAddress?: string | undefined;
}

/** By name, or names and values in turn. */
export type HeadersToWrite = OutgoingHttpHeaders | OutgoingHttpHeader[];

export interface HttpResponse extends Writable {
  readonly headersSent: boolean;
  readonly statusCode: number;
  readonly req: { readonly socket: HttpConnection };
  /** Null while an earlier response on the same connection is in progress. */
  readonly socket: HttpConnection | null;
  writeHead(status: number, reason?: string, headers?: HeadersToWrite): unknown;
  writeHead(status: number, headers?: HeadersToWrite): unknown;
}

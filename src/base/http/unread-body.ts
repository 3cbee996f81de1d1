// The part of a request's body that nobody will read.

import { declaredLength, letOthersGo } from './body.ts';
import type { HttpRequest } from './exchange.ts';

/**
 * Whether more bytes of the request's body may still arrive, if none has been read yet. Node sets
 * `complete` a little later than the last byte can be read.
 */
export function isBodyArriving(request: HttpRequest): boolean {
  if (request.complete) return false;
  if (request.headers['transfer-encoding'] !== undefined) return true;
  return request.readableLength !== (declaredLength(request) || 0);
}

const LINGER_MS = 2_000;
const LINGER_BYTES = 16 * 1_048_576;

/**
 * Reads and discards the rest of a refused request's body, then calls `done`: at the end of the
 * body, after 2 s or after 16 MiB. If a connection is closed with bytes unread, the kernel resets
 * it, and the client may never see the refusal.
 */
export function lingerOverBody(request: HttpRequest, done: () => void): void {
  let length = 0;
  const stop = (): void => {
    clearTimeout(timer);
    request.off('data', onData);
    request.off('end', stop);
    request.off('close', stop);
    done();
  };
  const onData = (chunk: Buffer): void => {
    length += chunk.length;
    if (length > LINGER_BYTES) stop();
    else letOthersGo(request, chunk);
  };
  const timer = setTimeout(stop, LINGER_MS);
  request.on('data', onData);
  request.once('end', stop);
  request.once('close', stop);
  request.on('error', stop); // stays on, to ignore a later reset
}

import type { IncomingMessage } from 'node:http';

import type { Awaitable } from '../base/awaitable.ts';
import { BadRequest, HttpError } from './errors.ts';
import { WholeRequest } from './whole-request.ts';

/**
 * The request's body, byte for byte; at once where it came with its head and was held for that (see `WholeRequest`). Rejects with 413
 * for more than `maxBytes` (at once where the declared length says so; the bytes counted decide) and with 400 for a client that left in
 * mid-body.
 */
export function readRawBody(request: IncomingMessage, maxBytes: number): Awaitable<Buffer> {
  if (Number(request.headers['content-length']) > maxBytes) return Promise.reject(contentTooLarge(maxBytes));
  const held = request instanceof WholeRequest ? request.takeBody() : undefined; // of the declared length
  return held ?? readStream(request, maxBytes);
}

/** Plain listeners: async iteration of the request costs a turn 22 % more CPU. */
function readStream(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (request.destroyed && !request.complete) return reject(new BadRequest('the request ended in mid-body'));
    let length = 0;
    const chunks: Buffer[] = [];
    const onData = (chunk: Buffer | string): void => {
      if (typeof chunk === 'string') return reject(new Error('setEncoding() was called on the request: its bytes cannot be had any more'));
      length += chunk.length;
      if (length <= maxBytes) chunks.push(chunk);
      else {
        request.off('data', onData);
        reject(contentTooLarge(maxBytes));
      }
    };
    request.on('data', onData);
    request.on('end', () => resolve(Buffer.concat(chunks, length)));
    request.on('error', (cause) => reject(new BadRequest('the request ended in mid-body', { cause })));
  });
}

function contentTooLarge(maxBytes: number): HttpError {
  return new HttpError(413, `the body is larger than ${maxBytes} bytes`, { code: 'ERR_BODY_TOO_LARGE' });
}

/** Whether bytes of the request's body may still be on their way. */
export function hasUnreadBody(request: IncomingMessage): boolean {
  if (request instanceof WholeRequest ? request.isWhole : request.complete) return false;
  return request.headers['transfer-encoding'] !== undefined || (request.headers['content-length'] ?? '0') !== '0';
}

const LINGER_MS = 2_000;
const LINGER_BYTES = 16 * 1_048_576;

/**
 * Reads the rest of a refused request's body and throws it away, then calls `done`: at the end of the body, after 2 s
 * or 16 MiB. Closing with bytes unread makes the kernel send a reset, and the client may lose the refusal to it.
 */
export function lingerOverBody(request: IncomingMessage, done: () => void): void {
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
  };
  const timer = setTimeout(stop, LINGER_MS);
  request.on('data', onData);
  request.once('end', stop);
  request.once('close', stop);
  request.on('error', stop); // stays on: a reset that follows is nobody's error
}

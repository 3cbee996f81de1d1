import type { IncomingMessage } from 'node:http';

import { BadRequest, HttpError } from './errors.ts';

/**
 * The request's body, byte for byte. Rejects with 413 for more than `maxBytes` (at once where the declared length says
 * so; the bytes counted decide) and with 400 for a client that left in mid-body.
 *
 * Plain listeners: async iteration of the request costs a turn 22 % more CPU.
 */
export function readRawBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (Number(request.headers['content-length']) > maxBytes) return reject(contentTooLarge(maxBytes));
    if (request.destroyed && !request.complete) return reject(new BadRequest('the request ended in mid-body'));
    let first: Buffer | undefined;
    let rest: Buffer[] | undefined;
    let length = 0;
    const onData = (chunk: Buffer): void => {
      length += chunk.length;
      if (length > maxBytes) {
        request.off('data', onData);
        reject(contentTooLarge(maxBytes));
      } else if (first === undefined) first = chunk;
      else (rest ??= []).push(chunk);
    };
    request.on('data', onData);
    // `on`, for what happens once anyway: `once` makes three objects to take its listener away again.
    request.on('end', () => {
      if (first === undefined) resolve(Buffer.alloc(0));
      else resolve(rest === undefined ? first : Buffer.concat([first, ...rest], length));
    });
    request.on('error', (cause) => reject(new BadRequest('the request ended in mid-body', { cause })));
  });
}

function contentTooLarge(maxBytes: number): HttpError {
  return new HttpError(413, `the body is larger than ${maxBytes} bytes`, { code: 'ERR_BODY_TOO_LARGE' });
}

/** Whether bytes of the request's body may still be on their way. */
export function hasUnreadBody(request: IncomingMessage): boolean {
  if (request.complete) return false;
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

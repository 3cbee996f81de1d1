import type { IncomingMessage } from 'node:http';

import type { Awaitable } from '../base/awaitable.ts';
import { BadRequest, HttpError, ServiceUnavailable } from './errors.ts';
import { WholeRequest } from './whole-request.ts';

/** What all bodies together may take that are being read, or kept by their requests. */
export class BodyBudget {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** False when so many bytes are not left; nothing is taken then. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#maxBytes) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/**
 * The request's body, byte for byte; at once if it was held for that (see `WholeRequest`).
 * Otherwise a promise. The buffer under that body (`body.buffer`) was taken from the budget, and
 * the caller gives it back.
 *
 * Rejects with 413 for more than `maxBytes`, at once if the declared length says so; the counted
 * bytes decide. Rejects with 503 when the budget is used up, and with 400 if the client leaves in
 * mid-body.
 */
export function readRawBody(
  request: IncomingMessage,
  maxBytes: number,
  budget: BodyBudget,
): Awaitable<Buffer> {
  if (Number(request.headers['content-length']) > maxBytes) {
    return Promise.reject(contentTooLarge(maxBytes));
  }
  if (request.readableDidRead || (request instanceof WholeRequest && request.isTaken)) {
    return Promise.reject(new Error('the body was read before and is not kept'));
  }
  // What is held has the declared length.
  const held = request instanceof WholeRequest ? request.takeBody() : undefined;
  return held ?? readStream(request, maxBytes, budget);
}

const NO_BYTES = Buffer.alloc(0);

/** Plain listeners: async iteration of the request costs a turn far more CPU. */
function readStream(
  request: IncomingMessage,
  maxBytes: number,
  budget: BodyBudget,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (request.destroyed && !request.complete) return reject(endedEarly());
    // One buffer that grows: a list of one-byte chunks takes a hundred times their bytes.
    let bytes = NO_BYTES;
    let length = 0;
    const fail = (error: Error): void => {
      request.off('data', onData);
      budget.give(bytes.length);
      bytes = NO_BYTES;
      reject(error);
    };
    const onData = (chunk: Buffer | string): void => {
      if (typeof chunk === 'string') {
        return fail(new Error('setEncoding() was called on the request: its bytes are lost'));
      }
      const needed = length + chunk.length;
      if (needed > maxBytes) return fail(contentTooLarge(maxBytes));
      if (needed > bytes.length) {
        const size = length === 0 ? needed : Math.min(maxBytes, 2 * needed);
        if (!budget.take(size - bytes.length)) {
          return fail(new ServiceUnavailable('too many request bodies are being read', 1));
        }
        const grown = Buffer.allocUnsafeSlow(size);
        bytes.copy(grown, 0, 0, length);
        bytes = grown;
      }
      chunk.copy(bytes, length);
      length = needed;
    };
    request.on('data', onData);
    request.on('end', () => {
      resolve(bytes.subarray(0, length));
      bytes = NO_BYTES; // theirs from here on
    });
    const onLost = (cause?: unknown): void => fail(endedEarly(cause));
    request.on('error', onLost);
    request.on('close', onLost); // nothing else comes of a request that a layer destroyed
  });
}

function endedEarly(cause?: unknown): BadRequest {
  return new BadRequest('the request ended in mid-body', { cause });
}

function contentTooLarge(maxBytes: number): HttpError {
  const message = `the body is larger than ${maxBytes} bytes`;
  return new HttpError(413, message, { code: 'ERR_BODY_TOO_LARGE' });
}

/** Whether bytes of the request's body may still be on their way. */
export function hasUnreadBody(request: IncomingMessage): boolean {
  if (request instanceof WholeRequest ? request.isWhole : request.complete) return false;
  const { 'transfer-encoding': encoding, 'content-length': length = '0' } = request.headers;
  return encoding !== undefined || length !== '0';
}

const LINGER_MS = 2_000;
const LINGER_BYTES = 16 * 1_048_576;

/**
 * Reads the rest of a refused request's body and throws it away, then calls `done`: at the end of
 * the body, after 2 s or after 16 MiB. A connection that is closed with bytes unread is reset by
 * the kernel, and the client may never see the refusal.
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

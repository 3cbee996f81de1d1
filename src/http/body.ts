import type { Awaitable } from '../base/awaitable.ts';
import { BadRequest, HttpError, ServiceUnavailable } from './errors.ts';
import type { HttpRequest } from './exchange.ts';
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
 * A server that has read the body itself leaves its bytes in `request.rawBody`, as a `Buffer`. They
 * are used as they are, at once.
 *
 * Rejects with 413 for more than `maxBytes`, at once if the declared length says so; the counted
 * bytes decide. Rejects with 503 when the budget is used up, with 400 if the client leaves in
 * mid-body, and with an error that names the remedy if the body was read before.
 */
export function readRawBody(
  request: HttpRequest,
  maxBytes: number,
  budget: BodyBudget,
): Awaitable<Buffer> {
  if (Number(request.headers['content-length']) > maxBytes) {
    return Promise.reject(contentTooLarge(maxBytes));
  }
  const { rawBody } = request as { readonly rawBody?: unknown };
  if (Buffer.isBuffer(rawBody)) {
    return rawBody.length > maxBytes ? Promise.reject(contentTooLarge(maxBytes)) : rawBody;
  }
  if (request.readableDidRead || request.isTaken === true) {
    return Promise.reject(new Error(BODY_IS_GONE));
  }
  // Somebody else read a body without a byte: its end will not come again.
  if (request.readableEnded) return NO_BYTES;
  // What is held has the declared length.
  const held = request instanceof WholeRequest ? request.takeBody() : undefined;
  return held ?? readStream(request, maxBytes, budget);
}

const NO_BYTES = Buffer.alloc(0);

/** Mostly it was a body parser of the server that the app is mounted in. */
const BODY_IS_GONE =
  'the body was read before and is not kept: mount the app in front of whatever reads bodies, '
  + 'or have that set request.rawBody to the bytes, as a Buffer';

/** Plain listeners: async iteration of the request costs a turn far more CPU. */
function readStream(
  request: HttpRequest,
  maxBytes: number,
  budget: BodyBudget,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (request.destroyed) return reject(endedEarly());
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
    request.resume(); // a layer that had work to do first may have paused it
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
export function hasUnreadBody(request: HttpRequest): boolean {
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
  };
  const timer = setTimeout(stop, LINGER_MS);
  request.on('data', onData);
  request.once('end', stop);
  request.once('close', stop);
  request.on('error', stop); // stays on: a reset that follows is nobody's error
}

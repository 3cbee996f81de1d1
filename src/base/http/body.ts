import type { Awaitable } from '../awaitable.ts';
import type { BodyShare } from './body-budgets.ts';
import { BadRequest, ContentTooLarge, ServiceUnavailable } from './errors.ts';
import type { HttpRequest } from './exchange.ts';

/** 503: there is no room for a body. */
export function tooManyBodies(): ServiceUnavailable {
  return new ServiceUnavailable('too many request bodies are being read', 1);
}

/**
 * The raw bytes of the request's body. Returned at once if all of them have arrived; otherwise as a
 * promise, whose buffer (`body.buffer`) counts against `openShare()`. The caller gives it back.
 *
 * A server that has read the body itself can leave the bytes in `request.rawBody`, as a `Buffer`.
 * They are returned at once.
 *
 * Rejects with 413 for more than `maxBytes`, immediately if the declared length is too large; the
 * counted bytes decide. Rejects with 503 when there is no room for the body or others need it more,
 * with 400 if the client leaves before the end of the body, and with an error that says what to do
 * if something else has read the body.
 */
export function readRawBody(
  request: HttpRequest,
  maxBytes: number,
  openShare: () => BodyShare,
): Awaitable<Buffer> {
  if (declaredLength(request) > maxBytes) {
    return Promise.reject(new ContentTooLarge(maxBytes));
  }
  const { rawBody } = request as { readonly rawBody?: unknown };
  if (Buffer.isBuffer(rawBody)) {
    return rawBody.length > maxBytes ? Promise.reject(new ContentTooLarge(maxBytes)) : rawBody;
  }
  if (request.readableDidRead || request.isTaken === true) {
    return Promise.reject(new Error(BODY_IS_GONE));
  }
  // Something else has read an empty body: its end will not be emitted again.
  if (request.readableEnded) return NO_BYTES;
  return readWhole(request) ?? readStream(request, maxBytes, openShare());
}

/** The body, if it has the declared length by now and nothing else is reading the stream. */
function readWhole(request: HttpRequest): Buffer | undefined {
  const { readableFlowing, readableEncoding, destroyed, readableLength } = request;
  if (readableFlowing !== null || readableEncoding !== null || destroyed) return undefined;
  if (readableLength === 0 || readableLength !== declaredLength(request)) return undefined;
  const body = request.read() as Buffer;
  request.resume(); // for the end of the stream, which is all that is left
  return body;
}

/** NaN if none is declared. */
export function declaredLength(request: HttpRequest): number {
  return Number(request.headers['content-length']);
}

const NO_BYTES = Buffer.alloc(0);

/** Usually a body parser of the server that mounts the app. */
const BODY_IS_GONE =
  'the body has already been read: mount the app before any body parser, '
  + 'or have the parser store the bytes as a Buffer in request.rawBody';

/** Uses plain listeners, because async iteration of the request takes a turn far more CPU. */
function readStream(
  request: HttpRequest,
  maxBytes: number,
  share: BodyShare,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (request.destroyed) return reject(endedEarly());
    // One growing buffer, because a list of one-byte chunks would take a hundred times their
    // bytes.
    let bytes = NO_BYTES;
    let length = 0;
    const fail = (error: Error): void => {
      request.off('data', onData);
      share.give(bytes.length);
      release(bytes);
      bytes = NO_BYTES;
      reject(error);
    };
    const onData = (chunk: Buffer | string): void => {
      if (typeof chunk === 'string') {
        return fail(new Error('setEncoding() was called on the request: its bytes are lost'));
      }
      const needed = length + chunk.length;
      if (needed > maxBytes) return fail(new ContentTooLarge(maxBytes));
      if (needed > bytes.length) {
        const size = length === 0 ? needed : Math.min(maxBytes, 2 * needed);
        if (!share.take(size - bytes.length)) return fail(tooManyBodies());
        const grown = Buffer.allocUnsafeSlow(size);
        bytes.copy(grown, 0, 0, length);
        release(bytes);
        bytes = grown;
      }
      chunk.copy(bytes, length);
      length = needed;
      // Bodies without credentials wait for all others.
      if (share.arriving !== undefined) letOthersGo(request, chunk);
    };
    share.arriving?.(() => fail(tooManyBodies()));
    request.on('data', onData);
    request.on('end', () => {
      share.arrived?.();
      resolve(bytes.subarray(0, length));
      bytes = NO_BYTES; // they belong to the caller now
    });
    const onLost = (cause?: unknown): void => fail(endedEarly(cause));
    request.on('error', onLost);
    request.on('close', onLost); // the only event of a request that a layer has destroyed
    request.resume(); // a layer may have paused it
  });
}

/**
 * Goes on with a body after everything else that has arrived. Otherwise Node would read up to 2 MiB
 * of it at once, and the collector would have no chance to free them.
 */
export function letOthersGo(request: HttpRequest, { length }: Buffer): void {
  if (length < LARGEST_CHUNK) return;
  request.pause();
  setImmediate(() => request.resume());
}

/** Node reads no more than this into one chunk. */
const LARGEST_CHUNK = 65_536;

/** Frees the memory at once, where Node can: the collector lets 64 MiB of it gather. */
function release({ buffer, length }: Buffer): void {
  if (length > 0) (buffer as { transfer?: (length: number) => void }).transfer?.(0);
}

function endedEarly(cause?: unknown): BadRequest {
  return new BadRequest('the request ended before the end of its body', { cause });
}

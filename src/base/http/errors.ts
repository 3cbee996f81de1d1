import { validateHeaderName, validateHeaderValue } from 'node:http';

import { knowInAnyCopy } from '../any-copy.ts';

interface HttpErrorOptions {
  /** A stable code for programs: `ERR_…`. */
  readonly code?: string;
  /** Whether the client may see `message`. Default: for a status below 500. */
  readonly expose?: boolean;
  /** Headers of the answer, as a flat list of names and values. */
  readonly headers?: readonly string[];
  readonly cause?: unknown;
}

/**
 * An error with its answer: `status` and `{"error": message}`, or a fixed sentence if the message
 * is not exposed. The constructor throws a `TypeError` for a header that HTTP forbids.
 */
export class HttpError extends Error {
  static { knowInAnyCopy(this, 'HttpError'); }
  override readonly name: string = 'HttpError';
  readonly status: number;
  readonly code: string | undefined;
  readonly expose: boolean;
  readonly headers: readonly string[];

  constructor(status: number, message: string, options: HttpErrorOptions = {}) {
    const { code, expose, headers, cause } = options;
    super(message, cause === undefined ? undefined : { cause });
    this.status = status;
    this.code = code;
    this.expose = expose ?? status < 500;
    this.headers = headers ?? [];
    checkHeaders(this.headers);
  }
}

/** 400: the request is invalid, and the message says where. */
export class BadRequest extends HttpError {
  static { knowInAnyCopy(this, 'BadRequest'); }
  override readonly name = 'BadRequest';
  constructor(message: string, options?: HttpErrorOptions) {
    super(400, message, options);
  }
}

/** 401, with a fixed sentence that gives a forger no hint. */
export class InvalidSignature extends HttpError {
  static { knowInAnyCopy(this, 'InvalidSignature'); }
  override readonly name = 'InvalidSignature';
  constructor(options?: HttpErrorOptions) {
    super(401, 'Invalid signature', options);
  }
}

/** 413: the body is larger than `MAX_BODY_BYTES`. */
export class ContentTooLarge extends HttpError {
  override readonly name = 'ContentTooLarge';
  constructor(maxBytes: number) {
    const message = `the body is larger than ${maxBytes} bytes`;
    super(413, message, { code: 'ERR_BODY_TOO_LARGE' });
  }
}

/** 503 with `Retry-After`. The client sees the message. */
export class ServiceUnavailable extends HttpError {
  static { knowInAnyCopy(this, 'ServiceUnavailable'); }
  override readonly name = 'ServiceUnavailable';
  constructor(message: string, retryAfterSeconds: number) {
    super(503, message, { expose: true, headers: ['retry-after', String(retryAfterSeconds)] });
  }
}

/** Throws a `TypeError` for a name or value that HTTP forbids, above all for line breaks. */
export function checkHeaders(headers: readonly string[]): void {
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] ?? '';
    validateHeaderName(name);
    validateHeaderValue(name, headers[index + 1] ?? '');
  }
}

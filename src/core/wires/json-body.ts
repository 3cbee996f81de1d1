// The body of a request as a JSON object.

import { isUtf8 } from 'node:buffer';

import { knowInAnyCopy } from '../../base/any-copy.ts';
import { isObject } from '../../base/fields.ts';
import type { Context } from '../../base/http/context.ts';
import { BadRequest, HttpError } from '../../base/http/errors.ts';

const JSON_TYPE = 'application/json';

/**
 * The body breaks a rule. `path` names the field, or is '' if the body as a whole is wrong. The
 * message says the same.
 */
export class EventError extends Error {
  static { knowInAnyCopy(this, 'EventError'); }
  override readonly name = 'EventError';
  readonly path: string;

  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/** What `parse` returns. Its `EventError` is thrown as a `BadRequest`, which is answered. */
export function withBadRequest<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw asBadRequest(error);
  }
}

/** The error, or a `BadRequest` for an `EventError`. */
export function asBadRequest(error: unknown): unknown {
  return error instanceof EventError ? new BadRequest(error.message, { cause: error }) : error;
}

/** Throws an `HttpError` (415) unless the request says that its body is JSON, not compressed. */
export function checkJsonType(context: Context): void {
  const encoding = context.header('content-encoding');
  if (encoding !== undefined) checkEncoding(encoding);
  const contentType = context.header('content-type');
  if (contentType === JSON_TYPE) return;
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase();
  if (type === JSON_TYPE) return;
  const got = type ? quoted(type) : 'none';
  throw new HttpError(415, `content-type must be application/json, got ${got}`);
}

/** The answer says what is accepted (RFC 9110 §15.5.16). */
function checkEncoding(encoding: string): void {
  if (/^\s*(?:identity\s*)?$/i.test(encoding)) return;
  const message = `the body must not be encoded, got content-encoding ${quoted(encoding)}`;
  throw new HttpError(415, message, { headers: ['accept-encoding', 'identity'] });
}

function quoted(value: string): string {
  return JSON.stringify(value.slice(0, 100));
}

/** The body as a JSON object. Throws an `EventError` that says why it is not one. */
export function parseJsonObject(body: Buffer): Readonly<Record<string, unknown>> {
  if (!isUtf8(body)) throw new EventError('', 'the body is not UTF-8');
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (error) {
    if (body.length === 0) throw new EventError('', 'the body is empty, expected a JSON object');
    // Without the parser's message: it quotes the body, which may hold the caller's words.
    throw new EventError('', `the body is not JSON${position(error)}`);
  }
  if (!isObject(value)) throw new EventError('', `the body must be a JSON object, ${got(value)}`);
  return value;
}

function position(error: unknown): string {
  const found = error instanceof Error ? /at position \d+/.exec(error.message)?.[0] : undefined;
  return found === undefined ? '' : ` (${found})`;
}

/** Describes the kind of a value. Never shows the value: it may hold the caller's words. */
export function got(value: unknown): string {
  if (value === undefined) return 'but it is missing';
  if (value === null) return 'got null';
  if (Array.isArray(value)) return 'got an array';
  if (typeof value === 'string') {
    return value === '' ? 'got an empty string' : `got a string of ${value.length} characters`;
  }
  return `got ${typeof value === 'object' ? 'an object' : `a ${typeof value}`}`;
}

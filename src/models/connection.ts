// One POST to a vendor by fetch: the bytes of its answer, or why there are none.

import { openReader } from '../base/abortable-body.ts';
import { failureOfEvent, failureOfResponse, type Asked } from './failure.ts';
import { asRecord, asText } from './json.ts';
import { ModelError } from './model.ts';

/** Of an answer that is no stream, in bytes; the rest is not read. */
const MAX_ERROR_BYTES = 65_536;
const MAX_REASON_LENGTH = 300;

export type Bytes = ReadableStreamDefaultReader<Uint8Array>;

export interface Post {
  readonly fetch: typeof fetch;
  readonly url: string;
  readonly body: string;
  readonly asked: Asked;
  readonly signal: AbortSignal;
}

/** Sends the request and returns its event stream. Throws a `ModelError` when there is none. */
export async function openEventStream(post: Post): Promise<Bytes> {
  const { asked } = post;
  const response = await send(post);
  const reader: Bytes = openReader(response.body ?? new Blob([]).stream(), post.signal);
  if (!response.ok) {
    throw failureOfResponse(
      asked,
      response.status,
      response.headers,
      await readText(reader, asked),
      Date.now(),
    );
  }
  if (!isJson(response)) return reader;
  const body = await readText(reader, asked);
  throw (
    failureOfJson(asked, body)
    ?? new ModelError(
      'malformed_stream',
      `${asked.name} answered with JSON, not with an event stream`,
    )
  );
}

async function send({ fetch, url, body, asked, signal }: Post): Promise<Response> {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'text/event-stream',
  };
  if (asked.key !== undefined) headers['authorization'] = `Bearer ${asked.key}`;
  try {
    // A redirect would carry the key to another host.
    return await fetch(url, { method: 'POST', headers, body, signal, redirect: 'error' });
  } catch (cause) {
    const { origin } = new URL(url);
    throw new ModelError(
      'connection_failed',
      `${asked.name} cannot be reached at ${origin}: ${reasonOf(cause, asked)}`,
      { retryable: true, cause },
    );
  }
}

/** The next bytes, or undefined at the end. A connection that breaks is a `ModelError`. */
export async function readBytes(reader: Bytes, asked: Asked): Promise<Uint8Array | undefined> {
  try {
    return (await reader.read()).value;
  } catch (cause) {
    throw dropped(asked, cause);
  }
}

/** The connection ended before the reply did. */
export function dropped(asked: Asked, cause?: unknown): ModelError {
  const why = cause === undefined ? '' : `: ${reasonOf(cause, asked)}`;
  return new ModelError(
    'connection_dropped',
    `${asked.name} ended the connection in mid-reply${why}`,
    { retryable: true, cause },
  );
}

/**
 * Reads the little that follows `[DONE]`, so that fetch keeps the connection for the next request; one that is cut here is gone,
 * and the next round of a tool loop pays for a new handshake. Beyond `graceMs` it is cut.
 */
export async function drain(
  reader: Bytes,
  connection: AbortController,
  graceMs: number,
): Promise<void> {
  const grace = setTimeout(() => connection.abort(), graceMs);
  grace.unref();
  try {
    while (!(await reader.read()).done);
  } catch {
    // The reply was complete: a connection that breaks now broke nothing.
  } finally {
    clearTimeout(grace);
  }
}

/** The body as text, at most its first 64 KiB; the caller ends the connection if there is more. */
export async function readText(reader: Bytes, asked: Asked): Promise<string> {
  const utf8 = new TextDecoder();
  let text = '';
  let size = 0;
  for (;;) {
    const bytes = await readBytes(reader, asked);
    if (bytes === undefined) return text + utf8.decode();
    text += utf8.decode(bytes.subarray(0, MAX_ERROR_BYTES - size), { stream: true });
    size += bytes.length;
    if (size >= MAX_ERROR_BYTES) return text;
  }
}

function isJson(response: Response): boolean {
  return /^application\/(?:[\w.+-]+\+)?json\b/i.test(response.headers.get('content-type') ?? '');
}

function failureOfJson(asked: Asked, body: string): ModelError | undefined {
  try {
    return failureOfEvent(asked, 'message', asRecord(JSON.parse(body)) ?? {});
  } catch {
    return undefined; // broken JSON: said as what it is, not an event stream
  }
}

/**
 * fetch says "fetch failed" and hides the reason in `cause`: a system error's code, or a message of
 * its own. Nothing in it comes from the vendor.
 */
function reasonOf(error: unknown, { key }: Asked): string {
  const cause = asRecord(asRecord(error)?.['cause']) ?? asRecord(error);
  const reason = asText(cause?.['code']) || asText(cause?.['message']) || String(error);
  const line = reason.replace(/[\s\p{Cc}\p{Surrogate}]+/gu, ' ').trim();
  return (key === undefined ? line : line.replaceAll(key, '[key]')).slice(0, MAX_REASON_LENGTH);
}

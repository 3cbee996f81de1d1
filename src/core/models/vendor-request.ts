// One POST to a vendor. Returns the bytes of the answer, or throws an error that says why there
// are none.

import { openReader } from '../../base/abortable-body.ts';
import { parseJson } from '../../base/json.ts';
import { failureOfEvent, failureOfResponse, refusedField, type ModelAccess } from './failure.ts';
import { asRecord, asText } from './json.ts';
import { ModelError } from './model.ts';

/** Maximum number of bytes read from an answer that is not a stream. */
const MAX_ERROR_BYTES = 65_536;
const MAX_REASON_LENGTH = 300;

export type BodyReader = ReadableStreamDefaultReader<Uint8Array>;

interface VendorRequest {
  readonly fetch: typeof fetch;
  readonly url: string;
  readonly body: string;
  /** Fields that may be left out if the model refuses them. */
  readonly optional: readonly string[];
  readonly access: ModelAccess;
  readonly signal: AbortSignal;
}

/**
 * Sends the request and returns the answer's event stream. Throws a `ModelError` if there is none,
 * a `FieldRefused` if that may be due to an optional field.
 */
export async function openEventStream(request: VendorRequest): Promise<BodyReader> {
  const { access } = request;
  const response = await send(request);
  const reader: BodyReader = openReader(response.body ?? new Blob([]).stream(), request.signal);
  if (!response.ok) {
    const text = await readBoundedText(reader, access);
    const refused = refusedField(access, response.status, text, request.optional);
    throw refused ?? failureOfResponse(access, response.status, response.headers, text, Date.now());
  }
  if (!isJson(response)) return reader;
  const body = await readBoundedText(reader, access);
  const failure = failureOfEvent(access, 'message', asRecord(parseJson(body)) ?? {});
  const message = `${access.name} answered with JSON, not with an event stream`;
  throw failure ?? new ModelError('malformed_stream', message);
}

async function send({ fetch, url, body, access, signal }: VendorRequest): Promise<Response> {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'text/event-stream',
  };
  if (access.key !== undefined) headers['authorization'] = `Bearer ${access.key}`;
  try {
    // A redirect would send the key to another host.
    return await fetch(url, { method: 'POST', headers, body, signal, redirect: 'error' });
  } catch (cause) {
    const { origin } = new URL(url);
    const message = `${access.name} cannot be reached at ${origin}: ${reasonOf(cause, access)}`;
    throw new ModelError('connection_failed', message, { retryable: true, cause });
  }
}

/** The error for a connection that ended before the reply did. */
export function dropped(access: ModelAccess, cause?: unknown): ModelError {
  const why = cause === undefined ? '' : `: ${reasonOf(cause, access)}`;
  const message = `${access.name} ended the connection in mid-reply${why}`;
  return new ModelError('connection_dropped', message, { retryable: true, cause });
}

/**
 * Reads the few bytes after `[DONE]`, so that fetch keeps the connection for the next request.
 * Otherwise the next round of a tool loop would need a new handshake. Gives up after `graceMs`.
 */
export async function readTrailer(
  reader: BodyReader,
  connection: AbortController,
  graceMs: number,
): Promise<void> {
  const grace = setTimeout(() => connection.abort(), graceMs);
  grace.unref();
  try {
    while (!(await reader.read()).done);
  } catch {
    // The reply is complete, so a connection that breaks now does no harm.
  } finally {
    clearTimeout(grace);
  }
}

/**
 * The body as text, at most its first 64 KiB. The caller must end the connection if there is more.
 * Throws a `ModelError` if the connection breaks.
 */
export async function readBoundedText(reader: BodyReader, access: ModelAccess): Promise<string> {
  const utf8 = new TextDecoder();
  let text = '';
  let size = 0;
  for (;;) {
    const { value: bytes } = await reader.read().catch((cause: unknown) => {
      throw dropped(access, cause);
    });
    if (bytes === undefined) return text + utf8.decode();
    text += utf8.decode(bytes.subarray(0, MAX_ERROR_BYTES - size), { stream: true });
    size += bytes.length;
    if (size >= MAX_ERROR_BYTES) return text;
  }
}

function isJson(response: Response): boolean {
  return /^application\/(?:[\w.+-]+\+)?json\b/i.test(response.headers.get('content-type') ?? '');
}

/**
 * `fetch` only says "fetch failed". The reason is in `cause`: the code of a system error, or one of
 * undici's own messages. None of it comes from the vendor.
 */
function reasonOf(error: unknown, { key }: ModelAccess): string {
  const cause = asRecord(asRecord(error)?.['cause']) ?? asRecord(error);
  const reason = asText(cause?.['code']) || asText(cause?.['message']) || String(error);
  const line = reason.replace(/[\s\p{Cc}\p{Surrogate}]+/gu, ' ').trim();
  return (key === undefined ? line : line.replaceAll(key, '[key]')).slice(0, MAX_REASON_LENGTH);
}

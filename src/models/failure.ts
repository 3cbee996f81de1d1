// What a vendor says when it does not answer, as a ModelError. Bodies differ: `{error: {…}}`, `[{error: {…}}]`, `{error: "…"}`,
// `{object: "error", message}`, `{detail}`.

import { asList, asRecord, asText, type JsonRecord } from './json.ts';
import { ModelError } from './model.ts';

const MAX_MESSAGE_LENGTH = 300;

/** Google and xAI answer a wrong key with 400 (google-gemini/gemini-cli#25198). */
const REFUSED_KEY = /api[ _]key[ _](?:is[ _])?(?:not[ _](?:valid|found)|invalid)|(?:incorrect|invalid) api key/i;

/** A quota that is used up is a 429 that no wait of seconds heals. */
const NO_QUOTA = /insufficient_quota|billing/i;

/** Whom the error is about, and what it must not say. */
export interface Asked {
  readonly name: string;
  readonly keyNames: readonly string[];
  readonly key: string | undefined;
}

/** The failure that an answer other than 2xx stands for. `body` is its text, cut at a bound; `now` is for HTTP dates. */
export function failureOfResponse(asked: Asked, status: number, headers: Headers, body: string, now: number): ModelError {
  if (status === 401 || status === 403 || (status === 400 && REFUSED_KEY.test(body))) {
    // What the vendor says is left out: it likes to quote the ends of the key.
    const keys = asked.keyNames.join(' or ');
    const what = asked.key === undefined ? `wants a key, ${keys} is not set` : `refused the key of ${keys}`;
    return new ModelError('key_refused', `${asked.name} ${what} (HTTP ${status})`, { status });
  }
  const reason = reasonIn(asked, parse(body)) || shorten(asked, body);
  const message = `${asked.name} answered HTTP ${status}${reason === '' ? '' : `: ${reason}`}`;
  const retryAfterMs = retryAfter(headers, body, now);
  if (status === 429) return new ModelError('rate_limited', message, { status, retryAfterMs, retryable: !NO_QUOTA.test(body) });
  return new ModelError('http_error', message, { status, retryAfterMs, retryable: isRetryableStatus(status) });
}

/** The failure that an event of a stream stands for, or undefined where it is none. */
export function failureOfEvent(asked: Asked, event: JsonRecord): ModelError | undefined {
  const error = event['error'] ?? (event['object'] === 'error' ? event : undefined);
  if (error === undefined || error === null) return undefined;
  const { code, status, type } = asRecord(error) ?? {};
  const number = [code, status].map(Number).find((value) => value >= 100 && value < 600);
  const retryable = number === undefined ? type !== 'invalid_request_error' : isRetryableStatus(number);
  const reason = reasonIn(asked, event) || 'no reason given';
  return new ModelError('error_in_stream', `${asked.name} broke off with an error: ${reason}`, { status: number, retryable });
}

/** Text of a vendor as one short line without the key. */
export function shorten({ key }: Asked, text: string): string {
  const line = (key === undefined ? text : text.replaceAll(key, '[key]')).replace(/[\s\p{Cc}\p{Surrogate}]+/gu, ' ').trim();
  return line.length <= MAX_MESSAGE_LENGTH ? line : `${line.slice(0, MAX_MESSAGE_LENGTH)}…`;
}

function isRetryableStatus(status: number): boolean {
  return status === 408 || status === 409 || status === 429 || status >= 500;
}

function reasonIn(asked: Asked, body: unknown): string {
  const record = asRecord(Array.isArray(body) ? asList(body)[0] : body);
  const error = record?.['error'];
  const message = asRecord(error)?.['message'] ?? record?.['message'] ?? record?.['detail'] ?? error;
  return shorten(asked, typeof message === 'object' && message !== null ? JSON.stringify(message) : asText(message));
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined; // not JSON, or cut: the caller shows the text itself
  }
}

/** `retry-after-ms` is OpenAI's, `retry-after` RFC 9110 §10.2.3, `retryDelay` Google's (google.rpc.RetryInfo) in the body. */
function retryAfter(headers: Headers, body: string, now: number): number | undefined {
  const milliseconds = headers.get('retry-after-ms');
  if (milliseconds !== null && /^\d+(?:\.\d+)?$/.test(milliseconds)) return Number(milliseconds);
  const value = headers.get('retry-after');
  if (value !== null) {
    const ms = /^\d+(?:\.\d+)?$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - now;
    if (Number.isFinite(ms)) return Math.max(ms, 0);
  }
  const delay = /"retryDelay":\s*"(\d+(?:\.\d+)?)s"/.exec(body)?.[1];
  return delay === undefined ? undefined : Number(delay) * 1_000;
}

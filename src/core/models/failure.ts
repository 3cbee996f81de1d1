// Turns a vendor's failure into a `ModelError`. Bodies differ: `{error: {…}}`, `[{error: {…}}]`,
// `{error: "…"}`, `{object: "error", message}`, `{message, code}`, `{detail}`.
//
// Errors are logged, and any text from a vendor may quote the caller or the key. So an error holds
// only the status and error codes made of known words, for example `model_not_found`.

import { isTooDeep } from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import { asList, asRecord, asText, type JsonRecord } from './json.ts';
import { ModelError } from './model.ts';
import { vendorWord } from './vendor-words.ts';

/** Google and xAI answer 400 to a wrong key (google-gemini/gemini-cli#25198). */
const REFUSED_KEY =
  /api[ _]key[ _](?:is[ _])?(?:not[ _](?:valid|found)|invalid)|(?:incorrect|invalid) api key/i;

/** A used-up quota is a 429 too, but waiting a few seconds does not help. */
const NO_QUOTA = /insufficient_quota|billing/i;

/** An account without credit, with any status. In words that no caller is likely to say. */
const NO_CREDIT =
  /"insufficient_(?:quota|balance|credits)"|credit balance is too low|used all available credits/i;

/** The model that an error is about, and the key that the error must not show. */
export interface ModelAccess {
  readonly name: string;
  readonly keyNames: readonly string[];
  readonly key: string | undefined;
}

/** The model refuses a field that can be left out. */
export class FieldRefused extends ModelError {
  readonly field: string;

  constructor(access: ModelAccess, field: string, status: number) {
    super('http_error', `${access.name} refuses ${field} (HTTP ${status})`, { status });
    this.field = field;
  }
}

const REFUSAL =
  /unsupported|not support|not (?:allowed|permitted|valid)|un(?:known|recognized|expected)|extra|invalid|deprecated/i;

/**
 * The sent field that a 400 or 422 answer complains about. OpenAI names it in `param`; Mistral and
 * others mention it in a sentence or a path. Undefined if it is not one of them.
 */
export function refusedField(
  access: ModelAccess,
  status: number,
  body: string,
  fields: readonly string[],
): FieldRefused | undefined {
  if (status !== 400 && status !== 422) return undefined;
  const param = asText(errorIn(parseJson(body))['param']);
  const words = REFUSAL.test(body) ? new Set(body.match(/\w+/g)) : new Set();
  const isNamed = (field: string): boolean =>
    param === '' ? words.has(field) : param === field || param.startsWith(`${field}.`);
  const field = fields.find(isNamed);
  return field === undefined ? undefined : new FieldRefused(access, field, status);
}

/**
 * The failure behind an answer other than 2xx. `body` is its text, possibly cut off. `now` is
 * milliseconds since the epoch, to compare with HTTP dates.
 */
export function failureOfResponse(
  access: ModelAccess,
  status: number,
  headers: Headers,
  body: string,
  now: number,
): ModelError {
  const words = codesIn(parseJson(body));
  const retryAfterMs = retryAfter(headers, body, now);
  const isUsedUp = status === 429 && retryAfterMs === undefined && NO_QUOTA.test(body);
  if (status === 402 || isUsedUp || NO_CREDIT.test(body)) {
    const message = `${access.name} has no credit left: HTTP ${status}${inParentheses(words)}`;
    return new ModelError('no_credit', message, { status });
  }
  if (status === 401 || status === 403 || (status === 400 && REFUSED_KEY.test(body))) {
    const keys = access.keyNames.join(' or ');
    const isUnset = access.key === undefined;
    const what = isUnset ? `wants a key, but ${keys} is not set` : `refused the key in ${keys}`;
    return new ModelError('key_refused', `${access.name} ${what} (HTTP ${status})`, { status });
  }
  const hint = status === 404 ? ': check the name of the model, and the base URL' : '';
  const message = `${access.name} answered HTTP ${status}${inParentheses(words)}${hint}`;
  const code = status === 429 ? 'rate_limited' : 'http_error';
  return new ModelError(code, message, {
    status, retryAfterMs, retryable: isRetryableStatus(status),
  });
}

/**
 * The failure that an event of a stream reports, or undefined. `name` is the event's name:
 * `message` if the stream gave it none.
 */
export function failureOfEvent(
  access: ModelAccess,
  name: string,
  event: JsonRecord,
): ModelError | undefined {
  if (name !== 'error' && !isError(event)) return undefined;
  const error = asRecord(event['error']);
  const status = [error?.['code'], error?.['status'], event['code'], event['status']]
    .map((value) => (typeof value === 'object' ? NaN : Number(value)))
    .find((value) => value >= 100 && value < 600);
  const type = error?.['type'] ?? event['type'];
  const isOurFault = status === undefined && type === 'invalid_request_error';
  const retryable = status === undefined ? !isOurFault : isRetryableStatus(status);
  const words = codesIn(event);
  if (status !== undefined) words.unshift(`status ${status}`);
  const message = `${access.name} broke off with an error${inParentheses(words)}`;
  if (status === 402 || (!isTooDeep(event) && NO_CREDIT.test(JSON.stringify(event))))
    return new ModelError('no_credit', message, { status });
  return new ModelError('error_in_stream', message, { status, retryable });
}

/** Some servers send the error object bare. An event with `choices` is part of a reply. */
function isError(event: JsonRecord): boolean {
  const { error, message, detail, choices } = event;
  if (error !== undefined && error !== null) return true;
  return choices === undefined && (typeof message === 'string' || detail !== undefined);
}

/** Code, type and status. For a FastAPI server: the type of its first complaint. */
function codesIn(body: unknown): string[] {
  const error = errorIn(body);
  const given = [error['code'], error['type'], error['status']];
  const words = given.map(vendorWord).filter((word) => word !== '');
  return [...new Set(words)];
}

function errorIn(body: unknown): JsonRecord {
  const event = asRecord(Array.isArray(body) ? asList(body)[0] : body) ?? {};
  const detail = asRecord(asList(event['detail'])[0]) ?? asRecord(event['detail']);
  return asRecord(event['error']) ?? detail ?? event;
}

function inParentheses(words: readonly string[]): string {
  return words.length === 0 ? '' : ` (${words.join(', ')})`;
}

function isRetryableStatus(status: number): boolean {
  return status === 408 || status === 409 || status === 429 || status >= 500;
}

/**
 * The wait that a vendor asks for, in milliseconds. `retry-after-ms` is OpenAI's header,
 * `retry-after` is RFC 9110 §10.2.3, and `retryDelay` in the body is Google's
 * (google.rpc.RetryInfo).
 */
function retryAfter(headers: Headers, body: string, now: number): number | undefined {
  const milliseconds = headers.get('retry-after-ms');
  if (milliseconds !== null && isDecimal(milliseconds)) return Number(milliseconds);
  const value = headers.get('retry-after');
  if (value !== null) {
    const ms = isDecimal(value) ? Number(value) * 1_000 : Date.parse(value) - now;
    if (Number.isFinite(ms)) return Math.max(ms, 0);
  }
  const delay = /"retryDelay":\s*"(\d+(?:\.\d+)?)s"/.exec(body)?.[1];
  return delay === undefined ? undefined : Number(delay) * 1_000;
}

function isDecimal(text: string): boolean {
  return /^\d+(?:\.\d+)?$/.test(text);
}

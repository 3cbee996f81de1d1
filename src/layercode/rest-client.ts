// The platform's REST API. Ruled by LayerCode's page "REST API".

import { readBody } from '../base/abortable-body.ts';
import type { JsonObject } from './fields.ts';
import { isObject } from './fields.ts';

export interface RestClientOptions {
  /** Without a slash at the end. */
  readonly url: string;
  readonly apiKey: string;
  /** Default 10,000 ms for a whole call. */
  readonly timeoutMs?: number;
  /** Default the global `fetch`. */
  readonly fetch?: typeof fetch;
}

/** What a call of the platform came to, when it came to nothing. Holds no key. */
export class PlatformError extends Error {
  override readonly name = 'PlatformError';
  /** `refused`: it answered, with `status`. */
  readonly kind: 'refused' | 'unreachable' | 'timed out' | 'malformed answer';
  readonly status: number | undefined;
  /** The platform's own `error` text, at most 500 characters; undefined where it sent none. */
  readonly reason: string | undefined;
  readonly retryAfter: string | undefined;

  constructor(kind: PlatformError['kind'], message: string, { status, reason, retryAfter, cause }: {
    readonly status?: number; readonly reason?: string | undefined; readonly retryAfter?: string | undefined; readonly cause?: unknown;
  } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.status = status;
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

const MAX_ANSWER_BYTES = 1_048_576;

/** Calls with the bearer key. Every method rejects with a `PlatformError`, or with the signal's reason when it fired; a 3xx counts as `unreachable`. */
export class RestClient {
  readonly #url: string;
  readonly #apiKey: string;
  readonly #timeoutMs: number;
  readonly #fetch: typeof fetch | undefined;

  constructor({ url, apiKey, timeoutMs = 10_000, fetch: fetchFunction }: RestClientOptions) {
    this.#url = url;
    this.#apiKey = apiKey;
    this.#timeoutMs = timeoutMs;
    this.#fetch = fetchFunction;
  }

  /** `{client_session_key, conversation_id, config?}` for a browser, from what the browser sent. */
  async authorizeSession(request: object, signal: AbortSignal): Promise<JsonObject> {
    const path = '/v1/agents/web/authorize_session';
    const answer = await this.#request('POST', path, request, signal);
    if (typeof answer['client_session_key'] === 'string' && typeof answer['conversation_id'] === 'string') return answer;
    throw new PlatformError('malformed answer', `POST ${path} was answered without client_session_key or conversation_id`);
  }

  /** Where the platform posts the agent's events; undefined when that is nowhere. */
  async webhookUrl(agentId: string, signal?: AbortSignal): Promise<string | undefined> {
    const path = agentPath(agentId);
    const { webhook_url: url, config } = await this.#request('GET', path, undefined, signal);
    // What is set as `webhook_url` was seen to be read as `config.endpoint` (github.com/svilupp/layercode-gym).
    const found = url ?? (isObject(config) ? config['endpoint'] : undefined) ?? '';
    if (typeof found === 'string') return found === '' ? undefined : found;
    throw new PlatformError('malformed answer', `GET ${path} was answered with a webhook_url that is not a string`);
  }

  /** Has the platform post the agent's events there. Undefined, or the empty string, takes the webhook away: `null` is sent. */
  async setWebhookUrl(agentId: string, url: string | undefined, signal?: AbortSignal): Promise<void> {
    await this.#request('POST', agentPath(agentId), { webhook_url: url === undefined || url === '' ? null : url }, signal);
  }

  async #request(method: 'GET' | 'POST', path: string, body: object | undefined, signal: AbortSignal | undefined): Promise<JsonObject> {
    const timeout = AbortSignal.timeout(this.#timeoutMs);
    const ending = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
    try {
      // The global is asked for when it is needed: its first use loads it, which would double the time to start.
      const response = await (this.#fetch ?? fetch)(this.#url + path, {
        method,
        headers: { authorization: `Bearer ${this.#apiKey}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: ending,
        redirect: 'error', // the key is for this host and no other
      });
      const answer = await readJsonObject(readBody(response, ending));
      if (response.ok && answer !== undefined) return answer;
      if (response.ok) throw new PlatformError('malformed answer', `${method} ${path} was answered with something else than a JSON object`);
      throw new PlatformError('refused', `${method} ${path} was refused with ${response.status}`, {
        status: response.status,
        reason: typeof answer?.['error'] === 'string' ? answer['error'].replaceAll(this.#apiKey, '[redacted]').slice(0, 500) : undefined,
        retryAfter: response.headers.get('retry-after') ?? undefined,
      });
    } catch (cause) {
      if (cause instanceof PlatformError) throw cause;
      if (signal?.aborted) throw signal.reason;
      if (timeout.aborted) throw new PlatformError('timed out', `${method} ${path} had no answer in ${this.#timeoutMs} ms`, { cause });
      throw new PlatformError('unreachable', `${method} ${path} failed`, { cause });
    }
  }
}

/** Throws a `TypeError` for what no path segment can be: a URL takes `.` and `..` for steps in the path, also when they are encoded. */
function agentPath(agentId: string): string {
  if (/^\.{0,2}$/.test(agentId)) throw new TypeError(`an agent's id cannot be ${JSON.stringify(agentId)}`);
  return `/v1/agents/${encodeURIComponent(agentId)}`;
}

async function readJsonObject(body: AsyncIterable<Uint8Array>): Promise<JsonObject | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) return undefined;
    chunks.push(chunk);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    return isObject(value) ? (value as JsonObject) : undefined;
  } catch {
    return undefined; // HTML of a proxy, mostly; the caller says what became of the call
  }
}

// LayerCode's REST API, as its page "REST API" defines it.

import { readText } from '../base/abortable-body.ts';
import type { JsonObject } from './fields.ts';
import { isObject } from './fields.ts';

export interface RestClientOptions {
  /** Without a slash at the end. */
  readonly url: string;
  readonly apiKey: string;
  /** For a whole call. Default 10,000 ms. */
  readonly timeoutMs?: number;
  /** Default the global `fetch`. */
  readonly fetch?: typeof fetch;
}

/** A call to the platform that failed. Holds no key. */
export class PlatformError extends Error {
  override readonly name = 'PlatformError';
  /**
   * `refused`: it answered with `status`. `unclear webhook`: it answered, but where the agent's
   * events go cannot be told from the answer; the message says why.
   */
  readonly kind: 'refused' | 'unreachable' | 'timed out' | 'malformed answer' | 'unclear webhook';
  readonly status: number | undefined;
  /**
   * The platform's own `error` text, at most 500 characters; undefined where it sent none. Not for
   * the log: it may quote what was sent.
   */
  readonly reason: string | undefined;
  readonly retryAfter: string | undefined;

  constructor(
    kind: PlatformError['kind'],
    message: string,
    {
      status,
      reason,
      retryAfter,
      cause,
    }: {
      readonly status?: number;
      readonly reason?: string | undefined;
      readonly retryAfter?: string | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.status = status;
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

const MAX_ANSWER_BYTES = 1_048_576;

/**
 * Calls with the bearer key. Every method rejects with a `PlatformError`, or with the signal's
 * reason when that fires. A redirect counts as `unreachable`.
 */
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

  /**
   * `{client_session_key, conversation_id, config?}` for a browser. `request` is what the browser
   * sent.
   */
  async authorizeSession(request: object, signal: AbortSignal): Promise<JsonObject> {
    const path = '/v1/agents/web/authorize_session';
    const answer = await this.#request('POST', path, request, signal);
    if (
      typeof answer['client_session_key'] === 'string'
      && typeof answer['conversation_id'] === 'string'
    ) {
      return answer;
    }
    throw new PlatformError(
      'malformed answer',
      `POST ${path}: the answer has no client_session_key or no conversation_id`,
    );
  }

  /**
   * The URL that the platform posts the agent's events to; undefined when it posts them nowhere.
   * Rejects with `unclear webhook` when the answer does not say so beyond doubt.
   */
  async webhookUrl(agentId: string, signal?: AbortSignal): Promise<string | undefined> {
    return webhookUrlIn(await this.#request('GET', agentPath(agentId), undefined, signal));
  }

  /**
   * Makes the platform post the agent's events to `url`, and reads it again to be sure: `unclear
   * webhook` when it was accepted and is not what the platform says then. Undefined or an empty
   * string removes the webhook: `null` is sent.
   */
  async setWebhookUrl(
    agentId: string,
    url: string | undefined,
    signal?: AbortSignal,
  ): Promise<void> {
    const wanted = url === '' ? undefined : url;
    await this.#request('POST', agentPath(agentId), { webhook_url: wanted ?? null }, signal);
    let now: string | undefined;
    try {
      now = await this.webhookUrl(agentId, signal);
    } catch (cause) {
      if (!(cause instanceof PlatformError)) throw cause;
      throw unclear(
        `it was set to ${wanted ?? 'none'}, and reading it again failed: ${cause.message}`,
        cause,
      );
    }
    if (now !== wanted) {
      throw unclear(`it was set to ${wanted ?? 'none'}, and still is ${now ?? 'none'}`);
    }
  }

  async #request(
    method: 'GET' | 'POST',
    path: string,
    body: object | undefined,
    signal: AbortSignal | undefined,
  ): Promise<JsonObject> {
    const timeout = AbortSignal.timeout(this.#timeoutMs);
    const ending = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
    try {
      // The global is asked for when it is needed: its first use loads it, which would double the
      // time to start.
      const response = await (this.#fetch ?? fetch)(this.#url + path, {
        method,
        headers: {
          authorization: `Bearer ${this.#apiKey}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: ending,
        redirect: 'error', // the key is for this host and no other
      });
      const answer = parseJsonObject(await readText(response, ending, MAX_ANSWER_BYTES));
      if (response.ok && answer !== undefined) return answer;
      if (response.ok) {
        throw new PlatformError(
          'malformed answer',
          `${method} ${path}: the answer is not a JSON object`,
        );
      }
      throw new PlatformError('refused', `${method} ${path} was refused with ${response.status}`, {
        status: response.status,
        reason:
          typeof answer?.['error'] === 'string'
            ? answer['error'].replaceAll(this.#apiKey, '[redacted]').slice(0, 500)
            : undefined,
        retryAfter: response.headers.get('retry-after') ?? undefined,
      });
    } catch (cause) {
      if (cause instanceof PlatformError) throw cause;
      if (signal?.aborted) throw signal.reason;
      if (timeout.aborted) {
        throw new PlatformError(
          'timed out',
          `${method} ${path} had no answer in ${this.#timeoutMs} ms`,
          { cause },
        );
      }
      throw new PlatformError('unreachable', `${method} ${path} failed`, { cause });
    }
  }
}

/**
 * Where an agent keeps its webhook: in the plugin `agent.webhook` of its pipeline
 * (https://docs.layercode.com/explanations/voice-pipeline), in `webhook_url`, which is how it is
 * set, or in `config.endpoint`, where it was seen before plugins
 * (github.com/svilupp/layercode-gym). Two different URLs are unclear, and so is a pipeline with
 * another `agent.` plugin: who answers is not a webhook then.
 */
function webhookUrlIn(agent: JsonObject): string | undefined {
  const config = isObject(agent['config']) ? agent['config'] : {};
  const plugins = agentPlugins(config['plugins']);
  const others = plugins.flatMap(({ use }) => (use === WEBHOOK_PLUGIN ? [] : [use]));
  if (others.length > 0) {
    throw unclear(
      `the agent's pipeline has the plugin ${others.join(', ')} instead of ${WEBHOOK_PLUGIN}`,
    );
  }
  const places = [...plugins.map(({ url }) => url), agent['webhook_url'], config['endpoint']];
  if (!Array.isArray(config['plugins']) && places.every((place) => place === undefined)) {
    throw unclear('the agent has neither webhook_url nor config.plugins nor config.endpoint');
  }
  const urls = new Set<string>();
  for (const place of places) {
    if (typeof place === 'string') urls.add(place);
    else if (place !== undefined && place !== null) {
      throw unclear('the agent has a webhook that is not a string');
    }
  }
  urls.delete('');
  if (urls.size > 1) {
    throw unclear(`the agent has ${urls.size} different webhooks: ${[...urls].join(' and ')}`);
  }
  const [url] = urls;
  return url;
}

const WEBHOOK_PLUGIN = 'agent.webhook';

/** The plugins of a pipeline that answer the caller: at most one, as far as is known. */
function agentPlugins(
  plugins: unknown,
): readonly { readonly use: string; readonly url: unknown }[] {
  if (!Array.isArray(plugins)) return [];
  return plugins.flatMap((plugin: unknown) => {
    if (
      !isObject(plugin)
      || typeof plugin['use'] !== 'string'
      || !plugin['use'].startsWith('agent.')
    ) {
      return [];
    }
    const { use, options } = plugin as { readonly use: string; readonly options?: unknown };
    return [{ use, url: isObject(options) ? options['url'] : undefined }];
  });
}

function unclear(why: string, cause?: PlatformError): PlatformError {
  return new PlatformError('unclear webhook', why, { cause });
}

/**
 * Throws a `TypeError` for an id that cannot be a path segment: a URL resolves `.` and `..` as
 * steps in the path, even percent-encoded.
 */
function agentPath(agentId: string): string {
  if (/^\.{0,2}$/.test(agentId)) {
    throw new TypeError(`an agent's id cannot be ${JSON.stringify(agentId)}`);
  }
  return `/v1/agents/${encodeURIComponent(agentId)}`;
}

/** Undefined for anything else, such as a proxy's HTML or an answer that was cut at the bound. */
function parseJsonObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? (value as JsonObject) : undefined;
  } catch {
    return undefined; // the caller reports it
  }
}

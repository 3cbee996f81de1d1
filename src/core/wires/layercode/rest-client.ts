// LayerCode's REST API. Specified by LayerCode's page "REST API".

import { readText } from '../../../base/abortable-body.ts';
import { isObject } from '../../../base/fields.ts';
import { parseJson, type JsonObject } from '../../../base/json.ts';

interface RestClientOptions {
  /** Has no trailing slash. */
  readonly url: string;
  readonly apiKey: string;
  /** Limit for a whole call. Default 10,000 ms. */
  readonly timeoutMs?: number;
  /** Default: the global `fetch`. */
  readonly fetch?: typeof fetch | undefined;
}

/** A call to the platform failed. Never holds the key. */
export class PlatformError extends Error {
  override readonly name = 'PlatformError';
  /**
   * `refused`: the platform answered with the error status in `status`. `unclear webhook`: the
   * platform answered, but the answer does not say clearly where the agent's events go; the message
   * says why.
   */
  readonly kind: 'refused' | 'unreachable' | 'timed out' | 'malformed answer' | 'unclear webhook';
  readonly status: number | undefined;
  /**
   * The platform's own `error` text, at most 500 characters; undefined if it sent none. Do not log
   * it: it may quote what was sent.
   */
  readonly reason: string | undefined;
  /** The `retry-after` header as it came. */
  readonly retryAfter: string | undefined;

  constructor(
    kind: PlatformError['kind'],
    message: string,
    { status, reason, retryAfter, cause }:
      Partial<Pick<PlatformError, 'status' | 'reason' | 'retryAfter' | 'cause'>> = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.status = status;
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

/**
 * Calls the REST API with a bearer key.
 *
 * Every method rejects with a `PlatformError`, or with the signal's reason when the signal fires. A
 * redirect counts as `unreachable`.
 */
export class RestClient {
  readonly #options: RestClientOptions;

  constructor(options: RestClientOptions) {
    this.#options = options;
  }

  /**
   * Requests a session for a browser: `{client_session_key, conversation_id, config?}`. `request`
   * is the body that the browser sent.
   */
  async authorizeSession(request: object, signal: AbortSignal): Promise<JsonObject> {
    const path = '/v1/agents/web/authorize_session';
    const answer = await this.#request('POST', path, request, signal);
    const { client_session_key: key, conversation_id: conversationId } = answer;
    if (typeof key === 'string' && typeof conversationId === 'string') return answer;
    throw new PlatformError(
      'malformed answer',
      `POST ${path}: the answer has no client_session_key or no conversation_id`,
    );
  }

  /**
   * The URL that the platform posts the agent's events to; undefined if it has none. Rejects with
   * `unclear webhook` if the answer is ambiguous.
   */
  async webhookUrl(agentId: string, signal?: AbortSignal): Promise<string | undefined> {
    return webhookUrlIn(await this.#request('GET', agentPath(agentId), undefined, signal));
  }

  /**
   * Makes the platform post the agent's events to `url`, then reads the setting back. Undefined or
   * '' removes the webhook; the client sends `null` for it.
   *
   * Rejects with `unclear webhook` if the platform accepted the URL but then reports another.
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
        `it was set to ${wanted ?? 'none'}, but reading it back failed: ${cause.message}`,
        cause,
      );
    }
    if (now !== wanted) {
      throw unclear(`it was set to ${wanted ?? 'none'}, but is still ${now ?? 'none'}`);
    }
  }

  async #request(
    method: 'GET' | 'POST',
    path: string,
    body: object | undefined,
    signal: AbortSignal | undefined,
  ): Promise<JsonObject> {
    // The global `fetch` is looked up here, not in the constructor: its first use loads undici,
    // which would slow down the start.
    const { url, apiKey, timeoutMs = 10_000, fetch = globalThis.fetch } = this.#options;
    const timeout = AbortSignal.timeout(timeoutMs);
    const ending = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
    try {
      const response = await fetch(url + path, {
        method,
        headers: {
          authorization: `Bearer ${apiKey}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: ending,
        redirect: 'error', // the key is meant for this host only
      });
      const answer = parseJsonObject(await readText(response, ending));
      if (response.ok && answer !== undefined) return answer;
      if (response.ok) {
        const message = `${method} ${path}: the answer is not a JSON object`;
        throw new PlatformError('malformed answer', message);
      }
      throw new PlatformError('refused', `${method} ${path} was refused with ${response.status}`, {
        status: response.status,
        reason:
          typeof answer?.['error'] === 'string'
            ? answer['error'].replaceAll(apiKey, '[redacted]').slice(0, 500)
            : undefined,
        retryAfter: response.headers.get('retry-after') ?? undefined,
      });
    } catch (cause) {
      if (cause instanceof PlatformError) throw cause;
      if (signal?.aborted) throw signal.reason;
      if (timeout.aborted) {
        const message = `${method} ${path} had no answer in ${timeoutMs} ms`;
        throw new PlatformError('timed out', message, { cause });
      }
      throw new PlatformError('unreachable', `${method} ${path} failed`, { cause });
    }
  }
}

/**
 * Finds an agent's webhook. It is in the plugin `agent.webhook` of the pipeline
 * (https://docs.layercode.com/explanations/voice-pipeline), in `webhook_url`, which is also how it
 * is set, or in `config.endpoint`, where it was before plugins existed
 * (github.com/svilupp/layercode-gym).
 *
 * Two different URLs are unclear. A pipeline with another `agent.` plugin is unclear too, because
 * then no webhook answers the caller.
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

/** The plugins of a pipeline that answer the caller. As far as we know there is at most one. */
function agentPlugins(
  plugins: unknown,
): readonly { readonly use: string; readonly url: unknown }[] {
  if (!Array.isArray(plugins)) return [];
  return plugins.flatMap((plugin: unknown) => {
    const { use, options } = isObject(plugin) ? plugin : {};
    if (typeof use !== 'string' || !use.startsWith('agent.')) return [];
    return [{ use, url: isObject(options) ? options['url'] : undefined }];
  });
}

function unclear(why: string, cause?: PlatformError): PlatformError {
  return new PlatformError('unclear webhook', why, { cause });
}

/**
 * Throws a `TypeError` for an id that cannot be a path segment: URLs resolve `.` and `..`, even
 * percent-encoded.
 */
function agentPath(agentId: string): string {
  if (/^\.{0,2}$/.test(agentId)) {
    throw new TypeError(`an agent's id cannot be ${JSON.stringify(agentId)}`);
  }
  return `/v1/agents/${encodeURIComponent(agentId)}`;
}

/**
 * Undefined for anything else: a proxy's HTML, for example, or an answer cut off at the size limit.
 */
function parseJsonObject(text: string): JsonObject | undefined {
  const value = parseJson(text);
  return isObject(value) ? (value as JsonObject) : undefined;
}

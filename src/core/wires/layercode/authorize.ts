import {
  id, isTooDeep, MAX_DEPTH, object, objectOf, optional, string,
} from '../../../base/fields.ts';
import type { Handler } from '../../../base/http/compose.ts';
import type { Context } from '../../../base/http/context.ts';
import { ContentTooLarge, HttpError } from '../../../base/http/errors.ts';
import type { JsonObject } from '../../../base/json.ts';
import { EventError, parseJsonObject, withBadRequest } from '../json-body.ts';
import { PlatformError } from './rest-client.ts';

/** LayerCode or a stand-in. Rejects with a `PlatformError` or an `HttpError`. */
export interface SessionAuthority {
  /** Exchanges a browser's request for `{client_session_key, conversation_id, config?}`. */
  authorizeSession(request: JsonObject, signal: AbortSignal): Promise<JsonObject>;
}

interface AuthorizeOptions {
  /** Undefined without an API key: nothing can be authorized then. */
  readonly platform: SessionAuthority | undefined;
  /** The agents served here; empty for any. */
  readonly agentIds: readonly string[];
  /** Default: all. */
  readonly origins?: { has(origin: string): boolean };
}

/** Anyone may post here, and parsing a larger body would hold up other calls. */
const MAX_AUTHORIZE_BYTES = 16_384;

export const AUTHORIZE_REQUEST = objectOf({
  agent_id: id,
  conversation_id: optional(id),
  metadata: optional(object),
  custom_metadata: optional(object),
  custom_headers: optional(object),
  config: optional(object),
  sdk_version: optional(string),
});

/** Gets a session key for a browser. The API key stays here. */
export function authorize({ platform, agentIds, origins }: AuthorizeOptions): Handler {
  return async function authorize(context) {
    const origin = context.header('origin'); // undefined: it is not from a page
    if (origin !== undefined && origins?.has(origin) === false)
      throw new HttpError(403, 'this origin is not allowed; see CORS_ORIGINS');
    const request = parseRequest(await context.readRawBody());
    const agentId = request['agent_id'] as string; // checked by the table
    if (agentIds.length > 0 && !agentIds.includes(agentId))
      throw new HttpError(403, 'this agent is not served here; see LAYERCODE_AGENT_ID');
    if (platform === undefined)
      throw new HttpError(503, 'LAYERCODE_API_KEY is not set on the server', { expose: true });
    try {
      context.json(200, await platform.authorizeSession(request, context.callerSignal), [
        'cache-control',
        'no-store',
      ]);
    } catch (error) {
      if (context.callerSignal.aborted) return; // the browser has left
      if (!(error instanceof PlatformError)) throw error;
      if (!passOn(error, context)) throw translate(error, context);
    }
  };
}

function parseRequest(body: Buffer): JsonObject {
  if (body.length > MAX_AUTHORIZE_BYTES) throw new ContentTooLarge(MAX_AUTHORIZE_BYTES);
  return withBadRequest(() => {
    const request = parseJsonObject(body);
    const fault = AUTHORIZE_REQUEST.check(request);
    if (fault !== undefined)
      throw new EventError(fault.path, `${fault.path} must be ${fault.expected}`);
    if (isTooDeep(request))
      throw new EventError('', `the body is nested too deeply, more than ${MAX_DEPTH} levels`);
    return request as JsonObject;
  });
}

/**
 * Answers the browser's own mistakes in the platform's words. Not with an `HttpError`, whose
 * message is logged: the platform's words may quote what a caller's page sent.
 */
function passOn({ kind, status, reason, retryAfter }: PlatformError, context: Context): boolean {
  if (kind !== 'refused' || (status !== 400 && status !== 402 && status !== 429)) return false;
  const fallback = FALLBACK_REASONS[status];
  const isSane = retryAfter !== undefined && /^[\w ,:+-]{1,64}$/.test(retryAfter);
  context.logFields['error'] = fallback;
  context.json(
    status,
    { error: reason ?? fallback },
    status === 429 && isSane ? ['retry-after', retryAfter] : [],
  );
  return true;
}

/** Failures of this server and of the platform become 502 and 504. */
function translate(error: PlatformError, context: Context): HttpError {
  const { kind, status } = error;
  context.log.error('LayerCode did not authorize', { status, error });
  if (kind === 'timed out')
    return new HttpError(504, 'LayerCode did not answer in time', { expose: true });
  if (status === 401 || status === 403)
    return new HttpError(502, "LayerCode refused the server's key; see LAYERCODE_API_KEY", {
      expose: true,
    });
  return new HttpError(502, 'LayerCode could not authorize the session', { expose: true });
}

const FALLBACK_REASONS = {
  400: 'LayerCode refused the request',
  402: 'the LayerCode account has no balance',
  429: 'too many requests to LayerCode',
} as const;

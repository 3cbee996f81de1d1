// Stands in for LayerCode on a developer's machine: keys for browsers, the browser's WebSocket in
// text mode, and a page for trying both. Production never loads this folder unless it serves the
// page.

import { randomBytes, randomUUID } from 'node:crypto';

import { BoundedMap } from '../../base/bounded-map.ts';
import { isObject } from '../../base/fields.ts';
import { afterChecks, type Handler, type Route } from '../../base/http/compose.ts';
import type { Context } from '../../base/http/context.ts';
import { BadRequest, HttpError, ServiceUnavailable } from '../../base/http/errors.ts';
import type { JsonObject } from '../../base/json.ts';
import { atMost } from '../../base/time-limit.ts';
import { acceptHeaders, checkHandshake } from '../../base/websocket/handshake.ts';
import { toChatMessages } from '../../core/agents/history-for-model.ts';
import { exchangesIn } from '../../core/conversations/captured-calls.ts';
import { PROFILE_NAMES, type ProfileName } from '../../core/wires/chat-completions/profiles.ts';
import { authorize } from '../../core/wires/layercode/authorize.ts';
import type { DeliveryReport } from '../../core/wires/reply-stream.ts';
import type { AppPlatform, PlatformAgent } from '../../server/app/app-platform.ts';
import { localOnly } from '../../server/middleware/local-only.ts';
import { browserSocket, type BrowserSocket } from './browser-socket.ts';
import { CallerSession, type CallListener } from './caller-session.ts';
import { completionsTestWire, type CompletionsTestWire } from './completions-test-wire.ts';
import { layercodeTestWire } from './layercode-test-wire.ts';
import { PAGE, pageFile } from './playground-files.ts';
import { SessionKeys, type SessionGrant } from './session-keys.ts';

/** Maximum number of requests to models that the page shows. */
const MOST_REQUESTS = 20;

/** Options of `LocalPlatform`. */
export interface LocalPlatformOptions {
  /** Whether the page is served. If so, `/` redirects to it. */
  readonly playground: boolean;
}

const WEBSOCKET_PATH = '/v1/agents/web/websocket';
const COMPLETIONS_PATH = '/playground/completions';
/** Beyond this the oldest call is forgotten. */
const MAX_CALLS = 100;
/** How long `close` waits until the agents have been told that their sessions are over. */
const CLOSE_TIMEOUT_MS = 1_000;

/** Stands in for LayerCode. Every route answers only this machine. */
export class LocalPlatform implements AppPlatform {
  readonly webSocketPaths: readonly string[] = [WEBSOCKET_PATH];
  readonly showsRequests: boolean;
  /** The agents of the app that this platform belongs to. */
  #agents: readonly PlatformAgent[] = [];
  readonly #keys = new SessionKeys();
  readonly #sockets = new Set<BrowserSocket>();
  /** What our own sessions send over Chat Completions. */
  readonly #key = randomBytes(32).toString('base64url');
  /** What was said in calls over Chat Completions, for a caller who connects again. */
  readonly #calls = new BoundedMap<string, CompletionsTestWire>(MAX_CALLS);
  #isClosing = false;

  constructor({ playground }: LocalPlatformOptions) {
    this.showsRequests = playground;
  }

  /**
   * Answers an authorize request as LayerCode does, with a key for one conversation, valid for ten
   * minutes. With several agents, `agent_id` names the one to call; any other id means the first.
   * `wire` and `profile` choose what the session speaks: LayerCode's wire by default. Throws
   * `BadRequest` for an unknown wire or profile, and for a phone number or headers that cannot be
   * sent.
   */
  async authorizeSession(request: JsonObject): Promise<JsonObject> {
    const { conversation_id: known } = request;
    const conversationId = typeof known === 'string' ? known : randomUUID();
    const key = this.#keys.issue({
      agentId: String(request['agent_id']),
      conversationId,
      fromPhoneNumber: phoneNumberIn(request),
      metadata: objectIn(request, 'metadata'),
      customMetadata: objectIn(request, 'custom_metadata'),
      customHeaders: parseCustomHeaders(objectIn(request, 'custom_headers') ?? {}),
      profile: profileIn(request),
    });
    // Without `config` the official browser client fails. "automatic" is the client's default.
    return {
      client_session_key: key,
      conversation_id: conversationId,
      config: { transcription: { trigger: 'automatic' } },
    };
  }

  /** Every route of the platform. All of them answer only this machine. */
  serve(agents: readonly PlatformAgent[]): readonly Route[] {
    this.#agents = agents;
    const history: Handler = (context) => this.#showHistory(context);
    // A route of its own, because the authorize route may lead to LayerCode.
    const session = authorize({ platform: this, agentIds: [] });
    const page: readonly Route[] = [
      { method: 'GET', path: '/', handler: toPlayground },
      { method: 'GET', path: '/playground', handler: (context) => pageFile(context, PAGE) },
      { method: 'GET', path: '/playground/:file', handler: fileOfPage },
      { method: 'POST', path: '/playground/session', handler: session },
      { method: 'GET', path: '/playground/history/:conversation', handler: history },
    ];
    // Routes to each agent for our own sessions, as the platform of each profile would call it.
    const completions = agents.flatMap((agent, index) => PROFILE_NAMES.map((profile): Route => ({
      method: 'POST',
      path: `${COMPLETIONS_PATH}/${profile}/${index}`,
      handler: agent.completions(this.#key, profile),
    })));
    const routes: readonly Route[] = [
      { method: 'GET', path: WEBSOCKET_PATH, handler: (context) => this.#openSocket(context) },
      ...completions,
      ...(this.showsRequests ? page : []),
    ];
    const checks = [localOnly()];
    return routes.map((route) => ({ ...route, handler: afterChecks(checks, route.handler) }));
  }

  /** Sends the figures for a turn to the browser it belongs to. */
  turnEnded(report: DeliveryReport): void {
    for (const socket of this.#sockets) socket.turnEnded(report);
  }

  /**
   * Ends every session and opens no new ones. Resolves when the agents have been told, or after a
   * second.
   */
  async close(): Promise<void> {
    this.#isClosing = true;
    const ended = Promise.all([...this.#sockets].map((socket) => socket.goAway()));
    await atMost(CLOSE_TIMEOUT_MS, ended);
  }

  #agentFor(agentId: string): PlatformAgent {
    const agent = this.#agents.find(({ name }) => name === agentId) ?? this.#agents[0];
    if (agent === undefined) throw new Error('the local platform belongs to no app');
    return agent;
  }

  /**
   * Shows a conversation's history as a model would see it, without the prompt, and the last
   * requests in the form in which models got them.
   */
  async #showHistory(context: Context): Promise<void> {
    const agentId = new URLSearchParams(context.query).get('agent_id') ?? '';
    const { conversations } = this.#agentFor(agentId);
    const id = context.params['conversation'] ?? '';
    const messages = toChatMessages('', await conversations.getHistory(id)).slice(1);
    const { turns = [] } = (await conversations.read(id)) ?? {};
    const requests = exchangesIn(turns).slice(-MOST_REQUESTS);
    const shown = { messages, ...(requests.length === 0 ? {} : { requests }) };
    context.json(200, shown, ['cache-control', 'no-store']);
  }

  #openSession(grant: SessionGrant, origin: string, listener: CallListener): CallerSession {
    const { agentId, conversationId, fromPhoneNumber: from, profile } = grant;
    const { metadata, customMetadata, customHeaders } = grant;
    const agent = this.#agentFor(agentId);
    const { path, secret } = agent;
    const common = { listener, caller: { from, metadata, customMetadata } };
    if (profile === undefined) {
      const id = randomUUID();
      return new CallerSession({
        ...common, id, url: () => origin + path, headers: customHeaders,
        wire: layercodeTestWire({ secret, agentId, conversationId, sessionId: id }),
      });
    }
    const endpoint = `${profile}/${this.#agents.indexOf(agent)}`;
    const call = `${endpoint}/${conversationId}`;
    const key = this.#key;
    const wire = this.#calls.get(call)
      ?? completionsTestWire({ profile, key, conversationId });
    this.#calls.set(call, wire);
    const url = `${origin}${COMPLETIONS_PATH}/${endpoint}`;
    return new CallerSession({ ...common, wire, url: () => url, isResumed: wire.hasBegun });
  }

  #openSocket(context: Context): void {
    if (this.#isClosing) throw new ServiceUnavailable('the server is shutting down', 1);
    const refusal = checkHandshake(context.request);
    if (refusal !== undefined) {
      throw new HttpError(refusal.status, refusal.reason, { headers: refusal.headers });
    }
    const query = new URLSearchParams(context.query);
    const grant = this.#keys.find(query.get('client_session_key') ?? '');
    if (grant === undefined) {
      throw new HttpError(
        401,
        'client_session_key is missing, unknown or expired; get a new one from the authorize route',
      );
    }
    const socket = context.switchProtocols(acceptHeaders(context.request));
    const host = socket.localFamily === 'IPv6' ? `[${socket.localAddress}]` : socket.localAddress;
    const protocol = 'encrypted' in socket ? 'https' : 'http';
    // The address this socket has reached the server on, whatever else it listens on.
    const origin = `${protocol}://${host}:${socket.localPort}`;
    const opened = browserSocket(socket, {
      openSession: (listener) => this.#openSession(grant, origin, listener),
      isTraced: query.get('trace') === 'true',
      onEnd: () => this.#sockets.delete(opened),
    });
    this.#sockets.add(opened);
  }
}

const toPlayground: Handler = (context) =>
  context.empty(302, ['location', '/playground', 'cache-control', 'no-store']);

const fileOfPage: Handler = (context) => pageFile(context, context.params['file'] ?? '');

/** Undefined for LayerCode's wire, which is the default. */
function profileIn({ wire, profile = 'generic' }: JsonObject): ProfileName | undefined {
  if (wire === undefined || wire === null || wire === 'layercode') return undefined;
  if (wire !== 'chat-completions')
    throw new BadRequest('wire must be "layercode" or "chat-completions"');
  const found = PROFILE_NAMES.find((name) => name === profile);
  if (found === undefined)
    throw new BadRequest(`profile must be one of ${PROFILE_NAMES.join(', ')}`);
  return found;
}

const MAX_PHONE_NUMBER_LENGTH = 64;

/** Our own field, for trying an agent as somebody who calls by phone. */
function phoneNumberIn({ from_phone_number: number }: JsonObject): string | undefined {
  if (number === undefined || number === null) return undefined;
  if (typeof number === 'string' && number !== '' && number.length <= MAX_PHONE_NUMBER_LENGTH) {
    return number;
  }
  throw new BadRequest(
    `from_phone_number must be a string of 1 to ${MAX_PHONE_NUMBER_LENGTH} characters`,
  );
}

function objectIn(request: JsonObject, name: string): JsonObject | undefined {
  const value = request[name];
  return isObject(value) ? (value as JsonObject) : undefined;
}

/** The delivery itself depends on these headers, so a customer cannot set them. */
const RESERVED_HEADERS = new Set([
  'layercode-signature', 'content-type', 'content-length', 'host', 'connection', 'keep-alive',
  'transfer-encoding', 'te', 'trailer', 'upgrade', 'expect',
]);

function parseCustomHeaders(headers: JsonObject): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([given, value]) => {
    const name = given.toLowerCase();
    const shown = `custom_headers.${given.slice(0, 100)}`;
    if (RESERVED_HEADERS.has(name))
      throw new BadRequest(`custom_headers must not contain ${given}`);
    if (typeof value !== 'string') throw new BadRequest(`${shown} must be a string`);
    if (!isHeader(name, value)) throw new BadRequest(`${shown} is not a header that HTTP allows`);
    return [name, value];
  }));
}

/** Hides the error, which quotes the value. */
function isHeader(name: string, value: string): boolean {
  try {
    new Headers([[name, value]]);
    return true;
  } catch {
    return false;
  }
}

import { objectSchema } from '../base/fields.ts';
import type { JsonObject } from '../base/json.ts';
import { version } from '../base/version.ts';
import type { Handler } from '../http/compose.ts';
import { ROLES } from '../wires/chat-completions/request.ts';
import { AUTHORIZE_REQUEST } from '../wires/layercode/authorize.ts';
import { EVENT_FIELDS } from '../wires/layercode/events.ts';
import { SIGNATURE_HEADER } from '../wires/layercode/signature.ts';

export interface OpenApiOptions {
  /** The paths of LayerCode's webhooks. */
  readonly agentRoutes: readonly string[];
  /** What is served for platforms that speak Chat Completions. */
  readonly completionRoutes: readonly CompletionRoute[];
  readonly authorizeRoute: string;
  readonly hasMetrics: boolean;
}

/** A path below an agent's, and what it is for. */
export interface CompletionRoute {
  readonly path: string;
  readonly serves: 'completions' | 'models' | 'reports';
}

const OBJECT = { type: 'object' };
const TEXT = { type: 'string' };

function content(schema: JsonObject, mediaType = 'application/json'): JsonObject {
  return { content: { [mediaType]: { schema } } };
}

/** Beside JSON. */
const EVENT_STREAM = { 'text/event-stream': { schema: TEXT } };
const ERROR = {
  description: 'The message says why', ...content({ $ref: '#/components/schemas/Error' }),
};

interface Operation {
  /** The security scheme. Default: none. */
  readonly scheme?: string;
  /** The schema of the body, if there is one. */
  readonly body?: JsonObject;
  /** What 200 means. */
  readonly answer: string;
  /** The media types of 200. Default: a JSON object. */
  readonly as?: JsonObject;
  /** Statuses with a message that says why. */
  readonly errors?: readonly number[];
  /** Other answers, by status. */
  readonly others?: JsonObject;
}

/** A path that has one method. */
function path(
  method: 'get' | 'post',
  summary: string,
  { scheme, body, answer, as = content(OBJECT), errors = [], others }: Operation,
): JsonObject {
  const operation = {
    summary,
    security: scheme === undefined ? [] : [{ [scheme]: [] }],
    ...(body === undefined ? {} : { requestBody: { required: true, ...content(body) } }),
    responses: {
      200: { description: answer, ...as },
      ...Object.fromEntries(errors.map((status) => [status, ERROR])),
      ...others,
    },
  };
  return { [method]: operation };
}

/** OpenAI describes the rest of these bodies: https://github.com/openai/openai-openapi */
const COMPLETION_REQUEST = {
  type: 'object',
  required: ['messages'],
  properties: {
    messages: {
      type: 'array',
      items: {
        type: 'object',
        required: ['role'],
        properties: { role: { enum: ROLES }, content: {} },
      },
    },
    stream: { anyOf: [{ type: 'boolean' }, { type: 'null' }] },
    tools: { anyOf: [{ type: 'array' }, { type: 'null' }] },
  },
};

const COMPLETION_PATHS: Readonly<Record<CompletionRoute['serves'], JsonObject>> = {
  completions: path(
    'post', "A Chat Completion: the agent's next words, with the whole call as messages", {
      scheme: 'completionKey',
      body: COMPLETION_REQUEST,
      answer: 'An event stream of chunks if `stream` is true, otherwise JSON.',
      as: { content: { ...EVENT_STREAM, 'application/json': { schema: OBJECT } } },
      errors: [400, 401, 413, 415, 500, 503],
    },
  ),
  models: path('get', 'The agent as a list of one model', {
    scheme: 'completionKey', answer: 'The list', errors: [401],
  }),
  reports: path('post', 'What Vapi or ElevenLabs report of a call, each with its own secret', {
    body: OBJECT, answer: 'Taken', errors: [400, 401, 413, 415, 500],
  }),
};

/** Describes this server as an OpenAPI 3.1 document, created on first request. */
export function openApi(options: OpenApiOptions): Handler {
  let body: string | undefined;
  return (context) =>
    context.text(
      200,
      (body ??= JSON.stringify(documentOf(options))),
      'application/json; charset=utf-8',
    );
}

function documentOf(options: OpenApiOptions): JsonObject {
  const { agentRoutes, completionRoutes } = options;
  return {
    openapi: '3.1.0',
    info: {
      title: 'layercode-microserver',
      version,
      description: 'The backend of a LayerCode voice agent.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    paths: pathsOf(options),
    components: {
      schemas: { Error: { type: 'object', required: ['error'], properties: { error: TEXT } } },
      securitySchemes: {
        ...(agentRoutes.length === 0 ? {} : {
          webhookSignature: {
            type: 'apiKey',
            in: 'header',
            name: SIGNATURE_HEADER,
            description: 't=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<raw body>">',
          },
        }),
        ...(completionRoutes.length === 0 ? {} : {
          completionKey: { type: 'http', scheme: 'bearer' },
        }),
      },
    },
  };
}

function pathsOf(
  { agentRoutes, completionRoutes, authorizeRoute, hasMetrics }: OpenApiOptions,
): JsonObject {
  const webhook = path('post', 'A LayerCode webhook event, in either dialect', {
    scheme: 'webhookSignature',
    body: { anyOf: eventSchemas() },
    answer: 'An event stream for turns and in the call dialect, otherwise JSON.',
    as: { content: { ...EVENT_STREAM, 'application/json': { schema: {} } } },
    errors: [400, 401, 413, 415, 500, 503],
  });
  const authorize = path('post', 'A session key for a browser', {
    body: AUTHORIZE_REQUEST.schema,
    answer: 'The session',
    as: content({
      type: 'object',
      required: ['client_session_key', 'conversation_id'],
      properties: { client_session_key: TEXT, conversation_id: TEXT, config: OBJECT },
    }),
    errors: [400, 401, 402, 403, 413, 429, 500, 502, 503, 504],
  });
  const metrics = path('get', 'Metrics for Prometheus', {
    answer: 'Text format 0.0.4', as: content(TEXT, 'text/plain'),
  });
  return {
    ...Object.fromEntries(agentRoutes.map((route) => [route, webhook])),
    ...Object.fromEntries(
      completionRoutes.map((route) => [route.path, COMPLETION_PATHS[route.serves]]),
    ),
    [authorizeRoute]: authorize,
    '/health': path('get', 'Liveness check', { answer: 'The process is alive' }),
    '/ready': path('get', 'Readiness check', {
      answer: 'Ready for calls',
      others: { 503: { description: 'Not ready, with the reasons', ...content(OBJECT) } },
    }),
    '/openapi.json': path('get', 'This document', { answer: 'OpenAPI 3.1' }),
    ...(hasMetrics ? { '/metrics': metrics } : {}),
  };
}

/** From the tables that check the events. */
function eventSchemas(): JsonObject[] {
  return Object.entries(EVENT_FIELDS).map(([type, fields]): JsonObject => {
    const schema = objectSchema(fields) as { required: readonly string[]; properties: JsonObject };
    return {
      type: 'object',
      title: type,
      required: ['type', ...schema.required],
      properties: { type: { const: type }, ...schema.properties },
    };
  });
}

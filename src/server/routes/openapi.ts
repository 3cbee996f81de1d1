import { objectSchema } from '../../base/fields.ts';
import type { Handler, Route } from '../../base/http/compose.ts';
import type { JsonObject } from '../../base/json.ts';
import { version } from '../../base/version.ts';
import { ROLES } from '../../core/wires/chat-completions/request.ts';
import { AUTHORIZE_REQUEST } from '../../core/wires/layercode/authorize.ts';
import { EVENT_FIELDS } from '../../core/wires/layercode/events.ts';
import { SIGNATURE_HEADER } from '../../core/wires/layercode/signature.ts';

/** One of the app's own routes, and what it is for. */
export interface DescribedRoute extends Route {
  readonly serves: keyof ReturnType<typeof operations>;
}

/** No security scheme applies. */
const OPEN: JsonObject[] = [];

const ERROR = {
  description: 'The message says why',
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
};

function errors(...statuses: readonly number[]): JsonObject {
  return Object.fromEntries(statuses.map((status) => [String(status), ERROR]));
}

function jsonBody(schema: JsonObject): JsonObject {
  return { required: true, content: { 'application/json': { schema } } };
}

function jsonAnswer(description: string, schema: JsonObject): JsonObject {
  return { description, content: { 'application/json': { schema } } };
}

function streamOrJson(description: string, schema: JsonObject): JsonObject {
  const content = {
    'text/event-stream': { schema: { type: 'string' } }, 'application/json': { schema },
  };
  return { description, content };
}

/** What the routes are for. The events' schemas come from the tables that check the events. */
function operations() {
  return {
    webhook: {
      summary: 'A LayerCode webhook event, in either dialect',
      security: [{ webhookSignature: [] }],
      requestBody: jsonBody({ anyOf: eventSchemas() }),
      responses: {
        200: streamOrJson(
          'An event stream for turns and in the call dialect, otherwise JSON.',
          {},
        ),
        ...errors(400, 401, 413, 415, 500, 503),
      },
    },
    // OpenAI describes the rest of these bodies: https://github.com/openai/openai-openapi
    completions: {
      summary: "A Chat Completion: the agent's next words, with the whole call as messages",
      security: [{ completionKey: [] }],
      requestBody: jsonBody({
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
      }),
      responses: {
        200: streamOrJson(
          'An event stream of chunks if `stream` is true, otherwise JSON.',
          { type: 'object' },
        ),
        ...errors(400, 401, 413, 415, 500, 503),
      },
    },
    models: {
      summary: 'The agent as a list of one model',
      security: [{ completionKey: [] }],
      responses: { 200: jsonAnswer('The list', { type: 'object' }), ...errors(401) },
    },
    reports: {
      summary: 'What Vapi or ElevenLabs report about a call, each with its own secret',
      security: OPEN,
      requestBody: jsonBody({ type: 'object' }),
      responses: {
        200: jsonAnswer('Accepted', { type: 'object' }), ...errors(400, 401, 413, 415, 500),
      },
    },
    authorize: {
      summary: 'A session key for a browser',
      security: OPEN,
      requestBody: jsonBody(AUTHORIZE_REQUEST.schema),
      responses: {
        200: jsonAnswer('The session', {
          type: 'object',
          required: ['client_session_key', 'conversation_id'],
          properties: {
            client_session_key: { type: 'string' },
            conversation_id: { type: 'string' },
            config: { type: 'object' },
          },
        }),
        ...errors(400, 401, 402, 403, 413, 429, 500, 502, 503, 504),
      },
    },
    health: {
      summary: 'Liveness check',
      security: OPEN,
      responses: { 200: jsonAnswer('The process is alive', { type: 'object' }) },
    },
    ready: {
      summary: 'Readiness check',
      security: OPEN,
      responses: {
        200: jsonAnswer('Ready for calls', { type: 'object' }),
        503: jsonAnswer('Not ready, with the reasons', { type: 'object' }),
      },
    },
    openapi: {
      summary: 'This document',
      security: OPEN,
      responses: { 200: jsonAnswer('OpenAPI 3.1', { type: 'object' }) },
    },
    metrics: {
      summary: 'Metrics for Prometheus',
      security: OPEN,
      responses: {
        200: {
          description: 'Text format 0.0.4',
          content: { 'text/plain': { schema: { type: 'string' } } },
        },
      },
    },
  } satisfies Readonly<Record<string, JsonObject>>;
}

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

/** Describes the routes as an OpenAPI 3.1 document. */
export function openApi(routes: readonly DescribedRoute[]): Handler {
  const body = JSON.stringify(documentOf(routes));
  return (context) => context.text(200, body, 'application/json; charset=utf-8');
}

function documentOf(routes: readonly DescribedRoute[]): JsonObject {
  const described = operations();
  const paths: Record<string, JsonObject> = {};
  for (const { method, path, serves } of routes)
    paths[path] = { ...paths[path], [method.toLowerCase()]: described[serves] };
  const serves = (service: DescribedRoute['serves']): boolean =>
    routes.some((route) => route.serves === service);
  return {
    openapi: '3.1.0',
    info: {
      title: 'layercode-microserver',
      version,
      description: 'The backend of a LayerCode voice agent.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: {
        Error: { type: 'object', required: ['error'], properties: { error: { type: 'string' } } },
      },
      securitySchemes: {
        ...(serves('webhook') ? { webhookSignature: WEBHOOK_SIGNATURE } : {}),
        ...(serves('completions') ? { completionKey: { type: 'http', scheme: 'bearer' } } : {}),
      },
    },
  };
}

const WEBHOOK_SIGNATURE = {
  type: 'apiKey',
  in: 'header',
  name: SIGNATURE_HEADER,
  description: 't=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<raw body>">',
};

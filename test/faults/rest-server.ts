// LayerCode's REST API for agents, on a real socket: keeps their webhooks, and fails in every way
// that such a server does.

import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';

import { listen } from '../fixtures/listen.ts';

export const REST_KEY = 'lk_test_0123456789abcdef';

export interface RestRequest {
  readonly method: string;
  /** The path as it came, encoded. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Answers one request. What it leaves open stays open. */
export type RestAnswer = (response: ServerResponse, request: RestRequest) => void;

export interface RestServer {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  /** The webhook of each existing agent; null if it has none. */
  readonly webhooks: Map<string, string | null>;
  /** How an agent shows its webhook. */
  shape: (webhook: string | null) => object;
  readonly requests: readonly RestRequest[];
  /**
   * Called for each request once it has been read. Returns what gives the answer instead of the
   * usual one; if undefined, the request gets the right answer.
   */
  fault: (request: RestRequest) => RestAnswer | undefined;
  close(): Promise<void>;
}

export async function startRestServer(
  webhooks: Readonly<Record<string, string | null>> = {},
): Promise<RestServer> {
  const requests: RestRequest[] = [];
  const server = createServer(async (incoming, response) => {
    let body = '';
    for await (const text of incoming.setEncoding('utf8')) body += text;
    const request: RestRequest = {
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      headers: incoming.headers,
      body,
    };
    requests.push(request);
    (rest.fault(request) ?? answerRight(rest))(response, request);
  });
  const { origin, close } = await listen(server);
  const rest: RestServer = {
    url: origin,
    webhooks: new Map(Object.entries(webhooks)),
    shape: SHAPES.webhook_url,
    requests,
    fault: () => undefined,
    close,
  };
  return rest;
}

/** The three ways in which LayerCode has been seen to keep the webhook of an agent. */
export const SHAPES = {
  webhook_url: (webhook) => ({ webhook_url: webhook }),
  'config.endpoint': (webhook) => ({ config: { type: 'voice', endpoint: webhook } }),
  'config.plugins': (webhook) => ({
    type: 'voice',
    config: {
      clients: { browser: { enabled: true } },
      plugins: [
        { use: 'stt.deepgram', options: { model_id: 'flux' } },
        { use: 'turn_manager', options: { mode: 'automatic' } },
        ...(webhook === null
          ? []
          : [
              {
                use: 'agent.webhook',
                options: { url: webhook, events: ['message', 'session.start'] },
              },
            ]),
        { use: 'tts.rime', options: { model_id: 'mistv2', voice_id: 'courtney' } },
      ],
      session_webhook: { url: 'https://voice.example/lifecycle' },
    },
  }),
} as const satisfies Record<string, RestServer['shape']>;

function answerRight({ webhooks, shape }: RestServer): RestAnswer {
  return (response, { method, path, headers, body }) => {
    const agentId = decodeURIComponent(/^\/v1\/agents\/([^/?]+)$/.exec(path)?.[1] ?? '');
    // Many APIs quote the key that they refuse.
    if (headers.authorization !== `Bearer ${REST_KEY}`) {
      return answerJson(401, { error: `Invalid API key: ${headers.authorization?.slice(7)}` })(
        response,
      );
    }
    if (!webhooks.has(agentId)) return answerJson(404, { error: 'Agent not found' })(response);
    if (method === 'POST') {
      webhooks.set(agentId, (JSON.parse(body) as { webhook_url: string | null }).webhook_url);
    }
    answerJson(200, { id: agentId, name: 'Test agent', ...shape(webhooks.get(agentId) ?? null) })(
      response,
    );
  };
}

export function answerJson(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): (response: ServerResponse) => void {
  return (response) =>
    void response
      .writeHead(status, { 'content-type': 'application/json', ...headers })
      .end(JSON.stringify(value));
}

/** What a proxy answers. */
export function answerHtml(status: number): RestAnswer {
  return (response) =>
    response
      .writeHead(status, { 'content-type': 'text/html' })
      .end('<html><h1>It works!</h1></html>');
}

/** Takes the request and never answers. */
export const neverAnswers: RestAnswer = () => undefined;

/** Stops in the middle of the body. */
export const stalls: RestAnswer = (response) =>
  void response.writeHead(200, { 'content-type': 'application/json' }).write('{"webhook_url":');

/** Breaks the connection. */
export const hangsUp: RestAnswer = (response) => void response.destroy();

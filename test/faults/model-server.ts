// A stand-in for a model vendor on a real socket: speaks the Chat Completions wire, and fails in
// every way that vendors do.

import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';

import { listen } from '../fixtures/listen.ts';
import {
  chunk,
  KEEP_ALIVE,
  OPENAI_RATE_LIMITED,
  OPENAI_REFUSED,
  textReply,
} from './wire-shapes.ts';

export interface ModelRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** The parsed JSON. */
  readonly body: Record<string, unknown>;
  /**
   * Resolves with true if the client closed the connection before the answer ended, with false if
   * the answer was sent whole.
   */
  readonly wasCut: Promise<boolean>;
}

/** Answers one request. What it leaves open stays open. */
export type Answer = (response: ServerResponse, request: ModelRequest) => void | Promise<void>;

export interface ModelServer {
  /** The base URL, `http://127.0.0.1:<port>/v1`. */
  readonly url: string;
  /** POST requests so far. */
  readonly requests: readonly ModelRequest[];
  /** Requests other than POST so far; they are answered with 404. */
  readonly warmUps: number;
  /** TCP connections that are open now, and the number there have been. */
  readonly openConnections: number;
  readonly connectionsSeen: number;
  /** The request with this number (from 0), as soon as it has arrived. */
  request(number: number): Promise<ModelRequest>;
  close(): Promise<void>;
}

/** Starts the server. A list of answers serves one request each, the last one all that follow. */
export async function startModelServer(
  script: Answer | readonly [Answer, ...Answer[]],
): Promise<ModelServer> {
  const answers = typeof script === 'function' ? [script] : script;
  const requests: ModelRequest[] = [];
  const waiting: { readonly number: number; readonly resolve: (request: ModelRequest) => void }[] =
    [];
  let warmUps = 0;
  let openConnections = 0;
  let connectionsSeen = 0;

  const server = createServer(async (incoming, response) => {
    if (incoming.method !== 'POST') {
      warmUps++;
      response
        .writeHead(404, { 'content-type': 'application/json' })
        .end('{"error":{"message":"Not found"}}');
      return;
    }
    let text = '';
    for await (const bytes of incoming.setEncoding('utf8')) text += bytes;
    const wasCut = once(response, 'close').then(() => !response.writableFinished);
    const request: ModelRequest = {
      path: incoming.url ?? '',
      headers: incoming.headers,
      body: JSON.parse(text),
      wasCut,
    };
    const number = requests.push(request) - 1;
    for (const waiter of waiting) if (waiter.number === number) waiter.resolve(request);
    await (answers[number] ?? answers.at(-1))?.(response, request);
  });
  server.on('connection', (socket) => {
    openConnections++;
    connectionsSeen++;
    socket.setNoDelay(true);
    socket.on('close', () => openConnections--);
  });
  const { origin, close } = await listen(server);

  return {
    url: `${origin}/v1`,
    requests,
    get warmUps() {
      return warmUps;
    },
    get openConnections() {
      return openConnections;
    },
    get connectionsSeen() {
      return connectionsSeen;
    },
    request(number) {
      const there = requests[number];
      return there === undefined
        ? new Promise((resolve) => waiting.push({ number, resolve }))
        : Promise.resolve(there);
    },
    close,
  };
}

/** Opens an event stream. */
export function openStream(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  response.flushHeaders();
}

/** Sends these blocks and ends. */
export function stream(...blocks: string[]): Answer {
  return (response) => {
    openStream(response);
    response.end(blocks.join(''));
  };
}

/** Says these texts and ends properly. */
export const says = (...texts: string[]): Answer => stream(...textReply(...texts));

/**
 * A slow answer: sends the blocks, then waits for the promise before it sends the rest and ends.
 */
export function pausing(
  before: readonly string[],
  until: Promise<unknown>,
  after: readonly string[],
): Answer {
  return async (response) => {
    openStream(response);
    response.write(before.join(''));
    await until;
    response.end(after.join(''));
  };
}

/**
 * Sends these blocks, then nothing: neither a word nor an end. Without blocks, the stream opens and
 * is silent.
 */
export function silentAfter(...blocks: string[]): Answer {
  return (response) => {
    openStream(response);
    response.write(KEEP_ALIVE + blocks.join(''));
  };
}

/** Takes the request and never sends headers. */
export const mute: Answer = () => undefined;

/** Sends these blocks, then breaks the connection. */
export function droppedAfter(...blocks: string[]): Answer {
  return (response) => {
    openStream(response);
    response.write(blocks.join(''), () => response.socket?.resetAndDestroy());
  };
}

/** Answers with a status and a JSON body. */
export function fails(status: number, body: string, headers: Record<string, string> = {}): Answer {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
  };
}

export const refuses = fails(401, OPENAI_REFUSED);
export const overloaded = fails(
  500,
  '{"error":{"message":"The server had an error while processing your request.","type":"server_error"}}',
);
export const rateLimits = (headers: Record<string, string>): Answer =>
  fails(429, OPENAI_RATE_LIMITED, headers);
export const malformed = stream(chunk({ content: 'Hel' }), 'data: {"choices":[{"del\n\n');
export const empty = stream(
  chunk({ role: 'assistant', content: '' }),
  chunk({}, 'stop'),
  'data: [DONE]\n\n',
);

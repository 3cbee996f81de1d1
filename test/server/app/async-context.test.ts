// An async context that is entered around a server's listener, as tracers do, reaches everything
// that a request sets off: hooks, requests to a model, tools. Nothing sees another request's
// context.

import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { createServer, IncomingMessage, Server } from 'node:http';
import { connect } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { MemoryStore } from '../../../src/core/conversations/memory-store.ts';
import type { ConversationStore } from '../../../src/core/conversations/store.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import type { App } from '../../../src/server/app/app.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';
import { chunk, DONE, textReply } from '../../faults/wire-shapes.ts';
import { messageEvent, rawRequest, RawConnection, SECRET, until } from '../../fixtures/app.ts';
import { listen } from '../../fixtures/listen.ts';

/** Holds the name of the request. */
const storage = new AsyncLocalStorage<string>();

/** Calls the listener with the request's own name entered. */
function traced<T>(request: IncomingMessage, listener: () => T): T {
  return storage.run(String(request.headers['x-name']), listener);
}

/** Ways to serve an app, each with the request's name entered around its listener. */
const WAYS: Readonly<Record<string, (t: TestContext, app: App) => Promise<number>>> = {
  async 'by app.listen'(t, app) {
    // As OpenTelemetry's instrumentation of node:http does.
    const { emit } = Server.prototype;
    t.mock.method(Server.prototype, 'emit', function (this: Server, ...args: unknown[]) {
      const [event, request] = args;
      const pass = (): boolean => Reflect.apply(emit, this, args) as boolean;
      const isRequest = event === 'request' && request instanceof IncomingMessage;
      return isRequest ? traced(request, pass) : pass();
    });
    return (await app.listen({ host: '127.0.0.1', port: 0 })).port;
  },
  async 'mounted in another server'(t, app) {
    const server = createServer((request, response) =>
      traced(request, () => app.handle(request, response)));
    return (await listen(server, t)).port;
  },
  async 'mounted, with next'(t, app) {
    const server = createServer((request, response) =>
      traced(request, () => app.handle(request, response, () => response.end())));
    return (await listen(server, t)).port;
  },
};

/** Ways to send a request. */
const SENDINGS: Readonly<Record<string, (request: string) => string>> = {
  'a body that comes with its head': (request) => request,
  'a chunked body'(request) {
    const [head = '', body = ''] = request.split('\r\n\r\n');
    const size = body.length.toString(16);
    const chunked = head.replace(/content-length: \d+/, 'transfer-encoding: chunked');
    return `${chunked}\r\n\r\n${size}\r\n${body}\r\n0\r\n\r\n`;
  },
};

/**
 * A store whose answers are thenables, all settled together, in the context of the first caller:
 * the worst that a connection pool can do.
 */
function slowStore(): ConversationStore {
  const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 100, maxCharacters: 1_000_000 });
  let waiting: (() => void)[] = [];
  const answerAll = (): void => {
    for (const answer of waiting.splice(0)) answer();
  };
  return new Proxy<ConversationStore>(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]): unknown => {
        const value: unknown = Reflect.apply(member, target, args);
        if (name === 'close') return value;
        return {
          then(resolve: (value: unknown) => void) {
            if (waiting.push(() => resolve(value)) === 1) setImmediate(answerAll);
          },
        };
      };
    },
  });
}

const ENVIRONMENT = {
  LAYERCODE_WEBHOOK_SECRET: SECRET,
  OPENAI_API_KEY: 'sk-test',
  SHUTDOWN_TIMEOUT_SECONDS: '0',
  FILLER_AFTER_MS: '0',
};

interface Seen {
  readonly what: string;
  /** The request that caused it, as conversation and turn. */
  readonly of: string;
  readonly store: string | undefined;
}

interface Traced {
  readonly seen: readonly Seen[];
  /** Sends a message over a connection of its own. */
  send(conversation: string, turn: string, text: string): Promise<RawConnection>;
}

/** An app whose hooks, model requests and tools note which request's store they see. */
async function serveTraced(
  t: TestContext,
  serve: (t: TestContext, app: App) => Promise<number>,
  sent: (request: string) => string,
  store?: ConversationStore,
): Promise<Traced> {
  const seen: Seen[] = [];
  const note = (what: string, of: string): void =>
    void seen.push({ what, of, store: storage.getStore() });
  const agent = defineAgent({
    name: 'traced',
    model: 'openai:gpt-5-nano',
    prompt: 'Be brief.',
    tools: [
      tool({
        name: 'look',
        description: 'Looks.',
        parameters: { type: 'object', properties: {} },
        async run(_arguments, { conversationId, turnId }) {
          note('tool', `${conversationId}/${turnId}`);
          await new Promise((resolve) => setTimeout(resolve, 5));
          note('tool, later', `${conversationId}/${turnId}`);
          return 'Seen.';
        },
      }),
    ],
    onInterrupted({ conversationId, turnId }) {
      note('onInterrupted', `${conversationId}/${turnId}`);
    },
  });
  const app = createApp(parseSettings(ENVIRONMENT, []), agent, {
    fetch: (_url, init) => answerAsModel(init, note),
    ...(store === undefined ? {} : { store }),
  });
  const port = await serve(t, app);
  const connections: RawConnection[] = [];
  t.after(async () => {
    for (const { socket } of connections) socket.destroy();
    await app.close();
  });
  return {
    seen,
    async send(conversation, turn, text) {
      const socket = connect({ port, host: '127.0.0.1' });
      await once(socket, 'connect');
      const connection = new RawConnection(socket);
      connections.push(connection);
      const event = messageEvent({ conversation_id: conversation, turn_id: turn, text });
      const headers = [`x-name: ${conversation}/${turn}`];
      connection.write(sent(rawRequest(event, { headers })));
      return connection;
    },
  };
}

/**
 * What a model's server would answer to the caller's last words: to "look …" with a call of the
 * tool, then with a text; to "hold …" with a first word, and nothing more until it is aborted.
 */
async function answerAsModel(
  init: RequestInit | undefined,
  note: (what: string, of: string) => void,
): Promise<Response> {
  const { messages } = JSON.parse(String(init?.body)) as {
    readonly messages: readonly { readonly role: string; readonly content: string }[];
  };
  const words = messages.findLast(({ role }) => role === 'user')?.content.split(/\s/) ?? [];
  const [verb, of = ''] = words.slice(-2);
  const isSecond = messages.at(-1)?.role === 'tool';
  note(isSecond ? 'model request with a result' : 'model request', of);
  if (verb === 'hold') {
    return streamOf([chunk({ role: 'assistant', content: 'One' })], init?.signal);
  }
  if (isSecond) return streamOf(textReply('Done.'));
  const look = { name: 'look', arguments: '{}' };
  const call = { index: 0, id: `call_${of}`, type: 'function', function: look };
  return streamOf([
    chunk({ role: 'assistant', tool_calls: [call] }),
    chunk({}, 'tool_calls'),
    DONE,
  ]);
}

/** With a signal, the stream stays open until that fires. */
function streamOf(chunks: readonly string[], signal?: AbortSignal | null): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const text of chunks) controller.enqueue(new TextEncoder().encode(text));
      if (!signal) return controller.close();
      signal.addEventListener('abort', () => controller.error(signal.reason));
    },
  });
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
}

/** Everything that a turn with a tool call sets off. */
const OF_A_TURN = ['model request', 'tool', 'tool, later', 'model request with a result'];

const STORES = { 'the memory store': undefined, 'a store that answers late': slowStore };

for (const [way, serveApp] of Object.entries(WAYS)) {
  for (const [sent, sending] of Object.entries(SENDINGS)) {
    for (const [stored, createStore] of Object.entries(STORES)) {
      describe(`the async context of a request (${way}; ${sent}; ${stored})`, () => {
        it('reaches the model requests and tools of concurrent turns', async (t) => {
          const { seen, send } = await serveTraced(t, serveApp, sending, createStore?.());
          const names = Array.from({ length: 20 }, (_, index) => `c-${index}`);
          const replies = await Promise.all(names.map((name) => send(name, 't', `look ${name}/t`)));
          const isDone = ({ text }: RawConnection): boolean => text.includes('Done.');
          await until(() => replies.every(isDone), 'twenty replies', 10_000);
          const strange = seen.filter(({ of, store }) => of !== store);
          assert.deepEqual(strange, []);
          const expected = names.flatMap((name) => OF_A_TURN.map((what) => `${what} ${name}/t`));
          const found = seen.map(({ what, of }) => `${what} ${of}`);
          assert.deepEqual(found.toSorted(), expected.toSorted());
        });

        it("is each turn's own after a barge-in", async (t) => {
          const { seen, send } = await serveTraced(t, serveApp, sending, createStore?.());
          const first = await send('c', 't-1', 'hold c/t-1');
          await first.read((text) => text.includes('One'));
          const second = await send('c', 't-2', 'look c/t-2');
          await second.read((text) => text.includes('Done.'));
          assert.deepEqual(
            seen.filter(({ of, store }) => of !== store),
            [],
          );
          assert.deepEqual(
            seen.map(({ what, of }) => `${what} ${of}`),
            [
              'model request c/t-1', 'onInterrupted c/t-1',
              ...OF_A_TURN.map((what) => `${what} c/t-2`),
            ],
          );
        });

        it("is the turn's own when its caller leaves", async (t) => {
          const { seen, send } = await serveTraced(t, serveApp, sending, createStore?.());
          const caller = await send('c', 't-1', 'hold c/t-1');
          await caller.read((text) => text.includes('One'));
          caller.socket.destroy();
          await until(() => seen.length === 2, 'onInterrupted');
          assert.deepEqual(seen[1], { what: 'onInterrupted', of: 'c/t-1', store: 'c/t-1' });
        });
      });
    }
  }
}

describe('the async context of a request', () => {
  const EVENTS = {
    onSessionStart: { type: 'session.start' },
    onMessage: {},
    onData: { type: 'data', data: {} },
    onSessionUpdate: { type: 'session.update' },
    onSessionEnd: { type: 'session.end' },
  };

  for (const [hook, fields] of Object.entries(EVENTS)) {
    it(`reaches ${hook}`, async (t) => {
      const seen: (string | undefined)[] = [];
      const note = async (): Promise<void> => {
        seen.push(storage.getStore());
        await new Promise((resolve) => setImmediate(resolve));
        seen.push(storage.getStore());
      };
      const agent = defineAgent({ name: 'hooks', onMessage: () => 'Yes.', [hook]: note });
      const app = createApp(parseSettings(ENVIRONMENT, []), agent, { store: slowStore() });
      const port = await WAYS['by app.listen']?.(t, app);
      const socket = connect({ port: port ?? 0, host: '127.0.0.1' });
      t.after(() => {
        socket.destroy();
        return app.close();
      });
      const connection = new RawConnection(socket);
      connection.write(rawRequest(messageEvent(fields), { headers: [`x-name: ${hook}`] }));
      assert.equal(await connection.status(), 200);
      await until(() => seen.length === 2, hook);
      assert.deepEqual(seen, [hook, hook]);
    });
  }
});

// Traces, with OpenTelemetry's own SDK and exporter, as docs/tracing.md sets them up. Needs `npm
// ci` in this folder, and `npm run build`.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, it } from 'node:test';

import { createTestClient, type TestClient } from '../../src/kit/test-client.ts';
import {
  ATTRIBUTES, EVENTS, OPERATIONS, STORE_SPAN,
} from '../../src/server/observers/span-names.ts';
import { calls } from '../core/agents/model-app.ts';
import {
  rateLimits, refuses, says, startModelServer, type ModelServer,
} from '../faults/model-server.ts';
import { Told } from '../fixtures/app.ts';
import { listen, type Listening } from '../fixtures/listen.ts';
import { codeBlocks, PEERS, readPage } from '../fixtures/pages.ts';
import { isMissing, RedisServer } from '../fixtures/redis-server.ts';
import { ROOT } from '../fixtures/source-files.ts';
import { SECRET, Workplace, type SpawnedServer } from '../fixtures/spawned-server.ts';
import { SpanReceiver, type ReceivedSpan } from './span-receiver.ts';

const { dependencies: TRIED } = JSON.parse(readFileSync(join(PEERS, 'package.json'), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>;
};

const LIGHT = codeBlocks.find(({ file }) => file === 'tracing.mjs')?.text ?? '';
const ALL = '@opentelemetry/auto-instrumentations-node/register';
const PAGE = readPage('docs/tracing.md');

/** Asks a service by `fetch`. Holding its answer back holds up the tool. */
const AGENT = `
import { tool } from '${ROOT}dist/index.js';
export default {
  name: 'waiter',
  prompt: 'Secret prompt.',
  tools: [
    tool({
      name: 'look_up',
      description: 'Looks up.',
      parameters: { type: 'object', properties: { what: { type: 'string' } } },
      whenInterrupted: 'finish',
      async run() {
        const response = await fetch(process.env.SERVICE_URL);
        return response.text();
      },
    }),
  ],
};`;

const workplace = new Workplace();
let receiver: SpanReceiver;
let model: ModelServer;
/** The service that the tool asks. */
let service: Listening;
/** The requests that the service got, with the function that answers each. */
let asked: Told<{ readonly headers: IncomingHttpHeaders; readonly answer: () => void }>;
let answersAtOnce: boolean;

beforeEach(async () => {
  workplace.usePeers();
  workplace.write('agent.mjs', AGENT);
  workplace.write('tracing.mjs', LIGHT);
  receiver = await SpanReceiver.open();
  model = await startModelServer([
    calls([['call-1', 'look_up', '{"what":"secret wish"}']]), says('Secret', ' dish.'),
  ]);
  asked = new Told();
  answersAtOnce = true;
  service = await listen(createServer(({ headers }, response) => {
    const answer = (): void => void response.end('secret answer');
    if (answersAtOnce) answer();
    asked.tell({ headers, answer });
  }));
});
afterEach(async () => {
  await workplace.clear();
  await receiver.close();
  await model.close();
  await service.close();
});

interface TracedServer {
  readonly server: SpawnedServer;
  readonly client: TestClient;
}

async function serve(
  imported: string | undefined, env: Readonly<Record<string, string>> = {}, workers = 1,
): Promise<TracedServer> {
  const server = workplace.spawn({
    env: {
      LAYERCODE_WEBHOOK_SECRET: SECRET,
      NODE_ENV: 'production',
      DRAIN_DELAY_SECONDS: '0',
      AGENT: './agent.mjs',
      OPENAI_API_KEY: 'sk-test',
      OPENAI_BASE_URL: model.url,
      FILLER_AFTER_MS: '0',
      SERVICE_URL: `${service.origin}/`,
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_LOGS_EXPORTER: 'none',
      OTEL_BSP_SCHEDULE_DELAY: '20',
      ...env,
    },
    execArgv: imported === undefined ? [] : ['--import', imported],
  });
  await server.lines('listening', workers);
  return { server, client: createTestClient(await server.url(), { secret: SECRET }) };
}

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const PARENT = { headers: { traceparent: `00-${TRACE_ID}-b7ad6b7169203331-01` } };

function message(turnId: string, fields: object = {}): object {
  const ids = { session_id: 's-1', conversation_id: 'c-1', turn_id: turnId };
  return { type: 'message', ...ids, text: 'Secret wish.', ...fields };
}

/** `00-<trace id>-<span id>-01` */
function traceIdOf({ traceparent }: IncomingHttpHeaders): string | undefined {
  return String(traceparent).split('-')[1];
}

/** The names from this span up to the last ancestor that was sent. */
function ancestors(span: ReceivedSpan): string[] {
  const parent = receiver.spans.find(({ spanId }) => spanId === span.parentSpanId);
  return [span.name, ...(parent === undefined ? [] : ancestors(parent))];
}

const LIMIT = { timeout: 30_000 };

for (const [setUp, imported, above] of [
  ['the lighter set-up', './tracing.mjs', []],
  ['all instrumentations', ALL, ['POST']],
] as const) {
  describe(`a turn with ${setUp}`, LIMIT, () => {
    it('is one trace, from the webhook through the model to the fetch of a tool', async () => {
      const { client } = await serve(imported);
      await (await client.post(message('t-1'), PARENT)).text();
      const turn = await receiver.span('invoke_agent waiter');
      const tool = await receiver.span('execute_tool look_up');
      const fetched = await receiver.span('GET');
      assert.equal(turn.traceId, TRACE_ID);
      assert.deepEqual(ancestors(turn), ['invoke_agent waiter', ...above]);
      assert.deepEqual(ancestors(fetched).slice(0, 3), ['GET', tool.name, turn.name]);
      const chats = await receiver.received(2, ({ name }) => name === 'chat gpt-6-luna');
      assert.deepEqual(chats.map(ancestors), chats.map(({ name }) => [name, turn.name, ...above]));
      const asking = await receiver.received(2, ({ name }) => name === 'POST');
      assert.deepEqual(
        new Set(asking.map(({ parentSpanId }) => parentSpanId).filter(isOfChat)),
        new Set(chats.map(({ spanId }) => spanId)),
      );
      function isOfChat(id: string | undefined): boolean {
        return chats.some(({ spanId }) => spanId === id);
      }
      const { headers } = await asked.next();
      assert.equal(headers['traceparent'], `00-${TRACE_ID}-${fetched.spanId}-01`);
      assert.deepEqual(model.requests.map(({ headers }) => traceIdOf(headers)), [
        TRACE_ID, TRACE_ID,
      ]);
    });
  });
}

describe('docs/tracing.md', LIMIT, () => {
  it('has a NODE_OPTIONS for Docker that traces turns', async () => {
    const [, options = ''] = /^ENV NODE_OPTIONS="(.+)"$/m.exec(PAGE) ?? [];
    const { client } = await serve(undefined, { NODE_OPTIONS: options });
    await (await client.post(message('t-1'), PARENT)).text();
    assert.equal((await receiver.span('invoke_agent waiter')).traceId, TRACE_ID);
  });

  // The newest versions did not fit each other any more: npm refused them on Node 24.
  it('installs what its set-up imports, in the versions that are tested here', () => {
    const imported = [...LIGHT.matchAll(/ from '(@[^']+)'/g)].map(([, name = '']) => name);
    const installs = PAGE.matchAll(/npm install (?:\\\n|[^`\n])*/g);
    const commands = [...installs].map(([command]) => command);
    const light = commands.filter((command) => command.includes('exporter-trace'));
    assert.equal(light.length, 2); // one of them for Docker
    for (const command of light)
      for (const name of ['@opentelemetry/api', ...imported]) {
        const [version = ''] = /^\d+\.\d+/.exec(TRIED[name] ?? '') ?? [];
        assert.ok(command.includes(`${name}@${version}`), `${name}@${version}: ${command}`);
      }
  });

  it('lists the names of all spans, events and attributes', () => {
    const names = [
      ...Object.values(ATTRIBUTES), ...Object.values(EVENTS), ...Object.values(OPERATIONS),
      STORE_SPAN,
    ];
    assert.deepEqual(names.filter((name) => !new RegExp(`\`${name}[\` ]`).test(PAGE)), []);
  });
});

describe('a traced turn', LIMIT, () => {
  it('names the agent and the model, without words, and passes no baggage on', async () => {
    const { client } = await serve('./tracing.mjs', {
      MODEL_PRICES: '{"openai:gpt-6-luna":{"input":1,"output":100}}',
    });
    const headers = { baggage: 'tenant=of-a-stranger' };
    await (await client.post(message('t-1'), { headers })).text();
    const turn = await receiver.span('invoke_agent waiter');
    assert.equal(turn.parentSpanId ?? '', ''); // because its webhook does not continue a trace
    assert.equal(turn.kind, 1); // "internal" in OTLP
    assert.equal(turn.scope, 'layercode-microserver');
    assert.deepEqual(turn.attributes, {
      'gen_ai.operation.name': 'invoke_agent',
      'gen_ai.agent.name': 'waiter',
      'gen_ai.conversation.id': 'c-1',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'gpt-6-luna',
      'gen_ai.usage.input_tokens': 69,
      'gen_ai.usage.output_tokens': 30,
      'layercode.cost': 0.003069,
      'layercode.turn.id': 't-1',
      'layercode.wire': 'layercode',
      'layercode.event': 'message',
      'layercode.outcome': 'completed',
    });
    assert.deepEqual(turn.events.map(({ name }) => name), ['layercode.first_word']);
    const [first, second] = await receiver.received(2, ({ name }) => name === 'chat gpt-6-luna');
    const { 'gen_ai.response.time_to_first_chunk': seconds, ...others } = second?.attributes ?? {};
    assert.ok(Number(seconds) > 0 && Number(seconds) < 10);
    assert.deepEqual(others, {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'gpt-6-luna',
      'gen_ai.request.stream': true,
      'gen_ai.conversation.id': 'c-1',
      'gen_ai.usage.input_tokens': 19,
      'gen_ai.usage.output_tokens': 10,
      'gen_ai.response.id': 'chatcmpl-123',
      'gen_ai.response.model': 'gpt-6-luna',
      'gen_ai.response.finish_reasons': ['stop'],
      'server.address': '127.0.0.1',
      'server.port': Number(new URL(model.url).port),
      'layercode.attempt': 1,
      'layercode.cost': 0.001019,
      'layercode.outcome': 'completed',
    });
    for (const chat of [first, second]) {
      assert.equal(chat?.kind, 3); // client
      assert.deepEqual(chat?.events.map(({ name }) => name), ['layercode.first_token']);
    }
    const { headers: passedOn } = await asked.next();
    const all = [passedOn, ...model.requests.map((request) => request.headers)];
    assert.deepEqual(all.map(traceIdOf), [turn.traceId, turn.traceId, turn.traceId]);
    assert.deepEqual(all.map(({ baggage }) => baggage), [undefined, undefined, undefined]);
    assert.doesNotMatch(receiver.bytes, /secret/i);
  });

  it('has a span for each wait for the store', { skip: isMissing('redis-server') }, async (t) => {
    const redis = await RedisServer.startFor(t, 'redis-server');
    const { client } = await serve('./tracing.mjs', { CONVERSATION_STORE: redis.url });
    await (await client.post(message('t-1'))).text();
    const turn = await receiver.span('invoke_agent waiter');
    const waits = receiver.spans.filter(({ name }) => name.startsWith('store '));
    const names = waits.map(({ name }) => name);
    const calls = ['store tool_calls', 'store tool_calls']; // before they run, and their results
    assert.deepEqual(names, ['store open', ...calls, 'store end']);
    for (const { parentSpanId, attributes, name } of waits) {
      assert.equal(parentSpanId, turn.spanId);
      assert.deepEqual(attributes, {
        'gen_ai.conversation.id': 'c-1', 'layercode.store_step': name.slice('store '.length),
      });
    }
    assert.ok(Number(turn.attributes['layercode.store_ms']) > 0);
  });

  it('has words if OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is set', async () => {
    const { client } = await serve('./tracing.mjs', {
      OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: 'true',
    });
    await (await client.post(message('t-1'))).text();
    const turn = await receiver.span('invoke_agent waiter');
    const tool = await receiver.span('execute_tool look_up');
    assert.deepEqual(JSON.parse(String(turn.attributes['gen_ai.input.messages'])), [
      { role: 'user', parts: [{ type: 'text', content: 'Secret wish.' }] },
    ]);
    assert.deepEqual(JSON.parse(String(turn.attributes['gen_ai.output.messages'])), [
      { role: 'assistant', parts: [{ type: 'text', content: 'Secret dish.' }] },
    ]);
    assert.equal(tool.attributes['gen_ai.tool.call.arguments'], '{"what":"secret wish"}');
    assert.equal(tool.attributes['gen_ai.tool.call.result'], '"secret answer"');
    const chats = await receiver.received(2, ({ name }) => name === 'chat gpt-6-luna');
    const last = chats.at(-1)?.attributes ?? {};
    const args = { what: 'secret wish' };
    const call = { type: 'tool_call', id: 'call-1', name: 'look_up', arguments: args };
    assert.deepEqual(JSON.parse(String(last['gen_ai.input.messages'])), [
      { role: 'system', parts: [{ type: 'text', content: 'Secret prompt.' }] },
      { role: 'user', parts: [{ type: 'text', content: 'Secret wish.' }] },
      { role: 'assistant', parts: [call] },
      {
        role: 'tool',
        parts: [{ type: 'tool_call_response', id: 'call-1', response: '"secret answer"' }],
      },
    ]);
    assert.deepEqual(JSON.parse(String(last['gen_ai.output.messages'])), [
      {
        role: 'assistant',
        parts: [{ type: 'text', content: 'Secret dish.' }],
        finish_reason: 'stop',
      },
    ]);
  });

  it('has its trace id in the log and the record, and is sent before the server ends', async () => {
    const { client, server } = await serve('./tracing.mjs', {
      CALL_RECORDS: 'file:calls.jsonl', OTEL_BSP_SCHEDULE_DELAY: '60000',
    });
    await (await client.post(message('t-1'), PARENT)).text();
    await client.post({ type: 'session.end', session_id: 's-1', conversation_id: 'c-1' });
    const [line] = await server.lines('request', 2);
    assert.equal(line?.['traceId'], TRACE_ID);
    server.kill('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    assert.equal((await receiver.span('invoke_agent waiter')).traceId, TRACE_ID);
    const [file = ''] = readdirSync(workplace.directory).filter((name) => /^calls-/.test(name));
    const record = JSON.parse(readFileSync(join(workplace.directory, file), 'utf8'));
    assert.equal(record.turns[0].traceId, TRACE_ID);
  });
});

describe('a turn that interrupts another', LIMIT, () => {
  it("is a separate trace with a link to the interrupted one, which keeps its tool", async () => {
    answersAtOnce = false;
    const { client } = await serve('./tracing.mjs');
    const first = client.post(message('t-1'), PARENT);
    const { headers, answer } = await asked.next();
    const second = await client.post(message('t-2'));
    assert.equal(await second.text(), 'Secret dish.');
    await (await first).text().catch(() => undefined); // its stream ended
    answer();
    const fits = (turnId: string) => (span: ReceivedSpan) =>
      span.attributes['layercode.turn.id'] === turnId;
    const cut = await receiver.span('invoke_agent waiter', fits('t-1'));
    const next = await receiver.span('invoke_agent waiter', fits('t-2'));
    const tool = await receiver.span('execute_tool look_up');
    assert.equal(cut.attributes['layercode.outcome'], 'interrupted');
    assert.deepEqual(cut.events, [
      { name: 'layercode.interruption', attributes: { 'layercode.reason': 'a newer turn began' } },
    ]);
    assert.notEqual(next.traceId, TRACE_ID);
    assert.deepEqual(next.links, [
      { traceId: TRACE_ID, spanId: cut.spanId, attributes: { 'layercode.link': 'interrupts' } },
    ]);
    assert.equal(tool.traceId, TRACE_ID);
    assert.equal(tool.parentSpanId, cut.spanId);
    assert.equal(traceIdOf(headers), TRACE_ID);
  });
});

describe('a model that fails', LIMIT, () => {
  it('has a span with its error, and the turn has the retry and the fallback', async () => {
    const broken = await startModelServer([rateLimits({ 'retry-after': '0' }), refuses]);
    const { client } = await serve('./tracing.mjs', {
      DEFAULT_MODEL: 'groq:llama,openai:gpt-6-luna',
      GROQ_API_KEY: 'gsk-test',
      GROQ_BASE_URL: broken.url,
    });
    await (await client.post(message('t-1'))).text();
    await broken.close();
    const failed = await receiver.received(2, ({ name }) => name === 'chat llama');
    assert.deepEqual(
      failed.slice(0, 2).map(({ status, attributes }) => [
        status.code, attributes['error.type'], attributes['layercode.attempt'],
      ]),
      [[2, 'rate_limited', 1], [2, 'key_refused', 2]],
    );
    const { events, attributes } = await receiver.span('invoke_agent waiter');
    assert.deepEqual(
      events.slice(0, 2).map(({ name, attributes: { 'layercode.after_ms': _, ...more } }) => [
        name, more,
      ]),
      [
        ['layercode.retry', { 'gen_ai.request.model': 'llama', 'error.type': 'rate_limited' }],
        ['layercode.fallback', {
          'gen_ai.request.model': 'llama',
          'error.type': 'key_refused',
          'layercode.fallback': 'openai:gpt-6-luna',
        }],
      ],
    );
    assert.equal(attributes['layercode.outcome'], 'completed');
  });
});

describe('a failed turn', LIMIT, () => {
  it('has a span with the reason and the apology', async () => {
    workplace.write('agent.mjs', `export default {
      name: 'waiter',
      onMessage() { throw Object.assign(new Error('secret cause'), { code: 'ENOENT' }); },
    };`);
    const { client } = await serve('./tracing.mjs');
    await (await client.post(message('t-1'))).text();
    const { attributes, events, status } = await receiver.span('invoke_agent waiter');
    assert.equal(status.code, 2); // error
    assert.deepEqual(
      [attributes['layercode.outcome'], attributes['layercode.failure'], attributes['error.type']],
      ['failed', 'agent', 'ENOENT'],
    );
    assert.deepEqual(events.map(({ name }) => name), ['layercode.apology']);
    assert.doesNotMatch(receiver.bytes, /secret/i);
  });
});

describe('a server among several processes', { ...LIMIT, skip: isMissing('redis-server') }, () => {
  it('traces the turns of its workers', async (t) => {
    const redis = await RedisServer.startFor(t, 'redis-server');
    const store = { CONVERSATION_STORE: redis.url, STORE_TIMEOUT_MS: '5000' };
    const { client } = await serve('./tracing.mjs', { WORKERS: '2', ...store }, 2);
    await (await client.post(message('t-1'), PARENT)).text();
    const turn = await receiver.span('invoke_agent waiter');
    const fetched = await receiver.span('GET');
    assert.equal(turn.traceId, TRACE_ID);
    assert.deepEqual(ancestors(fetched), ['GET', 'execute_tool look_up', 'invoke_agent waiter']);
  });

  it('links a turn to one it interrupts elsewhere, and a replay to its first run', async (t) => {
    const redis = await RedisServer.startFor(t, 'redis-server');
    const store = { CONVERSATION_STORE: redis.url, STORE_TIMEOUT_MS: '5000' };
    const [here, there] = [
      await serve('./tracing.mjs', store), await serve('./tracing.mjs', store),
    ];
    answersAtOnce = false;
    const first = here.client.post(message('t-1'), PARENT);
    const { answer } = await asked.next();
    await (await there.client.post(message('t-2'))).text();
    await (await first).text().catch(() => undefined); // its stream ended
    answer();
    await (await here.client.post(message('t-2'))).text();
    const ofTurn = (turnId: string) => ({ attributes }: ReceivedSpan) =>
      attributes['layercode.turn.id'] === turnId;
    const cut = await receiver.span('invoke_agent waiter', ofTurn('t-1'));
    const spans = await receiver.received(2, (span) =>
      span.name === 'invoke_agent waiter' && ofTurn('t-2')(span));
    // The two processes export in any order.
    const isReplay = ({ attributes }: ReceivedSpan): boolean =>
      attributes['layercode.outcome'] === 'replayed';
    const next = spans.find((span) => !isReplay(span));
    const again = spans.find(isReplay);
    assert.deepEqual(next?.links, [
      { traceId: TRACE_ID, spanId: cut.spanId, attributes: { 'layercode.link': 'interrupts' } },
    ]);
    assert.deepEqual(again?.links, [
      { traceId: next.traceId, spanId: next.spanId, attributes: { 'layercode.link': 'repeats' } },
    ]);
  });
});

/** Collectors that take no spans. Each starts one and returns where it listens. */
const COLLECTORS: Readonly<Record<string, () => Promise<string>>> = {
  async 'is down'() {
    const closed = await SpanReceiver.open();
    await closed.close();
    return closed.url;
  },
  'never answers': () => listening(createServer(() => undefined)),
  'answers 500': () => listening(createServer((_, response) => response.writeHead(500).end())),
  'does not speak HTTP': () => listening(createTcpServer((socket) => {
    socket.on('error', () => undefined).end('What?\n');
  })),
};

const listeners: (() => void)[] = [];
after(() => {
  for (const close of listeners) close();
});

async function listening(server: Parameters<typeof listen>[0]): Promise<string> {
  const { origin, close } = await listen(server);
  listeners.push(close);
  return origin;
}

for (const [what, open] of Object.entries(COLLECTORS)) {
  describe(`a collector that ${what}`, LIMIT, () => {
    it('makes no turn fail, and does not delay the end of the server', async () => {
      const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: await open() };
      const { client, server } = await serve('./tracing.mjs', endpoint);
      for (const turnId of ['t-1', 't-2', 't-3']) {
        assert.equal(await (await client.post(message(turnId))).text(), 'Secret dish.');
      }
      const beganAtMs = performance.now();
      server.kill('SIGTERM');
      assert.deepEqual(await server.exit, { code: 0, signal: null });
      assert.ok(performance.now() - beganAtMs < 5_000);
    });
  });
}

describe('a server without an SDK', LIMIT, () => {
  it('loads nothing from OpenTelemetry', async () => {
    workplace.write('nothing.mjs', '');
    workplace.write('agent.mjs', `
      import module from 'node:module';
      export default {
        name: 'waiter',
        onMessage() {
          const loaded = Object.keys(module.createRequire(import.meta.url).cache);
          return String(loaded.filter((path) => path.includes('opentelemetry')).length);
        },
      };`);
    const { client } = await serve('./nothing.mjs');
    assert.equal(await (await client.post(message('t-1'))).text(), '0');
  });
});

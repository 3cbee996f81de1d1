// The HTTP surface without the webhook and authorize, which have files of their own.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent, MemoryStore, type ConversationStore } from '../../src/index.ts';
import { EVENT_FIELDS } from '../../src/wires/layercode/events.ts';
import { messageEvent, recordLog, SECRET, serve, signed, type Served } from '../fixtures/kernel.ts';

const { version } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { version: string };

describe('GET /health', () => {
  it("says healthy, the time and the package's version", async (t) => {
    const response = await (await serve(t)).fetch('/health');
    const { timestamp, ...rest } = (await response.json()) as { timestamp: string };
    assert.deepEqual(
      [response.status, rest, new Date(timestamp).toISOString()],
      [200, { status: 'healthy', version }, timestamp],
    );
  });

  it('is not to be cached', async (t) =>
    assert.equal(
      (await (await serve(t)).fetch('/health')).headers.get('cache-control'),
      'no-store',
    ));

  it('needs no signature', async (t) => {
    assert.equal(
      (await (await serve(t)).fetch('/health', { headers: { 'layercode-signature': 'nonsense' } }))
        .status,
      200,
    );
  });
});

describe('GET /ready', () => {
  it('says which agent answers', async (t) => {
    assert.deepEqual(await (await (await serve(t)).fetch('/ready')).json(), {
      ready: true,
      agent: 'quiet',
      model: null,
    });
  });

  it('is 503 with the reason while the server goes down', async (t) => {
    const served = await serve(t, { settings: { drainDelaySeconds: 0.2 } });
    const closing = served.app.close();
    const response = await served.fetch('/ready');
    const answer = await response.json();
    await closing;
    assert.deepEqual(
      [response.status, answer],
      [
        503,
        { ready: false, agent: 'quiet', model: null, reasons: ['the server is shutting down'] },
      ],
    );
  });

  it('says when to ask again', async (t) => {
    const served = await serve(t, { settings: { drainDelaySeconds: 0.2 } });
    const closing = served.app.close();
    const response = await served.fetch('/ready');
    await response.text();
    await closing;
    assert.deepEqual(
      [response.headers.get('retry-after'), response.headers.get('connection')],
      ['5', 'close'],
    );
  });

  it('leaves /health at 200 while the server goes down', async (t) => {
    const served = await serve(t, { settings: { drainDelaySeconds: 0.2 } });
    const closing = served.app.close();
    const response = await served.fetch('/health');
    await response.text();
    await closing;
    assert.equal(response.status, 200);
  });
});

async function metricsOf(served: Served): Promise<string> {
  return (await served.fetch('/metrics')).text();
}

function sample(text: string, name: string): number | undefined {
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}

/** A server that has answered one turn, one unknown event and one bad request. */
async function busy(t: TestContext): Promise<string> {
  const { log, wait } = recordLog();
  const served = await serve(t, { log });
  await (await served.fetch('/api/agent', signed(messageEvent()))).text();
  await (
    await served.fetch(
      '/api/agent',
      signed('{"type":"user.transcript.swordfish","session_id":"s"}'),
    )
  ).text();
  await (
    await served.fetch('/swordfish', {
      method: 'PROPFIND',
      headers: { 'x-request-id': 'swordfish' },
    })
  ).text();
  await wait('request', 3);
  return metricsOf(served);
}

describe('GET /metrics', () => {
  it('is the Prometheus text format', async (t) => {
    assert.equal(
      (await (await serve(t)).fetch('/metrics')).headers.get('content-type'),
      'text/plain; version=0.0.4; charset=utf-8',
    );
  });

  const documented: readonly (readonly [name: string, type: string])[] = [
    ['http_requests_total', 'counter'],
    ['layercode_conversations', 'gauge'],
    ['layercode_events_total', 'counter'],
    ['layercode_turns_total', 'counter'],
    ['layercode_first_speech_seconds', 'histogram'],
    ['layercode_open_streams', 'gauge'],
    ['layercode_running_turns', 'gauge'],
    ['layercode_build_info', 'gauge'],
    ['process_resident_memory_bytes', 'gauge'],
    ['process_cpu_seconds_total', 'counter'],
    ['process_start_time_seconds', 'gauge'],
    ['nodejs_heap_size_used_bytes', 'gauge'],
    ['nodejs_eventloop_lag_p99_seconds', 'gauge'],
    ['nodejs_eventloop_utilization', 'gauge'],
  ];
  for (const [name, type] of documented) {
    it(`has ${name} with HELP, TYPE and a sample`, async (t) => {
      const pattern = new RegExp(
        `^# HELP ${name} \\S.*\n# TYPE ${name} ${type}\n${name}(_bucket)?(\\{.*\\})? [\\d.e+-]+$`,
        'm',
      );
      assert.match(await busy(t), pattern);
    });
  }

  it('names every metric once', async (t) => {
    const names = [...(await busy(t)).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    assert.deepEqual(names, [...new Set(names)]);
  });

  it('holds nothing but comments and samples', async (t) => {
    const strange = (await busy(t))
      .trimEnd()
      .split('\n')
      .filter(
        (line) =>
          !/^(# (HELP|TYPE) .+|[a-z_]\w*(\{\w+="[^"]*"(,\w+="[^"]*")*\})? -?[\d.e+-]+)$/.test(line),
      );
    assert.deepEqual(strange, []);
  });

  it('ends with a line break', async (t) => assert.equal((await busy(t)).endsWith('\n'), true));

  it('counts turns by event and outcome', async (t) => {
    assert.equal(
      sample(await busy(t), 'layercode_turns_total{event="message",outcome="completed",wire="layercode"}'),
      1,
    );
  });

  it('counts a failed turn as failed', async (t) => {
    const served = await serve(t, {
      agent: defineAgent({ name: 'failing', onMessage: () => Promise.reject(new Error('x')) }),
    });
    await (await served.fetch('/api/agent', signed(messageEvent()))).text();
    assert.equal(
      sample(await metricsOf(served), 'layercode_turns_total{event="message",outcome="failed",wire="layercode"}'),
      1,
    );
  });

  it('counts events of unknown types together', async (t) => {
    assert.equal(sample(await busy(t), 'layercode_events_total{event="other"}'), 1);
  });

  it('counts requests by method and status', async (t) => {
    assert.equal(sample(await busy(t), 'http_requests_total{method="POST",status="200"}'), 2);
  });

  it('counts methods that it does not know together', async (t) => {
    assert.equal(sample(await busy(t), 'http_requests_total{method="other",status="404"}'), 1);
  });

  it('has no label that a client chose', async (t) =>
    assert.equal((await busy(t)).includes('swordfish'), false));

  it('counts each first speech in every bucket above it', async (t) => {
    const counts = [
      ...(await busy(t)).matchAll(/^layercode_first_speech_seconds_bucket\{event="message",le="(\S+)"\} (\d+)$/gm),
    ].map(([, , count]) => Number(count));
    assert.deepEqual(
      [
        counts.length,
        counts.at(-1),
        counts.every((count, index) => index === 0 || count >= (counts[index - 1] ?? 0)),
      ],
      [15, 1, true],
    );
  });

  it('counts as many first speeches as turns that spoke', async (t) => {
    assert.equal(sample(await busy(t), 'layercode_first_speech_seconds_count{event="message"}'), 1);
  });

  it('tells the versions of the package and of Node', async (t) => {
    const { node } = process.versions;
    const name = `layercode_build_info{version="${version}",node="${node}"}`;
    assert.equal(sample(await busy(t), name), 1);
  });

  it('counts the conversations held', async (t) =>
    assert.equal(sample(await busy(t), 'layercode_conversations'), 1));

  it('counts no stream after it ended', async (t) =>
    assert.equal(sample(await busy(t), 'layercode_open_streams'), 0));

  it('counts a stream while it is open', async (t) => {
    const served = await serve(t, {
      agent: defineAgent({
        name: 'endless',
        async *onMessage({ signal }) {
          yield 'first';
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        },
      }),
    });
    const response = await served.fetch('/api/agent', signed(messageEvent()));
    const reader = response.body!.getReader();
    await reader.read();
    const text = await metricsOf(served);
    await reader.cancel();
    assert.deepEqual(
      [sample(text, 'layercode_open_streams'), sample(text, 'layercode_running_turns')],
      [1, 1],
    );
  });

  describe('beside a store that answers with promises', () => {
    const store = (count: () => Promise<number>): ConversationStore => {
      const inner = new MemoryStore({ ttlMs: 60_000, maxConversations: 10 });
      return {
        read: (id) => inner.read(id),
        update: (id, change) => inner.update(id, change),
        close: () => inner.close(),
        count,
      };
    };

    it('says how many conversations there were at the reading before', async (t) => {
      let count = 3;
      const served = await serve(t, { store: store(async () => count++) });
      const readings = [await metricsOf(served), await metricsOf(served), await metricsOf(served)];
      assert.deepEqual(
        readings.map((text) => sample(text, 'layercode_conversations')),
        [undefined, 3, 4],
      );
    });

    // Was: nobody awaited the promise, and the process ended.
    it('is served while the store fails, and the process lives', async (t) => {
      const rejections: unknown[] = [];
      const note = (error: unknown): void => void rejections.push(error);
      process.on('unhandledRejection', note);
      t.after(() => process.off('unhandledRejection', note));
      const served = await serve(t, {
        store: store(() => Promise.reject(new Error('the database is away'))),
      });
      const readings = [await metricsOf(served), await metricsOf(served)];
      assert.deepEqual(
        [readings.map((text) => sample(text, 'layercode_conversations')), rejections],
        [[undefined, undefined], []],
      );
    });

    it('is served while the store throws', async (t) => {
      const served = await serve(t, {
        store: store(() => {
          throw new Error('the database is away');
        }),
      });
      const text = await metricsOf(served);
      assert.deepEqual(
        [sample(text, 'layercode_conversations'), sample(text, 'layercode_open_streams')],
        [undefined, 0],
      );
    });
  });

  it('is 404 with METRICS=false', async (t) => {
    assert.equal(
      (await (await serve(t, { settings: { metrics: false } })).fetch('/metrics')).status,
      404,
    );
  });
});

interface OpenApi {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

interface Operation {
  readonly responses: Readonly<Record<string, unknown>>;
  readonly requestBody?: {
    readonly content: {
      readonly 'application/json': { readonly schema: { readonly anyOf?: EventSchema[] } };
    };
  };
  readonly security?: readonly Readonly<Record<string, unknown>>[];
}

interface EventSchema {
  readonly title: string;
  readonly required: string[];
  readonly properties: Readonly<
    Record<
      string,
      {
        readonly type?: string | string[];
        readonly const?: string;
        readonly oneOf?: unknown;
        readonly anyOf?: unknown;
      }
    >
  >;
}

async function document(t: TestContext, settings = {}): Promise<OpenApi> {
  return (await (await (await serve(t, { settings })).fetch('/openapi.json')).json()) as OpenApi;
}

async function eventSchemas(t: TestContext): Promise<EventSchema[]> {
  return (
    (await document(t)).paths['/api/agent']?.['post']?.requestBody?.content['application/json']
      .schema.anyOf ?? []
  );
}

describe('GET /openapi.json', () => {
  it('is OpenAPI 3.1 of this version', async (t) => {
    const { openapi, info } = await document(t);
    assert.deepEqual(
      [openapi, info.title, info.version],
      ['3.1.0', 'layercode-microserver', version],
    );
  });

  it('lists every route', async (t) => {
    const paths = Object.entries((await document(t)).paths).map(
      ([path, operations]) => `${Object.keys(operations).join()} ${path}`,
    );
    assert.deepEqual(paths.sort(), [
      'get /health',
      'get /metrics',
      'get /openapi.json',
      'get /ready',
      'post /api/agent',
      'post /api/authorize',
    ]);
  });

  it('lists only routes that are served', async (t) => {
    const { paths } = await document(t);
    const served = await serve(t);
    const statuses = await Promise.all(
      Object.keys(paths).map(
        async (path) => (await served.fetch(path, { method: 'OPTIONS' })).status,
      ),
    );
    assert.deepEqual(
      statuses,
      Object.keys(paths).map(() => 204),
    );
  });

  it("says that the agent's route speaks Chat Completions where nothing else is set", async (t) => {
    const { paths } = await document(t, { webhookSecrets: [], chatCompletionsKeys: ['a-key'] });
    const both = await document(t, { chatCompletionsKeys: ['a-key'] });
    const schemes = [paths, both.paths].map((found) => found['/api/agent']?.['post']?.security);
    assert.deepEqual(schemes, [[{ completionKey: [] }], [{ webhookSignature: [] }]]);
  });

  it('names the routes as the settings do', async (t) => {
    const { paths } = await document(t, {
      agentRoute: '/hook',
      authorizeRoute: '/key',
      metrics: false,
    });
    assert.deepEqual(Object.keys(paths).sort(), [
      '/health',
      '/hook',
      '/key',
      '/openapi.json',
      '/ready',
    ]);
  });

  it('refers only to what is there', async (t) => {
    const whole = await document(t);
    const resolve = (reference: string): unknown =>
      reference
        .replace(/^#\//, '')
        .split('/')
        .reduce<unknown>(
          (value, key) => (value as Record<string, unknown> | undefined)?.[key],
          whole,
        );
    const references = [...JSON.stringify(whole).matchAll(/"\$ref":"([^"]+)"/g)].map(
      ([, reference = '']) => reference,
    );
    assert.deepEqual(
      [references.length > 0, references.filter((reference) => resolve(reference) === undefined)],
      [true, []],
    );
  });

  it('names only security schemes that are there', async (t) => {
    const whole = (await document(t)) as OpenApi & { components: { securitySchemes: object } };
    const names = Object.values(whole.paths)
      .flatMap((path) => Object.values(path))
      .flatMap(({ security = [] }) => security.flatMap(Object.keys));
    assert.deepEqual(
      names.filter((name) => !Object.hasOwn(whole.components.securitySchemes, name)),
      [],
    );
  });

  it('describes every answer', async (t) => {
    const answers = Object.values((await document(t)).paths)
      .flatMap((path) => Object.values(path))
      .flatMap(({ responses }) => Object.values(responses));
    assert.deepEqual(
      answers.filter(
        (answer) =>
          typeof (answer as { description?: unknown }).description !== 'string' &&
          !('$ref' in (answer as object)),
      ),
      [],
    );
  });

  it('has a schema for each type of event in the table', async (t) => {
    assert.deepEqual(
      (await eventSchemas(t)).map(({ title }) => title),
      Object.keys(EVENT_FIELDS),
    );
  });

  it('requires of each event what the table requires', async (t) => {
    const required = (await eventSchemas(t)).map((schema) => [schema.title, schema.required]);
    const expected = Object.entries(EVENT_FIELDS).map(([type, fields]) => [
      type,
      [
        'type',
        ...Object.entries(fields)
          .filter(([, { isRequired }]) => isRequired)
          .map(([name]) => name),
      ],
    ]);
    assert.deepEqual(required, expected);
  });

  it('knows each field of the table', async (t) => {
    const names = (await eventSchemas(t)).map(({ properties }) => Object.keys(properties));
    assert.deepEqual(
      names,
      Object.values(EVENT_FIELDS).map((fields) => ['type', ...Object.keys(fields)]),
    );
  });

  it('says that every route but the webhook is open', async (t) => {
    const { paths } = await document(t);
    const security = Object.entries(paths).flatMap(([path, operations]) =>
      Object.values(operations).map((operation) => [path, operation.security]),
    );
    assert.deepEqual(
      security.filter(([path]) => path !== '/api/agent').map(([, open]) => open),
      security.slice(1).map(() => []),
    );
    assert.deepEqual(paths['/api/agent']?.['post']?.security, [{ webhookSignature: [] }]);
  });

  it('has the statuses of each route, and no others', async (t) => {
    const { paths } = await document(t);
    const statuses = Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(
        ([method, { responses }]) => `${method} ${path} ${Object.keys(responses).join(' ')}`,
      ),
    );
    assert.deepEqual(statuses, [
      'post /api/agent 200 400 401 413 415 500 503',
      'post /api/authorize 200 400 401 402 403 413 429 500 502 503 504',
      'get /health 200',
      'get /ready 200 503',
      'get /openapi.json 200',
      'get /metrics 200',
    ]);
  });

  it('answers with what it says: an event stream or JSON, JSON, and text', async (t) => {
    const { paths } = await document(t);
    const types = Object.values(paths)
      .flatMap((operations) => Object.values(operations))
      .map(({ responses }) =>
        Object.keys((responses['200'] as { content: object }).content).join(),
      );
    assert.deepEqual(types, [
      'text/event-stream,application/json',
      ...Array<string>(4).fill('application/json'),
      'text/plain',
    ]);
  });

  it('demands of authorize what the check does', async (t) => {
    const schema = (await document(t)).paths['/api/authorize']?.['post']?.requestBody?.content[
      'application/json'
    ].schema as unknown as EventSchema;
    assert.deepEqual(
      [schema.required, Object.keys(schema.properties)],
      [
        ['agent_id'],
        [
          'agent_id',
          'conversation_id',
          'metadata',
          'custom_metadata',
          'custom_headers',
          'config',
          'sdk_version',
        ],
      ],
    );
  });

  it('is JSON that may be cached', async (t) => {
    const { headers } = await (await serve(t)).fetch('/openapi.json');
    assert.deepEqual(
      [headers.get('content-type'), headers.get('cache-control')],
      ['application/json; charset=utf-8', null],
    );
  });

  it('names the header and the form of the signature', async (t) => {
    const { components } = (await document(t)) as OpenApi & {
      components: { securitySchemes: { webhookSignature: object } };
    };
    const {
      name,
      in: place,
      type,
    } = components.securitySchemes.webhookSignature as Record<string, string>;
    assert.deepEqual([name, place, type], ['layercode-signature', 'header', 'apiKey']);
  });

  // Was: the document took ids with control characters, and the server did not.
  it('takes the ids that the server takes', async (t) => {
    const [schema] = await eventSchemas(t);
    const {
      minLength,
      maxLength,
      pattern = '',
    } = schema?.properties['session_id'] as {
      minLength: number;
      maxLength: number;
      pattern?: string;
    };
    const isAllowed = (id: string): boolean =>
      id.length >= minLength && id.length <= maxLength && new RegExp(pattern, 'u').test(id);
    const ids = [
      '',
      'a',
      'é',
      ' ',
      '😀',
      'a'.repeat(256),
      'a'.repeat(257),
      ...Array.from({ length: 0x120 }, (_, code) => `a${String.fromCharCode(code)}`),
      'a\n',
    ];
    const served = EVENT_FIELDS.message['session_id'];
    assert.ok(served !== undefined);
    assert.deepEqual(
      ids.filter((id) => isAllowed(id) !== (served.check(id) === undefined)),
      [],
    );
  });

  // The platform sends null for "nothing", and the check takes it: who generates a client from this
  // page must be told.
  it('allows null where the check does', async (t) => {
    const strict = (await eventSchemas(t)).flatMap(({ title, properties }) =>
      Object.entries(properties)
        .filter(
          ([name]) =>
            EVENT_FIELDS[title as keyof typeof EVENT_FIELDS][name]?.check(null) === undefined &&
            name !== 'type',
        )
        .filter(([, schema]) => !JSON.stringify(schema).includes('"null"'))
        .map(([name]) => `${title}.${name}`),
    );
    assert.deepEqual(strict, []);
  });
});

describe('the log of a whole call', () => {
  const post = async (served: Served, event: object): Promise<void> => {
    await (
      await served.fetch('/api/agent?key=query-swordfish', signed(JSON.stringify(event)))
    ).text();
  };

  /** What stands in the log after a call in which everything happens. */
  async function logOfCall(t: TestContext, level: 'info' | 'debug'): Promise<string> {
    const recorded = recordLog({ level, secrets: [SECRET, 'lk_live_key_0123456789'] });
    const served = await serve(t, {
      log: recorded.log,
      settings: {
        layercodeApiKey: 'lk_live_key_0123456789',
        layercodeApiUrl: 'http://127.0.0.1:9',
      },
      agent: defineAgent({
        name: 'talkative',
        welcome: 'agent-welcome-walrus',
        async *onMessage({ text }, reply) {
          reply.data({ shown: 'agent-data-walrus' });
          yield 'agent-says-walrus';
          if (text.includes('fail')) throw new Error('tool failed');
        },
        onData: ({ data }) => ({ echoed: data['word'] ?? null }),
      }),
    });
    const ids = { session_id: 's1', conversation_id: 'c1' };
    await post(served, {
      type: 'session.start',
      ...ids,
      turn_id: 't0',
      custom_metadata: { name: 'metadata-walrus' },
      from_phone_number: '+15550walrus',
    });
    await post(served, { type: 'message', ...ids, turn_id: 't1', text: 'caller-says-walrus' });
    await post(served, { type: 'message', ...ids, turn_id: 't1', text: 'caller-says-walrus' });
    await post(served, {
      type: 'message',
      ...ids,
      turn_id: 't2',
      text: 'caller-walrus-fail',
      interruption_context: { previous_turn_interrupted: true, text_heard: 'heard-walrus' },
    });
    await post(served, { type: 'data', ...ids, turn_id: 't3', data: { word: 'data-walrus' } });
    await post(served, {
      type: 'user.transcript.interim_delta',
      ...ids,
      content: 'unknown-walrus',
    });
    await post(served, { type: 'message', ...ids, text: 7, spoken: 'refused-walrus' });
    await post(served, {
      type: 'session.end',
      ...ids,
      transcript: [{ role: 'user', text: 'transcript-walrus' }],
    });
    await post(served, { type: 'transcript', call_id: 'k1', transcript: 'call-walrus' });
    await post(served, { type: 'call_ended', call_id: 'k1', transcript: 'ended-walrus' });
    await (
      await served.fetch('/api/agent', signed('{"type":"message","text":"broken-walrus'))
    ).text();
    await (
      await served.fetch('/api/agent', { ...signed('forged-walrus'), body: 'forged-walrus!' })
    ).text();
    await (
      await served.fetch('/api/authorize', {
        method: 'POST',
        body: '{"agent_id":"a","metadata":{"m":"authorize-walrus"}}',
      })
    ).text();
    await recorded.wait('request', 13);
    return recorded.text();
  }

  it('has no word of it at level info', async (t) =>
    assert.deepEqual((await logOfCall(t, 'info')).match(/[\w-]*walrus[\w-]*/g), null));

  it('has no secret, key, signature or query in it at level debug', async (t) => {
    const text = await logOfCall(t, 'debug');
    assert.deepEqual(text.match(/whsec_\w+|lk_live_\w+|v1=[0-9a-f]+|Bearer \S+|swordfish/g), null);
  });

  it('has one line in the access log for each request', async (t) => {
    const text = await logOfCall(t, 'info');
    assert.equal(text.match(/"msg":"request"/g)?.length, 13);
  });
});

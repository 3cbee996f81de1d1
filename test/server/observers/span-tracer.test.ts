// What becomes of spans if the SDK samples or fails. test/peers has the real SDK.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createLogger } from '../../../src/base/log.ts';
import type { TurnHappening } from '../../../src/core/turns/report/turn-points.ts';
import type { TurnFollower } from '../../../src/core/turns/report/turn-trace.ts';
import type {
  OpenTelemetry, OtelAttributes, OtelContext, OtelSpan, OtelSpanOptions,
} from '../../../src/server/observers/open-telemetry.ts';
import { SpanTracer } from '../../../src/server/observers/span-tracer.ts';
import { openTracing } from '../../../src/server/observers/tracing.ts';

interface FakeSpan extends OtelSpan {
  readonly links: unknown[];
  readonly name: string;
  readonly options: OtelSpanOptions;
  readonly calls: string[];
  /** All attributes that were set after its start. */
  readonly attributes: OtelAttributes;
}

interface FakeSdk {
  readonly api: OpenTelemetry;
  readonly spans: FakeSpan[];
}

interface Behaviour {
  readonly isSampled?: boolean;
  readonly hasNoLinks?: boolean;
  /** The method that throws; the latter two are those of a span. */
  readonly failing?: 'startSpan' | 'addEvent' | 'end';
  readonly flush?: () => Promise<void>;
}

/** The smallest possible SDK. */
function fakeSdk(
  { isSampled = true, hasNoLinks = false, failing, flush }: Behaviour = {},
): FakeSdk {
  const spans: FakeSpan[] = [];
  const root: OtelContext = {};
  let active = root;
  const startSpan = (name: string, options: OtelSpanOptions): FakeSpan => {
    if (failing === 'startSpan') throw new Error('secret');
    const calls: string[] = [];
    const note = (call: 'addEvent' | 'end' | 'setAttributes' | 'setStatus') => (): void => {
      if (failing === call) throw new Error('secret');
      calls.push(call);
    };
    const id = String(spans.length);
    const attributes: OtelAttributes = {};
    const links: unknown[] = [];
    const span: FakeSpan = {
      links,
      ...(hasNoLinks ? {} : { addLink: (link: unknown) => links.push(link) }),
      name,
      options,
      calls,
      spanContext: () => ({ traceId: 'trace', spanId: id, traceFlags: 0 }),
      isRecording: () => isSampled,
      attributes,
      setAttributes(more) {
        note('setAttributes')();
        Object.assign(attributes, more);
      },
      addEvent: note('addEvent'),
      setStatus: note('setStatus'),
      end: note('end'),
    };
    spans.push(span);
    return span;
  };
  return {
    spans,
    api: {
      trace: {
        getTracer: () => ({ startSpan }),
        getTracerProvider: () => ({
          getDelegate: () => (flush === undefined ? {} : { forceFlush: flush }),
        }),
        getSpan: () => undefined,
        setSpan: (_context, span) => ({ span }),
      },
      context: {
        active: () => active,
        with(context, step) {
          const before = active;
          active = context;
          try {
            return step();
          } finally {
            active = before;
          }
        },
      },
      propagation: { extract: (context) => context },
    },
  };
}

interface Followed extends FakeSdk {
  readonly tracer: SpanTracer;
  readonly logLines: string[];
  start(turnId: string): TurnFollower;
}

function following(behaviour?: Behaviour): Followed {
  const sdk = fakeSdk(behaviour);
  const logLines: string[] = [];
  const log = createLogger({ level: 'debug', write: (line) => void logLines.push(line) });
  const tracer = new SpanTracer(sdk.api, log, (_model, { inputTokens = 0 }) => inputTokens / 10);
  return {
    ...sdk,
    tracer,
    logLines,
    start(turnId) {
      const turn = { conversationId: 'c-1', turnId, wire: 'layercode', agent: 'waiter' };
      const follower = tracer.start(turn, {});
      assert.ok(follower);
      return follower;
    },
  };
}

const COMPLETED = { type: 'turnEnded', outcome: 'completed' } as const;
const INTERRUPTED = { type: 'turnEnded', outcome: 'interrupted' } as const;
const CALL = { tool: 'look', toolCallId: 'call-1' } as const;

describe('the span of a turn', () => {
  it('says where it is found, and links to the runs that the store knows', () => {
    const { spans, start } = following();
    const place = start('t-1').place;
    assert.deepEqual(place, { traceId: 'trace', spanId: '0', traceFlags: 0 });
    start('t-2').link({ interrupts: place });
    assert.deepEqual(spans[1]?.links, [
      { context: place, attributes: { 'layercode.link': 'interrupts' } },
    ]);
  });

  it('has the same outcome as the metrics', () => {
    const { spans, start } = following();
    start('t-1').note({ type: 'turnEnded', outcome: 'taken over' });
    assert.equal(spans[0]?.attributes['layercode.outcome'], 'taken_over');
  });

  it('loses only its links if the SDK cannot add them later', () => {
    const { logLines, start } = following({ hasNoLinks: true });
    const turn = start('t-1');
    turn.link({ repeats: turn.place });
    assert.deepEqual(logLines, []);
  });

  it('gets no events and no children if it is not sampled, but is still passed on', () => {
    const { api, spans, start } = following({ isSampled: false });
    const turn = start('t-1');
    assert.equal(turn.place, undefined);
    turn.link({ repeats: { traceId: 'trace', spanId: '9', traceFlags: 1 } });
    turn.note({ type: 'firstWord', afterMs: 1 });
    turn.note({ type: 'toolStarted', ...CALL });
    const within = turn.run(() =>
      turn.runRequest(1, () => turn.runTool('call-1', () => api.context.active())));
    turn.note({ type: 'toolEnded', ...CALL, outcome: 'completed', durationMs: 1 });
    turn.note(COMPLETED);
    assert.equal(spans.length, 1);
    assert.deepEqual([spans[0]?.calls, spans[0]?.links], [[], []]);
    assert.equal((within as { readonly span?: unknown }).span, spans[0]);
  });

  for (const [what, end, attribute, value] of [
    ['names the limit that its call had reached', { limit: 'cost' }, 'layercode.limit', 'cost'],
    ['says how long its tools waited', { settleMs: 600 }, 'layercode.settle_ms', 600],
  ] as const)
    it(what, () => {
      const { spans, start } = following();
      start('t-1').note({ ...COMPLETED, ...end });
      assert.equal(spans[0]?.attributes[attribute], value);
    });

  it('ends before a tool that is still running, whose span ends later', () => {
    const { spans, start } = following();
    const turn = start('t-1');
    turn.note({ type: 'toolStarted', ...CALL });
    turn.note(INTERRUPTED);
    turn.note({ type: 'toolEnded', ...CALL, outcome: 'completed', durationMs: 1 });
    assert.deepEqual(spans.map(({ calls }) => calls.at(-1)), ['end', 'end']);
  });
});

describe('the span of a request to a model', () => {
  const SENT = {
    type: 'modelSent', request: 1, model: 'google:flash', attempt: 1,
    server: { address: 'api.example', port: 443 },
  } as const;
  const RESPONSE = { id: 'resp-1', model: 'flash-001' };
  const usage = {
    type: 'usage', model: 'google:flash', inputTokens: 30, outputTokens: 4, firstDeltaMs: 9,
  } as const;

  /** All attributes of its span, once that has ended. */
  function attributesAfter(end: TurnHappening): OtelAttributes {
    const { spans, start } = following();
    const turn = start('t-1');
    turn.note(SENT);
    turn.note(end);
    const span = spans[1];
    assert.equal(span?.calls.at(-1), 'end');
    const given = { ...span.options.attributes, ...span.attributes };
    const { 'gen_ai.conversation.id': _, ...all } = given;
    const known = Object.entries(all).filter(([, value]) => value !== undefined);
    return Object.fromEntries(known);
  }
  const asked = {
    'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'gcp.gemini',
    'gen_ai.request.model': 'flash', 'gen_ai.request.stream': true,
    'server.address': 'api.example', 'server.port': 443, 'layercode.attempt': 1,
    'gen_ai.response.id': 'resp-1', 'gen_ai.response.model': 'flash-001',
  };

  for (const [finishReason, outcome] of [
    ['stop', 'completed'], ['tool_calls', 'completed'], ['length', 'length'],
  ] as const)
    it(`says which model answered, and that it ended with ${finishReason}`, () => {
      const end = { usage: { ...usage, finishReason }, response: RESPONSE, request: 1 } as const;
      assert.deepEqual(attributesAfter({ type: 'modelCompleted', ...end }), {
        ...asked,
        'gen_ai.usage.input_tokens': 30, 'gen_ai.usage.output_tokens': 4, 'layercode.cost': 3,
        'gen_ai.response.finish_reasons': [finishReason], 'layercode.outcome': outcome,
      });
    });

  for (const failure of ['interrupted', 'connection_dropped'] as const)
    it(`has the tokens used, even if it ended with ${failure}`, () => {
      const nothing = { inputTokens: undefined, outputTokens: undefined };
      const used = { inputTokens: 20, outputTokens: 2, isEstimated: true };
      const end = { request: 1, model: SENT.model, failure, response: RESPONSE } as const;
      const isInterrupted = failure === 'interrupted';
      const spanned = attributesAfter({ type: 'modelFailed', ...end, tokens: nothing, used });
      assert.deepEqual(spanned, {
        ...asked,
        'gen_ai.usage.input_tokens': 20, 'gen_ai.usage.output_tokens': 2, 'layercode.cost': 2,
        'layercode.tokens_estimated': true,
        'layercode.outcome': isInterrupted ? 'interrupted' : 'failed',
        ...(isInterrupted ? {} : { 'error.type': failure }),
      });
    });

  it('gives its provider to its turn and to the tools that it calls', () => {
    const { spans, start } = following();
    const turn = start('t-1');
    const provider = (index: number): unknown => {
      const { options, attributes } = spans[index] ?? {};
      return { ...options?.attributes, ...attributes }['gen_ai.provider.name'];
    };
    assert.equal(provider(0), 'layercode-microserver'); // an agent without a model
    turn.note(SENT);
    turn.note({ type: 'toolStarted', ...CALL });
    assert.deepEqual([0, 1, 2].map(provider), ['gcp.gemini', 'gcp.gemini', 'gcp.gemini']);
  });

  it('gives its provider to its turn even if it reports only its usage', () => {
    const { spans, start } = following();
    start('t-1').note({ type: 'modelCompleted', request: undefined, usage });
    assert.equal(spans[0]?.attributes['gen_ai.provider.name'], 'gcp.gemini');
  });

  it("has its usage summed on the turn's span, with that of interrupted requests", () => {
    const { spans, start } = following();
    const model = { model: 'a:b', requests: 1, cachedTokens: undefined };
    start('t-1').note({
      ...COMPLETED,
      models: [
        { ...model, inputTokens: 5, outputTokens: 1, cost: 0.5 },
        { ...model, inputTokens: 6, outputTokens: undefined, cost: 0.25, isEstimated: true },
      ],
    });
    const { attributes } = spans[0] ?? {};
    assert.equal(attributes?.['gen_ai.usage.input_tokens'], 11);
    assert.equal(attributes?.['gen_ai.usage.output_tokens'], 1);
    assert.equal(attributes?.['layercode.cost'], 0.75);
    assert.equal(attributes?.['layercode.tokens_estimated'], true);
  });
});

describe('an SDK that throws', () => {
  it('loses the span of a new turn', () => {
    const { tracer, logLines } = following({ failing: 'startSpan' });
    const turn = { conversationId: 'c-1', turnId: 't-1', wire: 'layercode', agent: 'waiter' };
    assert.equal(tracer.start(turn, {}), undefined);
    assert.match(logLines.join(''), /"level":"warn".*"msg":"tracing failed"/);
  });

  it('causes one warning, without its message, which may quote an attribute', () => {
    const { start, logLines } = following({ failing: 'addEvent' });
    const turn = start('t-1');
    turn.note({ type: 'apology' });
    turn.note({ type: 'apology' });
    turn.note(COMPLETED);
    const levels = logLines.map((line) => (JSON.parse(line) as { level: string }).level);
    assert.deepEqual(levels, ['warn', 'debug']);
    assert.doesNotMatch(logLines.join(''), /secret/);
  });

  it('does not keep a server from closing', async () => {
    const rejecting = following({ flush: () => Promise.reject(new Error('secret')) });
    await rejecting.tracer.flush();
    const throwing = following({
      flush() {
        throw new Error('secret');
      },
    });
    await throwing.tracer.flush();
    await following().tracer.flush();
  });
});

describe('openTracing', () => {
  const costOf = (): undefined => undefined;
  const log = createLogger({ level: 'silent', write: () => undefined });
  const NAME = 'OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT';

  it('has no tracer without an SDK', () => {
    const tracing = openTracing({}, log, costOf, { SpanTracer });
    assert.deepEqual(tracing, { tracer: undefined, hasWords: false });
  });

  for (const [value, hasWords] of [
    ['TRUE', true], ['1', true], ['SPAN_ONLY', true], ['span_and_event', true],
    ['NO_CONTENT', false], ['event_only', false], ['', false],
  ] as const) {
    it(`${hasWords ? 'records words' : 'records no words'} with ${NAME}=${value}`, () => {
      assert.equal(openTracing({ [NAME]: value }, log, costOf, undefined).hasWords, hasWords);
    });
  }

  it('says what to install if an SDK is there but not its API', (t) => {
    const place = Symbol.for('opentelemetry.js.api.1');
    Reflect.set(globalThis, place, { trace: {} });
    t.after(() => Reflect.deleteProperty(globalThis, place));
    const lines: string[] = [];
    const warned = createLogger({ level: 'warn', write: (line) => void lines.push(line) });
    assert.equal(openTracing({}, warned, costOf, { SpanTracer }).tracer, undefined);
    assert.match(lines.join(''), /npm install @opentelemetry\/api/);
  });
});

// What becomes of spans if the SDK samples or fails. test/peers has the real SDK.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createLogger } from '../../src/log.ts';
import type {
  OpenTelemetry, OtelAttributes, OtelContext, OtelSpan, OtelSpanOptions,
} from '../../src/observers/open-telemetry.ts';
import { SpanTracer } from '../../src/observers/span-tracer.ts';
import { openTracing } from '../../src/observers/tracing.ts';
import type { TurnFollower } from '../../src/turns/report/turn-trace.ts';

interface FakeSpan extends OtelSpan {
  readonly links: unknown[];
  readonly name: string;
  readonly options: OtelSpanOptions;
  readonly calls: string[];
  /** All that were set after its start. */
  readonly attributes: OtelAttributes;
}

interface FakeSdk {
  readonly api: OpenTelemetry;
  readonly spans: FakeSpan[];
}

interface Behaviour {
  readonly isSampled?: boolean;
  readonly hasNoLinks?: boolean;
  /** Of a span. */
  readonly failing?: 'startSpan' | 'addEvent' | 'end';
  readonly flush?: () => Promise<void>;
}

/** The least SDK that there can be. */
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
  const tracer = new SpanTracer(sdk.api, log, () => undefined);
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
  it('says where it is found, and has links to the runs that the store knows', () => {
    const { spans, start } = following();
    const place = start('t-1').place;
    assert.deepEqual(place, { traceId: 'trace', spanId: '0', traceFlags: 0 });
    start('t-2').link({ interrupts: place });
    assert.deepEqual(spans[1]?.links, [
      { context: place, attributes: { 'layercode.link': 'interrupts' } },
    ]);
  });

  it('costs nothing but its links if the SDK cannot add them later', () => {
    const { logLines, start } = following({ hasNoLinks: true });
    const turn = start('t-1');
    turn.link({ repeats: turn.place });
    assert.deepEqual(logLines, []);
  });

  it('gets nothing and no children if it is not sampled, but is still passed on', () => {
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

  it('names the limit that its call had reached', () => {
    const { spans, start } = following();
    start('t-1').note({ ...COMPLETED, limit: 'cost' });
    assert.equal(spans[0]?.attributes['layercode.limit'], 'cost');
  });

  it('ends before a tool that goes on, whose span ends later', () => {
    const { spans, start } = following();
    const turn = start('t-1');
    turn.note({ type: 'toolStarted', ...CALL });
    turn.note(INTERRUPTED);
    turn.note({ type: 'toolEnded', ...CALL, outcome: 'completed', durationMs: 1 });
    assert.deepEqual(spans.map(({ calls }) => calls.at(-1)), ['end', 'end']);
  });
});

describe('an SDK that throws', () => {
  it('costs the span of a turn that begins', () => {
    const { tracer, logLines } = following({ failing: 'startSpan' });
    const turn = { conversationId: 'c-1', turnId: 't-1', wire: 'layercode', agent: 'waiter' };
    assert.equal(tracer.start(turn, {}), undefined);
    assert.match(logLines.join(''), /"level":"warn".*"msg":"tracing failed"/);
  });

  it('is warned of once, without its message, which may quote an attribute', () => {
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
  const log = createLogger({ level: 'silent', write: () => undefined });
  const NAME = 'OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT';

  it('has no tracer without an SDK', () => {
    assert.deepEqual(openTracing({}, log, () => undefined), { tracer: undefined, hasWords: false });
  });

  for (const [value, hasWords] of [
    ['true', true], ['TRUE', true], ['1', true], ['SPAN_ONLY', true], ['span_and_event', true],
    ['false', false], ['NO_CONTENT', false], ['event_only', false], ['', false], ['yes', false],
  ] as const) {
    it(`${hasWords ? 'has words' : 'has none'} with ${NAME}=${value}`, () => {
      assert.equal(openTracing({ [NAME]: value }, log, () => undefined).hasWords, hasWords);
    });
  }

  it('says what to install if an SDK is there and its API is not', (t) => {
    const place = Symbol.for('opentelemetry.js.api.1');
    Reflect.set(globalThis, place, { trace: {} });
    t.after(() => Reflect.deleteProperty(globalThis, place));
    const lines: string[] = [];
    const warned = createLogger({ level: 'warn', write: (line) => void lines.push(line) });
    assert.equal(openTracing({}, warned, () => undefined).tracer, undefined);
    assert.match(lines.join(''), /npm install @opentelemetry\/api/);
  });
});

// What becomes of spans if the SDK samples or fails. test/peers has the real SDK.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createLogger } from '../../src/log.ts';
import type {
  OpenTelemetry, OtelContext, OtelSpan, OtelSpanOptions,
} from '../../src/observers/open-telemetry.ts';
import { openTracing } from '../../src/observers/tracing.ts';
import { SpanTracer } from '../../src/observers/span-tracer.ts';
import type { TurnFollower } from '../../src/turns/work/turn-trace.ts';

interface FakeSpan extends OtelSpan {
  readonly name: string;
  readonly options: OtelSpanOptions;
  readonly calls: string[];
}

interface FakeSdk {
  readonly api: OpenTelemetry;
  readonly spans: FakeSpan[];
}

interface Behaviour {
  readonly isSampled?: boolean;
  /** Of a span. */
  readonly failing?: 'startSpan' | 'addEvent' | 'end';
  readonly flush?: () => Promise<void>;
}

/** The least SDK that there can be. */
function fakeSdk({ isSampled = true, failing, flush }: Behaviour = {}): FakeSdk {
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
    const span: FakeSpan = {
      name,
      options,
      calls,
      spanContext: () => ({ traceId: 'trace', spanId: id, traceFlags: 0 }),
      isRecording: () => isSampled,
      setAttributes: note('setAttributes'),
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
  start(turnId: string, more?: { interrupts?: boolean; isBeside?: boolean }): TurnFollower;
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
    start(turnId, { interrupts = false, isBeside = false } = {}) {
      const turn = { conversationId: 'c-1', turnId, wire: 'layercode', agent: 'waiter' };
      const follower = tracer.start(turn, { headers: {}, interrupts, isBeside });
      assert.ok(follower);
      return follower;
    },
  };
}

/** The turns that a span has links to, and how. */
function linksOf({ options }: FakeSpan | undefined = { options: { kind: 0 } } as FakeSpan) {
  return (options.links ?? []).map(({ context, attributes }) => [
    context.spanId, attributes['layercode.link'],
  ]);
}

const COMPLETED = { type: 'turnEnded', outcome: 'completed' } as const;
const INTERRUPTED = { type: 'turnEnded', outcome: 'interrupted' } as const;
const CALL = { tool: 'look', toolCallId: 'call-1' } as const;

describe('the span of a turn', () => {
  it('has no links where nothing was interrupted', () => {
    const { spans, start } = following();
    start('t-1').note(COMPLETED);
    start('t-2');
    assert.deepEqual(spans.map(linksOf), [[], []]);
  });

  it('has a link to a turn that still ran', () => {
    const { spans, start } = following();
    start('t-1');
    start('t-2');
    assert.deepEqual(linksOf(spans[1]), [['0', 'interrupts']]);
  });

  it('has a link to a turn that was interrupted before it came', () => {
    const { spans, start } = following();
    start('t-1').note(INTERRUPTED);
    start('t-2');
    assert.deepEqual(linksOf(spans[1]), [['0', 'interrupts']]);
  });

  it('has a link to a turn that was complete, if the platform says that it was cut', () => {
    const { spans, start } = following();
    start('t-1').note(COMPLETED);
    start('t-2', { interrupts: true });
    assert.deepEqual(linksOf(spans[1]), [['0', 'interrupts']]);
  });

  it('has a link to the run before, and not as if it interrupted itself', () => {
    const { spans, start } = following();
    start('t-1').note(INTERRUPTED);
    start('t-1');
    assert.deepEqual(linksOf(spans[1]), [['0', 'repeats']]);
  });

  it('has none if it runs beside its conversation, and none leads to it', () => {
    const { spans, start } = following();
    start('t-1');
    start('t-2', { isBeside: true });
    start('t-3');
    assert.deepEqual(spans.map(linksOf), [[], [], [['0', 'interrupts']]]);
  });

  it('gets nothing and no children if it is not sampled, but is still passed on', () => {
    const { api, spans, start } = following({ isSampled: false });
    const turn = start('t-1');
    turn.note({ type: 'firstWord', afterMs: 1 });
    turn.note({ type: 'toolStarted', ...CALL });
    const within = turn.run(() =>
      turn.runRequest(1, () => turn.runTool('call-1', () => api.context.active())));
    turn.note({ type: 'toolEnded', ...CALL, outcome: 'completed', durationMs: 1 });
    turn.note(COMPLETED);
    assert.equal(spans.length, 1);
    assert.deepEqual(spans[0]?.calls, []);
    assert.equal((within as { readonly span?: unknown }).span, spans[0]);
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
    const request = { headers: {}, interrupts: false, isBeside: false };
    assert.equal(tracer.start(turn, request), undefined);
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

// Turns as spans: docs/tracing.md.

import { BoundedMap } from '../base/bounded-map.ts';
import { atMost } from '../base/time-limit.ts';
import { version } from '../base/version.ts';
import { withoutMessage } from '../base/without-message.ts';
import type { Logger } from '../log.ts';
import type {
  ToolEnded, ToolStarted, TracedTurn, TurnEnded, TurnHappening,
} from '../turns/turn-points.ts';
import type { TracedRequest, Tracer, TurnFollower } from '../turns/turn-trace.ts';
import { failureReasonOf } from './failure-reason.ts';
import {
  SPAN_KINDS, STATUS_ERROR, type OpenTelemetry, type OtelAttributes, type OtelContext,
  type OtelSpan, type OtelSpanContext, type OtelSpanOptions, type OtelTracer,
} from './open-telemetry.ts';
import { ATTRIBUTES as A, EVENTS, OPERATIONS } from './span-names.ts';
import { spokenMessage } from './span-messages.ts';

/** The newest run of a conversation. */
interface NewestRun {
  readonly turnId: string;
  readonly span: OtelSpanContext;
  /** Undefined while it runs. */
  outcome: TurnEnded['outcome'] | undefined;
}

type Link = NonNullable<OtelSpanOptions['links']>[number];

/** Of so many conversations the newest run is known, and of so many turns their last run. */
const MAX_KNOWN = 10_000;

/** For the last spans of a process. */
const FLUSH_MS = 2_000;

/** What all spans need. */
interface Means {
  readonly api: OpenTelemetry;
  readonly spans: OtelTracer;
  /** What a step of the SDK's returns. Undefined if it throws: that costs spans, never turns. */
  attempt<T>(step: () => T): T | undefined;
}

/** Traces turns with the SDK that has registered itself. */
export class SpanTracer implements Tracer {
  readonly #means: Means;
  readonly #newest = new BoundedMap<string, NewestRun>(MAX_KNOWN);
  readonly #runs = new BoundedMap<string, OtelSpanContext>(MAX_KNOWN);

  constructor(api: OpenTelemetry, log: Logger) {
    let hasFailed = false;
    this.#means = {
      api,
      spans: api.trace.getTracer('layercode-microserver', version),
      attempt(step) {
        try {
          return step();
        } catch (error) {
          const fields = { error: withoutMessage(error) }; // it may quote an attribute
          if (hasFailed) log.debug('tracing failed', fields);
          else log.warn('tracing failed', fields);
          hasFailed = true;
          return undefined;
        }
      },
    };
  }

  start(turn: TracedTurn, request: TracedRequest): TurnFollower | undefined {
    return this.#means.attempt(() => this.#start(turn, request));
  }

  async flush(): Promise<void> {
    const { api, attempt } = this.#means;
    const flushed = attempt(() => api.trace.getTracerProvider().getDelegate?.().forceFlush?.());
    // The SDK has reported why nobody takes the spans.
    await atMost(FLUSH_MS, Promise.resolve(flushed).catch(() => undefined));
  }

  #start(turn: TracedTurn, { headers, interrupts, isBeside }: TracedRequest): TurnFollower {
    const { api, spans } = this.#means;
    const active = api.context.active();
    const hasParent = api.trace.getSpan(active) !== undefined;
    const parent = hasParent ? active : api.propagation.extract(active, headers);
    const place = `${turn.agent} ${turn.conversationId}`;
    const links = isBeside ? [] : this.#linksOf(turn, place, interrupts);
    const attributes = {
      [A.operation]: OPERATIONS.turn,
      [A.agent]: turn.agent,
      [A.conversation]: turn.conversationId,
      [A.turn]: turn.turnId,
      [A.wire]: turn.wire,
    };
    const kind = SPAN_KINDS.internal;
    const name = `${OPERATIONS.turn} ${turn.agent}`;
    const span = spans.startSpan(name, { kind, attributes, links }, parent);
    const run: NewestRun = { turnId: turn.turnId, span: span.spanContext(), outcome: undefined };
    if (!isBeside) {
      this.#newest.set(place, run);
      this.#runs.set(`${place} ${turn.turnId}`, run.span);
    }
    return new TurnSpan(this.#means, turn, span, api.trace.setSpan(parent, span), run);
  }

  /** To the run of the same turn before, and to the reply that the caller has interrupted. */
  #linksOf({ turnId }: TracedTurn, place: string, interrupts: boolean): Link[] {
    const links: Link[] = [];
    const link = (context: OtelSpanContext, how: 'interrupts' | 'repeats'): void =>
      void links.push({ context, attributes: { [A.link]: how } });
    const before = this.#runs.get(`${place} ${turnId}`);
    if (before !== undefined) link(before, 'repeats');
    const newest = this.#newest.get(place);
    if (newest === undefined || newest.turnId === turnId) return links;
    const isCut = newest.outcome === undefined || newest.outcome === 'interrupted';
    if (isCut || interrupts) link(newest.span, 'interrupts');
    return links;
  }
}

/** A span, and the context of what runs within it. */
interface OpenSpan {
  readonly span: OtelSpan;
  readonly context: OtelContext;
}

class TurnSpan implements TurnFollower {
  readonly #means: Means;
  readonly #turn: TracedTurn;
  readonly #span: OtelSpan;
  readonly #context: OtelContext;
  readonly #run: NewestRun;
  /** Those that run, by id. */
  readonly #tools = new Map<string, OpenSpan>();

  constructor(
    means: Means, turn: TracedTurn, span: OtelSpan, context: OtelContext, run: NewestRun,
  ) {
    this.#means = means;
    this.#turn = turn;
    this.#span = span;
    this.#context = context;
    this.#run = run;
  }

  run<T>(step: () => T): T {
    return this.#means.api.context.with(this.#context, step);
  }

  runTool<T>(toolCallId: string, step: () => T): T {
    const context = this.#tools.get(toolCallId)?.context ?? this.#context;
    return this.#means.api.context.with(context, step);
  }

  note(happening: TurnHappening): void {
    if (happening.type === 'turnEnded') this.#run.outcome = happening.outcome;
    if (!this.#span.isRecording() && this.#tools.size === 0) return; // it is not sampled, or over
    this.#means.attempt(() => this.#note(happening));
  }

  #note(happening: TurnHappening): void {
    switch (happening.type) {
      case 'turnStarted':
        if (happening.text !== undefined)
          this.#span.setAttributes({ [A.inputMessages]: spokenMessage('user', happening.text) });
        return void this.#span.setAttributes({ [A.event]: happening.event });
      case 'filler':
      case 'firstWord':
        return void this.#span.addEvent(EVENTS[happening.type], { [A.afterMs]: happening.afterMs });
      case 'apology':
        return void this.#span.addEvent(EVENTS.apology);
      case 'interruption':
        return void this.#span.addEvent(EVENTS.interruption, { [A.reason]: happening.reason });
      case 'turnEnded':
        return this.#end(happening);
      case 'toolStarted':
        return this.#startTool(happening);
      case 'toolEnded':
        return this.#endTool(happening);
      default:
        happening satisfies never;
    }
  }

  #end({ outcome, speakers, storeMs, error, text }: TurnEnded): void {
    const span = this.#span;
    span.setAttributes({
      [A.turn]: this.#turn.turnId,
      [A.outcome]: outcome,
      ...(speakers === undefined ? {} : { [A.speakers]: speakers.join(',') }),
      ...(storeMs === undefined ? {} : { [A.storeMs]: storeMs }),
      ...(text === undefined || text === ''
        ? {}
        : { [A.outputMessages]: spokenMessage('assistant', text) }),
    });
    if (outcome === 'failed') {
      span.setAttributes({ [A.failure]: failureReasonOf(error) });
      fail(span, error);
    }
    span.end();
  }

  #child(name: string, kind: number, attributes: OtelAttributes): OpenSpan {
    const { api, spans } = this.#means;
    const span = spans.startSpan(name, { kind, attributes }, this.#context);
    return { span, context: api.trace.setSpan(this.#context, span) };
  }

  #startTool({ tool, toolCallId, args }: ToolStarted): void {
    const child = this.#child(`${OPERATIONS.tool} ${tool}`, SPAN_KINDS.internal, {
      [A.operation]: OPERATIONS.tool,
      [A.tool]: tool,
      [A.toolType]: 'function',
      [A.toolCall]: toolCallId,
      [A.conversation]: this.#turn.conversationId,
      ...(args === undefined ? {} : { [A.toolArguments]: args }),
    });
    this.#tools.set(toolCallId, child);
  }

  #endTool({ toolCallId, outcome, error, result }: ToolEnded): void {
    const span = this.#tools.get(toolCallId)?.span;
    this.#tools.delete(toolCallId);
    if (span === undefined) return;
    span.setAttributes({
      [A.outcome]: outcome,
      ...(result === undefined ? {} : { [A.toolResult]: result }),
    });
    if (outcome === 'failed') fail(span, error);
    span.end();
  }
}

/** Marks a span as failed. Its text has no message of the error: that may quote the caller. */
function fail(span: OtelSpan, error: unknown): void {
  span.setAttributes({ [A.errorType]: errorTypeOf(error) });
  span.setStatus({ code: STATUS_ERROR });
}

/** The stable code of an error, otherwise its name. `_OTHER` for anything else. */
function errorTypeOf(error: unknown): string {
  if (!(error instanceof Error)) return '_OTHER';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

import { BoundedMap } from '../base/bounded-map.ts';
import { atMost } from '../base/time-limit.ts';
import { version } from '../base/version.ts';
import { withoutMessage } from '../base/without-message.ts';
import type { Logger } from '../log.ts';
import type { TracedTurn, TurnEnded } from '../turns/turn-points.ts';
import type { TracedRequest, Tracer, TurnFollower } from '../turns/turn-trace.ts';
import { OpenSpan } from './open-span.ts';
import {
  SPAN_KINDS, type OpenTelemetry, type OtelContext, type OtelSpanContext, type OtelSpanOptions,
  type OtelTracer,
} from './open-telemetry.ts';
import { ATTRIBUTES as A, OPERATIONS } from './span-names.ts';
import type { CostOf } from './turn-metrics.ts';
import { TurnSpan } from './turn-span.ts';

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

/** Traces turns with the SDK that has registered itself. If that throws, it costs spans. */
export class SpanTracer implements Tracer {
  readonly #api: OpenTelemetry;
  readonly #log: Logger;
  readonly #costOf: CostOf;
  readonly #tracer: OtelTracer;
  readonly #newest = new BoundedMap<string, NewestRun>(MAX_KNOWN);
  readonly #runs = new BoundedMap<string, OtelSpanContext>(MAX_KNOWN);
  #hasFailed = false;

  constructor(api: OpenTelemetry, log: Logger, costOf: CostOf) {
    this.#api = api;
    this.#costOf = costOf;
    this.#log = log;
    this.#tracer = api.trace.getTracer('layercode-microserver', version);
  }

  start(turn: TracedTurn, request: TracedRequest): TurnFollower | undefined {
    return this.#attempt(() => this.#start(turn, request));
  }

  async flush(): Promise<void> {
    const provider = this.#attempt(() => this.#api.trace.getTracerProvider());
    const flushed = this.#attempt(() => provider?.getDelegate?.().forceFlush?.());
    // The SDK has reported why nobody takes the spans.
    await atMost(FLUSH_MS, Promise.resolve(flushed).catch(() => undefined));
  }

  #start(turn: TracedTurn, { headers, interrupts, isBeside }: TracedRequest): TurnFollower {
    const { conversationId, turnId, agent, wire } = turn;
    const place = `${agent} ${conversationId}`;
    const self = new OpenSpan(
      this.#api, this.#tracer, this.#parent(headers), `${OPERATIONS.turn} ${agent}`,
      {
        kind: SPAN_KINDS.internal,
        attributes: {
          [A.operation]: OPERATIONS.turn,
          [A.agent]: agent,
          [A.conversation]: conversationId,
          [A.turn]: turnId,
          [A.wire]: wire,
        },
        links: isBeside ? [] : this.#linksOf(turn, place, interrupts),
      },
    );
    const run: NewestRun = { turnId, span: self.span.spanContext(), outcome: undefined };
    if (!isBeside) {
      this.#newest.set(place, run);
      this.#runs.set(`${place} ${turnId}`, run.span);
    }
    const attempt = (step: () => void): void => this.#attempt(step);
    return new TurnSpan(turn, self, this.#costOf, attempt, (outcome) => (run.outcome = outcome));
  }

  /** The request's span, otherwise that which the webhook's headers name, otherwise none. */
  #parent(headers: TracedRequest['headers']): OtelContext {
    const { context, propagation, trace } = this.#api;
    const active = context.active();
    return trace.getSpan(active) === undefined ? propagation.extract(active, headers) : active;
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

  /** What a step returns. Undefined if it throws. */
  #attempt<T>(step: () => T): T | undefined {
    try {
      return step();
    } catch (error) {
      const fields = { error: withoutMessage(error) }; // its message may quote an attribute
      if (this.#hasFailed) this.#log.debug('tracing failed', fields);
      else this.#log.warn('tracing failed', fields);
      this.#hasFailed = true;
      return undefined;
    }
  }
}

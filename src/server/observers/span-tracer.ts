import type { IncomingHttpHeaders } from 'node:http';

import type { Logger } from '../../base/log.ts';
import { withoutMessage } from '../../base/thrown-values.ts';
import { atMost } from '../../base/time-limit.ts';
import { version } from '../../base/version.ts';
import type { TracedTurn } from '../../core/turns/report/turn-points.ts';
import type { Tracer, TurnFollower } from '../../core/turns/report/turn-trace.ts';
import type { CostOf } from '../../core/turns/report/turn-work.ts';
import { OpenSpan } from './open-span.ts';
import {
  SPAN_KINDS, type OpenTelemetry, type OtelContext, type OtelTracer,
} from './open-telemetry.ts';
import { ATTRIBUTES as A, OPERATIONS, PROVIDER_WITHOUT_MODEL } from './span-names.ts';
import { TurnSpan } from './turn-span.ts';

/** The time limit for sending a process's last spans. */
const FLUSH_MS = 2_000;

/** A turn whose span nobody collects: only its context is passed on. */
class UnsampledTurn implements TurnFollower {
  readonly place = undefined;
  readonly #self: OpenSpan;

  constructor(self: OpenSpan) {
    this.#self = self;
  }

  run<T>(step: () => T): T {
    return this.#self.run(step);
  }

  runRequest<T>(_request: number, step: () => T): T {
    return step();
  }

  runTool<T>(_toolCallId: string, step: () => T): T {
    return step();
  }

  note(): void {}

  link(): void {}
}

/** Traces turns with the SDK that has registered itself. If the SDK throws, only spans are lost. */
export class SpanTracer implements Tracer {
  readonly #api: OpenTelemetry;
  readonly #log: Logger;
  readonly #costOf: CostOf;
  readonly #tracer: OtelTracer;
  #hasFailed = false;

  constructor(api: OpenTelemetry, log: Logger, costOf: CostOf) {
    this.#api = api;
    this.#costOf = costOf;
    this.#log = log;
    this.#tracer = api.trace.getTracer('layercode-microserver', version);
  }

  start(turn: TracedTurn, headers: IncomingHttpHeaders): TurnFollower | undefined {
    return this.#attempt(() => this.#start(turn, headers));
  }

  async flush(): Promise<void> {
    const provider = this.#attempt(() => this.#api.trace.getTracerProvider());
    const flushed = this.#attempt(() => provider?.getDelegate?.().forceFlush?.());
    // The SDK has reported why nobody takes the spans.
    await atMost(FLUSH_MS, Promise.resolve(flushed).catch(() => undefined));
  }

  #start(turn: TracedTurn, headers: IncomingHttpHeaders): TurnFollower {
    const { conversationId, turnId, agent, wire } = turn;
    const self = new OpenSpan(
      this.#api, this.#tracer, this.#parent(headers), `${OPERATIONS.turn} ${agent}`,
      {
        kind: SPAN_KINDS.internal,
        attributes: {
          [A.operation]: OPERATIONS.turn,
          [A.provider]: PROVIDER_WITHOUT_MODEL,
          [A.agent]: agent,
          [A.conversation]: conversationId,
          [A.turn]: turnId,
          [A.wire]: wire,
        },
      },
    );
    if (!self.span.isRecording()) return new UnsampledTurn(self);
    return new TurnSpan(turn, self, this.#costOf, (step) => this.#attempt(step));
  }

  /** The request's span, otherwise the one that the webhook's headers name, otherwise none. */
  #parent(headers: IncomingHttpHeaders): OtelContext {
    const { context, propagation, trace } = this.#api;
    const active = context.active();
    if (trace.getSpan(active) !== undefined) return active;
    // Only the span: a caller may have chosen the headers, and the tools' requests pass baggage on.
    const named = trace.getSpan(propagation.extract(active, headers));
    return named === undefined ? active : trace.setSpan(active, named);
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

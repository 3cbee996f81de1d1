import type { Environment } from '../../base/environment.ts';
import type { Logger } from '../../base/log.ts';
import type { Tracer, Tracing } from '../../core/turns/report/turn-trace.ts';
import type { CostOf } from '../../core/turns/report/turn-work.ts';
import { hasSdk, loadOpenTelemetry } from './open-telemetry.ts';

/** The conventions' own switch for what callers, agents and tools say. */
const CAPTURE = 'OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT';
/** Its values that mean spans: instrumentations for other languages know these four. */
const CAPTURES_IN_SPANS = /^(?:true|1|span_only|span_and_event)$/i;

/** How turns are traced: with spans if an SDK has registered itself by now. */
export function openTracing(
  environment: Environment,
  log: Logger,
  costOf: CostOf,
  spans: typeof import('./span-tracer.ts') | undefined,
): Tracing {
  const hasWords = CAPTURES_IN_SPANS.test(environment[CAPTURE] ?? process.env[CAPTURE] ?? '');
  const tracer = spans !== undefined && hasSdk() ? openTracer(spans, log, costOf) : undefined;
  return { tracer, hasWords };
}

function openTracer(
  { SpanTracer }: typeof import('./span-tracer.ts'),
  log: Logger,
  costOf: CostOf,
): Tracer | undefined {
  try {
    return new SpanTracer(loadOpenTelemetry(), log, costOf);
  } catch (error) {
    log.warn('no spans: an OpenTelemetry SDK is running, but its API cannot be loaded', {
      hint: 'npm install @opentelemetry/api', error,
    });
    return undefined;
  }
}

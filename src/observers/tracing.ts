import type { Environment } from '../base/environment.ts';
import type { Tracing } from '../turns/turn-trace.ts';

/** The conventions' own switch for what callers, agents and tools say. */
const CAPTURE = 'OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT';
/** Its values that mean spans: instrumentations of other languages know these four. */
const CAPTURES_IN_SPANS = /^(?:true|1|span_only|span_and_event)$/i;

/** How turns are traced. */
export function openTracing(environment: Environment): Tracing {
  const hasWords = CAPTURES_IN_SPANS.test(environment[CAPTURE] ?? process.env[CAPTURE] ?? '');
  return { tracer: undefined, hasWords };
}

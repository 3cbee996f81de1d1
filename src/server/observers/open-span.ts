import {
  STATUS_ERROR, type OpenTelemetry, type OtelContext, type OtelSpan, type OtelSpanOptions,
  type OtelTracer,
} from './open-telemetry.ts';
import { ATTRIBUTES as A } from './span-names.ts';

/** A span that has begun, and the context of what runs within it. */
export class OpenSpan {
  readonly span: OtelSpan;
  readonly #api: OpenTelemetry;
  readonly #tracer: OtelTracer;
  readonly #context: OtelContext;

  constructor(
    api: OpenTelemetry,
    tracer: OtelTracer,
    parent: OtelContext,
    name: string,
    options: OtelSpanOptions,
  ) {
    this.#api = api;
    this.#tracer = tracer;
    this.span = tracer.startSpan(name, options, parent);
    this.#context = api.trace.setSpan(parent, this.span);
  }

  child(name: string, options: OtelSpanOptions): OpenSpan {
    return new OpenSpan(this.#api, this.#tracer, this.#context, name, options);
  }

  run<T>(step: () => T): T {
    return this.#api.context.with(this.#context, step);
  }

  /**
   * Marks it as failed. `message` must be safe to show, unlike the messages of most errors, which
   * may quote someone.
   */
  fail(errorType: string, message?: string): void {
    this.span.setAttributes({ [A.errorType]: errorType });
    this.span.setStatus({ code: STATUS_ERROR, message });
  }
}

/** The stable code of an error, otherwise its name. `_OTHER` for anything else. */
export function errorTypeOf(error: unknown): string {
  if (!(error instanceof Error)) return '_OTHER';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

// What is used from the package `@opentelemetry/api`, and where it comes from.
// https://opentelemetry.io/docs/specs/otel/trace/api/

import module from 'node:module';
import { join } from 'node:path';

import type { TracePlace } from '../../core/conversations/trace-place.ts';

/** Says which span is the parent. Only the package knows its contents. */
export type OtelContext = object;

export type OtelAttributes = Readonly<
  Record<string, string | number | boolean | readonly string[] | undefined>
>;

export interface OtelSpan {
  spanContext(): TracePlace;
  /** False if nobody collects the span. */
  isRecording(): boolean;
  setAttributes(attributes: OtelAttributes): unknown;
  addEvent(name: string, attributes?: OtelAttributes): unknown;
  /** Since version 1.9 of the API. */
  addLink?(link: { readonly context: TracePlace; readonly attributes: OtelAttributes }): unknown;
  setStatus(status: { readonly code: number; readonly message?: string | undefined }): unknown;
  end(): void;
}

export interface OtelSpanOptions {
  readonly kind: number;
  readonly attributes: OtelAttributes;
  /** Milliseconds since the epoch. Default: now. */
  readonly startTime?: number;
}

export interface OtelTracer {
  startSpan(name: string, options: OtelSpanOptions, parent: OtelContext): OtelSpan;
}

export interface OpenTelemetry {
  readonly trace: {
    getTracer(name: string, version: string): OtelTracer;
    /** Not part of the API: its stand-in for the SDK's provider, which can be flushed. */
    getTracerProvider(): { getDelegate?(): { forceFlush?(): Promise<void> } };
    getSpan(context: OtelContext): OtelSpan | undefined;
    setSpan(context: OtelContext, span: OtelSpan): OtelContext;
  };
  readonly context: {
    active(): OtelContext;
    with<T>(context: OtelContext, step: () => T): T;
  };
  readonly propagation: {
    extract(context: OtelContext, headers: object): OtelContext;
  };
}

/** From the API's `SpanKind`. */
export const SPAN_KINDS = { internal: 0, client: 2 } as const;
/** From the API's `SpanStatusCode`. */
export const STATUS_ERROR = 2;

/** Where version 1 of the API keeps what an SDK has registered. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1');

/** Whether an SDK collects spans in this process. */
export function hasSdk(): boolean {
  const registered = (globalThis as { readonly [REGISTERED]?: { readonly trace?: unknown } })[
    REGISTERED
  ];
  return registered?.trace !== undefined;
}

/**
 * Loads the package from the project in this directory, or the one next to this program. Throws
 * Node's error if there is none.
 */
export function loadOpenTelemetry(directory: string = process.cwd()): OpenTelemetry {
  // Not imported by name: webpack warns about a `createRequire` whose path it cannot know.
  const fromProject = module.createRequire(join(directory, 'package.json'));
  try {
    return fromProject('@opentelemetry/api') as OpenTelemetry;
  } catch (error) {
    const here: string | undefined = import.meta.url; // undefined in a bundle that is CommonJS
    if (here === undefined) throw error;
    return module.createRequire(here)('@opentelemetry/api') as OpenTelemetry;
  }
}

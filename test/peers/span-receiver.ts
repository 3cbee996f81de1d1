// A stand-in for a collector: takes what the official exporter sends as OTLP over HTTP, in JSON.
// https://opentelemetry.io/docs/specs/otlp/#otlphttp

import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http';

import { listen, type Listening } from '../fixtures/listen.ts';

type Value =
  | { readonly stringValue: string }
  | { readonly intValue: number | string }
  | { readonly doubleValue: number }
  | { readonly boolValue: boolean }
  | { readonly arrayValue: { readonly values: readonly Value[] } };

interface Attribute {
  readonly key: string;
  readonly value: Value;
}

interface SentSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly attributes: readonly Attribute[];
  readonly events: readonly { readonly name: string; readonly attributes: readonly Attribute[] }[];
  readonly links: readonly {
    readonly traceId: string;
    readonly spanId: string;
    readonly attributes: readonly Attribute[];
  }[];
  readonly status: { readonly code: number; readonly message?: string };
}

interface Sent {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly {
      readonly scope: { readonly name: string };
      readonly spans: readonly SentSpan[];
    }[];
  }[];
}

type Plain = string | number | boolean;
type Values = Readonly<Record<string, Plain | readonly Plain[]>>;

/** A span as it was sent, with attributes by name. */
export interface ReceivedSpan
  extends Pick<SentSpan, 'traceId' | 'spanId' | 'parentSpanId' | 'name' | 'kind' | 'status'> {
  readonly scope: string;
  readonly attributes: Values;
  readonly events: readonly { readonly name: string; readonly attributes: Values }[];
  readonly links: readonly {
    readonly traceId: string;
    readonly spanId: string;
    readonly attributes: Values;
  }[];
}

export class SpanReceiver {
  readonly spans: ReceivedSpan[] = [];
  /** All bodies as they were sent. */
  bytes = '';
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`. */
  readonly url: string;
  readonly close: () => Promise<void>;
  readonly #told = new EventEmitter();

  private constructor({ origin, close }: Listening) {
    this.url = origin;
    this.close = close;
  }

  static async open(): Promise<SpanReceiver> {
    const server = createServer();
    const receiver = new SpanReceiver(await listen(server));
    server.on('request', async (request, response) => {
      let body = '';
      for await (const piece of request.setEncoding('utf8')) body += piece;
      receiver.bytes += body;
      if (request.url === '/v1/traces') receiver.spans.push(...spansOf(JSON.parse(body) as Sent));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      receiver.#told.emit('spans');
    });
    return receiver;
  }

  /** The spans that fit, as soon as there are this many. Rejects after 10 s. */
  async received(count: number, fits: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan[]> {
    const signal = AbortSignal.timeout(10_000);
    for (;;) {
      const found = this.spans.filter(fits);
      if (found.length >= count) return found;
      await once(this.#told, 'spans', { signal }).catch((cause: unknown) => {
        const names = this.spans.map(({ name }) => name).join(', ');
        throw new Error(`waited in vain for ${count} spans; there are: ${names}`, { cause });
      });
    }
  }

  /** The first span with this name. */
  async span(name: string, fits = (_span: ReceivedSpan): boolean => true): Promise<ReceivedSpan> {
    const [span] = await this.received(1, (span) => span.name === name && fits(span));
    if (span === undefined) throw new Error(`no span ${name}`);
    return span;
  }
}

function spansOf({ resourceSpans }: Sent): ReceivedSpan[] {
  return resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ scope, spans }) =>
      spans.map(({ attributes, events, links, ...span }): ReceivedSpan => ({
        ...span,
        scope: scope.name,
        attributes: valuesOf(attributes),
        events: events.map(({ name, attributes }) => ({ name, attributes: valuesOf(attributes) })),
        links: links.map(({ traceId, spanId, attributes }) => ({
          traceId, spanId, attributes: valuesOf(attributes),
        })),
      })),
    ),
  );
}

function valuesOf(attributes: readonly Attribute[]): Values {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, plain(value)]));
}

function plain(value: Value): Plain | readonly Plain[] {
  if ('arrayValue' in value) return value.arrayValue.values.flatMap(plain);
  if ('stringValue' in value) return value.stringValue;
  if ('boolValue' in value) return value.boolValue;
  return Number('intValue' in value ? value.intValue : value.doubleValue);
}

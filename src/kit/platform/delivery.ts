import { isEventStream, readBody, readText } from '../../base/abortable-body.ts';
import type { Awaitable } from '../../base/awaitable.ts';
import { isObject } from '../../base/fields.ts';
import { parseJson, type Json, type JsonObject } from '../../base/json.ts';
import { decodeEvents } from '../../sse/decode.ts';
import type { DeliveryEnd, DeliveryFrame, SignatureKind } from './frames.ts';

export interface DeliveryOptions {
  /** Counts the deliveries of a session, from 1. */
  readonly number: number;
  readonly signature: SignatureKind;
  /** Posts a body. Rejects as `fetch` does. */
  readonly send: (body: string, signal: AbortSignal) => Promise<Response>;
  /** The events in the data of one SSE event. Default: the data is one. */
  readonly eventsIn?: (data: string) => readonly Json[];
  /** Receives what is sent and what arrives. If it returns a promise, that is awaited. */
  readonly onFrame: (frame: DeliveryFrame) => Awaitable<unknown>;
  /** Receives each event of a reply. If it returns a promise, more is read after that. */
  readonly onEvent: (event: JsonObject) => Awaitable<unknown>;
}

/** One POST to the webhook, and what it answers. */
export class OutgoingDelivery {
  /** Whether the answer was a reply, and has been read to its end. */
  hasWholeReply = false;
  readonly #options: DeliveryOptions;
  readonly #controller = new AbortController();

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  /** Closes the connection. */
  drop(): void {
    this.#controller.abort();
  }

  /** Resolves when the answer has been read, and never rejects. */
  async post(event: JsonObject): Promise<DeliveryEnd> {
    const { number: delivery, signature, send, onFrame } = this.#options;
    try {
      await onFrame({ type: 'local.request', delivery, signature, event });
      const response = await send(JSON.stringify(event), this.#controller.signal);
      await onFrame({ type: 'local.answer', delivery, status: response.status });
      return await (isEventStream(response) ? this.#readReply(response) : this.#read(response));
    } catch (error) {
      if (this.#controller.signal.aborted) return { outcome: 'dropped' };
      return { outcome: 'failed', reason: reasonOf(error) };
    }
  }

  async #readReply(response: Response): Promise<DeliveryEnd> {
    const { number: delivery, eventsIn = onlyEvent, onFrame, onEvent } = this.#options;
    for await (const { data } of decodeEvents(readBody(response, this.#controller.signal))) {
      for (const event of eventsIn(data)) {
        await onFrame({ type: 'local.event', delivery, event });
        if (isObject(event)) await onEvent(event as JsonObject);
      }
    }
    this.hasWholeReply = true;
    return { outcome: 'ended' };
  }

  /** Reads an answer that is not a reply. */
  async #read(response: Response): Promise<DeliveryEnd> {
    const { number: delivery, onFrame } = this.#options;
    const text = await readText(response, this.#controller.signal);
    const answer = parseJson(text);
    const event = answer === undefined ? text.slice(0, 1_000) : answer; // usually a proxy's page
    await onFrame({ type: 'local.event', delivery, event });
    if (response.ok) return { outcome: 'ended' };
    const reason = `${response.status} ${errorIn(answer)}`.trimEnd();
    return { outcome: 'failed', reason };
  }
}

/** The id of a request of a session, which identifies its delivery. */
export function requestIdOf(sessionId: string, number: number): string {
  return `${sessionId}-${number}`;
}

/** Undefined if the request is not from this session. */
export function deliveryOf(sessionId: string, requestId: string): number | undefined {
  return requestId.startsWith(`${sessionId}-`)
    ? Number(requestId.slice(sessionId.length + 1))
    : undefined;
}

function onlyEvent(data: string): readonly Json[] {
  return [JSON.parse(data) as Json];
}

/** A text on LayerCode's wire, an object with a message on Chat Completions. '' for others. */
function errorIn(answer: unknown): string {
  const error = isObject(answer) ? answer['error'] : undefined;
  const text = isObject(error) ? error['message'] : error;
  return typeof text === 'string' ? text : '';
}

/** `fetch` says only "fetch failed"; the reason is in its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error
    ? cause.message || String('code' in cause ? cause.code : cause.name)
    : String(cause);
}

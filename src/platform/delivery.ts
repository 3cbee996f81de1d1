import { readBody, readText } from '../base/abortable-body.ts';
import type { Awaitable } from '../base/awaitable.ts';
import { isObject } from '../base/fields.ts';
import { parseJson, type Json, type JsonObject } from '../base/json.ts';
import { decodeEvents } from '../sse/decode.ts';
import { postEvent } from '../wires/layercode/post-event.ts';
import { SIGNATURE_TOLERANCE_SECONDS, signPayload } from '../wires/layercode/signature.ts';
import type { DeliveryEnd, DeliveryFrame, SignatureKind } from './frames.ts';

export interface DeliveryOptions {
  /** Counts the deliveries of a session, from 1. */
  readonly number: number;
  readonly webhookUrl: string;
  readonly secret: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signature: SignatureKind;
  /** Receives what is sent and what arrives. If it returns a promise, that is awaited. */
  readonly onFrame: (frame: DeliveryFrame) => Awaitable<unknown>;
  /** Receives each event of a reply. If it returns a promise, more is read after that. */
  readonly onEvent: (event: JsonObject) => Awaitable<unknown>;
}

/** Bound for an answer that is not an event stream. */
const MAX_ANSWER_BYTES = 1_048_576;

/** One signed POST to the webhook, and what it answers. */
export class Delivery {
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
    const { number: delivery, signature, onFrame } = this.#options;
    try {
      await onFrame({ type: 'local.request', delivery, signature, event });
      const response = await this.#send(JSON.stringify(event));
      await onFrame({ type: 'local.answer', delivery, status: response.status });
      return await (isEventStream(response) ? this.#readReply(response) : this.#read(response));
    } catch (error) {
      if (this.#controller.signal.aborted) return { outcome: 'dropped' };
      return { outcome: 'failed', reason: reasonOf(error) };
    }
  }

  #send(body: string): Promise<Response> {
    const { webhookUrl, secret, headers, signature } = this.#options;
    const forged = forge(signature, body, secret);
    return postEvent(webhookUrl, body, {
      secret,
      headers,
      signal: this.#controller.signal,
      ...(forged === undefined ? {} : { signature: forged }),
    });
  }

  async #readReply(response: Response): Promise<DeliveryEnd> {
    const { number: delivery, onFrame, onEvent } = this.#options;
    for await (const { data } of decodeEvents(readBody(response, this.#controller.signal))) {
      const event = JSON.parse(data) as Json;
      await onFrame({ type: 'local.event', delivery, event });
      if (isObject(event)) await onEvent(event as JsonObject);
    }
    this.hasWholeReply = true;
    return { outcome: 'ended' };
  }

  /** Reads an answer that is not a reply. */
  async #read(response: Response): Promise<DeliveryEnd> {
    const { number: delivery, onFrame } = this.#options;
    const text = await readText(response, this.#controller.signal, MAX_ANSWER_BYTES);
    const answer = parseJson(text);
    const event = answer === undefined ? text.slice(0, 1_000) : answer; // usually a proxy's page
    await onFrame({ type: 'local.event', delivery, event });
    if (response.ok) return { outcome: 'ended' };
    const error = isObject(answer) ? answer['error'] : undefined;
    const reason = `${response.status} ${typeof error === 'string' ? error : ''}`.trimEnd();
    return { outcome: 'failed', reason };
  }
}

function isEventStream({ headers }: Response): boolean {
  return headers.get('content-type')?.split(';', 1)[0]?.trim() === 'text/event-stream';
}

/** A signature header that a correct server refuses. Undefined for the right one. */
function forge(kind: SignatureKind, body: string, secret: string): string | undefined {
  if (kind === 'right') return undefined;
  if (kind === 'wrong') return signPayload(body, `${secret}-another`);
  return signPayload(body, secret, {
    time: Math.floor(Date.now() / 1_000) - SIGNATURE_TOLERANCE_SECONDS - 1,
  });
}

/** `fetch` says only "fetch failed"; the reason is in its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error
    ? cause.message || String('code' in cause ? cause.code : cause.name)
    : String(cause);
}

import { isEventStream, readText } from '../../base/abortable-body.ts';
import type { Awaitable } from '../../base/awaitable.ts';
import { isObject } from '../../base/fields.ts';
import { parseJson, type Json } from '../../base/json.ts';
import type { DeliveryEnd } from './frames.ts';
import type { TestEvent, TestRequest } from './test-wire.ts';

export interface DeliveryOptions {
  readonly request: Pick<TestRequest, 'events'>;
  /** Posts it. Rejects as `fetch` does. */
  readonly post: (signal: AbortSignal) => Promise<Response>;
  /** If it returns a promise, the answer is read after that. */
  readonly onStatus?: (status: number) => Awaitable<unknown>;
  /** Gets each event of a reply. If it returns a promise, more is read after that. */
  readonly onEvent: (event: TestEvent) => Awaitable<unknown>;
  /** Gets an answer that is not a reply. */
  readonly onOther?: (answer: Json) => Awaitable<unknown>;
}

/** One POST of a request, and what it answers. Begins at once. */
export class OutgoingDelivery {
  /** Resolves when the answer begins, or when there is none. */
  readonly answered: Promise<unknown>;
  /** Resolves when the answer has been read. Neither ever rejects. */
  readonly end: Promise<DeliveryEnd>;
  /** Undefined until there is an answer. */
  status: number | undefined;
  readonly #options: DeliveryOptions;
  readonly #controller = new AbortController();

  constructor(options: DeliveryOptions) {
    this.#options = options;
    const response = options.post(this.#controller.signal);
    this.answered = response.catch(() => undefined);
    this.end = this.#read(response);
  }

  drop(): void {
    this.#controller.abort();
  }

  async #read(answer: Promise<Response>): Promise<DeliveryEnd> {
    const { request, onStatus, onEvent } = this.#options;
    const { signal } = this.#controller;
    try {
      const response = await answer;
      this.status = response.status;
      await onStatus?.(response.status);
      if (!isEventStream(response)) return await this.#readOther(response);
      for await (const event of request.events(response, signal)) await onEvent(event);
      return { outcome: 'ended' };
    } catch (error) {
      return signal.aborted
        ? { outcome: 'dropped' }
        : { outcome: 'failed', reason: reasonOf(error) };
    }
  }

  async #readOther(response: Response): Promise<DeliveryEnd> {
    const text = await readText(response, this.#controller.signal);
    const answer = parseJson(text);
    // Usually a proxy's page.
    await this.#options.onOther?.(answer === undefined ? text.slice(0, 1_000) : answer);
    if (response.ok) return { outcome: 'ended' };
    return { outcome: 'failed', reason: `${response.status} ${errorIn(answer)}`.trimEnd() };
  }
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

import { isEventStream, readText } from '../../base/abortable-body.ts';
import type { Awaitable } from '../../base/awaitable.ts';
import { isObject } from '../../base/fields.ts';
import { parseJson, type Json } from '../../base/json.ts';
import type { DeliveryEnd } from './frames.ts';
import type { TestEvent, TestRequest } from './test-wire.ts';

interface DeliveryOptions {
  readonly request: Pick<TestRequest, 'events'>;
  /** Posts the request. Rejects as `fetch` does. */
  readonly post: (signal: AbortSignal) => Promise<Response>;
  /** If it returns a promise, the answer is read once that has resolved. */
  readonly onStatus?: (status: number) => Awaitable<unknown>;
  /**
   * Gets each event of a reply. If it returns a promise, reading goes on once that has resolved.
   */
  readonly onEvent: (event: TestEvent) => Awaitable<unknown>;
  /** Gets an answer that is not a reply. */
  readonly onOther?: (answer: Json) => Awaitable<unknown>;
}

export type OutgoingDelivery = ReturnType<typeof deliver>;

/** One POST of a request, and its answer. Begins at once. */
export function deliver({ request, post, onStatus, onEvent, onOther }: DeliveryOptions) {
  const controller = new AbortController();
  const { signal } = controller;
  const response = post(signal);
  let status: number | undefined;

  async function read(): Promise<DeliveryEnd> {
    try {
      const answer = await response;
      ({ status } = answer);
      await onStatus?.(status);
      if (!isEventStream(answer)) return await readOther(answer);
      for await (const event of request.events(answer, signal)) await onEvent(event);
      return { outcome: 'ended' };
    } catch (error) {
      return signal.aborted
        ? { outcome: 'dropped' }
        : { outcome: 'failed', reason: reasonOf(error) };
    }
  }

  async function readOther(answer: Response): Promise<DeliveryEnd> {
    const text = await readText(answer, signal);
    const value = parseJson(text);
    // Usually a proxy's page.
    await onOther?.(value === undefined ? text.slice(0, 1_000) : value);
    if (answer.ok) return { outcome: 'ended' };
    return { outcome: 'failed', reason: `${answer.status} ${errorIn(value)}`.trimEnd() };
  }

  return {
    /** Resolves when the answer begins, or when it is clear that there is none. */
    answered: response.then(() => undefined, () => undefined),
    /** Resolves when the answer has been read. Neither ever rejects. */
    end: read(),
    /** Undefined until there is an answer. */
    get status(): number | undefined {
      return status;
    },
    drop: (): void => controller.abort(),
  };
}

/**
 * The error: text on LayerCode's wire, an object with a message on Chat Completions. '' for others.
 */
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

import { randomUUID } from 'node:crypto';

import { readBody } from './base/abortable-body.ts';
import type { App } from './app/app.ts';
import { postEvent } from './layercode/post-event.ts';
import { decodeEvents, type DecodedEvent } from './sse/decode.ts';

export interface TestClientOptions {
  /** The webhook secret to sign with. */
  readonly secret: string;
  /** The webhook's path. Default `/api/agent`. */
  readonly agentRoute?: string;
  /** Default: a new id. */
  readonly conversationId?: string;
}

export interface PostOptions {
  /** Default: the client's `agentRoute`. */
  readonly path?: string;
  /** Replaces the correct signature; null sends none. */
  readonly signature?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * An event of a reply. `type` is `response.tts`, `response.data`, and so on in the session dialect,
 * and `message`, `data`, `hangup`, `error` or `done` in the call dialect.
 */
export interface TestEvent {
  readonly type: string;
  readonly content?: unknown;
  readonly turn_id?: string;
}

/**
 * The streamed answer to a webhook. Iterate it or call `text()` or `events()`; each of them reads
 * it to its end.
 */
export class TestReply implements AsyncIterable<TestEvent> {
  readonly response: Response;
  readonly #controller: AbortController;
  readonly #toEvent: (event: DecodedEvent) => TestEvent;

  constructor(response: Response, controller: AbortController, isCallDialect: boolean) {
    this.response = response;
    this.#controller = controller;
    this.#toEvent = isCallDialect ? callEvent : sessionEvent;
  }

  get status(): number {
    return this.response.status;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TestEvent, void, undefined> {
    for await (const event of decodeEvents(readBody(this.response, this.#controller.signal))) {
      yield this.#toEvent(event);
    }
  }

  /** All events, once the stream has ended. */
  async events(): Promise<TestEvent[]> {
    const events: TestEvent[] = [];
    for await (const event of this) events.push(event);
    return events;
  }

  /** Everything that was spoken, once the stream has ended. */
  async text(): Promise<string> {
    const events = await this.events();
    return events
      .filter(({ type }) => type === 'response.tts' || type === 'message')
      .map(({ content }) => String(content))
      .join('');
  }

  /** The answer to an event that is not a turn. */
  async json(): Promise<unknown> {
    return this.response.json();
  }

  /** Closes the connection, as LayerCode does when the caller interrupts the reply. */
  drop(): void {
    this.#controller.abort();
  }
}

/** Plays LayerCode in tests: signs events, posts them over a real socket, and reads the replies. */
export class TestClient {
  readonly conversationId: string;
  readonly #app: App | undefined;
  readonly #options: TestClientOptions;
  #origin: Promise<string> | undefined;

  constructor(target: App | string, options: TestClientOptions) {
    this.#app = typeof target === 'string' ? undefined : target;
    if (typeof target === 'string') this.#origin = Promise.resolve(target.replace(/\/$/, ''));
    this.#options = options;
    this.conversationId = options.conversationId ?? randomUUID();
  }

  /** `http://127.0.0.1:port`. The first call starts the app's server on a free port. */
  origin(): Promise<string> {
    this.#origin ??= this.#listen();
    return this.#origin;
  }

  /**
   * The caller says something: posts a `message` of a new turn. `fields` replace the event's fields
   * or add to them.
   */
  say(text: string, fields: Readonly<Record<string, unknown>> = {}): Promise<TestReply> {
    return this.post({ ...this.#event('message'), text, ...fields });
  }

  /** The call begins, or the caller is back: posts a `session.start`. */
  start(fields: Readonly<Record<string, unknown>> = {}): Promise<TestReply> {
    return this.post({ ...this.#event('session.start'), ...fields });
  }

  /** Posts a signed event. An object is sent as JSON, text and bytes as they are. */
  async post(event: object | string | Uint8Array, options: PostOptions = {}): Promise<TestReply> {
    const { path = this.#options.agentRoute ?? '/api/agent', ...request } = options;
    const controller = new AbortController();
    const url = (await this.origin()) + path;
    const response = await postEvent(url, event, {
      ...request,
      secret: this.#options.secret,
      signal: controller.signal,
    });
    const isObject = typeof event === 'object' && !(event instanceof Uint8Array);
    const isCallDialect = isObject ? 'call_id' in event : Buffer.from(event).includes('"call_id"');
    return new TestReply(response, controller, isCallDialect);
  }

  /** Closes the app, if the client was created with one. */
  async close(): Promise<void> {
    await this.#app?.close();
  }

  async #listen(): Promise<string> {
    const address = await this.#app?.listen({ host: '127.0.0.1', port: 0 });
    return `http://127.0.0.1:${address?.port}`;
  }

  #event(type: string): Record<string, unknown> {
    return {
      type,
      session_id: 'test-session',
      conversation_id: this.conversationId,
      turn_id: randomUUID(),
    };
  }
}

/**
 * Creates a client. Given an app, it serves the app on a free port of 127.0.0.1. Given an origin
 * such as `http://localhost:8000`, it calls the server there.
 */
export function createTestClient(target: App | string, options: TestClientOptions): TestClient {
  return new TestClient(target, options);
}

function sessionEvent({ data }: DecodedEvent): TestEvent {
  return JSON.parse(data) as TestEvent;
}

function callEvent({ event, data }: DecodedEvent): TestEvent {
  if (event === 'done') return { type: event };
  return { type: event, content: event === 'message' ? data : (JSON.parse(data) as unknown) };
}

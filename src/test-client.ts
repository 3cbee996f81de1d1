import { randomUUID } from 'node:crypto';

import { readBody } from './base/abortable-body.ts';
import { parseJson } from './base/json.ts';
import type { App } from './app/app.ts';
import type { Message, ToolCallState, ToolMessage } from './conversations/message.ts';
import type { InterruptionContext } from './wires/layercode/events.ts';
import { postEvent } from './wires/layercode/post-event.ts';
import { SpokenText, type Heard } from './platform/spoken-text.ts';
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

/** Options of `say` and `start`. All other fields are added to the event, or replace its own. */
export interface TurnOptions {
  /**
   * The caller speaks over the reply after this many words: the connection is dropped, and the next
   * message says what was heard. A reply with fewer words is heard to its end.
   */
  readonly interruptAfterWords?: number;
  readonly [field: string]: unknown;
}

/** A tool call of a turn, as recorded in history. */
export interface TestToolCall {
  readonly tool: string;
  /** The model's arguments: parsed, or as text if they are not JSON. */
  readonly args: unknown;
  /** The result the model received: parsed, or as text if it was cut. */
  readonly result: unknown;
  readonly state: ToolCallState;
}

/** Where a reply comes from. */
interface ReplySource {
  /** Call it once. */
  events(): AsyncIterable<TestEvent>;
  drop(): void;
  toolCalls(): Promise<readonly TestToolCall[]>;
}

/**
 * The streamed answer to a webhook. Iterate it, once, or call `text()` or `events()`: each of them
 * reads it to its end.
 */
export class TestReply implements AsyncIterable<TestEvent> {
  readonly response: Response;
  readonly #source: ReplySource;
  #isTaken = false;
  #events: Promise<TestEvent[]> | undefined;

  /** Use a `TestClient`. */
  constructor(response: Response, source: ReplySource) {
    this.response = response;
    this.#source = source;
  }

  get status(): number {
    return this.response.status;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TestEvent, void, undefined> {
    this.#isTaken = true;
    yield* this.#source.events();
  }

  /** All events, once the stream has ended. */
  events(): Promise<TestEvent[]> {
    return (this.#events ??= listOf(this));
  }

  /** Everything that was spoken, once the stream has ended, or up to the interruption. */
  async text(): Promise<string> {
    const events = await this.events();
    return events.map(textOf).join('');
  }

  /**
   * The tool calls of the turn, in order, once the stream has ended. They come from the app's
   * history, because the wire does not show them. Rejects if the client was created with an
   * origin.
   */
  async toolCalls(): Promise<readonly TestToolCall[]> {
    await (this.#isTaken ? this.#events : this.events());
    return this.#source.toolCalls();
  }

  /** The answer to an event that is not a turn. */
  async json(): Promise<unknown> {
    return this.response.json();
  }

  /** Closes the connection, as LayerCode does when the caller interrupts the reply. */
  drop(): void {
    this.#isTaken = true;
    this.#source.drop();
  }
}

/** Plays LayerCode in tests: signs events, posts them over a real socket, and reads the replies. */
export class TestClient {
  readonly conversationId: string;
  readonly #app: App | undefined;
  readonly #options: TestClientOptions;
  #origin: Promise<string> | undefined;
  #lastTurn: object | undefined;
  /** What the next message of a conversation says about the previous reply. */
  readonly #interruptions = new Map<unknown, InterruptionContext>();

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

  /** The caller says something: posts a `message` of a new turn. */
  say(text: string, options: TurnOptions = {}): Promise<TestReply> {
    return this.#takeTurn('message', { text }, options);
  }

  /** The call begins, or the caller returns: posts a `session.start`. */
  start(options: TurnOptions = {}): Promise<TestReply> {
    return this.#takeTurn('session.start', {}, options);
  }

  /** Delivers the last turn again with the same bytes, as LayerCode sometimes does. */
  async deliverAgain(): Promise<TestReply> {
    if (this.#lastTurn === undefined) throw new Error('deliverAgain() needs a turn: say something');
    return this.post(this.#lastTurn);
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
    const ids = idsOf(event);
    const toEvent = ids.isCallDialect ? callEvent : sessionEvent;
    return new TestReply(response, {
      async *events() {
        for await (const decoded of decodeEvents(readBody(response, controller.signal))) {
          yield toEvent(decoded);
        }
      },
      drop: () => controller.abort(),
      toolCalls: () => this.#toolCallsOf(ids),
    });
  }

  /** Closes the app, if the client was created with one. */
  async close(): Promise<void> {
    await this.#app?.close();
  }

  async #listen(): Promise<string> {
    const address = await this.#app?.listen({ host: '127.0.0.1', port: 0 });
    return `http://127.0.0.1:${address?.port}`;
  }

  async #takeTurn(type: string, own: object, options: TurnOptions): Promise<TestReply> {
    const { interruptAfterWords, ...fields } = options;
    checkWords(interruptAfterWords);
    // A test may have several conversations.
    const { conversation_id: conversationId = this.conversationId } = fields;
    const interruption = this.#interruptions.get(conversationId);
    this.#interruptions.delete(conversationId);
    const isMessage = type === 'message' && interruption !== undefined;
    const event = {
      type,
      session_id: 'test-session',
      conversation_id: conversationId,
      turn_id: randomUUID(),
      ...own,
      ...(isMessage ? { interruption_context: interruption } : {}),
      ...fields,
    };
    this.#lastTurn = event;
    const reply = await this.post(event);
    if (interruptAfterWords === undefined || !isStream(reply.response)) return reply;
    const { events, heard } = await listen(reply, interruptAfterWords);
    if (heard !== undefined) {
      this.#interruptions.set(conversationId, {
        previous_turn_interrupted: true,
        words_heard: heard.words,
        text_heard: heard.text,
        assistant_turn_id: String(event.turn_id),
      });
    }
    return new TestReply(reply.response, {
      async *events() {
        yield* events;
      },
      drop: () => reply.drop(),
      toolCalls: () => reply.toolCalls(),
    });
  }

  async #toolCallsOf({ conversationId, turnId }: EventIds): Promise<readonly TestToolCall[]> {
    if (this.#app === undefined) {
      throw new Error(`toolCalls() needs a client of the app itself: ${WITHOUT_APP}`);
    }
    if (conversationId === undefined || turnId === undefined) {
      throw new Error('toolCalls() needs an event with a turn_id');
    }
    const history = await this.#app.conversations.getHistory(conversationId);
    return toolCallsOf(history.filter((message) => message.turnId === turnId));
  }
}

/**
 * Creates a client. Given an app, it serves the app on a free port of 127.0.0.1. Given an origin
 * like `http://localhost:8000`, it calls the server there.
 */
export function createTestClient(target: App | string, options: TestClientOptions): TestClient {
  return new TestClient(target, options);
}

async function listOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

function textOf({ type, content }: TestEvent): string {
  return type === 'response.tts' || type === 'message' ? String(content) : '';
}

function isStream(response: Response): boolean {
  return response.headers.get('content-type')?.startsWith('text/event-stream') === true;
}

function checkWords(count: number | undefined): void {
  if (count === undefined || (Number.isInteger(count) && count >= 0)) return;
  throw new RangeError(`interruptAfterWords must be an integer of at least 0, got ${count}`);
}

const WITHOUT_APP = 'with an origin, read app.conversations.getHistory(id)';

/** A voice that takes one millisecond per word. */
const WORDS_PER_MINUTE = 60_000;

/**
 * The events of a reply up to this many words, with the last event cut there, and what was heard.
 * If the reply has fewer words: all events, and no interruption.
 */
async function listen(
  reply: TestReply, words: number,
): Promise<{ readonly events: readonly TestEvent[]; readonly heard?: Heard }> {
  const spoken = new SpokenText(WORDS_PER_MINUTE);
  const events: TestEvent[] = [];
  // Leaving the loop drops the connection.
  for await (const event of reply) {
    const piece = textOf(event);
    spoken.add(piece, 0);
    const heard = spoken.heardBy(words);
    const text = heard.text.trimEnd();
    if (piece.trim() === '' || heard.words < words) {
      events.push(event);
      continue;
    }
    const unheard = spoken.text.length - text.length;
    const kept = piece.slice(0, Math.max(0, piece.length - unheard));
    if (kept !== '') events.push({ ...event, content: kept });
    return { events, heard: { ...heard, text } };
  }
  return { events };
}

/** The ids in a posted event, if it is one. */
interface EventIds {
  readonly isCallDialect: boolean;
  readonly conversationId: string | undefined;
  readonly turnId: string | undefined;
}

function idsOf(event: object | string | Uint8Array): EventIds {
  const isText = typeof event === 'string' || event instanceof Uint8Array;
  const fields = isText ? parsed(Buffer.from(event).toString('utf8')) : event;
  const idOf = (name: string): string | undefined => {
    const isObject = typeof fields === 'object' && fields !== null;
    const value: unknown = isObject ? Reflect.get(fields, name) : undefined;
    return typeof value === 'string' ? value : undefined;
  };
  const callId = idOf('call_id');
  return {
    isCallDialect: callId !== undefined,
    conversationId: callId ?? idOf('conversation_id') ?? idOf('session_id'),
    turnId: idOf('turn_id'),
  };
}

/** Matches calls with their results, which are separate messages in history. */
function toolCallsOf(turn: readonly Message[]): readonly TestToolCall[] {
  const results = new Map<string, ToolMessage>();
  for (const message of turn) if (message.role === 'tool') results.set(message.toolCallId, message);
  return turn.flatMap((message) => {
    const { toolCalls = [] } = message.role === 'assistant' ? message : {};
    return toolCalls.flatMap(({ id, name, args }) => {
      const result = results.get(id);
      if (result === undefined) return [];
      const { content, state } = result;
      return [{ tool: name, args: parsed(args), result: parsed(content), state }];
    });
  });
}

/** Parses JSON; returns any other text unchanged. */
function parsed(text: string): unknown {
  const value = parseJson(text);
  return value === undefined ? text : value;
}

function sessionEvent({ data }: DecodedEvent): TestEvent {
  return JSON.parse(data) as TestEvent;
}

function callEvent({ event, data }: DecodedEvent): TestEvent {
  if (event === 'done') return { type: event };
  return { type: event, content: event === 'message' ? data : (JSON.parse(data) as unknown) };
}

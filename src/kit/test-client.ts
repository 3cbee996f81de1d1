import { randomUUID } from 'node:crypto';

import { aborted } from '../base/abort.ts';
import { isEventStream } from '../base/abortable-body.ts';
import { parseJson, type JsonObject } from '../base/json.ts';
import type { Message, ToolMessage } from '../core/conversations/message.ts';
import { PROFILE_NAMES, type ProfileName } from '../core/wires/chat-completions/profiles.ts';
import type { App } from '../server/app/app.ts';
import { AT_ONCE, CallerTurn } from './platform/caller-turn.ts';
import { completionsTestWire } from './platform/completions-test-wire.ts';
import { layercodeTestWire } from './platform/layercode-test-wire.ts';
import {
  fieldsOf, type Fields, type PostOptions, type TestEvent, type TestRequest, type TestWire,
  type TurnIds,
} from './platform/test-wire.ts';
import { TestReply, type TestToolCall } from './test-reply.ts';

export { TestReply } from './test-reply.ts';
export type { TestToolCall } from './test-reply.ts';
export type { PostOptions, TestEvent } from './platform/test-wire.ts';

interface CommonOptions {
  /** The agent's path. Default `/api/agent`. */
  readonly agentRoute?: string;
  /** Default: a new id. */
  readonly conversationId?: string;
  /** The number the caller calls from. Default: none, as from a browser. */
  readonly from?: string;
  /** What the platform knows about the call. */
  readonly metadata?: JsonObject;
}

/** For a client that plays LayerCode. */
export interface LayercodeClientOptions extends CommonOptions {
  /** Default `layercode`. */
  readonly wire?: 'layercode';
  /** The webhook secret to sign with. */
  readonly secret: string;
}

/** For a client that plays a platform which calls the agent over Chat Completions. */
export interface CompletionsClientOptions extends CommonOptions {
  readonly wire: 'chat-completions';
  /** Which platform, as in the app's CHAT_COMPLETIONS_PROFILE. Default `generic`. */
  readonly profile?: ProfileName;
  /** One of the app's CHAT_COMPLETIONS_KEYS. */
  readonly key: string;
  /**
   * Names of the tools that the platform offers the agent. Default: those of the profile that hang
   * up or transfer the call.
   */
  readonly tools?: readonly string[];
}

/** Options of `createTestClient`, by the platform that the client plays. */
export type TestClientOptions = LayercodeClientOptions | CompletionsClientOptions;

/**
 * Options of `say` and `start`. All other fields are added to what is posted, or replace its own.
 * These have one name on all wires, and are put where the wire expects them: `conversation_id`,
 * `from_phone_number`, `to_phone_number`, `metadata` and `custom_metadata`. They replace the
 * client's `from` and `metadata`.
 */
export interface TurnOptions {
  /**
   * The caller speaks over the reply after this many words: the connection is dropped, and the next
   * message says what was heard. A reply with fewer words is heard to its end.
   */
  readonly interruptAfterWords?: number;
  /**
   * The caller speaks over the reply when this fires, perhaps before a word, while a tool runs.
   * They have heard everything up to then.
   */
  readonly interruptWhen?: AbortSignal;
  readonly [field: string]: unknown;
}

/**
 * Plays a voice platform in tests: posts what the caller says over a real socket, as the platform
 * does, and reads the replies.
 */
export class TestClient {
  readonly conversationId: string;
  readonly #app: App | undefined;
  readonly #wire: TestWire;
  readonly #agentRoute: string;
  /** The fields of every turn. */
  readonly #fields: Fields;
  #origin: Promise<string> | undefined;
  #lastTurn: TestRequest | undefined;

  constructor(target: App | string, options: TestClientOptions) {
    this.#app = typeof target === 'string' ? undefined : target;
    if (typeof target === 'string') this.#origin = Promise.resolve(target.replace(/\/$/, ''));
    this.conversationId = options.conversationId ?? randomUUID();
    this.#wire = openWire(options, this.conversationId);
    this.#agentRoute = options.agentRoute ?? '/api/agent';
    this.#fields = fieldsOf({ from: options.from, metadata: options.metadata });
  }

  /** `http://127.0.0.1:port`. The first call starts the app's server on a free port. */
  origin(): Promise<string> {
    this.#origin ??= this.#listen();
    return this.#origin;
  }

  /** The caller says something. */
  say(text: string, options: TurnOptions = {}): Promise<TestReply> {
    return this.#takeTurn(text, options);
  }

  /**
   * The call begins, and the agent welcomes the caller. On LayerCode it also does when a caller
   * returns. On Chat Completions a platform that speaks first itself does not ask for a welcome.
   */
  start(options: TurnOptions = {}): Promise<TestReply> {
    return this.#takeTurn(undefined, options);
  }

  /** Delivers the last turn again with the same bytes, as platforms sometimes do. */
  async deliverAgain(): Promise<TestReply> {
    if (this.#lastTurn === undefined) throw new Error('deliverAgain() needs a turn: say something');
    return (await this.#send(this.#lastTurn)).reply;
  }

  /**
   * Posts anything, with the wire's signature or key. An object is sent as JSON, text and bytes as
   * they are. On Chat Completions the headers name the conversation, if the profile uses headers.
   */
  async post(event: object | string | Uint8Array, options: PostOptions = {}): Promise<TestReply> {
    const isWritten = typeof event === 'string' || event instanceof Uint8Array;
    const request = this.#wire.byHand(isWritten ? event : JSON.stringify(event));
    return (await this.#send(request, options)).reply;
  }

  /** Closes the app, if the client was created with one. */
  async close(): Promise<void> {
    await this.#app?.close();
  }

  async #listen(): Promise<string> {
    const address = await this.#app?.listen({ host: '127.0.0.1', port: 0 });
    return `http://127.0.0.1:${address?.port}`;
  }

  async #takeTurn(words: string | undefined, options: TurnOptions): Promise<TestReply> {
    const { interruptAfterWords, interruptWhen, ...fields } = options;
    checkWords(interruptAfterWords);
    if (interruptAfterWords !== undefined && interruptWhen !== undefined)
      throw new TypeError('a reply is interrupted once: interruptAfterWords or interruptWhen');
    const request = this.#wire.turn(words, { ...this.#fields, ...fields });
    this.#lastTurn = request;
    const { reply, turn } = await this.#send(request, {}, interruptWhen);
    if (!isEventStream(reply.response)) return reply;
    if (interruptAfterWords === undefined && interruptWhen === undefined) return reply;
    if (interruptAfterWords !== undefined) turn.pauseAt(interruptAfterWords);
    const events = await heardEvents(reply, turn, interruptWhen);
    if (turn.cut !== undefined) request.cutTo(turn.cut);
    return new TestReply(reply.response, {
      async *events() {
        yield* events;
      },
      drop: () => reply.drop(),
      toolCalls: () => reply.toolCalls(),
      turn: this.#newTurn(),
    });
  }

  async #send(
    request: TestRequest,
    options: PostOptions = {},
    interruptWhen?: AbortSignal,
  ): Promise<{ readonly reply: TestReply; readonly turn: CallerTurn }> {
    const { path = this.#wire.pathOn(this.#agentRoute) } = options;
    const controller = new AbortController();
    const { signal } = controller;
    const url = (await this.origin()) + path;
    const answer = this.#wire.post(url, request, options, signal);
    // The headers come with the first event, so an interruption before it has no response.
    const response = await (interruptWhen === undefined
      ? answer
      : Promise.race([answer, aborted(interruptWhen).then(emptyStream)]));
    const turn = this.#newTurn();
    const reply = new TestReply(response, {
      events: () => request.events(response, signal),
      drop: () => controller.abort(),
      toolCalls: () => this.#toolCallsOf(request.ids),
      turn,
    });
    return { reply, turn };
  }

  #newTurn(): CallerTurn {
    return new CallerTurn({ wire: this.#wire, wordsPerMinute: AT_ONCE });
  }

  async #toolCallsOf({ conversationId, turnId }: TurnIds): Promise<readonly TestToolCall[]> {
    if (this.#app === undefined) {
      throw new Error(`toolCalls() needs a client of the app itself: ${WITHOUT_APP}`);
    }
    if (conversationId === undefined || turnId === undefined) {
      throw new Error('toolCalls() needs an event with a turn_id');
    }
    const history = await this.#app.conversations.getHistory(conversationId);
    const turn = history.filter((message) => message.turnId === turnId);
    if (turn.length === 0) throw new Error(`toolCalls(): history has no turn ${turnId}`);
    return toolCallsOf(turn);
  }
}

/**
 * Creates a client. Given an app, it serves the app on a free port of 127.0.0.1. Given an origin
 * like `http://localhost:8000`, it calls the server there.
 *
 * Throws a `TypeError` for an unknown wire or profile, and without the secret or key of its wire.
 */
export function createTestClient(target: App | string, options: TestClientOptions): TestClient {
  return new TestClient(target, options);
}

/**
 * The events of a reply until its caller stops listening, or until the signal fires; then the reply
 * is dropped. The last event is cut at the word at which the caller stopped.
 */
async function heardEvents(
  reply: TestReply,
  turn: CallerTurn,
  signal?: AbortSignal,
): Promise<readonly TestEvent[]> {
  const events: TestEvent[] = [];
  const iterator = reply[Symbol.asyncIterator]();
  const fired = signal === undefined ? undefined : aborted(signal);
  for (;;) {
    const next = await (fired === undefined
      ? iterator.next()
      : Promise.race([iterator.next(), fired]));
    if (next === undefined) break;
    if (next.done === true) return events;
    events.push(next.value);
    if (turn.isPaused) break;
  }
  reply.drop();
  const unheard = turn.text.length - turn.stop().text.length;
  const last = turn.isPaused ? events.pop() : undefined;
  if (last === undefined) return events;
  const content = String(last.content);
  const kept = content.slice(0, Math.max(0, content.length - unheard));
  return kept === '' ? events : [...events, { ...last, content: kept }];
}

function emptyStream(): Response {
  return new Response(null, { headers: { 'content-type': 'text/event-stream' } });
}

const WITHOUT_APP = 'with an origin, read app.conversations.getHistory(id)';

function openWire(options: TestClientOptions, conversationId: string): TestWire {
  switch (options.wire) {
    case undefined:
    case 'layercode':
      checkGiven('secret', options.secret, 'layercode');
      return layercodeTestWire({ secret: options.secret, conversationId });
    case 'chat-completions': {
      const { profile = 'generic', key, tools } = options;
      checkGiven('key', key, options.wire);
      if (!PROFILE_NAMES.includes(profile))
        throw oneOf('profile', profile, PROFILE_NAMES);
      return completionsTestWire({ profile, key, tools, conversationId });
    }
    default: {
      const { wire } = options satisfies never as { readonly wire: unknown };
      throw oneOf('wire', wire, ['layercode', 'chat-completions']);
    }
  }
}

/** Not all tests are type-checked. */
function checkGiven(name: string, value: unknown, wire: string): void {
  if (typeof value === 'string' && value !== '') return;
  throw new TypeError(`createTestClient needs the option ${name} on the wire ${wire}`);
}

function oneOf(name: string, value: unknown, known: readonly string[]): TypeError {
  const got = JSON.stringify(value);
  return new TypeError(
    `createTestClient: ${name} must be one of ${known.join(', ')}, got ${got}`,
  );
}

function checkWords(count: number | undefined): void {
  if (count === undefined || (Number.isInteger(count) && count >= 0)) return;
  throw new RangeError(`interruptAfterWords must be an integer of at least 0, got ${count}`);
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

function parsed(text: string): unknown {
  const value = parseJson(text);
  return value === undefined ? text : value;
}

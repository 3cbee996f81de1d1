// A wire as our test kit speaks it, on the platform's side. There is one file per wire.

import type { Json, JsonObject } from '../../base/json.ts';
import type { Heard } from './simulated-voice.ts';

/**
 * An event of a reply. What `type` can be depends on the wire:
 *
 * - LayerCode, session dialect: `response.tts`, `response.data`, and so on.
 * - LayerCode, call dialect: `message`, `data`, `hangup`, `error` or `done`.
 * - Chat Completions: `content` (text), `tool_call` (`{ id, name, arguments }`), `finish` (the
 *   reason), `usage`, `error` or `done`.
 */
export interface TestEvent {
  readonly type: string;
  readonly content?: unknown;
  readonly turn_id?: string;
}

export interface PostOptions {
  /** Default: the agent's path that the client was created with. */
  readonly path?: string;
  /** Replaces the correct signature; null sends none. Only on LayerCode's wire. */
  readonly signature?: string | null;
  /** Replaces the client's key; null sends none. Only on Chat Completions. */
  readonly key?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Which turn of which conversation a request is about, as far as it says. */
export interface TurnIds {
  readonly conversationId: string | undefined;
  readonly turnId: string | undefined;
}

/** One of the platform's requests, which can be posted again. */
export interface TestRequest {
  readonly body: string | Uint8Array;
  /** The headers that say which call it is. */
  readonly headers: Readonly<Record<string, string>>;
  readonly ids: TurnIds;
  /** The events of a streamed answer. Call it once per answer. */
  events(response: Response, signal: AbortSignal): AsyncIterable<TestEvent>;
  /** The caller spoke over the reply, and heard this much of it. */
  cutTo(heard: Heard): void;
  /** Nobody spoke over the reply: this was all of it, whichever way it ended. */
  endAt(text: string): void;
}

/** Fields that are added to a request, or replace its own: see `TurnOptions`. */
export type Fields = Readonly<Record<string, unknown>>;

/** What an event of a reply means to the caller. Most events mean nothing. */
export interface Meaning {
  readonly text?: string;
  readonly data?: Json;
  /** How the agent ends the call. */
  readonly endsCallBy?: 'hang-up' | 'transfer';
}

export type Forgery = 'wrong' | 'stale';

export interface TestWire {
  /** The conversation that is meant unless the fields name another. */
  readonly conversationId: string;
  /** The type of the event that ends a whole reply. */
  readonly lastEvent: string;
  /** Where requests go if the agent has this path. */
  pathOn(agentRoute: string): string;
  /** The request that begins a turn with the caller's words or, without words, the call. */
  turn(words: string | undefined, fields: Fields): TestRequest;
  /** The same for words that the platform does not remember, because more may follow. */
  draft(words: string, fields: Fields): TestRequest;
  /** The caller's page sends data. Missing if the wire has no such event. */
  data?(data: JsonObject, fields: Fields): TestRequest;
  /** The caller hangs up. `transcript`: who said what. Missing if the wire does not say so. */
  end?(transcript: readonly JsonObject[], fields: Fields): TestRequest;
  /** A request whose body the test has written. */
  byHand(body: string | Uint8Array): TestRequest;
  post(
    url: string,
    request: TestRequest,
    options: PostOptions,
    signal: AbortSignal,
  ): Promise<Response>;
  /** Options that make a server refuse the request. */
  forged(request: TestRequest, forgery: Forgery): PostOptions;
  meaningOf(event: TestEvent): Meaning;
}

/** What the platform says about the caller, if the wire has a place for it. */
export interface CallerFacts {
  /** The number they call from. Undefined for a caller in a browser. */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly metadata?: JsonObject | undefined;
  readonly customMetadata?: JsonObject | undefined;
}

/** The fields of every request for a caller. */
export function fieldsOf({ from, to, metadata, customMetadata }: CallerFacts): Fields {
  return Object.fromEntries(Object.entries({
    from_phone_number: from, to_phone_number: to, metadata, custom_metadata: customMetadata,
  }).filter(([, value]) => value !== undefined));
}

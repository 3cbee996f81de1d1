// A wire as the test client speaks it: the platform's side, one file per wire.

import type { Heard } from './spoken-text.ts';

/**
 * An event of a reply. What `type` can be depends on the wire:
 *
 * - LayerCode, session dialect: `response.tts`, `response.data`, and so on.
 * - LayerCode, call dialect: `message`, `data`, `hangup`, `error` or `done`.
 * - Chat Completions: `content` (a text), `tool_call` (`{ id, name, arguments }`), `finish` (the
 *   reason), `usage`, `error` or `done`.
 */
export interface TestEvent {
  readonly type: string;
  readonly content?: unknown;
  readonly turn_id?: string;
}

export interface PostOptions {
  /** Default: the agent's, as the client was created. */
  readonly path?: string;
  /** Replaces the correct signature; null sends none. Only on LayerCode's wire. */
  readonly signature?: string | null;
  /** Replaces the client's key; null sends none. Only on Chat Completions. */
  readonly key?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Which turn of which conversation, as far as a request says. */
export interface TurnIds {
  readonly conversationId: string | undefined;
  readonly turnId: string | undefined;
}

/** One request of the platform's, which can be posted again. */
export interface TestRequest {
  readonly body: string | Uint8Array;
  /** Those that say which call it is. */
  readonly headers: Readonly<Record<string, string>>;
  readonly ids: TurnIds;
  /** The events of a streamed answer. Call it once per answer. */
  events(response: Response, signal: AbortSignal): AsyncIterable<TestEvent>;
  /** The caller spoke over the reply, and heard this much of it. */
  cutTo(heard: Heard): void;
}

export interface TestWire {
  /** Where requests go by default. */
  readonly path: string;
  /**
   * The request that begins a turn of the caller's words, or without words the call. Fields are
   * added to it.
   */
  turn(words: string | undefined, fields: Readonly<Record<string, unknown>>): TestRequest;
  /** A request whose body the test has written. */
  byHand(body: string | Uint8Array): TestRequest;
  post(
    url: string,
    request: TestRequest,
    options: PostOptions,
    signal: AbortSignal,
  ): Promise<Response>;
  /** Whether the event ends the call. */
  isHangUp(event: TestEvent): boolean;
}

/** What is spoken of an event, on any wire. */
export function spokenIn({ type, content }: TestEvent): string {
  return SPOKEN_TYPES.has(type) ? String(content) : '';
}

const SPOKEN_TYPES = new Set(['response.tts', 'message', 'content']);

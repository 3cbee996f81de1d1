import type { IncomingHttpHeaders } from 'node:http';

import { isObject } from '../../base/fields.ts';
import { turnEventOf } from '../../wires/chat-completions/call-events.ts';
import { PROFILES, type ProfileName } from '../../wires/chat-completions/profiles.ts';
import { parseCompletion, toldBy } from '../../wires/chat-completions/request.ts';
import { EventError } from '../../wires/json-body.ts';
import { CompletionCall } from './completion-call.ts';
import { completionEvents, type PlatformToolCall } from './completion-events.ts';
import { postCompletion } from './post-completion.ts';
import type { PostOptions, TestEvent, TestRequest, TestWire, TurnIds } from './test-wire.ts';

export interface CompletionsTestWireOptions {
  readonly profile: ProfileName;
  readonly key: string;
  readonly agentRoute: string;
  readonly conversationId: string;
  readonly tools?: readonly string[] | undefined;
}

/**
 * Plays a platform of Chat Completions for the test client. It keeps what was said, and resends all
 * of it with each request: what the test has read of a reply is what the caller has heard.
 */
export class CompletionsTestWire implements TestWire {
  readonly path: string;
  readonly #options: CompletionsTestWireOptions;
  /** By conversation: a test may have several. */
  readonly #calls = new Map<string, CompletionCall>();

  constructor(options: CompletionsTestWireOptions) {
    this.#options = options;
    // As platforms do with a base URL.
    this.path = `${options.agentRoute.replace(/\/$/, '')}/chat/completions`;
  }

  turn(words: string | undefined, fields: Readonly<Record<string, unknown>>): TestRequest {
    const {
      conversation_id: conversationId = this.#options.conversationId,
      from_phone_number: from,
      to_phone_number: to,
      metadata,
      custom_metadata: customMetadata,
      ...others
    } = fields;
    const call = this.#callOf(String(conversationId));
    const both = isObject(customMetadata)
      ? { ...(isObject(metadata) ? metadata : {}), ...customMetadata }
      : metadata;
    const { body, headers } = call.request(words, { from, to, metadata: both }, others);
    const turn = call.say(words);
    return {
      ...this.#requestOf(JSON.stringify(body), headers),
      async *events(response, signal) {
        turn.begin();
        for await (const event of completionEvents(response, signal)) {
          turn.take(event);
          yield event;
        }
      },
      cutTo: ({ text }) => turn.cutTo(text),
    };
  }

  byHand(body: string | Uint8Array): TestRequest {
    const { headers } = this.#callOf(this.#options.conversationId).request(undefined);
    return this.#requestOf(body, headers);
  }

  async post(
    url: string,
    request: TestRequest,
    { key = this.#options.key, signature, headers }: PostOptions,
    signal: AbortSignal,
  ): Promise<Response> {
    if (signature !== undefined) {
      throw new Error(
        'post() has no option signature on the wire chat-completions; key replaces its own',
      );
    }
    return postCompletion(url, request.body, {
      key, headers: { ...request.headers, ...headers }, signal,
    });
  }

  isHangUp({ type, content }: TestEvent): boolean {
    const call = this.#callOf(this.#options.conversationId);
    return type === 'tool_call' && call.isHangUp(content as PlatformToolCall);
  }

  #callOf(conversationId: string): CompletionCall {
    const { profile, tools } = this.#options;
    let call = this.#calls.get(conversationId);
    if (call === undefined) {
      call = new CompletionCall({ profile, conversationId, tools });
      this.#calls.set(conversationId, call);
    }
    return call;
  }

  #requestOf(body: string | Uint8Array, headers: TestRequest['headers']): TestRequest {
    const ids = idsIn(Buffer.from(body), headers, this.#options.profile);
    return { body, headers, ids, events: completionEvents, cutTo: () => undefined };
  }
}

/** The ids that the server gives a request: this wire has none for a turn. */
function idsIn(body: Buffer, headers: IncomingHttpHeaders, profile: ProfileName): TurnIds {
  try {
    const raw = parseCompletion(body);
    const { conversationId, turnId } = turnEventOf(raw, toldBy(raw), headers, PROFILES[profile]);
    return { conversationId, turnId };
  } catch (error) {
    if (error instanceof EventError) return { conversationId: undefined, turnId: undefined };
    throw error;
  }
}

// A call as Chat Completions platforms keep it: all that was said, sent whole with each request.

import { randomUUID } from 'node:crypto';

import { isObject } from '../../base/fields.ts';
import {
  PROFILES, type Profile, type ProfileName,
} from '../../core/wires/chat-completions/profiles.ts';
import type { PlatformToolCall, ReceivedPart } from './completion-events.ts';
import type { Fields } from './test-wire.ts';

export interface CompletionCaller {
  readonly profile: ProfileName;
  /** Used when a call's fields do not name another. */
  readonly conversationId: string;
  /** Names of the platform's tools. Default: all of those that hang up or transfer. */
  readonly tools?: readonly string[] | undefined;
}

interface CompletionRequest {
  readonly body: Record<string, unknown>;
  readonly headers: Record<string, string>;
}

type Message = Readonly<Record<string, unknown>>;

/** The platform's own prompt, which agents ignore. */
const SYSTEM: Message = { role: 'system', content: 'You are a voice agent on the phone.' };

/** What the caller said, and what they heard of the reply. */
export class CompletionTurn {
  readonly #words: string | undefined;
  #heard = '';
  #toolCalls: PlatformToolCall[] = [];

  /** Without words: the welcome. */
  constructor(words: string | undefined) {
    this.#words = words;
  }

  /**
   * The reply arrives from its beginning. The returned function takes its events, until it starts
   * again.
   */
  begin(): (event: ReceivedPart) => void {
    const toolCalls: PlatformToolCall[] = [];
    this.#heard = '';
    this.#toolCalls = toolCalls;
    return (event) => {
      if (this.#toolCalls !== toolCalls) return;
      if (event.type === 'content') this.#heard += event.content;
      else if (event.type === 'tool_call') toolCalls.push(event.content);
    };
  }

  endAt(heard: string): void {
    this.#heard = heard;
  }

  /** A reply has no message if nothing of it was heard. */
  get messages(): readonly Message[] {
    const calls = this.#toolCalls;
    const content = this.#heard.trim() === '' ? null : this.#heard;
    const asked = calls.map(({ id, ...called }) => ({ id, type: 'function', function: called }));
    return [
      ...(this.#words === undefined ? [] : [{ role: 'user', content: this.#words }]),
      ...(content === null && calls.length === 0 ? [] : [{
        role: 'assistant', content, ...(calls.length === 0 ? {} : { tool_calls: asked }),
      }]),
      ...calls.map(({ id }) => ({ role: 'tool', tool_call_id: id, content: 'ok' })),
    ];
  }
}

/**
 * The request for the caller's words after these turns or, without words, for the welcome. `fields`
 * replace its own.
 */
export function completionRequest(
  caller: CompletionCaller,
  turns: readonly CompletionTurn[],
  words: string | undefined,
  fields: Fields,
): CompletionRequest {
  const {
    conversation_id: conversationId = caller.conversationId,
    from_phone_number: from,
    to_phone_number: to,
    metadata,
    custom_metadata: customMetadata,
    ...others
  } = fields;
  const profile = PROFILES[caller.profile];
  const { tools = [...profile.hangUp, ...profile.transfer].map(({ name }) => name) } = caller;
  const request: CompletionRequest = {
    body: {
      model: 'agent',
      stream: true,
      messages: [
        SYSTEM, ...[...turns, new CompletionTurn(words)].flatMap(({ messages }) => messages),
      ],
      tools: tools.map((name) => ({
        type: 'function',
        function: { name, parameters: { type: 'object', properties: {} } },
      })),
    },
    headers: profile.hasIdempotencyKey ? { 'idempotency-key': randomUUID() } : {},
  };
  put(profile.conversationId, conversationId, request);
  put(profile.from, from, request);
  put(profile.to, to, request);
  put(profile.metadata, isObject(customMetadata)
    ? { ...(isObject(metadata) ? metadata : {}), ...customMetadata }
    : metadata, request);
  Object.assign(request.body, others);
  return request;
}

/** Puts a value where the profile looks first: into a header, or at a path in the body. */
function put(places: Profile['conversationId'], value: unknown, request: CompletionRequest): void {
  const [place] = places;
  if (place === undefined || value === undefined || value === null) return;
  if (typeof place === 'string') {
    request.headers[place] = String(value);
    return;
  }
  let { body } = request;
  for (const name of place.slice(0, -1)) {
    const inner = body[name];
    body = body[name] = isObject(inner) ? { ...inner } : {};
  }
  body[place.at(-1) ?? ''] = value;
}

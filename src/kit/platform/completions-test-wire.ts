import type { IncomingHttpHeaders } from 'node:http';

import { parseJson } from '../../base/json.ts';
import { turnEventOf } from '../../wires/chat-completions/call-events.ts';
import { PROFILES, type ProfileName } from '../../wires/chat-completions/profiles.ts';
import { parseCompletion, toldBy } from '../../wires/chat-completions/request.ts';
import { EventError } from '../../wires/json-body.ts';
import { completionRequest, CompletionTurn, type CompletionCaller } from './completion-call.ts';
import { completionEvents, type PlatformToolCall } from './completion-events.ts';
import type {
  Fields, Meaning, PostOptions, TestEvent, TestRequest, TestWire, TurnIds,
} from './test-wire.ts';

export interface CompletionsTestWireOptions extends CompletionCaller {
  readonly key: string;
}

/**
 * Plays a platform of Chat Completions. It keeps what was said, and resends all of it with each
 * request: what was read of a reply is what the caller has heard.
 */
export class CompletionsTestWire implements TestWire {
  readonly conversationId: string;
  readonly lastEvent = 'finish';
  readonly #options: CompletionsTestWireOptions;
  /** By conversation: a test may have several. */
  readonly #turns = new Map<unknown, CompletionTurn[]>();

  constructor(options: CompletionsTestWireOptions) {
    this.#options = options;
    this.conversationId = options.conversationId;
  }

  /** Whether the platform knows how the call began. */
  get hasBegun(): boolean {
    return this.#turnsOf().length > 0;
  }

  /** As platforms do with a base URL. */
  pathOn(agentRoute: string): string {
    return `${agentRoute.replace(/\/$/, '')}/chat/completions`;
  }

  turn(words: string | undefined, fields: Fields): TestRequest {
    const request = this.#request(words, fields);
    const turn = new CompletionTurn(words);
    this.#turnsOf(fields['conversation_id']).push(turn);
    return {
      ...request,
      async *events(response, signal) {
        const take = turn.begin();
        for await (const event of completionEvents(response, signal)) {
          take(event);
          yield event;
        }
      },
      cutTo: ({ text }) => turn.endAt(text),
      endAt: (text) => turn.endAt(text),
    };
  }

  draft(words: string, fields: Fields): TestRequest {
    return this.#request(words, fields);
  }

  byHand(body: string | Uint8Array): TestRequest {
    const { headers } = completionRequest(this.#options, [], undefined, {});
    return this.#requestOf(body, headers);
  }

  async post(
    url: string,
    { body, headers: ofCall }: TestRequest,
    { key = this.#options.key, signature, headers }: PostOptions,
    signal: AbortSignal,
  ): Promise<Response> {
    if (signature !== undefined) {
      throw new Error(
        'post() has no option signature on the wire chat-completions; key replaces its own',
      );
    }
    return fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...ofCall,
        ...headers,
      },
      body: typeof body === 'string' ? body : new Uint8Array(body),
      signal,
      redirect: 'error', // the key is meant for this address only
    });
  }

  /** This wire signs nothing. */
  forged(): PostOptions {
    return { key: `${this.#options.key}-another` };
  }

  /** What the platform does besides hanging up is shown to the person on the phone. */
  meaningOf({ type, content }: TestEvent): Meaning {
    if (type === 'content') return { text: String(content) };
    if (type !== 'tool_call') return {};
    const { name, arguments: args } = content as PlatformToolCall;
    const isHangUp = PROFILES[this.#options.profile].hangUp.some((tool) => tool.name === name);
    return isHangUp
      ? { endsCallBy: 'hang-up' }
      : { endsCallBy: 'transfer', data: { [name]: parseJson(args) ?? args } };
  }

  #turnsOf(conversationId: unknown = this.conversationId): CompletionTurn[] {
    const turns = this.#turns.get(conversationId) ?? [];
    this.#turns.set(conversationId, turns);
    return turns;
  }

  #request(words: string | undefined, fields: Fields): TestRequest {
    const turns = this.#turnsOf(fields['conversation_id']);
    const { body, headers } = completionRequest(this.#options, turns, words, fields);
    return this.#requestOf(JSON.stringify(body), headers);
  }

  #requestOf(body: string | Uint8Array, headers: TestRequest['headers']): TestRequest {
    const ids = idsIn(Buffer.from(body), headers, this.#options.profile);
    const nothing = (): void => undefined;
    return { body, headers, ids, events: completionEvents, cutTo: nothing, endAt: nothing };
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

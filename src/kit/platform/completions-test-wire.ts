import type { IncomingHttpHeaders } from 'node:http';

import { parseJson } from '../../base/json.ts';
import { turnEventOf } from '../../core/wires/chat-completions/our-events.ts';
import { PROFILES, type ProfileName } from '../../core/wires/chat-completions/profiles.ts';
import { parseCompletion, toldBy } from '../../core/wires/chat-completions/request.ts';
import { EventError } from '../../core/wires/json-body.ts';
import { completionRequest, CompletionTurn, type CompletionCaller } from './completion-call.ts';
import { completionEvents, type PlatformToolCall } from './completion-events.ts';
import type { Fields, TestRequest, TestWire, TurnIds } from './test-wire.ts';

interface CompletionsTestWireOptions extends CompletionCaller {
  readonly key: string;
}

export interface CompletionsTestWire extends TestWire {
  /** Whether the platform knows how the call began. */
  readonly hasBegun: boolean;
}

interface CompletionDraft extends TestRequest {
  parts(response: Response, signal: AbortSignal): ReturnType<typeof completionEvents>;
}

/**
 * Plays a Chat Completions platform. It keeps what was said, and resends all of it with each
 * request. What was read of a reply is what the caller has heard.
 */
export function completionsTestWire(options: CompletionsTestWireOptions): CompletionsTestWire {
  const { profile, key: ownKey, conversationId } = options;
  /** By conversation: a test may have several. */
  const calls = new Map<unknown, CompletionTurn[]>();

  function turnsOf(conversation: unknown = conversationId): CompletionTurn[] {
    const turns = calls.get(conversation) ?? [];
    calls.set(conversation, turns);
    return turns;
  }

  function requestOf(body: string | Uint8Array, headers: TestRequest['headers']): CompletionDraft {
    const ids = { ...idsIn(Buffer.from(body), headers, profile) };
    // The server's own: where values are redacted, only it can make the id.
    const named = (id: string): void => void (ids.turnId = id.replace(/^chatcmpl-/, ''));
    const nothing = (): void => undefined;
    const parts: CompletionDraft['parts'] = (response, signal) =>
      completionEvents(response, signal, named);
    return { body, headers, ids, parts, events: parts, cutTo: nothing, endAt: nothing };
  }

  function draft(words: string | undefined, fields: Fields): CompletionDraft {
    const turns = turnsOf(fields['conversation_id']);
    const { body, headers } = completionRequest(options, turns, words, fields);
    return requestOf(JSON.stringify(body), headers);
  }

  return {
    conversationId,
    lastEvent: 'finish',
    get hasBegun() {
      return turnsOf().length > 0;
    },
    // The same path that platforms append to a base URL.
    pathOn: (agentRoute) => `${agentRoute.replace(/\/$/, '')}/chat/completions`,
    draft,
    byHand(body) {
      const { headers } = completionRequest(options, [], undefined, {});
      return requestOf(body, headers);
    },
    turn(words, fields) {
      const request = draft(words, fields);
      const turn = new CompletionTurn(words);
      turnsOf(fields['conversation_id']).push(turn);
      return {
        ...request,
        async *events(response, signal) {
          const take = turn.begin();
          for await (const event of request.parts(response, signal)) {
            take(event);
            yield event;
          }
        },
        cutTo: ({ text }) => turn.endAt(text),
        endAt: (text) => turn.endAt(text),
      };
    },
    async post(url, { body, headers: ofCall }, { key = ownKey, signature, headers }, signal) {
      if (signature !== undefined) {
        throw new Error(
          'post() has no option signature on the wire chat-completions; use key instead',
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
    },
    forged: () => ({ key: `${ownKey}-another` }), // this wire signs nothing
    // What the platform does besides hanging up is shown to the person on the phone.
    meaningOf({ type, content }) {
      if (type === 'content') return { text: String(content) };
      if (type !== 'tool_call') return {};
      const { name, arguments: args } = content as PlatformToolCall;
      const isHangUp = PROFILES[profile].hangUp.some((tool) => tool.name === name);
      return isHangUp
        ? { endsCallBy: 'hang-up' }
        : { endsCallBy: 'transfer', data: { [name]: parseJson(args) ?? args } };
    },
  };
}

/** The ids that the server gives a request: on this wire a turn has no id of its own. */
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

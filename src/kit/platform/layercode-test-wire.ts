import { randomUUID } from 'node:crypto';

import { readBody } from '../../base/abortable-body.ts';
import { isObject } from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import { decodeEvents, type DecodedEvent } from '../../sse/decode.ts';
import type { InterruptionContext } from '../../wires/layercode/events.ts';
import { postEvent } from '../../wires/layercode/post-event.ts';
import type { PostOptions, TestEvent, TestRequest, TestWire, TurnIds } from './test-wire.ts';

export interface LayercodeTestWireOptions {
  readonly secret: string;
  readonly agentRoute: string;
  readonly conversationId: string;
}

/**
 * Plays LayerCode for the test client: signs events, and reports what was heard with the next one.
 */
export class LayercodeTestWire implements TestWire {
  readonly path: string;
  readonly #options: LayercodeTestWireOptions;
  /** What the next message of a conversation says about the previous reply. */
  readonly #interruptions = new Map<unknown, InterruptionContext>();

  constructor(options: LayercodeTestWireOptions) {
    this.#options = options;
    this.path = options.agentRoute;
  }

  turn(words: string | undefined, fields: Readonly<Record<string, unknown>>): TestRequest {
    // A test may have several conversations.
    const { conversation_id: conversationId = this.#options.conversationId } = fields;
    const interruption = this.#interruptions.get(conversationId);
    this.#interruptions.delete(conversationId);
    const event = {
      type: words === undefined ? 'session.start' : 'message',
      session_id: 'test-session',
      conversation_id: conversationId,
      turn_id: randomUUID(),
      ...(words === undefined ? {} : { text: words }),
      ...(words === undefined || interruption === undefined
        ? {}
        : { interruption_context: interruption }),
      ...fields,
    };
    return {
      ...this.byHand(JSON.stringify(event)),
      cutTo: (heard) => {
        this.#interruptions.set(conversationId, {
          previous_turn_interrupted: true,
          words_heard: heard.words,
          text_heard: heard.text,
          assistant_turn_id: String(event.turn_id),
        });
      },
    };
  }

  byHand(body: string | Uint8Array): TestRequest {
    const { isCallDialect, ...ids } = idsIn(body);
    const toEvent = isCallDialect ? callEvent : sessionEvent;
    return {
      body,
      headers: {},
      ids,
      async *events(response, signal) {
        for await (const decoded of decodeEvents(readBody(response, signal))) {
          yield toEvent(decoded);
        }
      },
      cutTo: () => undefined,
    };
  }

  async post(
    url: string,
    { body }: TestRequest,
    { key, signature, headers = {} }: PostOptions,
    signal: AbortSignal,
  ): Promise<Response> {
    if (key !== undefined)
      throw new Error('post() has no option key on the wire layercode; signature replaces its own');
    return postEvent(url, body, {
      secret: this.#options.secret,
      headers,
      signal,
      ...(signature === undefined ? {} : { signature }),
    });
  }

  isHangUp({ type }: TestEvent): boolean {
    return type === 'response.hangup' || type === 'hangup';
  }
}

/** The ids in a body, if it is that of an event. */
function idsIn(body: string | Uint8Array): TurnIds & { readonly isCallDialect: boolean } {
  const event = parseJson(Buffer.from(body).toString('utf8'));
  const idOf = (name: string): string | undefined => {
    const value: unknown = isObject(event) ? event[name] : undefined;
    return typeof value === 'string' ? value : undefined;
  };
  const callId = idOf('call_id');
  return {
    isCallDialect: callId !== undefined,
    conversationId: callId ?? idOf('conversation_id') ?? idOf('session_id'),
    turnId: idOf('turn_id'),
  };
}

function sessionEvent({ data }: DecodedEvent): TestEvent {
  return JSON.parse(data) as TestEvent;
}

function callEvent({ event, data }: DecodedEvent): TestEvent {
  if (event === 'done') return { type: event };
  return { type: event, content: event === 'message' ? data : (JSON.parse(data) as unknown) };
}

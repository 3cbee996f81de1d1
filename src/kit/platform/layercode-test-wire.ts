import { randomUUID } from 'node:crypto';

import { readBody } from '../../base/abortable-body.ts';
import { isObject } from '../../base/fields.ts';
import { parseJson, type Json, type JsonObject } from '../../base/json.ts';
import { decodeEvents, type DecodedEvent } from '../../base/sse/decode.ts';
import type { InterruptionContext } from '../../core/wires/layercode/events.ts';
import { postEvent } from '../../core/wires/layercode/post-event.ts';
import { SIGNATURE_TOLERANCE_SECONDS, signPayload } from '../../core/wires/layercode/signature.ts';
import type { Heard } from './simulated-voice.ts';
import type { Fields, Meaning, TestEvent, TestRequest, TestWire, TurnIds } from './test-wire.ts';

interface LayercodeTestWireOptions {
  readonly secret: string;
  readonly conversationId: string;
  /** Default `test-session`. */
  readonly sessionId?: string | undefined;
  /** The agent that is called, for `session.end`. Default `test-agent`. */
  readonly agentId?: string | undefined;
  /** What the first message says about a reply before it. */
  readonly interruption?: JsonObject | undefined;
}

/** Plays LayerCode: signs events, and reports with the next message what was heard of a reply. */
export function layercodeTestWire(options: LayercodeTestWireOptions): TestWire {
  const { secret, conversationId, sessionId = 'test-session', agentId = 'test-agent' } = options;
  const startedAt = new Date();
  /** What the next message of a conversation says about the previous reply. */
  const interruptions = new Map<unknown, JsonObject>();
  if (options.interruption !== undefined) interruptions.set(conversationId, options.interruption);

  function event(type: string, fields: Fields): TestRequest {
    return byHand(JSON.stringify({
      type,
      session_id: sessionId,
      conversation_id: conversationId,
      ...(type === 'session.end' ? {} : { turn_id: randomUUID() }),
      ...fields,
    }));
  }

  function draft(words: string, fields: Fields): TestRequest {
    const interruption = interruptions.get(conversationIn(fields));
    return event('message', {
      text: words,
      ...(interruption === undefined ? {} : { interruption_context: interruption }),
      ...fields,
    });
  }

  /** A test may have several conversations. */
  function conversationIn({ conversation_id: named = conversationId }: Fields): unknown {
    return named;
  }

  return {
    conversationId,
    lastEvent: 'response.end',
    pathOn: (agentRoute) => agentRoute,
    draft,
    byHand,
    turn(words, fields) {
      const conversation = conversationIn(fields);
      const request = words === undefined ? event('session.start', fields) : draft(words, fields);
      interruptions.delete(conversation);
      const turnId = String(request.ids.turnId);
      return {
        ...request,
        cutTo: (heard) => void interruptions.set(conversation, interruptionContext(turnId, heard)),
        endAt() {
          const { assistant_turn_id: cut } = interruptions.get(conversation) ?? {};
          if (cut === turnId) interruptions.delete(conversation); // that reply comes again
        },
      };
    },
    data: (data, fields) => event('data', { data, ...fields }),
    end(transcript, fields) {
      const endedAt = new Date();
      return event('session.end', {
        agent_id: agentId,
        started_at: startedAt.toISOString(),
        ended_at: endedAt.toISOString(),
        duration: endedAt.getTime() - startedAt.getTime(),
        transcription_duration_seconds: null,
        tts_duration_seconds: null,
        latency: null,
        ip_address: null,
        country_code: null,
        recording_status: 'disabled',
        transcript,
        ...fields,
      });
    },
    async post(url, { body }, { key, signature, headers = {} }, signal) {
      if (key !== undefined) {
        throw new Error(
          'post() has no option key on the wire layercode; use signature instead',
        );
      }
      const own = signature === undefined ? {} : { signature };
      return postEvent(url, body, { secret, headers, signal, ...own });
    },
    forged({ body }, forgery) {
      const time = Math.floor(Date.now() / 1_000) - SIGNATURE_TOLERANCE_SECONDS - 1;
      return {
        signature: forgery === 'stale'
          ? signPayload(body, secret, { time })
          : signPayload(body, `${secret}-another`),
      };
    },
    meaningOf,
  };
}

function byHand(body: string | Uint8Array): TestRequest {
  const { isCallDialect, ...ids } = idsIn(body);
  const toEvent = isCallDialect ? callEvent : sessionEvent;
  return {
    body,
    headers: {},
    ids,
    async *events(response, signal) {
      for await (const decoded of decodeEvents(readBody(response, signal))) yield toEvent(decoded);
    },
    cutTo: () => undefined,
    endAt: () => undefined,
  };
}

function meaningOf({ type, content }: TestEvent): Meaning {
  switch (type) {
    case 'response.tts':
    case 'message':
      return { text: typeof content === 'string' ? content : '' };
    case 'response.data':
    case 'data':
      return { data: (content ?? null) as Json };
    case 'response.hangup':
    case 'hangup':
      return { endsCallBy: 'hang-up' };
    default:
      return {};
  }
}

/** What LayerCode says about a reply that the caller spoke over. */
export function interruptionContext(turnId: string, { words, text }: Heard): JsonObject {
  return {
    previous_turn_interrupted: true,
    words_heard: words,
    text_heard: text,
    assistant_turn_id: turnId,
  } satisfies InterruptionContext;
}

/** The ids in a body, if it is an event. */
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

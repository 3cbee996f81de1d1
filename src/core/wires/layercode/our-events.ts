// Translates the platform's events, of both dialects, into what happened in the call.

import { isId } from '../../../base/fields.ts';
import type { JsonObject } from '../../../base/json.ts';
import type {
  CallEnd, Caller, CallerMessage, CallEvent, CallStart, Interruption,
} from '../../calls/call-event.ts';
import { metadataOf, msOf } from '../event-fields.ts';
import {
  isCallEvent, type CallEndedEvent, type CallStartedEvent, type LayercodeEvent, type MessageEvent,
  type SessionEndEvent, type SessionStartEvent, type TranscriptEvent,
} from './events.ts';

/** The name of this wire in logs, metrics and records. */
export const LAYERCODE = 'layercode';

/** What the event means. */
export function callEventOf(raw: LayercodeEvent): CallEvent {
  switch (raw.type) {
    case 'session.start':
    case 'call_started':
      return startOf(raw);
    case 'message':
      return messageOf(raw, raw.text, interruptionIn(raw));
    case 'transcript':
      return messageOf(raw, raw.transcript, undefined);
    case 'user_interrupted':
      return { type: 'interruption', raw, ...fieldsOf(raw) };
    case 'data':
      return { type: 'data', raw, data: raw.data, ...fieldsOf(raw) };
    case 'session.update':
      return { type: 'change', raw, ...fieldsOf(raw) };
    case 'session.end':
      return endOf(raw, raw.started_at, raw.ended_at);
    case 'call_ended':
      return endOf(raw, undefined, raw.timestamp);
    default:
      return raw satisfies never;
  }
}

/** A `session.start` without `turn_id` may come from a second sender of lifecycle events. */
function startOf(raw: SessionStartEvent | CallStartedEvent): CallStart {
  const isBeside = raw.type === 'session.start' && (raw.turn_id ?? undefined) === undefined;
  return { type: 'start', raw, isBeside, ...fieldsOf(raw) };
}

function messageOf(
  raw: MessageEvent | TranscriptEvent,
  text: string,
  interruption: Interruption | undefined,
): CallerMessage {
  return { type: 'message', raw, text, interruption, transcript: undefined, ...fieldsOf(raw) };
}

function endOf(
  raw: SessionEndEvent | CallEndedEvent,
  startedAt: unknown,
  endedAt: unknown,
): CallEnd {
  return { type: 'end', raw, startedAt: msOf(startedAt), endedAt: msOf(endedAt), ...fieldsOf(raw) };
}

function fieldsOf(raw: LayercodeEvent): Omit<CallStart, 'type' | 'raw' | 'isBeside'> {
  const isCall = isCallEvent(raw);
  return {
    conversationId: isCall ? raw.call_id : (raw.conversation_id ?? raw.session_id),
    sessionId: isCall ? raw.call_id : raw.session_id,
    turnId: raw.turn_id ?? undefined,
    caller: callerOf(raw),
    metadata: allMetadataOf(raw),
    language: undefined,
    wire: LAYERCODE,
  };
}

/**
 * The phone numbers of a telephone call, if the event carries them. The session dialect has them
 * on every event. The call dialect's document mentions none, so they are looked up under the same
 * names.
 */
function callerOf({
  from_phone_number: from,
  to_phone_number: to,
}: LayercodeEvent): Caller | undefined {
  if (!isId(from) && !isId(to)) return undefined;
  return { from: isId(from) ? from : undefined, to: isId(to) ? to : undefined };
}

/** `metadata` and `custom_metadata` in one object. On a conflict `custom_metadata` wins. */
function allMetadataOf(raw: LayercodeEvent): JsonObject {
  const custom = isCallEvent(raw) ? undefined : raw.custom_metadata;
  return custom ? { ...raw.metadata, ...custom } : metadataOf(raw.metadata);
}

function interruptionIn({ interruption_context: context }: MessageEvent): Interruption | undefined {
  if (!context?.previous_turn_interrupted) return undefined;
  return {
    textHeard: context.text_heard ?? undefined,
    turnId: context.assistant_turn_id ?? undefined,
  };
}

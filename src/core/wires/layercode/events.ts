// The events that the platform posts, in both dialects. The session dialect is specified by
// LayerCode's pages "Webhook SSE API" and "Keeping track of conversation history", the call dialect
// by the reference document.

import * as field from '../../../base/fields.ts';
import type { Field, FieldTable } from '../../../base/fields.ts';
import type { JsonObject } from '../../../base/json.ts';
import { EventError, got, parseJsonObject } from '../json-body.ts';

/** Fields that any event of the session dialect may carry. Other fields are kept unchanged. */
export interface SessionFields {
  /** Changes on every reconnect. */
  readonly session_id: string;
  /** Stays the same across reconnects. */
  readonly conversation_id?: string | null;
  readonly turn_id?: string | null;
  readonly custom_metadata?: JsonObject | null;
  readonly metadata?: JsonObject | null;
  readonly from_phone_number?: string | null;
  readonly to_phone_number?: string | null;
  readonly [unlisted: string]: unknown;
}

/** After a barge-in: how much the caller heard of the assistant's previous turn. */
export interface InterruptionContext {
  readonly previous_turn_interrupted: boolean;
  readonly words_heard?: number | null;
  /** Empty if the caller heard nothing; missing if the platform does not know. */
  readonly text_heard?: string | null;
  readonly assistant_turn_id?: string | null;
}

/** A session begins: a new call, or a returning caller. */
export interface SessionStartEvent extends SessionFields {
  readonly type: 'session.start';
}

/** The caller said something. */
export interface MessageEvent extends SessionFields {
  readonly type: 'message';
  /** The caller's words. */
  readonly text: string;
  readonly interruption_context?: InterruptionContext | null;
}

/** The caller's browser sent data. */
export interface DataEvent extends SessionFields {
  readonly type: 'data';
  /** What the browser sent. */
  readonly data: JsonObject;
}

/** Something about the session changed, such as its recording. */
export interface SessionUpdateEvent extends SessionFields {
  readonly type: 'session.update';
  readonly recording_status?: string | null;
  readonly recording_url?: string | null;
  /** In seconds. */
  readonly recording_duration?: number | null;
  readonly error_message?: string | null;
}

/** One entry of the transcript that the platform sends when a session ends. */
export interface TranscriptEntry {
  readonly role: string;
  readonly text: string;
  /** Milliseconds since the epoch, or an ISO date. */
  readonly timestamp?: number | string | null;
  readonly [unlisted: string]: unknown;
}

/** The session is over. */
export interface SessionEndEvent extends SessionFields {
  readonly type: 'session.end';
  readonly agent_id?: string | null;
  readonly started_at?: number | string | null;
  readonly ended_at?: number | string | null;
  /** In milliseconds. */
  readonly duration?: number | null;
  readonly transcription_duration_seconds?: number | null;
  readonly tts_duration_seconds?: number | null;
  readonly latency?: number | null;
  readonly ip_address?: string | null;
  readonly country_code?: string | null;
  readonly recording_status?: string | null;
  readonly transcript?: readonly TranscriptEntry[] | null;
}

/** Fields of every event of the call dialect. */
export interface CallFields {
  readonly call_id: string;
  readonly agent_id?: string | null;
  readonly timestamp?: string | null;
  readonly transcript?: unknown;
  readonly metadata?: JsonObject | null;
  readonly turn_id?: string | null;
  readonly [unlisted: string]: unknown;
}

/** The call dialect: a call begins. */
export interface CallStartedEvent extends CallFields {
  readonly type: 'call_started';
}

/** The call dialect: the caller said something. */
export interface TranscriptEvent extends CallFields {
  readonly type: 'transcript';
  /** The caller's words. */
  readonly transcript: string;
}

/** The call dialect: the caller spoke over the reply. */
export interface UserInterruptedEvent extends CallFields {
  readonly type: 'user_interrupted';
}

/** The call dialect: the call is over. */
export interface CallEndedEvent extends CallFields {
  readonly type: 'call_ended';
}

/** Any event of the session dialect. */
export type SessionEvent =
  SessionStartEvent | MessageEvent | DataEvent | SessionUpdateEvent | SessionEndEvent;
/** Any event of the call dialect. */
export type CallDialectEvent =
  CallStartedEvent | TranscriptEvent | UserInterruptedEvent | CallEndedEvent;
/** Any LayerCode event that this version knows, in either dialect. */
export type LayercodeEvent = SessionEvent | CallDialectEvent;

declare module '../../calls/raw-event.ts' {
  interface RawEvents {
    readonly layercode: {
      readonly start: SessionStartEvent | CallStartedEvent;
      readonly message: MessageEvent | TranscriptEvent;
      readonly interruption: UserInterruptedEvent;
      readonly data: DataEvent;
      readonly change: SessionUpdateEvent;
      readonly end: SessionEndEvent | CallEndedEvent;
    };
  }
}

/**
 * A well-formed event of a type that this version does not know. It is answered with 200 and
 * otherwise ignored.
 */
export interface UnknownEvent {
  readonly type: string;
  readonly [unlisted: string]: unknown;
}

const { id, string, number, boolean, object, timestamp, optional, objectOf, arrayOf } = field;

const SESSION_FIELDS: FieldTable = {
  session_id: id,
  conversation_id: optional(id),
  turn_id: optional(id),
  custom_metadata: optional(object),
  metadata: optional(object),
  from_phone_number: optional(string),
  to_phone_number: optional(string),
};

const CALL_FIELDS: FieldTable = {
  call_id: id,
  turn_id: optional(id),
  agent_id: optional(string),
  timestamp: optional(string),
  metadata: optional(object),
};

/** The fields of each event type. The only place that says what an event must hold. */
export const EVENT_FIELDS: Readonly<Record<LayercodeEvent['type'], FieldTable>> = {
  'session.start': SESSION_FIELDS,
  message: {
    ...SESSION_FIELDS,
    text: string,
    interruption_context: optional(
      objectOf({
        previous_turn_interrupted: boolean,
        words_heard: optional(number),
        text_heard: optional(string),
        assistant_turn_id: optional(string),
      }),
    ),
  },
  data: { ...SESSION_FIELDS, data: object },
  'session.update': {
    ...SESSION_FIELDS,
    recording_status: optional(string),
    recording_url: optional(string),
    recording_duration: optional(number),
    error_message: optional(string),
  },
  'session.end': {
    ...SESSION_FIELDS,
    agent_id: optional(string),
    started_at: optional(timestamp),
    ended_at: optional(timestamp),
    duration: optional(number),
    transcription_duration_seconds: optional(number),
    tts_duration_seconds: optional(number),
    latency: optional(number),
    ip_address: optional(string),
    country_code: optional(string),
    recording_status: optional(string),
    transcript: optional(
      arrayOf(objectOf({ role: string, text: string, timestamp: optional(timestamp) })),
    ),
  },
  call_started: CALL_FIELDS,
  transcript: { ...CALL_FIELDS, transcript: string },
  user_interrupted: CALL_FIELDS,
  call_ended: CALL_FIELDS,
};

const EVENTS: ReadonlyMap<string, Field> = new Map(
  Object.entries(EVENT_FIELDS).map(([type, fields]) => [type, objectOf(fields)]),
);
const CALL_TYPES: ReadonlySet<string> = new Set(
  Object.keys(EVENT_FIELDS).filter(
    (type) => 'call_id' in EVENT_FIELDS[type as LayercodeEvent['type']],
  ),
);

/**
 * The event in a webhook's body. Unknown types and unknown fields are kept.
 *
 * Throws an `EventError` if the body is not a JSON object in UTF-8, or if a field breaks its rule.
 */
export function parseEvent(body: Buffer): LayercodeEvent | UnknownEvent {
  const value = parseJsonObject(body);
  const type = value['type'];
  const rule = typeof type === 'string' ? EVENTS.get(type) : undefined;
  if (rule === undefined) {
    if (field.isId(type)) return value as UnknownEvent;
    throw new EventError('type', `type must be ${id.expected}, ${got(type)}`);
  }
  const fault = rule.check(value);
  if (fault !== undefined) {
    const found = got(valueAt(value, fault.path));
    throw new EventError(fault.path, `${fault.path} must be ${fault.expected}, ${found}`);
  }
  return value as unknown as LayercodeEvent; // the table has just checked it
}

export function isKnownEvent(event: LayercodeEvent | UnknownEvent): event is LayercodeEvent {
  return EVENTS.has(event.type);
}

export function isCallEvent(event: LayercodeEvent): event is CallDialectEvent {
  return CALL_TYPES.has(event.type);
}

function valueAt(value: object, path: string): unknown {
  let inner: unknown = value;
  for (const key of path.split(/\.|\[(\d+)\]\.?/).filter(Boolean)) {
    inner =
      typeof inner === 'object' && inner !== null && Object.hasOwn(inner, key)
        ? (inner as Record<string, unknown>)[key]
        : undefined;
  }
  return inner;
}

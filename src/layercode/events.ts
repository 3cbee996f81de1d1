// What the platform posts, in both of its dialects. Ruled by LayerCode's pages "Webhook SSE API" and "Keeping track of
// conversation history" (session dialect) and by the reference document (call dialect).

import { isUtf8 } from 'node:buffer';

import * as field from './fields.ts';
import type { Field, FieldTable, JsonObject } from './fields.ts';

/** Fields that any event of the session dialect may carry. What is not listed here is kept as it came. */
export interface SessionFields {
  /** Changes at each reconnect. */
  readonly session_id: string;
  /** Stable over reconnects. */
  readonly conversation_id?: string | null;
  readonly turn_id?: string | null;
  readonly custom_metadata?: JsonObject | null;
  readonly metadata?: JsonObject | null;
  readonly from_phone_number?: string | null;
  readonly to_phone_number?: string | null;
  readonly [unlisted: string]: unknown;
}

/** What the caller heard of the assistant turn right before, after a barge-in. */
export interface InterruptionContext {
  readonly previous_turn_interrupted: boolean;
  readonly words_heard?: number | null;
  /** Empty when nothing was heard; missing when the platform does not know. */
  readonly text_heard?: string | null;
  readonly assistant_turn_id?: string | null;
}

export interface SessionStartEvent extends SessionFields {
  readonly type: 'session.start';
}

export interface MessageEvent extends SessionFields {
  readonly type: 'message';
  /** The caller's words. */
  readonly text: string;
  readonly interruption_context?: InterruptionContext | null;
}

export interface DataEvent extends SessionFields {
  readonly type: 'data';
  /** What the browser sent. */
  readonly data: JsonObject;
}

export interface SessionUpdateEvent extends SessionFields {
  readonly type: 'session.update';
  readonly recording_status?: string | null;
  readonly recording_url?: string | null;
  /** Seconds. */
  readonly recording_duration?: number | null;
  readonly error_message?: string | null;
}

export interface TranscriptEntry {
  readonly role: string;
  readonly text: string;
  /** Milliseconds since the epoch, or an ISO date. */
  readonly timestamp?: number | string | null;
  readonly [unlisted: string]: unknown;
}

export interface SessionEndEvent extends SessionFields {
  readonly type: 'session.end';
  readonly agent_id?: string | null;
  readonly started_at?: number | string | null;
  readonly ended_at?: number | string | null;
  /** Milliseconds. */
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

export interface CallStartedEvent extends CallFields {
  readonly type: 'call_started';
}

export interface TranscriptEvent extends CallFields {
  readonly type: 'transcript';
  /** The caller's words. */
  readonly transcript: string;
}

export interface UserInterruptedEvent extends CallFields {
  readonly type: 'user_interrupted';
}

export interface CallEndedEvent extends CallFields {
  readonly type: 'call_ended';
}

export type SessionEvent = SessionStartEvent | MessageEvent | DataEvent | SessionUpdateEvent | SessionEndEvent;
export type CallEvent = CallStartedEvent | TranscriptEvent | UserInterruptedEvent | CallEndedEvent;
export type LayercodeEvent = SessionEvent | CallEvent;

/** A well-formed event of a type that this version does not know: informational, answered with 200. */
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

/** Event type → its fields. The one place that says what an event must hold. */
export const EVENT_FIELDS: Readonly<Record<LayercodeEvent['type'], FieldTable>> = {
  'session.start': SESSION_FIELDS,
  message: {
    ...SESSION_FIELDS,
    text: string,
    interruption_context: optional(objectOf({
      previous_turn_interrupted: boolean,
      words_heard: optional(number),
      text_heard: optional(string),
      assistant_turn_id: optional(string),
    })),
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
    transcript: optional(arrayOf(objectOf({ role: string, text: string, timestamp: optional(timestamp) }))),
  },
  call_started: CALL_FIELDS,
  transcript: { ...CALL_FIELDS, transcript: string },
  user_interrupted: CALL_FIELDS,
  call_ended: CALL_FIELDS,
};

const EVENTS: ReadonlyMap<string, Field> = new Map(Object.entries(EVENT_FIELDS).map(([type, fields]) => [type, objectOf(fields)]));
const CALL_TYPES: ReadonlySet<string> = new Set(Object.keys(EVENT_FIELDS).filter((type) => 'call_id' in EVENT_FIELDS[type as LayercodeEvent['type']]));

/** The event is at fault. `path` names the field, '' where the body as a whole is wrong; the message says it too. */
export class EventError extends Error {
  override readonly name = 'EventError';
  readonly path: string;

  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/**
 * The event in a webhook's body. Unknown types and fields are kept, never refused. Throws an `EventError` for a body that
 * is no JSON object in UTF-8, and for a field that breaks its rule.
 */
export function parseEvent(body: Buffer): LayercodeEvent | UnknownEvent {
  const value = parseJsonObject(body);
  const type = value['type'];
  const rule = typeof type === 'string' ? EVENTS.get(type) : undefined;
  if (rule === undefined) {
    if (!field.isId(type)) throw new EventError('type', `type must be ${id.expected}, ${got(type)}`);
    return value as UnknownEvent;
  }
  const fault = rule.check(value);
  if (fault !== undefined) {
    throw new EventError(fault.path, `${fault.path} must be ${fault.expected}, ${got(valueAt(value, fault.path))}`);
  }
  return value as unknown as LayercodeEvent; // what the table has just checked
}

/** A body as a JSON object, or an `EventError` that says why not. */
export function parseJsonObject(body: Buffer): Readonly<Record<string, unknown>> {
  if (!isUtf8(body)) throw new EventError('', 'the body is not UTF-8');
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (error) {
    // The parser quotes the body, which may be a caller's words; its own words are enough.
    throw new EventError('', body.length === 0 ? 'the body is empty, expected a JSON object' : `the body is not JSON${position(error)}`);
  }
  if (!field.isObject(value)) throw new EventError('', `the body must be a JSON object, ${got(value)}`);
  return value;
}

export function isKnownEvent(event: LayercodeEvent | UnknownEvent): event is LayercodeEvent {
  return EVENTS.has(event.type);
}

export function isCallEvent(event: LayercodeEvent): event is CallEvent {
  return CALL_TYPES.has(event.type);
}

/** Whose history an event belongs to: the conversation's, else the session's; in the call dialect the call's. */
export function conversationIdOf(event: LayercodeEvent): string {
  return isCallEvent(event) ? event.call_id : (event.conversation_id ?? event.session_id);
}

/** `metadata` and `custom_metadata` as one object; the latter wins. */
export function metadataOf(event: LayercodeEvent): JsonObject {
  const custom = isCallEvent(event) ? undefined : event.custom_metadata;
  return custom ? { ...event.metadata, ...custom } : (event.metadata ?? NO_METADATA);
}

/** One for all events without: most have none, and each open stream keeps its own. */
const NO_METADATA: JsonObject = Object.freeze({});

function position(error: unknown): string {
  const found = error instanceof Error ? /at position \d+/.exec(error.message)?.[0] : undefined;
  return found === undefined ? '' : ` (${found})`;
}

function valueAt(value: object, path: string): unknown {
  let inner: unknown = value;
  for (const key of path.split(/\.|\[(\d+)\]\.?/).filter(Boolean)) {
    inner = typeof inner === 'object' && inner !== null && Object.hasOwn(inner, key) ? (inner as Record<string, unknown>)[key] : undefined;
  }
  return inner;
}

/** The kind of a value, and not the value: it may be a caller's words. */
function got(value: unknown): string {
  if (value === undefined) return 'but it is missing';
  if (value === null) return 'got null';
  if (Array.isArray(value)) return 'got an array';
  if (typeof value === 'string') return value === '' ? 'got an empty string' : `got a string of ${value.length} characters`;
  return `got ${typeof value === 'object' ? 'an object' : `a ${typeof value}`}`;
}

// What can happen in a call, in our own terms. Each wire translates what its platform posts into
// these events. Everything below the wires knows only them.

import type { JsonObject } from '../../base/json.ts';
import type { RawEvent } from './raw-event.ts';

/** The two ends of a telephone call, as the platform writes them. */
export interface Caller {
  /** The caller's number. */
  readonly from: string | undefined;
  /** The number that was called. */
  readonly to: string | undefined;
}

/** After a barge-in: what the platform says about the previous reply. */
export interface Interruption {
  /** What the caller heard of it, '' if nothing. Undefined if the platform did not say. */
  readonly textHeard: string | undefined;
  /** The turn of that reply. This server may never have seen the id. */
  readonly turnId: string | undefined;
}

/** One text of a transcript. */
export interface TranscriptLine {
  readonly role: 'user' | 'assistant';
  readonly text: string;
}

/**
 * What was said in the call before the caller's words, according to the platform. Only platforms
 * that send the whole call with every request provide a transcript.
 */
export interface Transcript {
  /** The last lines, oldest first. Lines without a word are left out. */
  readonly lines: readonly TranscriptLine[];
  /** How many older lines are left out. */
  readonly omitted: number;
  /**
   * Whether the assistant's texts are what the caller heard. Otherwise they may be what was sent.
   */
  readonly isHeard: boolean;
  /**
   * Whether the platform did not name a conversation. The turn then stands alone: it leaves nothing
   * in history, and this transcript is all that it knows of the call.
   */
  readonly isAnonymous: boolean;
  /** The start of the call, as told to the agent: this wire has no event for it. */
  readonly start: CallStart;
}

/** The fields of all events. */
interface EventFields {
  /** Identifies a caller over time: stays the same when they reconnect. */
  readonly conversationId: string;
  /** One connection of the caller. */
  readonly sessionId: string;
  /** The platform's id of the turn. Undefined if it sent none. */
  readonly turnId: string | undefined;
  /** Undefined for a browser, and for an event that does not name the caller. */
  readonly caller: Caller | undefined;
  /** A browser may have set it, so it proves neither identity nor permission. */
  readonly metadata: JsonObject;
  /** A BCP 47 tag such as `en-GB`. Undefined if the platform does not say. */
  readonly language: string | undefined;
  /** The name of the wire that the event came over, such as `layercode`. */
  readonly wire: string;
}

/** A call begins, or a caller returns to a conversation. */
export interface CallStart extends EventFields {
  readonly type: 'start';
  readonly raw: RawEvent<'start'>;
  /**
   * Whether its turn runs beside the conversation: it leaves nothing in history, and neither ends
   * other turns nor is ended by them. For an event that may come from a second sender, whose reply
   * nobody hears.
   */
  readonly isBeside: boolean;
}

/** The caller said something. */
export interface CallerMessage extends EventFields {
  readonly type: 'message';
  readonly raw: RawEvent<'message'>;
  readonly text: string;
  /** Set if the caller interrupted the previous reply. */
  readonly interruption: Interruption | undefined;
  /** Undefined on a wire that reports everything only once. */
  readonly transcript: Transcript | undefined;
}

/** The caller spoke over the reply. What they said comes later. */
export interface CallerInterruption extends EventFields {
  readonly type: 'interruption';
  readonly raw: RawEvent<'interruption'>;
}

/** The caller's browser sent data. */
export interface CallerData extends EventFields {
  readonly type: 'data';
  readonly raw: RawEvent<'data'>;
  readonly data: JsonObject;
}

/** Something about the session changed, such as its recording. */
export interface SessionChange extends EventFields {
  readonly type: 'change';
  readonly raw: RawEvent<'change'>;
}

/** The session is over. A later one may resume the conversation. */
export interface CallEnd extends EventFields {
  readonly type: 'end';
  readonly raw: RawEvent<'end'>;
  /** Both in milliseconds since the epoch. Undefined if the platform did not say. */
  readonly startedAt: number | undefined;
  readonly endedAt: number | undefined;
  /** Whether the platform will report the end again, with these times. */
  readonly isReportedAgain?: boolean;
}

export type CallEvent =
  CallStart | CallerMessage | CallerInterruption | CallerData | SessionChange | CallEnd;

/** An event that a reply answers. */
export type TurnEvent = CallStart | CallerMessage;

/** The caller's words. Undefined for a turn that does not begin with the caller speaking. */
export function textOf(event: TurnEvent): string | undefined {
  return event.type === 'message' ? event.text : undefined;
}

/** Whether its turn leaves nothing in history. */
export function isBeside(event: TurnEvent): boolean {
  return event.type === 'start' ? event.isBeside : event.transcript?.isAnonymous === true;
}

/** Whether both deliver the same turn: its id, event type and words are the same. */
export function isSameTurn(a: TurnEvent, b: TurnEvent): boolean {
  return (
    a.turnId !== undefined
    && a.turnId === b.turnId
    && a.type === b.type
    && textOf(a) === textOf(b)
  );
}

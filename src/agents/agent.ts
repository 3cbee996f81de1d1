import type { IncomingHttpHeaders } from 'node:http';

import type { Awaitable } from '../base/awaitable.ts';
import type { Message, ToolCall } from '../conversations/message.ts';
import type {
  CallEndedEvent, CallStartedEvent, DataEvent, LayercodeEvent, MessageEvent, SessionEndEvent, SessionStartEvent, SessionUpdateEvent,
  TranscriptEvent,
} from '../layercode/events.ts';
import type { Json, JsonObject } from '../layercode/fields.ts';
import type { Reply } from '../layercode/reply.ts';
import type { Logger } from '../log.ts';
import type { ChatModel, ModelDelta } from '../models/model.ts';

/** What every hook is told. */
export interface Occasion<E extends LayercodeEvent = LayercodeEvent> {
  /** As the platform posted it, with fields that this version does not know. */
  readonly event: E;
  readonly conversationId: string;
  /** The event's `metadata` and `custom_metadata` as one object; the latter wins. What a browser put there is not to be trusted. */
  readonly metadata: JsonObject;
  /** Of the webhook request, `custom_headers` included. Headers are not signed: they prove nothing. */
  readonly headers: IncomingHttpHeaders;
  /** Its lines carry the request's id. Never log a caller's words at `info` and above. */
  readonly log: Logger;
  /** Fires when nobody waits any more. Hand it to `fetch`, models and tools. */
  readonly signal: AbortSignal;
}

/** What a hook that speaks is told. */
export interface Turn<E extends LayercodeEvent = LayercodeEvent> extends Occasion<E> {
  /** The platform's `turn_id`, or one of our own where it sent none. */
  readonly turnId: string;
  /** The conversation so far in the order of its turns, up to the caller's words of this one. */
  readonly history: readonly Message[];
  readonly journal: TurnJournal;
}

export type ModelUsage = Extract<ModelDelta, { type: 'usage' }>;

/** What belongs to a turn's record beside what was said. For agents that run a model's tools themselves; no-ops after its end. */
export interface TurnJournal {
  /** The model called tools. Every call gets one result in history, whatever becomes of the turn. */
  noteToolCalls(calls: readonly ToolCall[]): void;
  /** JSON text, for the model. */
  noteToolResult(toolCallId: string, content: string): void;
  /** For the turn's log line and the metrics. */
  noteUsage(usage: ModelUsage): void;
  /** Says something that is no word of the agent's, and not part of the history. Does nothing once the agent has spoken. */
  sayFiller(text: string): void;
}

export interface StartTurn extends Turn<SessionStartEvent | CallStartedEvent> {
  /** Whether the conversation is known: the caller reconnected, and a welcome was spoken before. */
  readonly isResumed: boolean;
}

export interface MessageTurn extends Turn<MessageEvent | TranscriptEvent> {
  /** The caller's words. */
  readonly text: string;
}

export interface DataOccasion extends Occasion<DataEvent> {
  /** What the browser sent. */
  readonly data: JsonObject;
}

/** A turn that the caller spoke over, or left. */
export interface InterruptedTurn {
  readonly conversationId: string;
  readonly turnId: string;
  /** What is kept of the reply: what was sent, or what the caller heard where the platform told. */
  readonly text: string;
}

/**
 * What a hook that speaks may return: a text, or texts as they come, which are spoken at once, piece by piece. A hook that
 * spoke through the reply, or has nothing to say, returns nothing. An iterable that ends without a word is a failure: it was
 * a promise of text.
 */
export type Spoken = string | void | Iterable<string> | AsyncIterable<string>;

/** The product: what is said on a call. Hooks may be plain, async, or async generators. */
export interface Agent {
  readonly name: string;
  /** One sentence for lists of agents. */
  readonly description?: string;
  /** Said when a turn fails. Default "Sorry, something went wrong. Could you say that again?" */
  readonly apology?: string;
  /** A call begins, or a caller is back. */
  onSessionStart?(turn: StartTurn, reply: Reply): Awaitable<Spoken>;
  /** The caller said something. */
  onMessage(turn: MessageTurn, reply: Reply): Awaitable<Spoken>;
  /** The caller's browser sent data; what is returned goes back as JSON, `{"status":"ok"}` where nothing is. */
  onData?(occasion: DataOccasion): Awaitable<Json | void>;
  /** News of the session, for instance that its recording is ready. */
  onSessionUpdate?(occasion: Occasion<SessionUpdateEvent>): Awaitable<void>;
  /** The session is over; its conversation may be resumed by another. */
  onSessionEnd?(occasion: Occasion<SessionEndEvent | CallEndedEvent>): Awaitable<void>;
  /** Told once for each turn that was interrupted, while it ran or after it had been sent. */
  onInterrupted?(turn: InterruptedTurn): Awaitable<void>;
  /** Called once by `createApp`: gives an agent that speaks with a model what it needs. */
  bind?(resources: AgentResources): BoundAgent;
}

/** What an app has for agents that speak with a model. */
export interface AgentResources {
  /** The models named, comma-separated `provider:model`; without a name the settings'. Connects to nothing. */
  openModel(names?: string): ChatModel;
  readonly fastModel: string | undefined;
  readonly slowModel: string | undefined;
  /** 0: off. */
  readonly fillerAfterMs: number;
}

/** An agent that has what it needs. */
export interface BoundAgent extends Agent {
  /** The model it speaks with; undefined for an agent that needs none. */
  readonly model?: ChatModel;
}

export const DEFAULT_APOLOGY = 'Sorry, something went wrong. Could you say that again?';
export const WELCOME_BACK = 'Welcome back.';

import type { IncomingHttpHeaders } from 'node:http';

import type { Awaitable } from '../base/awaitable.ts';
import type { Message, ToolCall } from '../conversations/message.ts';
import type {
  CallEndedEvent,
  Caller,
  CallStartedEvent,
  DataEvent,
  LayercodeEvent,
  MessageEvent,
  SessionEndEvent,
  SessionStartEvent,
  SessionUpdateEvent,
  TranscriptEvent,
} from '../layercode/events.ts';
import type { Json, JsonObject } from '../layercode/fields.ts';
import type { Logger } from '../log.ts';
import type { ChatModel, ModelDelta, RequestFailure } from '../models/model.ts';
import type { State } from './state.ts';

/**
 * What an agent speaks through during one turn, in either dialect. Verbs are bound, and do nothing
 * once the turn is over.
 */
export interface Reply {
  /**
   * Speaks a piece of text at once: a word or a paragraph, with its spaces. True when it was taken,
   * false when the turn is over; a promise of that while the caller's connection has no room, which
   * is worth awaiting in a loop.
   */
  say(text: string): Awaitable<boolean>;
  /**
   * Sends any JSON value to the caller's browser. Answers as `say` does. Throws a `TypeError` for
   * what is not JSON.
   */
  data(content: Json): Awaitable<boolean>;
  /** Ends the call, after `say` if there is something left to say. It ends the turn too. */
  hangup(options?: { readonly say?: string }): void;
  /** Ends the turn. A turn also ends by itself when the agent's hook does. */
  end(): void;
  /** True once the turn is over, however it ended: nothing that is said now is heard. */
  readonly isOver: boolean;
  /** As `Turn.signal`. */
  readonly signal: AbortSignal;
}

/** What every hook is told. */
export interface EventContext<E extends LayercodeEvent = LayercodeEvent> {
  /** As the platform posted it, with fields that this version does not know. */
  readonly event: E;
  readonly conversationId: string;
  /**
   * The event's `metadata` and `custom_metadata` as one object; the latter wins. A browser may have
   * written it: do not trust it.
   */
  readonly metadata: JsonObject;
  /**
   * Of the webhook request, `custom_headers` included. Headers are not signed: they prove nothing.
   */
  readonly headers: IncomingHttpHeaders;
  /** Its lines carry the request's id. Never log a caller's words. */
  readonly log: Logger;
  /**
   * Fires when nobody waits any more: the caller left or spoke over the reply, the time is up, or
   * the server closes. Hand it to `fetch`, models and tools.
   */
  readonly signal: AbortSignal;
}

/**
 * What a hook that speaks is told. Its properties are its own, so that `{ ...turn }` can be handed
 * on.
 */
export interface Turn<E extends LayercodeEvent = LayercodeEvent, S = unknown>
  extends EventContext<E> {
  /** The platform's `turn_id`, or one of our own. */
  readonly turnId: string;
  /**
   * The conversation so far in the order of its turns, up to the caller's words of this one.
   * Frozen: a snapshot, taken when it is first looked at.
   */
  readonly history: readonly Message[];
  /** The numbers of a telephone call. Undefined for a browser. */
  readonly caller: Caller | undefined;
  /**
   * What the agent keeps of the conversation beside its history: the same object for all that runs
   * of it here. Undefined for an agent without `state`.
   */
  readonly state: S;
  readonly journal: TurnJournal;
}

export type ModelUsage = Extract<ModelDelta, { type: 'usage' }>;

/** Why a request to a model got no whole answer. */
export type ModelRequestFailure = RequestFailure;

/** Why a turn's signal fired. An abort is a normal end, and its name says which. */
export class TurnAbortedError extends Error {
  override readonly name = 'TurnAbortedError';
  readonly code = 'ABORT_ERR';
}

/** What a tool call is told. */
export interface ToolCallContext {
  /** Fires when nobody waits for the result any more: see `ToolRun.whenInterrupted`. */
  readonly signal: AbortSignal;
  /** Unique within the turn. */
  readonly toolCallId: string;
  /**
   * The same for the same call of a turn that is delivered again: 64 hex digits. For APIs that act
   * once per key.
   */
  readonly idempotencyKey: string;
}

/** How one tool call is run. */
export interface ToolRun {
  /** Resolves with JSON text for the model. What it throws becomes an error for the model. */
  run(context: ToolCallContext): Awaitable<string>;
  /**
   * `abort` (default): the signal fires when the turn ends. `finish`: it fires at
   * `TURN_TIMEOUT_SECONDS` and at the end of a drain only, so that a tool runs to its end though
   * the caller has left.
   */
  readonly whenInterrupted?: 'abort' | 'finish' | undefined;
  /**
   * Whether it may run again, under the same key, when the process died before a result was stored.
   * Default false.
   */
  readonly repeatable?: boolean | undefined;
}

/**
 * How a tool call ended. `failed`: its arguments did not fit, or it threw. `interrupted`: it ended
 * because of its signal.
 */
export type ToolCallOutcome = 'completed' | 'failed' | 'interrupted';

/** A tool call as history holds it, and its result. */
export interface ToolOutcome {
  /** Its id is made unique within the turn. */
  readonly call: ToolCall;
  /** JSON text for the model. */
  readonly content: string;
  /** The agent that speaks when the hook ends: the call has handed the conversation over. */
  readonly handOver?: string | undefined;
}

/**
 * What belongs to a turn's record beside what was said. For agents that run a model's tools
 * themselves.
 */
export interface TurnJournal {
  /**
   * Runs calls that a model made together, and writes down calls and results. Each acts once: a
   * turn that is delivered again joins a call that still runs, and takes the result of one that
   * completed. Resolves with an outcome for each call; never rejects.
   */
  runTools(
    calls: readonly ToolCall[],
    toolFor: (call: ToolCall) => ToolRun,
  ): Promise<readonly ToolOutcome[]>;
  /**
   * What this run has said and called up to its last tool result, as history holds it: with
   * `history` it makes the next prompt, and later turns find the same there.
   */
  rounds(): readonly Message[];
  /**
   * The model called tools, which the agent runs itself. Await it before they run: the calls are
   * stored by then. Every call gets one result in history, whatever becomes of the turn.
   */
  noteToolCalls(calls: readonly ToolCall[]): Awaitable<void>;
  /**
   * JSON text for the model. May come after the turn's end: history holds what a tool really
   * returned.
   */
  noteToolResult(toolCallId: string, content: string): void;
  /**
   * To be called while `runTools` runs that call: when the hook ends, the conversation goes on with
   * that agent of the same server. Rejects with an error for the model if it cannot.
   */
  handOver(toolCallId: string, agent: string): Promise<void>;
  /** For the turn's log line, unless the turn is over, and for the metrics. */
  noteUsage(usage: ModelUsage): void;
  /** For the metrics: a request to a model that got no whole answer. */
  noteFailedRequest(model: string, failure: ModelRequestFailure): void;
  /** For the metrics. `tool` must be one of the agent's tools. */
  noteToolOutcome(tool: string, outcome: ToolCallOutcome): void;
  /**
   * Says something that is no word of the agent's, and not part of the history. Does nothing once
   * the agent has spoken.
   */
  sayFiller(text: string): void;
}

export interface StartTurn<S = unknown> extends Turn<SessionStartEvent | CallStartedEvent, S> {
  /** Whether the conversation is known: the caller reconnected, and a welcome was spoken before. */
  readonly isResumed: boolean;
}

export interface MessageTurn<S = unknown> extends Turn<MessageEvent | TranscriptEvent, S> {
  /** The caller's words. */
  readonly text: string;
}

export interface DataContext extends EventContext<DataEvent> {
  /** What the browser sent. */
  readonly data: JsonObject;
}

export interface SessionEndContext<S = unknown>
  extends EventContext<SessionEndEvent | CallEndedEvent> {
  /** The whole conversation, in the order of its turns. */
  readonly history: readonly Message[];
  /** As `Turn.caller`. */
  readonly caller: Caller | undefined;
  /** As `Turn.state`. Changes are not kept. */
  readonly state: S;
}

/** A turn that the caller spoke over, or left. */
export interface InterruptedTurn {
  readonly conversationId: string;
  readonly turnId: string;
  /** What is kept of the reply: what was sent, or what the caller heard where the platform told. */
  readonly text: string;
}

/**
 * What a hook that speaks may return: a text, or texts as they come, which are spoken at once,
 * piece by piece. A hook that spoke through the reply, or has nothing to say, returns nothing. An
 * iterable that ends without a word is a failure: it was a promise of text.
 */
export type Spoken = string | void | Iterable<string> | AsyncIterable<string>;

/** The product: what is said on a call. Hooks may be plain, async, or async generators. */
export interface Agent<S = unknown> {
  readonly name: string;
  /** One sentence for lists of agents. */
  readonly description?: string;
  /** Said when a turn fails. Default "Sorry, something went wrong. Could you say that again?" */
  readonly apology?: string;
  /** What it keeps of a conversation beside its history. */
  readonly state?: State<S>;
  /** A call begins, or a caller is back. */
  onSessionStart?(turn: StartTurn<S>, reply: Reply): Awaitable<Spoken>;
  /** The caller said something. */
  onMessage(turn: MessageTurn<S>, reply: Reply): Awaitable<Spoken>;
  /**
   * The caller's browser sent data; what is returned goes back as JSON, `{"status":"ok"}` where
   * nothing is.
   */
  onData?(context: DataContext): Awaitable<Json | void>;
  /** News of the session, for instance that its recording is ready. */
  onSessionUpdate?(context: EventContext<SessionUpdateEvent>): Awaitable<void>;
  /** The session is over; its conversation may be resumed by another. */
  onSessionEnd?(context: SessionEndContext<S>): Awaitable<void>;
  /** Told once for each turn that was interrupted, while it ran or after it had been sent. */
  onInterrupted?(turn: InterruptedTurn): Awaitable<void>;
  /** Called once by `createApp`: gives an agent that speaks with a model what it needs. */
  bind?(resources: AgentResources): BoundAgent;
}

/** What an app has for agents that speak with a model. */
export interface AgentResources {
  /**
   * The models named, comma-separated `provider:model`; without a name the settings'. A model of
   * one's own is returned as it is. Connects to nothing.
   */
  openModel(model?: string | ChatModel): ChatModel;
  readonly fastModel: string | undefined;
  readonly slowModel: string | undefined;
  /** 0: off. */
  readonly fillerAfterMs: number;
}

/** An agent that has what it needs. */
export interface BoundAgent<S = unknown> extends Agent<S> {
  /** The model it speaks with; undefined for an agent that needs none. */
  readonly model?: ChatModel;
}

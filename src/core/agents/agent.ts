import type { IncomingHttpHeaders } from 'node:http';

import type { Awaitable } from '../../base/awaitable.ts';
import type { Json, JsonObject } from '../../base/json.ts';
import type { Logger } from '../../base/log.ts';
import type { Caller, CallEvent } from '../calls/call-event.ts';
import type { RawEvent } from '../calls/raw-event.ts';
import type { Reply } from '../calls/reply.ts';
import type { Message, ToolCall } from '../conversations/message.ts';
import type { ChatModel, ModelDelta, RequestEvent, RequestFailure } from '../models/model.ts';
import type { Redact } from '../redaction/redact.ts';
import type { State } from '../state/state.ts';
import type { KnownTool } from '../tools/tool-list.ts';
import type { ToolCallOutcome, ToolOutcome, ToolRun } from '../tools/tool-run.ts';

export type { Reply } from '../calls/reply.ts';
export type { KnownTool } from '../tools/tool-list.ts';
export type {
  ToolCallContext, ToolCallOutcome, ToolOutcome, ToolRun,
} from '../tools/tool-run.ts';

/** What every hook receives. */
export interface EventContext<E = CallEvent['raw']> {
  /**
   * The event as the platform posted it, including fields unknown to this version. What it holds
   * depends on the wire. The properties below mean the same on every wire.
   */
  readonly event: E;
  readonly conversationId: string;
  /** The name of the wire that the event came over: `layercode`. */
  readonly wire: string;
  /** A BCP 47 tag such as `en-GB`. Undefined if the platform does not say; LayerCode never does. */
  readonly language: string | undefined;
  /**
   * What the platform knows about the call. On LayerCode: the event's `metadata` and
   * `custom_metadata` merged; the latter wins. A browser may have set it, so do not trust it.
   */
  readonly metadata: JsonObject;
  /**
   * The headers of the webhook request, including `custom_headers`. They are not signed, so do not
   * trust them.
   */
  readonly headers: IncomingHttpHeaders;
  /** Its lines carry the request id. Never log a caller's words. */
  readonly log: Logger;
  /**
   * Fires when nobody is waiting any more: the caller left or interrupted, the time is up, or the
   * server is closing. Pass it to `fetch`, models and tools.
   */
  readonly signal: AbortSignal;
}

/** What a speaking hook receives. All properties are own properties, so `{ ...turn }` works. */
export interface Turn<E = CallEvent['raw'], S = unknown>
  extends EventContext<E> {
  /** The platform's `turn_id`, or an id of our own. */
  readonly turnId: string;
  /**
   * The conversation so far, in turn order, up to the caller's words in this turn. A frozen
   * snapshot, taken when it is first read.
   */
  readonly history: readonly Message[];
  /** The phone numbers of a telephone call. Undefined for a browser. */
  readonly caller: Caller | undefined;
  /**
   * What the agent keeps about the conversation besides its history. Everything that runs for the
   * conversation in this process shares this object. Undefined for an agent without `state`.
   */
  readonly state: S;
  readonly journal: TurnJournal;
}

/** What an answered request to a model used: see `ModelDelta`. */
export type ModelUsage = Extract<ModelDelta, { type: 'usage' }>;

/** Why a request to a model got no complete answer. */
export type ModelRequestFailure = RequestFailure;

export type {
  ModelAnswer, ModelResponse, ModelServer, ModelTokens, RequestEvent, UsedTokens,
} from '../models/model.ts';

/** The reason of a turn's signal. An abort is a normal end; this name identifies it. */
export class TurnAbortedError extends Error {
  override readonly name = 'TurnAbortedError';
  readonly code = 'ABORT_ERR';
}

/** Adds what is not speech to a turn's record. For agents that run a model's tools themselves. */
export interface TurnJournal {
  /**
   * False in a turn that leaves nothing behind. Tools that act once cannot keep that promise there,
   * so a model is not offered them.
   */
  readonly mayActOnce: boolean;
  /**
   * Runs calls that a model made together, and records them with their results. Each acts once: if
   * the turn is delivered again, a call that is still running is joined, and a completed one is
   * not repeated. Resolves with one outcome per call and never rejects.
   */
  runTools(
    calls: readonly ToolCall[],
    toolFor: (call: ToolCall) => ToolRun,
  ): Promise<readonly ToolOutcome[]>;
  /**
   * What this run has said and called up to its last tool result, as later turns will find it in
   * history. Append it to `history` for the next prompt.
   */
  rounds(): readonly Message[];
  /**
   * Records tool calls that the agent runs itself. Await it before running them, so that they are
   * stored first. Every call gets one result in history, however the turn ends.
   */
  noteToolCalls(calls: readonly ToolCall[]): Awaitable<void>;
  /**
   * Records a call's result, as JSON text for the model. May be called after the turn's end,
   * because history holds what a tool really returned.
   */
  noteToolResult(toolCallId: string, content: string): void;
  /**
   * Call it while `runTools` runs that call. When the hook ends, the conversation continues with
   * the named agent on the same server. If that is not possible, rejects with an error for the
   * model.
   */
  handOver(toolCallId: string, agent: string): Promise<void>;
  /** Stores the agent's state now. See `ToolContext.saveState`. */
  saveState(): Promise<void>;
  /**
   * Asks the store for the values behind the placeholders in a JSON value, if another process has
   * heard them. Then `reveal` knows them. Does nothing without `REDACTION_KEY`, and never rejects.
   */
  bring(value: unknown): Promise<void>;
  /**
   * A copy of a JSON value with its placeholders replaced by their values, if the agent redacts.
   * Throws an `UnknownValueError` if this process does not know one of them: see `bring`.
   */
  reveal<T>(value: T): T;
  /** A copy of a JSON value with its values replaced by placeholders, if the agent redacts. */
  conceal<T>(value: T): T;
  /**
   * Notes what becomes of a request to a model, for metrics, log and records. Pass it to
   * `ChatModel.stream` as `onRequest`.
   */
  noteRequest(event: RequestEvent): void;
  /**
   * Runs the step that sends a request, so that what it sets off belongs to the request's span in a
   * trace. Pass it to `ChatModel.stream` as `runRequest`.
   */
  runRequest<T>(request: number, step: () => T): T;
  /**
   * Adds the usage to the metrics, and to the turn's log line unless the turn is over. Ignores a
   * request that `noteRequest` was told of.
   */
  noteUsage(usage: ModelUsage): void;
  /**
   * Adds a model request that got no complete answer to the metrics, unless `noteRequest` is told
   * of it.
   */
  noteFailedRequest(model: string, failure: ModelRequestFailure): void;
  /**
   * Adds a call's outcome to the metrics, and its time in milliseconds if given. `tool` must be one
   * of the agent's tools. `toolCallId` says which of the calls passed to `runTools` it is.
   */
  noteToolOutcome(
    tool: string,
    outcome: ToolCallOutcome,
    durationMs?: number,
    toolCallId?: string,
  ): void;
  /**
   * Sends the browser a report of a tool call, as `Reply.data` would. On a wire without browsers it
   * does nothing, and nothing is logged.
   */
  tellBrowser(report: JsonObject): void;
  /**
   * Speaks a filler, which is not part of the history. Does nothing, and returns false, once the
   * agent has spoken or the turn is over.
   */
  sayFiller(text: string): boolean;
}

/** What `onSessionStart` receives. */
export interface StartTurn<S = unknown> extends Turn<RawEvent<'start'>, S> {
  /**
   * Whether the conversation existed before: the caller reconnected and has been welcomed already.
   */
  readonly isResumed: boolean;
}

/** What `onMessage` receives. */
export interface MessageTurn<S = unknown> extends Turn<RawEvent<'message'>, S> {
  /** The caller's words. */
  readonly text: string;
}

/** What `onData` receives. */
export interface DataContext extends EventContext<RawEvent<'data'>> {
  /** What the browser sent. */
  readonly data: JsonObject;
}

/** What `onSessionEnd` receives. */
export interface SessionEndContext<S = unknown>
  extends EventContext<RawEvent<'end'>> {
  /** The whole conversation, in turn order. */
  readonly history: readonly Message[];
  /** The same as `Turn.caller`. */
  readonly caller: Caller | undefined;
  /** The same as `Turn.state`. Changes are not kept. */
  readonly state: S;
}

/** A turn that ended because the caller interrupted or left. */
export interface InterruptedTurn {
  readonly conversationId: string;
  readonly turnId: string;
  /**
   * The part of the reply sent by then, or what the platform says the caller heard. A later report
   * from the platform may leave less in history.
   */
  readonly text: string;
}

/**
 * What a speaking hook may return: a string, or an iterable of strings, spoken as they arrive.
 * Return nothing if the hook used `reply`, or has nothing to say. An iterable that ends without a
 * word fails the turn, because it promised text.
 */
export type Spoken = string | void | Iterable<string> | AsyncIterable<string>;

/** Why a turn failed, as the metrics count it. `agent`: something in the agent's own code. */
export type TurnFailureReason =
  | 'model' | 'first_word_timeout' | 'turn_timeout' | 'store' | 'reply_too_long' | 'agent';

/** What an apology may depend on. */
export interface TurnFailure {
  readonly reason: TurnFailureReason;
  /** The stable code of the error, such as a `ModelError`'s `no_credit`, if it has one. */
  readonly code: string | undefined;
  /** What was thrown. Never speak its message. */
  readonly error: unknown;
}

/** Decides what is said on a call. Hooks may be plain functions, async, or async generators. */
export interface Agent<S = unknown> {
  readonly name: string;
  /** One sentence for lists of agents. */
  readonly description?: string;
  /**
   * Said when a turn fails. A function may look at the turn's language and at the failure, and must
   * answer at once. Default "Sorry, something went wrong. Could you say that again?"
   */
  readonly apology?: string | ((turn: Turn, failure: TurnFailure) => string);
  /**
   * Said when the call has reached `MAX_COST_PER_CALL` or `MAX_TOKENS_PER_CALL`. Then the agent
   * hangs up. A function may look at the turn's language, and must answer at once. Default "I have
   * to end our call here. Thank you, and goodbye."
   */
  readonly limitReached?: string | ((turn: Turn) => string);
  /** What the agent keeps about a conversation besides its history. */
  readonly state?: State<S>;
  /**
   * What must not be kept: `cards`, `phones`, `ibans`, `emails`, a finder such as `cardNumbers`, a
   * function that returns text without it, or a list of these. Placeholders such as `[card 1]` take
   * its place before text is compared, stored, logged or sent to a model. Default: nothing.
   * docs/redaction.md
   */
  readonly redact?: Redact;
  /** A call begins, or a caller returns. */
  onSessionStart?(turn: StartTurn<S>, reply: Reply): Awaitable<Spoken>;
  /** The caller said something. */
  onMessage(turn: MessageTurn<S>, reply: Reply): Awaitable<Spoken>;
  /**
   * The caller's browser sent data. The returned value is answered as JSON; the default is
   * `{"status":"ok"}`.
   */
  onData?(context: DataContext): Awaitable<Json | void>;
  /** Something about the session changed, for instance that its recording is ready. */
  onSessionUpdate?(context: EventContext<RawEvent<'change'>>): Awaitable<void>;
  /** The session is over. A later session may resume the conversation. */
  onSessionEnd?(context: SessionEndContext<S>): Awaitable<void>;
  /** Called once per interrupted turn, whether it was still running or already sent. */
  onInterrupted?(turn: InterruptedTurn): Awaitable<void>;
  /** Called once by `createApp` to give the agent its models. */
  bind?(resources: AgentResources): BoundAgent;
}

/** What an app provides for agents that use a model. */
export interface AgentResources {
  /**
   * Opens the models named (`provider:model`, comma-separated), or those in the settings if no name
   * is given. Returns a `ChatModel` unchanged. Does not connect.
   */
  openModel(model?: string | ChatModel): ChatModel;
  readonly fastModel: string | undefined;
  readonly slowModel: string | undefined;
  /** 0 turns the filler off. */
  readonly fillerAfterMs: number;
  /** Called once for each tool that acts once and was made by a function of the turn. */
  readonly onOnceTool?: ((name: string) => void) | undefined;
  /** For evaluations: returns what takes the place of a tool. Default: the tool itself. */
  readonly replaceTool?: (<T extends KnownTool>(tool: T) => T) | undefined;
}

/** An agent with its model. */
export interface BoundAgent<S = unknown> extends Agent<S> {
  /** Undefined for an agent that needs no model. */
  readonly model?: ChatModel;
  /** Its tools, unless each turn makes its own. */
  readonly tools?: readonly KnownTool[];
  /** The tools that a function of the turn has made so far. */
  readonly madeTools?: readonly KnownTool[];
}

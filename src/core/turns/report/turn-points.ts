// What tracers and the subscribers of a channel are told while a turn runs: docs/tracing.md.

import { channel } from 'node:diagnostics_channel';

import type {
  ModelAnswer, ModelRequestFailure, ModelResponse, ModelServer, ModelTokens, ModelUsage,
  UsedTokens,
} from '../../agents/agent.ts';
import type { TurnEvent } from '../../calls/call-event.ts';
import type { ModelFigures } from '../../conversations/turn-figures.ts';
import type { ToolEnd } from '../../tools/tool-calling-turn.ts';

/**
 * How a delivery was answered. `replayed`: the turn had completed before, and its reply was sent
 * again. `taken over`: a newer delivery of the same turn got the reply, here or from another
 * process. `stale`: an older turn that had not completed was delivered again while a newer one was
 * running, and got only the end of the stream.
 */
export const TURN_OUTCOMES = [
  'completed',
  'interrupted',
  'failed',
  'replayed',
  'taken over',
  'stale',
] as const;
export type TurnOutcome = (typeof TURN_OUTCOMES)[number];

/** How metrics, the log and spans name the outcome. */
export function outcomeName(outcome: TurnOutcome): string {
  return outcome === 'taken over' ? 'taken_over' : outcome;
}

/** One run of a turn. All its points hold the same object. */
export interface TracedTurn {
  readonly conversationId: string;
  /** The platform's id of the turn, or an id of our own. */
  readonly turnId: string;
  /** The name of the wire that its event came over, such as `layercode`. */
  readonly wire: string;
  /** The name of the path's agent. */
  readonly agent: string;
}

/** A run of a turn begins. */
export interface TurnStarted {
  readonly type: 'turnStarted';
  readonly event: TurnEvent['type'];
  /** The caller's words. */
  readonly text?: string | undefined;
}

/** The run has spoken for the first time: a filler, or the agent's own words. */
export interface TurnSpoke<T extends 'filler' | 'firstWord'> {
  readonly type: T;
  /** Since the start of the turn, in milliseconds. */
  readonly afterMs: number;
}

/** The run fails, and the caller is told so. */
export interface TurnApologised {
  readonly type: 'apology';
}

/** The caller spoke over the reply or left, or the server ends the turn: `reason` says which. */
export interface TurnInterrupted {
  readonly type: 'interruption';
  readonly reason: string;
}

/** Its stream is over. Tools that may finish can still run. */
export interface TurnEnded {
  readonly type: 'turnEnded';
  readonly outcome: TurnOutcome;
  /** The agents that spoke, in order. Undefined if the path's own agent was the only one. */
  readonly speakers?: readonly string[] | undefined;
  /** How long it waited for the store, in milliseconds. */
  readonly storeMs?: number | undefined;
  /** How long its tools waited for `SETTLE_MS`, in milliseconds. */
  readonly settleMs?: number | undefined;
  /** The limit of its call that ended the turn: the agent hung up. */
  readonly limit?: 'cost' | 'tokens' | undefined;
  /** What each model has used, in the order of their first requests. Undefined: nothing. */
  readonly models?: readonly ModelFigures[] | undefined;
  /** Why it failed. */
  readonly error?: unknown;
  /** What the agent has said. */
  readonly text?: string | undefined;
}

/**
 * A request goes to a model. Occurs again with the same `request` if the model refuses a field and
 * gets the request without it.
 */
export interface ModelSent {
  readonly type: 'modelSent';
  /** Identifies the request in this process: several may run at the same time. */
  readonly request: number;
  /** `openai:gpt-6-luna` */
  readonly model: string;
  /** Counts the requests to this model for one answer, from 1. */
  readonly attempt: number;
  /** Where it goes, if that is known. */
  readonly server?: ModelServer | undefined;
  /** What the model gets: JSON text, without headers. */
  readonly body?: string | undefined;
}

/** The first text or tool call of its answer has come. */
export interface ModelBegan {
  readonly type: 'firstToken';
  readonly request: number;
  readonly model: string;
  /** Since the request was sent, in milliseconds. */
  readonly afterMs: number;
}

/** Its answer is complete. */
export interface ModelCompleted {
  readonly type: 'modelCompleted';
  /** Undefined if the model does not report when it is asked. */
  readonly request: number | undefined;
  /** With an estimate of the tokens that the vendor has not reported, if it `isEstimated`. */
  readonly usage: ModelUsage & { readonly isEstimated?: true };
  readonly response?: ModelResponse | undefined;
  readonly answer?: ModelAnswer | undefined;
}

/** There is no complete answer. */
export interface ModelFailed {
  readonly type: 'modelFailed';
  /** As in `ModelCompleted`. There may have been no `modelSent`. */
  readonly request: number | undefined;
  readonly model: string;
  readonly failure: ModelRequestFailure;
  /** One sentence that is safe to log, if there is one. */
  readonly reason?: string | undefined;
  /** What the vendor had reported. */
  readonly tokens?: ModelTokens | undefined;
  /** The same with an estimate of the rest. Undefined if it has used nothing. */
  readonly used?: UsedTokens | undefined;
  readonly response?: ModelResponse | undefined;
  readonly answer?: ModelAnswer | undefined;
}

/** The same model is asked again, `afterMs` milliseconds from now. */
export interface ModelRetried {
  readonly type: 'retry';
  readonly model: string;
  readonly failure: ModelRequestFailure;
  readonly afterMs: number;
}

/** The model `to` is asked instead. */
export interface ModelReplaced {
  readonly type: 'fallback';
  readonly model: string;
  readonly failure: ModelRequestFailure;
  readonly to: string;
}

/** A tool call begins to run. */
export interface ToolStarted {
  readonly type: 'toolStarted';
  readonly tool: string;
  /** Unique within the turn. */
  readonly toolCallId: string;
  /** JSON text, as the model wrote it. */
  readonly args?: string | undefined;
}

/**
 * Why a turn waits for the store: to open its record; to store tool calls before they run; to learn
 * what the call has used of its limits; for `saveState()`; for numbers of redacted values; to store
 * a reply before its stream ends.
 */
export type StoreStep = 'open' | 'tool_calls' | 'limits' | 'state' | 'values' | 'end';

/** The turn has waited for the store. Not emitted if the store answered at once. */
export interface StoreWaited {
  readonly type: 'storeWaited';
  readonly step: StoreStep;
  readonly durationMs: number;
}

/**
 * A tool call is over. `failed`: it threw, or its arguments were refused. `unknown`: it may have
 * acted.
 */
export interface ToolEnded {
  readonly type: 'toolEnded';
  readonly tool: string;
  readonly toolCallId: string;
  readonly outcome: ToolEnd;
  readonly durationMs: number;
  /** What it threw. */
  readonly error?: unknown;
  /** JSON text, for the model. */
  readonly result?: string | undefined;
}

/** What happens in a turn. Words of callers, agents and tools are there only if asked for. */
export type TurnHappening =
  | TurnStarted
  | TurnSpoke<'filler'>
  | TurnSpoke<'firstWord'>
  | TurnApologised
  | TurnInterrupted
  | TurnEnded
  | ModelSent
  | ModelBegan
  | ModelCompleted
  | ModelFailed
  | ModelRetried
  | ModelReplaced
  | ToolStarted
  | ToolEnded
  | StoreWaited;

/** What subscribers of the channel `layercode-microserver:turn` are told. */
export type TurnPoint = TurnHappening & { readonly turn: TracedTurn };

export const TURN_CHANNEL = channel('layercode-microserver:turn');

// The result of a scenario.

import type { Json } from '../../base/json.ts';
import type { TurnState } from '../../core/conversations/message.ts';
import type { ChatMessage } from '../../core/models/model.ts';

/** `undecided`: a judge gave no verdict that can be relied on. */
export type Outcome = 'passed' | 'failed' | 'undecided';

/** Tokens as the model's vendor counted them. */
export interface Tokens {
  readonly input: number;
  readonly output: number;
  /** In the currency of MODEL_PRICES. Undefined if a model has no price. */
  readonly cost: number | undefined;
}

/** One call of a tool. Lists are in the order in which the calls began. */
export interface ToolRunSeen {
  readonly tool: string;
  /** As `run` received them, or as the model sent them if they were refused. */
  readonly args: unknown;
  /**
   * `refused`: the arguments did not fit the schema. `not-begun`: its `once` threw. `running`: it
   * had not returned when the scenario ended.
   */
  readonly state: 'running' | 'completed' | 'failed' | 'refused' | 'not-begun';
  /**
   * What `run` returned, as the model gets it before a long result is cut, or the message of what
   * it threw.
   */
  readonly result: unknown;
  /** Equal for calls of which only one may act. Undefined if it may act again. */
  readonly onceKey: string | undefined;
  /** False if it was refused, did not begin, or reported that it had no effect. */
  readonly hasActed: boolean;
  /** Its idempotency key. A target that honours keys takes all runs with it for one. */
  readonly key?: string;
  /** Set if its process was killed, or its signal ended it. It may run again under the same key. */
  readonly isCut?: true;
}

/** A delivery of a turn, as the caller and their page saw it. */
export interface PlayedTurn {
  /** The number of the line that began it. Undefined: the welcome. */
  readonly lineNumber: number | undefined;
  /** The number of the caller's conversation, from 0. */
  readonly conversation: number;
  /** The caller's words. Undefined: the call begins. */
  readonly said: string | undefined;
  /** Whether this is the turn before, delivered again. */
  readonly isAgain: boolean;
  /** What the caller heard. */
  readonly heard: string;
  /** `interrupted`: the caller spoke over it. `dropped`: the connection broke. */
  readonly ending: 'whole' | 'interrupted' | 'dropped' | 'refused';
  /** As history has it at the end of the call. */
  readonly state: TurnState | undefined;
  readonly hangsUp: boolean;
  readonly data: readonly Json[];
  readonly tools: readonly ToolRunSeen[];
  /** What the model was shown, one entry per request. */
  readonly prompts: readonly (readonly ChatMessage[])[];
  /** Milliseconds from the request. Undefined if nothing was said. */
  readonly firstWordMs: number | undefined;
  readonly durationMs: number;
  /** Whether one of the model's answers was cut at its limit. */
  readonly isCut: boolean;
  /** Undefined if no vendor reported any. */
  readonly tokens: Tokens | undefined;
  /** Warnings and errors that the server logged meanwhile, one line each. */
  readonly log: readonly string[];
}

/** One reason why a scenario did not pass. */
export interface ScenarioFailure {
  /**
   * `expectation`: something that the scenario expects is not so. `judge`: the same, in a judge's
   * opinion. `course`: the call could not go on as the scenario says, for example because the reply
   * had fewer words than an interruption needs. `request`: a model was sent something other than
   * what was accepted.
   */
  readonly kind: 'expectation' | 'judge' | 'course' | 'request';
  /** The line of the scenario; undefined if the failure is not about a line. */
  readonly lineNumber: number | undefined;
  /** The line as it was written, or what was being done. */
  readonly written: string;
  readonly reasons: readonly string[];
  /** Index of the turn in `turns`; undefined if the failure is about the whole call. */
  readonly turn: number | undefined;
}

/** One run of one scenario. */
export interface ScenarioResult {
  readonly file: string;
  readonly name: string;
  readonly outcome: Outcome;
  readonly failures: readonly ScenarioFailure[];
  /** What a judge could not decide, one line each. */
  readonly undecided: readonly string[];
  readonly turns: readonly PlayedTurn[];
  readonly durationMs: number;
}

/** The result of a run that has also failed for these reasons, which are not about a line. */
export function withFailure(
  result: ScenarioResult,
  written: string,
  reasons: readonly string[],
): ScenarioResult {
  const failure: ScenarioFailure = {
    kind: 'course', lineNumber: undefined, written, reasons, turn: undefined,
  };
  return { ...result, outcome: 'failed', failures: [...result.failures, failure] };
}

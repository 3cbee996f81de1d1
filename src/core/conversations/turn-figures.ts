// What the record of a call says about a turn besides its messages. Times are in milliseconds.

import type { CapturedTurn } from '../captures/captured-requests.ts';
import type { ToolCallState } from './message.ts';

/** What requests used and cost. */
export interface CostFigures {
  /** In the currency of the prices. Missing if the model has no price. */
  readonly cost?: number | undefined;
  /** Set if tokens are estimated: a request was cut off before the vendor reported them. */
  readonly isEstimated?: true | undefined;
}

/**
 * One model's requests in a turn, except for those that have used nothing. A token count is
 * undefined if the vendor reported none.
 */
export interface ModelFigures extends CostFigures {
  readonly model: string;
  readonly requests: number;
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
  readonly cachedTokens: number | undefined;
}

/** A request to a model. Fields without a value are missing. */
export interface RequestFigures extends CostFigures {
  readonly model: string;
  /** From the start of the turn. */
  readonly startedMs: number;
  /** From then to its first text or tool call. */
  readonly firstTokenMs?: number | undefined;
  readonly durationMs?: number | undefined;
  /** More than 1 if the same model was asked before, for the same answer. */
  readonly attempt?: number | undefined;
  /** Why there was no complete answer: the code of a `ModelError`, `interrupted` or `failed`. */
  readonly failure?: string | undefined;
  /** Set if its answer was cut at the model's limit. */
  readonly finishReason?: 'length' | undefined;
  /** Why it failed, in one sentence, if there is one. It quotes nothing. */
  readonly reason?: string | undefined;
  /** The same model was asked again, this much later. */
  readonly retriedAfterMs?: number | undefined;
  /** The model that was asked instead. */
  readonly fellBackTo?: string | undefined;
  readonly inputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
  readonly cachedTokens?: number | undefined;
}

/** A tool call that ran. Its arguments and its result are in the turn's messages. */
export interface ToolFigures {
  readonly toolCallId: string;
  /** The tool's name, or `unknown`. */
  readonly tool: string;
  /** From the start of the turn. */
  readonly startedMs: number;
  /** Missing, like the outcome, if it was still running when the turn ended. */
  readonly durationMs?: number | undefined;
  readonly outcome?: ToolCallState | 'failed' | undefined;
  /** What it threw: the same as `FailureFigures.detail`. */
  readonly detail?: string | undefined;
}

/** A text that was spoken before the agent's first word. */
export interface FillerFigures {
  readonly text: string;
  /** From the start of the turn. */
  readonly afterMs: number;
}

/** Why a turn failed. */
export interface FailureFigures {
  /** The same as the label of `layercode_turn_failures_total`. */
  readonly reason: string;
  /** One line. Never what an agent's own error says, which may quote anything. */
  readonly detail?: string | undefined;
}

/** Times are missing while the turn is running, and if its process died. */
export interface TurnFigures {
  readonly sessionId: string;
  /** Since the epoch. */
  readonly startedAt: number;
  readonly durationMs?: number | undefined;
  /** Also missing if nothing was spoken. */
  readonly firstSpeechMs?: number | undefined;
  /** The same without fillers. */
  readonly firstWordMs?: number | undefined;
  /** From a request to its first text or tool call. Also missing if no model was called. */
  readonly firstTokenMs?: number | undefined;
  /** Time it waited for the store. */
  readonly storeMs?: number | undefined;
  /** Time its tools waited before having effects, in case the platform replaced the turn. */
  readonly settleMs?: number | undefined;
  /** From the start of the turn to the beginning of that wait. */
  readonly settlingFromMs?: number | undefined;
  readonly failure?: FailureFigures | undefined;
  /** Places in the state, such as `/total`, that another run set meanwhile. */
  readonly collisions?: readonly string[] | undefined;
  /** The call's limit that ended the turn. */
  readonly limit?: 'cost' | 'tokens' | undefined;
  readonly models?: readonly ModelFigures[] | undefined;
  readonly requests?: readonly RequestFigures[] | undefined;
  readonly tools?: readonly ToolFigures[] | undefined;
  readonly fillers?: readonly FillerFigures[] | undefined;
  /** Only with `CAPTURE_MODEL_REQUESTS`, and in the playground. */
  readonly captured?: CapturedTurn | undefined;
}

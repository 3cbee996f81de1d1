// The figures of a turn, for the record of its call.

import { originalFrame } from '../../../base/source-positions.ts';
import { framesOf, withoutMessage } from '../../../base/thrown-values.ts';
import type { TurnEvent } from '../../calls/call-event.ts';
import { captured } from '../../captures/captured-requests.ts';
import type {
  FailureFigures, RequestFigures, ToolFigures, TurnFigures,
} from '../../conversations/turn-figures.ts';
import { failureReasonOf } from './failure-reason.ts';
import { costFigures, costIn, modelFigures } from './model-figures.ts';
import type { TurnWork, WorkCall, WorkRequest } from './turn-work.ts';

/** A turn whose figures are kept. Its times are on the clock of `performance.now()`. */
export interface MeasuredTurn {
  readonly event: TurnEvent;
  readonly startedAtMs: number;
  /** From the start to the first spoken event. */
  readonly firstSpeechMs: number | undefined;
  /** The same without fillers. */
  readonly firstWordMs: number | undefined;
  readonly workSoFar: TurnWork | undefined;
  /** Why it failed. */
  readonly error: unknown;
}

/**
 * Maximum number of requests, tool calls and fillers that a turn keeps figures of: the first ones.
 */
export const MAX_FIGURES = 100;
const MAX_DETAIL_LENGTH = 200;

/** Which turns leave figures for the records of their calls. */
export interface FiguresKept {
  /** Whether all do. */
  readonly ofAllTurns: boolean;
  /** Whether turns that ask a model do, with what it was sent and what it answered. */
  readonly ofRequests: boolean;
}

/** Takes the figures of turns. */
export class FigureTaker {
  readonly #kept: FiguresKept;

  constructor(kept: FiguresKept) {
    this.#kept = kept;
  }

  /** The figures of a turn that is beginning. */
  atStart({ event, startedAtMs }: MeasuredTurn): TurnFigures | undefined {
    return this.#kept.ofAllTurns ? figuresAtStart(event, startedAtMs) : undefined;
  }

  /** The figures of a turn that is ending. */
  atEnd(turn: MeasuredTurn, hasFailed: boolean): TurnFigures | undefined {
    const { ofAllTurns, ofRequests } = this.#kept;
    const { event, startedAtMs, firstSpeechMs, firstWordMs, workSoFar: work, error } = turn;
    if (!ofAllTurns && !(ofRequests && work !== undefined)) return undefined;
    const nowMs = performance.now() - startedAtMs;
    return {
      ...figuresAtStart(event, startedAtMs),
      durationMs: Math.round(nowMs),
      firstSpeechMs: rounded(firstSpeechMs),
      firstWordMs: rounded(firstWordMs),
      failure: hasFailed ? failureFigures(error) : undefined,
      ...(work === undefined ? {} : figuresOf(work, nowMs)),
      ...(work !== undefined && ofRequests ? { captured: captured(work.requests) } : {}),
    };
  }
}

/** `startedAtMs` is a value of `performance.now()`. */
function figuresAtStart(event: TurnEvent, startedAtMs: number): TurnFigures {
  return {
    sessionId: event.sessionId,
    startedAt: Math.round(Date.now() - (performance.now() - startedAtMs)),
  };
}

function figuresOf(work: TurnWork, nowMs: number): Partial<TurnFigures> {
  const { requests, calls, fillers } = work;
  const answered = requests.find(({ firstDeltaMs }) => firstDeltaMs !== undefined);
  return {
    firstTokenMs: rounded(answered?.firstDeltaMs),
    limit: work.limit,
    storeMs: Math.round(work.storeMs) || undefined,
    ...settling(work),
    models: modelFigures(work),
    requests: first(requests, (request) => requestFigures(request, nowMs, work)),
    tools: first(calls, toolFigures),
    fillers: first(fillers, ({ text, afterMs }) => ({ text, afterMs: Math.round(afterMs) })),
  };
}

function settling({ settlingFromMs, settleMs }: TurnWork): Partial<TurnFigures> {
  const waitedMs = Math.round(settleMs);
  return waitedMs === 0 ? {} : { settleMs: waitedMs, settlingFromMs: rounded(settlingFromMs) };
}

function first<T, U>(all: readonly T[], figures: (one: T) => U): readonly U[] | undefined {
  return all.length === 0 ? undefined : all.slice(0, MAX_FIGURES).map(figures);
}

/** A request that is still running ends with its turn, which may not have been reported yet. */
function requestFigures(
  request: WorkRequest,
  nowMs: number,
  { requests, costOf }: TurnWork,
): RequestFigures {
  const { model, startedMs, attempt, firstDeltaMs, durationMs, finishReason } = request;
  const tokens = request.used?.() ?? request.tokens;
  const { inputTokens, outputTokens, cachedTokens } = tokens ?? {};
  const isOver = durationMs !== undefined || request.failure !== undefined;
  return {
    model,
    startedMs: Math.round(startedMs),
    firstTokenMs: rounded(firstDeltaMs),
    durationMs: rounded(isOver ? durationMs : nowMs - startedMs),
    attempt: attempt === 1 ? undefined : attempt,
    failure: isOver ? request.failure : 'interrupted',
    finishReason: finishReason === 'length' ? finishReason : undefined,
    reason: request.reason,
    retriedAfterMs: wasAskedAgain(request, requests) ? rounded(request.retriedAfterMs) : undefined,
    fellBackTo: request.fellBackTo,
    inputTokens, outputTokens, cachedTokens,
    ...costFigures(costIn(model, tokens, costOf), tokens?.isEstimated === true),
  };
}

/** A turn can end during the wait before the next request. */
function wasAskedAgain(request: WorkRequest, all: readonly WorkRequest[]): boolean {
  const next = all.slice(all.indexOf(request) + 1);
  return next.some(({ model }) => model === request.model);
}

function toolFigures(
  { call, tool, startedMs, durationMs, outcome, error }: WorkCall,
): ToolFigures {
  return {
    toolCallId: call.id,
    tool,
    startedMs: Math.round(startedMs),
    durationMs: rounded(durationMs),
    outcome,
    detail: detailOf(error),
  };
}

function failureFigures(error: unknown): FailureFigures {
  const [reason, detail] = [failureReasonOf(error), detailOf(error)];
  return detail === undefined ? { reason } : { reason, detail };
}

/** Says where an error comes from, and not what it says: that may quote the caller. */
function detailOf(error: unknown): string | undefined {
  const bare = withoutMessage(error);
  if (bare === undefined) return undefined;
  const code = 'code' in bare ? ` ${String(bare.code)}` : '';
  const [frame] = framesOf(bare);
  const detail = `${bare.name}${code}${frame === undefined ? '' : ` ${originalFrame(frame)}`}`;
  return detail.replace(/\s+/g, ' ').slice(0, MAX_DETAIL_LENGTH);
}

function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms);
}

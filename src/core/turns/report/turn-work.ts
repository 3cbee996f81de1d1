// What models and tools do for a turn: reported at once to the observer, and kept for the turn's
// log line and the record of its call.

import type {
  ModelAnswer, ModelRequestFailure, ModelTokens, ModelUsage, RequestEvent, ToolCallOutcome,
  UsedTokens,
} from '../../agents/agent.ts';
import type { ToolCall } from '../../conversations/message.ts';
import type { ToolEnd } from '../../tools/tool-calling-turn.ts';
import type { StoreStep, TurnHappening } from './turn-points.ts';

/**
 * `toolBegan`: a call starts to run. `toolEnded` follows once it returns, even if its turn is over
 * by then. `tool` is its name for logs and metrics; `call` is what the model has written.
 */
export type ToolEvent =
  | { readonly type: 'toolBegan'; readonly tool: string; readonly call: ToolCall }
  | {
      readonly type: 'toolEnded';
      readonly tool: string;
      readonly call: ToolCall;
      readonly outcome: ToolEnd;
      readonly durationMs: number;
      /** JSON text for the model. */
      readonly content: string;
      /** What it threw. Undefined if it threw nothing, or its arguments were refused. */
      readonly error: unknown;
    };

export type WorkEvent = RequestEvent | ToolEvent;

/** The turn that models and tools work for. */
export interface WorkingTurn {
  readonly conversationId: string;
  readonly turnId: string;
  readonly runId: number;
  /** On the clock of `performance.now()`. */
  readonly startedAtMs: number;
  readonly isOver: boolean;
  /** Undefined if nobody follows the turn. */
  readonly trace: WorkTrace | undefined;
}

/** Told at once what happens. */
export interface WorkTrace {
  note(happening: TurnHappening): void;
  noteWork(event: WorkEvent): void;
}

/** Told at once what models and tools did, even if their turn is over by then. */
export interface WorkObserver {
  /** For metrics. */
  modelRequest(model: string, outcome: 'completed' | 'length' | ModelRequestFailure): void;
  /**
   * For metrics. `durationMs` is undefined if the tool did not run, or if that is not known.
   */
  toolCall(tool: string, outcome: ToolCallOutcome, durationMs: number | undefined): void;
  /** The outcome of a call became unknown. */
  unknownOutcome(tool: string): void;
  /** A turn has ended at that limit of its call. */
  limitReached(limit: 'cost' | 'tokens'): void;
  /** Told everything, as it happens. Default: not told. */
  happened?(event: WorkEvent, turn: WorkingTurn): void;
}

/** A request to a model. Times are in milliseconds. */
export interface WorkRequest {
  readonly model: string;
  /** From the start of the turn. */
  readonly startedMs: number;
  /** 1 for the first to this model. Undefined for a model that reports only its usage. */
  readonly attempt: number | undefined;
  /** What the model was sent, as JSON. Undefined for a model that reports only its usage. */
  body: string | undefined;
  firstDeltaMs: number | undefined;
  /** Undefined while it runs. */
  durationMs: number | undefined;
  /** Undefined while it runs, and if it was answered. */
  failure: ModelRequestFailure | undefined;
  /** The same in one sentence that is safe to log, if there is one. */
  reason: string | undefined;
  /** Why its answer ended, if the vendor says: see `ModelDelta`. */
  finishReason: string | undefined;
  tokens: (ModelTokens & { readonly isEstimated?: true }) | undefined;
  answer: ModelAnswer | undefined;
  /**
   * What it has used by now, if it gets no complete answer. Undefined for a model that does not
   * report it, and once the request has been answered.
   */
  used: (() => UsedTokens | undefined) | undefined;
  /** Set if the same model is to be asked again, this much later. */
  retriedAfterMs: number | undefined;
  /** Set if this model was asked instead. */
  fellBackTo: string | undefined;
}

/** Tokens of a request to a model that got no complete answer. */
export interface CutUsage extends UsedTokens {
  readonly model: string;
}

/** Tokens of an answered request. */
export type AnsweredUsage = ModelUsage & {
  /** Set if the vendor has not reported them. */
  readonly isEstimated?: true;
};

/** A tool call that has begun to run. Times are in milliseconds. */
export interface WorkCall {
  readonly tool: string;
  readonly call: ToolCall;
  /** From the start of the turn. */
  readonly startedMs: number;
  /** Undefined while it runs. */
  durationMs: number | undefined;
  outcome: ToolEnd | undefined;
  /** What it threw, if it threw anything. */
  error: unknown;
}

/** What tokens of that model cost. Undefined if the model has no price. */
export type CostOf = (model: string, tokens: ModelTokens) => number | undefined;

/** Created when a turn first waits for something: one that answers at once needs none. */
export class TurnWork {
  /** Waits for the store, in milliseconds. */
  storeMs = 0;
  /** When its tools began to wait for `SETTLE_MS`, from the start in milliseconds. */
  settlingFromMs: number | undefined;
  /** The time of all its tools together, which may have run at the same time. */
  toolMs = 0;
  slowestTool: string | undefined;
  /** The limit of its call that has ended the turn. */
  limit: 'cost' | 'tokens' | undefined;
  /** One entry per request that was answered while the turn ran. Undefined before the first. */
  usage: AnsweredUsage[] | undefined;
  /** In the order in which they were sent. */
  readonly requests: WorkRequest[] = [];
  /** In the order in which they began. */
  readonly calls: WorkCall[] = [];
  /** Texts that were spoken before the agent's first word. Times are from the start. */
  readonly fillers: { readonly text: string; readonly afterMs: number }[] = [];
  readonly costOf: CostOf;
  readonly #turn: WorkingTurn;
  readonly #observer: WorkObserver | undefined;
  #slowestMs = 0;
  /** When the wait for `SETTLE_MS` was over. */
  #settledAtMs: number | undefined;
  /** The running requests, by the number in their events. */
  readonly #running = new Map<number, WorkRequest>();
  /** Usage that has already been counted: an agent may note it, too. */
  readonly #noted = new WeakSet<ModelUsage>();
  /** Outcomes that are more exact than what the model is told. */
  readonly #outcomes = new Map<string, ToolCallOutcome>();

  constructor(
    turn: WorkingTurn,
    observer: WorkObserver | undefined,
    costOf: CostOf = () => undefined,
  ) {
    this.#turn = turn;
    this.#observer = observer;
    this.costOf = costOf;
  }

  /** `fromMs`: since when it has waited, on the clock of `performance.now()`. */
  noteStore(step: StoreStep, fromMs: number): void {
    const durationMs = performance.now() - fromMs;
    this.storeMs += durationMs;
    this.#turn.trace?.note({ type: 'storeWaited', step, durationMs });
  }

  settlingBegan(): void {
    this.settlingFromMs ??= this.#sinceStart();
  }

  settlingEnded(): void {
    this.#settledAtMs = this.#sinceStart();
  }

  /** How long its tools have waited for `SETTLE_MS` by now, in milliseconds. */
  get settleMs(): number {
    const untilMs = this.#settledAtMs ?? this.#sinceStart();
    return this.settlingFromMs === undefined ? 0 : untilMs - this.settlingFromMs;
  }

  noteFiller(text: string): void {
    this.fillers.push({ text: text.trim(), afterMs: this.#sinceStart() });
  }

  // Requests to models.

  noteRequest(event: RequestEvent): void {
    switch (event.type) {
      case 'sent':
        this.#sent(event);
        break;
      case 'firstDelta': {
        const request = this.#running.get(event.request);
        if (request !== undefined) request.firstDeltaMs = event.ms;
        break;
      }
      case 'completed':
        return this.#tell({ ...event, usage: this.#completed(event) });
      case 'failed':
        this.#failed(event);
        break;
      case 'retry':
      case 'fallback': {
        const last = this.requests.findLast(
          ({ model, failure }) => model === event.model && failure !== undefined,
        );
        if (last === undefined) break;
        if (event.type === 'retry') last.retriedAfterMs = event.afterMs;
        else last.fellBackTo = event.to;
        break;
      }
      default:
        event satisfies never;
    }
    this.#tell(event);
  }

  /** For a model that does not report its requests. Does nothing for any other. */
  noteUsage(usage: ModelUsage): void {
    if (this.#noted.has(usage)) return;
    const { model, firstDeltaMs, durationMs = firstDeltaMs, finishReason } = usage;
    const request = newRequest(model, this.#sinceStart() - durationMs);
    const ended = { firstDeltaMs, durationMs, finishReason, tokens: usage };
    this.requests.push(Object.assign(request, ended));
    this.#used(usage);
    this.#turn.trace?.note({ type: 'modelCompleted', request: undefined, usage });
  }

  /** The same for a request without a complete answer. */
  noteFailure(model: string, failure: ModelRequestFailure): void {
    const request = newRequest(model, this.#sinceStart());
    this.requests.push(Object.assign(request, { failure }));
    this.#observer?.modelRequest(model, failure);
    this.#turn.trace?.note({ type: 'modelFailed', request: undefined, model, failure });
  }

  #sent(event: Extract<RequestEvent, { type: 'sent' }>): void {
    const { request: number, model, attempt, body, usedSoFar } = event;
    const running = this.#running.get(number);
    if (running !== undefined) return void (running.body = body); // again, without a field
    const request = newRequest(model, this.#sinceStart(), attempt);
    request.body = body;
    request.used = usedSoFar;
    this.#running.set(number, request);
    this.requests.push(request);
  }

  #completed(
    { request: number, usage, answer }: Extract<RequestEvent, { type: 'completed' }>,
  ): AnsweredUsage {
    const request = this.#ended(number, usage.model);
    const { firstDeltaMs, durationMs = this.#sinceStart() - request.startedMs } = usage;
    const { finishReason } = usage;
    const tokens = withEstimate(usage, request.used);
    const ended = { firstDeltaMs, durationMs, finishReason, tokens, answer, used: undefined };
    Object.assign(request, ended);
    this.#noted.add(usage);
    this.#used(tokens);
    return tokens;
  }

  #used(usage: AnsweredUsage): void {
    const outcome = usage.finishReason === 'length' ? 'length' : 'completed';
    this.#observer?.modelRequest(usage.model, outcome);
    if (!this.#turn.isOver) (this.usage ??= []).push(usage);
  }

  #failed(event: Extract<RequestEvent, { type: 'failed' }>): void {
    const { request: number, model, failure, reason, durationMs, tokens, answer, used } = event;
    const ended = { failure, reason, durationMs, tokens, answer, used: () => used };
    Object.assign(this.#ended(number, model), ended);
    this.#observer?.modelRequest(model, failure);
  }

  #ended(number: number, model: string): WorkRequest {
    const request = this.#running.get(number);
    this.#running.delete(number);
    if (request !== undefined) return request;
    const unsent = newRequest(model, this.#sinceStart());
    this.requests.push(unsent);
    return unsent;
  }

  /**
   * What requests without a complete answer have used by now, including those still running.
   * Estimated if the vendor has not reported it.
   */
  get cut(): readonly CutUsage[] {
    return this.requests.flatMap(({ model, used }) => {
      const tokens = used?.();
      return tokens === undefined ? [] : [{ model, ...tokens }];
    });
  }

  /**
   * How much of the wait before a failed request is repeated has passed, in milliseconds. Undefined
   * if it is not repeated.
   */
  waitedAfter({ startedMs, durationMs = 0, retriedAfterMs }: WorkRequest): number | undefined {
    if (retriedAfterMs === undefined) return undefined;
    return Math.min(retriedAfterMs, this.#sinceStart() - startedMs - durationMs);
  }

  // Tool calls.

  toolBegan(tool: string, call: ToolCall): void {
    const startedMs = this.#sinceStart();
    const ended = { durationMs: undefined, outcome: undefined, error: undefined };
    this.calls.push({ tool, call, startedMs, ...ended });
    this.#tell({ type: 'toolBegan', tool, call });
  }

  /** `outcome` counts unless the agent has noted another one. Ignored if the call never began. */
  toolEnded(id: string, outcome: ToolEnd, content: string, error?: unknown): void {
    const began = this.calls.findLast(({ call }) => call.id === id);
    if (began === undefined || began.outcome !== undefined) return;
    const { tool, call, startedMs } = began;
    began.durationMs = this.#sinceStart() - startedMs;
    began.outcome = outcome === 'completed' ? (this.#outcomes.get(id) ?? outcome) : outcome;
    began.error = error;
    const { durationMs } = began;
    const ended = { tool, call, outcome: began.outcome, durationMs, content, error };
    this.#tell({ type: 'toolEnded', ...ended });
  }

  /** See `TurnJournal.noteToolOutcome`. */
  noteToolOutcome(
    tool: string,
    outcome: ToolCallOutcome,
    ms: number | undefined,
    id: string | undefined,
  ): void {
    this.#observer?.toolCall(tool, outcome, ms);
    if (id !== undefined) this.#outcomes.set(id, outcome);
    if (ms === undefined) return;
    this.toolMs += ms;
    if (ms < this.#slowestMs) return;
    this.#slowestMs = ms;
    this.slowestTool = tool;
  }

  #tell(event: WorkEvent): void {
    this.#observer?.happened?.(event, this.#turn);
    this.#turn.trace?.noteWork(event);
  }

  #sinceStart(): number {
    return performance.now() - this.#turn.startedAtMs;
  }
}

/** Estimates what the vendor has not reported about an answered request, as for one cut off. */
function withEstimate(usage: ModelUsage, used: WorkRequest['used']): AnsweredUsage {
  const { inputTokens, outputTokens } = usage;
  if (inputTokens !== undefined && outputTokens !== undefined) return usage;
  const estimate = used?.();
  return estimate === undefined ? usage : { ...usage, ...estimate, isEstimated: true };
}

function newRequest(model: string, startedMs: number, attempt?: number): WorkRequest {
  return {
    model, startedMs: Math.max(0, startedMs), attempt,
    body: undefined, firstDeltaMs: undefined, durationMs: undefined, failure: undefined,
    reason: undefined, finishReason: undefined, tokens: undefined, answer: undefined,
    used: undefined, retriedAfterMs: undefined, fellBackTo: undefined,
  };
}

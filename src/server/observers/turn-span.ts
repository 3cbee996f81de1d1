import type { RunLinks, TracePlace } from '../../core/conversations/trace-place.ts';
import { failureReasonOf } from '../../core/turns/report/failure-reason.ts';
import {
  outcomeName, type StoreWaited, type ToolEnded, type ToolStarted, type TracedTurn,
  type TurnEnded, type TurnHappening,
} from '../../core/turns/report/turn-points.ts';
import type { TurnFollower } from '../../core/turns/report/turn-trace.ts';
import type { CostOf } from '../../core/turns/report/turn-work.ts';
import { errorTypeOf, type OpenSpan } from './open-span.ts';
import { SPAN_KINDS } from './open-telemetry.ts';
import { RequestSpans, totalOf } from './request-spans.ts';
import { spokenMessage } from './span-messages.ts';
import { ATTRIBUTES as A, EVENTS, OPERATIONS, STORE_SPAN } from './span-names.ts';

/** Traces a run of a turn as one span, and each model request and tool call in it as another. */
export class TurnSpan implements TurnFollower {
  readonly place: TracePlace;
  readonly #turn: TracedTurn;
  readonly #self: OpenSpan;
  readonly #requests: RequestSpans;
  /** The spans of running tool calls, by id. */
  readonly #tools = new Map<string, OpenSpan>();
  readonly #attempt: (step: () => void) => void;

  /** `attempt` runs a step that may throw. */
  constructor(
    turn: TracedTurn,
    self: OpenSpan,
    costOf: CostOf,
    attempt: (step: () => void) => void,
  ) {
    this.#turn = turn;
    this.#self = self;
    this.#requests = new RequestSpans(self, turn.conversationId, costOf);
    this.#attempt = attempt;
    const { traceId, spanId, traceFlags } = self.span.spanContext();
    this.place = { traceId, spanId, traceFlags };
  }

  /** Does nothing if the SDK is too old to add links to a span that has begun. */
  link({ repeats, interrupts }: RunLinks): void {
    this.#attempt(() => {
      const { span } = this.#self;
      for (const [how, context] of Object.entries({ repeats, interrupts }))
        if (context !== undefined) span.addLink?.({ context, attributes: { [A.link]: how } });
    });
  }

  run<T>(step: () => T): T {
    return this.#self.run(step);
  }

  runRequest<T>(request: number, step: () => T): T {
    return (this.#requests.of(request) ?? this.#self).run(step);
  }

  runTool<T>(toolCallId: string, step: () => T): T {
    return (this.#tools.get(toolCallId) ?? this.#self).run(step);
  }

  note(happening: TurnHappening): void {
    const isIdle = this.#tools.size + this.#requests.count === 0;
    if (isIdle && !this.#self.span.isRecording()) return; // it is over
    this.#attempt(() => this.#note(happening));
  }

  #note(happening: TurnHappening): void {
    const { span } = this.#self;
    switch (happening.type) {
      case 'turnStarted':
        span.setAttributes({ [A.event]: happening.event });
        if (happening.text !== undefined)
          span.setAttributes({ [A.inputMessages]: spokenMessage('user', happening.text) });
        return;
      case 'filler':
      case 'firstWord':
        return void span.addEvent(EVENTS[happening.type], { [A.afterMs]: happening.afterMs });
      case 'apology':
        return void span.addEvent(EVENTS.apology);
      case 'interruption':
        return void span.addEvent(EVENTS.interruption, { [A.reason]: happening.reason });
      case 'turnEnded':
        return this.#end(happening);
      case 'modelSent':
        return this.#requests.sent(happening);
      case 'firstToken':
        return this.#requests.began(happening);
      case 'modelCompleted':
        return this.#requests.completed(happening);
      case 'modelFailed':
        return this.#requests.failed(happening);
      case 'retry':
      case 'fallback':
        return this.#requests.askedAgain(happening);
      case 'toolStarted':
        return this.#startTool(happening);
      case 'toolEnded':
        return this.#endTool(happening);
      case 'storeWaited':
        return this.#waited(happening);
      default:
        happening satisfies never;
    }
  }

  #end({ outcome, speakers, storeMs, settleMs, limit, models, error, text }: TurnEnded): void {
    const { span } = this.#self;
    const hasSpoken = text !== undefined && text !== '';
    span.setAttributes({
      [A.turn]: this.#turn.turnId,
      [A.outcome]: outcomeName(outcome),
      [A.speakers]: speakers?.join(','),
      [A.storeMs]: storeMs,
      [A.settleMs]: settleMs,
      [A.limit]: limit,
      ...totalOf(models),
      [A.outputMessages]: hasSpoken ? spokenMessage('assistant', text) : undefined,
    });
    if (outcome === 'failed') {
      span.setAttributes({ [A.failure]: failureReasonOf(error) });
      this.#self.fail(errorTypeOf(error));
    }
    span.end();
  }

  /** The span is added once the wait is over, because most steps do not wait at all. */
  #waited({ step, durationMs }: StoreWaited): void {
    this.#self.child(`${STORE_SPAN} ${step}`, {
      kind: SPAN_KINDS.internal,
      attributes: { [A.conversation]: this.#turn.conversationId, [A.storeStep]: step },
      startTime: Date.now() - durationMs,
    }).span.end();
  }

  #startTool({ tool, toolCallId, args }: ToolStarted): void {
    const child = this.#self.child(`${OPERATIONS.tool} ${tool}`, {
      kind: SPAN_KINDS.internal,
      attributes: {
        [A.operation]: OPERATIONS.tool,
        [A.provider]: this.#requests.provider,
        [A.tool]: tool,
        [A.toolType]: 'function',
        [A.toolCall]: toolCallId,
        [A.conversation]: this.#turn.conversationId,
      },
    });
    if (args !== undefined) child.span.setAttributes({ [A.toolArguments]: args });
    this.#tools.set(toolCallId, child);
  }

  #endTool({ toolCallId, outcome, error, result }: ToolEnded): void {
    const open = this.#tools.get(toolCallId);
    this.#tools.delete(toolCallId);
    if (open === undefined) return;
    open.span.setAttributes({ [A.outcome]: outcome, [A.toolResult]: result });
    if (outcome === 'failed' || outcome === 'unknown') open.fail(errorTypeOf(error));
    open.span.end();
  }
}

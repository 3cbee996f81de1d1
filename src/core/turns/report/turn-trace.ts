import type { IncomingHttpHeaders } from 'node:http';

import type { Logger } from '../../../base/log.ts';
import type { Speakers } from '../../agents/speakers.ts';
import { textOf, type TurnEvent } from '../../calls/call-event.ts';
import type { RunLinks, TracedRun, TracePlace } from '../../conversations/trace-place.ts';
import { modelFigures } from './model-figures.ts';
import {
  TURN_CHANNEL, type TracedTurn, type TurnEnded, type TurnHappening,
} from './turn-points.ts';
import type { TurnWork, WorkEvent, WorkTrace } from './turn-work.ts';

/** Follows turns, for instance with the spans of a trace. */
export interface Tracer {
  /** Called in the async context of the turn's request. Undefined for a turn that is not traced. */
  start(turn: TracedTurn, headers: IncomingHttpHeaders): TurnFollower | undefined;
  /** Exports what it has collected. Resolves after 2 s at the latest, and never rejects. */
  flush(): Promise<void>;
}

/** Follows one run of a turn. Must not throw, except for what a step throws. */
export interface TurnFollower {
  /** Where later runs find it. Undefined if nobody collects it. */
  readonly place: TracePlace | undefined;
  /** Links the run to earlier ones, in any process. */
  link(links: RunLinks): void;
  /** Runs a step of the turn. What the step sets off belongs to the turn. */
  run<T>(step: () => T): T;
  /** Runs a step of the model request with this number. */
  runRequest<T>(request: number, step: () => T): T;
  /** Runs a step of the tool call with this id. */
  runTool<T>(toolCallId: string, step: () => T): T;
  note(happening: TurnHappening): void;
}

/** How turns are traced. */
export interface Tracing {
  /** Undefined if no SDK is there to collect spans. */
  readonly tracer: Tracer | undefined;
  /** Whether tracers and channels may have the words of callers, agents and tools. */
  readonly hasWords: boolean;
}

/** A turn as its trace sees it. */
export interface FollowedTurn {
  readonly conversationId: string;
  readonly turnId: string;
  readonly event: TurnEvent;
  readonly delivery: { readonly headers: IncomingHttpHeaders };
  readonly host: {
    readonly options: { readonly tracing: Tracing };
    readonly speakers: Pick<Speakers, 'own' | 'ownName'>;
  };
  readonly spoken: { text(): string };
}

interface DeliveryLog {
  readonly log: Logger;
}

/** The trace of a run that is beginning. Undefined if nobody follows it: then it costs nothing. */
export function traceOf(turn: FollowedTurn): TurnTrace | undefined {
  const { tracer } = turn.host.options.tracing;
  if (tracer === undefined && !TURN_CHANNEL.hasSubscribers) return undefined;
  return new TurnTrace(turn);
}

/**
 * Tells tracers and subscribers what happens in a run, and runs its steps in the tracer's context.
 */
export class TurnTrace implements WorkTrace {
  readonly #turn: FollowedTurn;
  readonly #shown: { -readonly [Field in keyof TracedTurn]: TracedTurn[Field] };
  readonly #hasWords: boolean;
  readonly #follower: TurnFollower | undefined;
  #log: { readonly of: DeliveryLog; readonly log: Logger } | undefined;

  constructor(turn: FollowedTurn) {
    const { event, conversationId, host, delivery } = turn;
    const { tracer, hasWords } = host.options.tracing;
    this.#turn = turn;
    this.#hasWords = hasWords;
    this.#shown = {
      conversationId,
      turnId: turn.turnId,
      wire: event.wire,
      agent: host.speakers.ownName ?? host.speakers.own.name,
    };
    this.#follower = tracer?.start(this.#shown, delivery.headers);
    this.note({ type: 'turnStarted', event: event.type, text: this.#words(textOf(event)) });
  }

  /** What is stored of the run, so that others can link to it. */
  get place(): TracedRun | undefined {
    const place = this.#follower?.place;
    return place === undefined ? undefined : { ...place, sessionId: this.#turn.event.sessionId };
  }

  /** The log of a delivery, with the trace's id in each line. Made once per delivery. */
  logOf(delivery: DeliveryLog): Logger {
    const traceId = this.#follower?.place?.traceId;
    if (traceId === undefined) return delivery.log;
    if (this.#log?.of !== delivery)
      this.#log = { of: delivery, log: delivery.log.child({ traceId }) };
    return this.#log.log;
  }

  /** The store has said which runs came before this one. */
  link(links: RunLinks): void {
    this.#follower?.link(links);
  }

  /** Runs a step of the turn. */
  run<T>(step: () => T): T {
    return this.#follower === undefined ? step() : this.#follower.run(step);
  }

  note(happening: TurnHappening): void {
    // The id changes if it was used before, for other words. A getter would give each turn its own
    // hidden class, which lives until the next full collection and keeps the turn alive.
    this.#shown.turnId = this.#turn.turnId;
    this.#follower?.note(happening);
    if (TURN_CHANNEL.hasSubscribers) TURN_CHANNEL.publish({ ...happening, turn: this.#shown });
  }

  /** `work`: what models and the store have done for it. Undefined: nothing. */
  end(end: Pick<TurnEnded, 'outcome' | 'speakers' | 'error'>, work: TurnWork | undefined): void {
    if (this.#follower?.place === undefined && !TURN_CHANNEL.hasSubscribers) return;
    const text = this.#hasWords ? this.#turn.spoken.text() : undefined; // built only if needed
    const storeMs = work?.storeMs || undefined;
    const settleMs = work?.settleMs || undefined;
    const models = work === undefined ? undefined : modelFigures(work);
    const { limit } = work ?? {};
    this.note({ type: 'turnEnded', ...end, storeMs, settleMs, limit, models, text });
  }

  /**
   * Reports what models and tools do for the turn, without the words unless somebody asks for them.
   */
  noteWork(event: WorkEvent): void {
    switch (event.type) {
      case 'sent': {
        const { request, model, attempt, server, body: sent } = event;
        const body = this.#words(sent);
        return this.note({ type: 'modelSent', request, model, attempt, server, body });
      }
      case 'firstDelta': {
        const { request, model, ms: afterMs } = event;
        return this.note({ type: 'firstToken', request, model, afterMs });
      }
      case 'completed':
        return this.note({ ...event, type: 'modelCompleted', answer: this.#words(event.answer) });
      case 'failed':
        return this.note({ ...event, type: 'modelFailed', answer: this.#words(event.answer) });
      case 'retry':
      case 'fallback':
        return this.note(event);
      case 'toolBegan': {
        const { tool, call: { id: toolCallId, args } } = event;
        return this.note({ type: 'toolStarted', tool, toolCallId, args: this.#words(args) });
      }
      case 'toolEnded': {
        const { tool, call: { id: toolCallId }, outcome, durationMs, error, content } = event;
        const result = this.#words(content);
        return this.note({
          type: 'toolEnded', tool, toolCallId, outcome, durationMs, error, result,
        });
      }
      default:
        event satisfies never;
    }
  }

  /** Runs a step of a request to a model that `noteWork` was told of. */
  runRequest<T>(request: number, step: () => T): T {
    return this.#follower === undefined ? step() : this.#follower.runRequest(request, step);
  }

  /** Runs a tool call that `noteWork` was told of. */
  runTool<T>(toolCallId: string, step: () => T): T {
    return this.#follower === undefined ? step() : this.#follower.runTool(toolCallId, step);
  }

  #words<T>(words: T): T | undefined {
    return this.#hasWords ? words : undefined;
  }
}

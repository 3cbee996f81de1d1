import type { IncomingHttpHeaders } from 'node:http';

import type { ToolCallOutcome } from '../agents/agent.ts';
import { isAbort } from '../base/abort.ts';
import type { Awaitable } from '../base/awaitable.ts';
import type { TurnEvent } from '../calls/call-event.ts';
import type { ToolCall } from '../conversations/message.ts';
import { isBeside, textOf } from './delivery.ts';
import type { Speakers } from './speakers.ts';
import {
  TURN_CHANNEL, type ToolEnded, type TracedTurn, type TurnEnded, type TurnHappening,
} from './turn-points.ts';

/** Follows turns, for instance with the spans of a trace. */
export interface Tracer {
  /** Called in the async context of the turn's request. Undefined for a turn that is not traced. */
  start(turn: TracedTurn, request: TracedRequest): TurnFollower | undefined;
  /** Hands on what it has collected. Resolves after 2 s at the latest, and never rejects. */
  flush(): Promise<void>;
}

/** What a turn's request says about its place among others. */
export interface TracedRequest {
  readonly headers: IncomingHttpHeaders;
  /** Whether the platform says that the caller has interrupted the reply before. */
  readonly interrupts: boolean;
  /** Whether the turn runs beside its conversation. See `isBeside`. */
  readonly isBeside: boolean;
}

/** Follows one run of a turn. Must not throw, except for what a step throws. */
export interface TurnFollower {
  /** Runs a step of the turn. What the step sets off belongs to the turn. */
  run<T>(step: () => T): T;
  /** Runs a step of the tool call that was the last to start with this id. */
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

export const NOT_TRACED: Tracing = { tracer: undefined, hasWords: false };

/** A turn as its trace sees it. */
export interface FollowedTurn {
  readonly conversationId: string;
  readonly turnId: string;
  readonly event: TurnEvent;
  readonly delivery: { readonly headers: IncomingHttpHeaders };
  readonly host: {
    readonly tracing: Tracing;
    readonly speakers: Pick<Speakers, 'own' | 'ownName'>;
  };
  readonly spoken: { text(): string };
}

/** The trace of a run that begins. Undefined if nobody follows it: it then costs no more. */
export function traceOf(turn: FollowedTurn): TurnTrace | undefined {
  if (turn.host.tracing.tracer === undefined && !TURN_CHANNEL.hasSubscribers) return undefined;
  return new TurnTrace(turn);
}

/** Tells those who follow a run what happens in it, and runs its steps in their context. */
export class TurnTrace {
  readonly #turn: FollowedTurn;
  readonly #shown: TracedTurn;
  readonly #hasWords: boolean;
  readonly #follower: TurnFollower | undefined;
  /** How the tools that run say that they ended, by id. */
  readonly #outcomes = new Map<string, ToolCallOutcome | undefined>();

  constructor(turn: FollowedTurn) {
    const { event, conversationId, host, delivery } = turn;
    const { tracer, hasWords } = host.tracing;
    this.#turn = turn;
    this.#hasWords = hasWords;
    this.#shown = {
      conversationId,
      get turnId() {
        return turn.turnId; // it changes if its id was used before, for other words
      },
      wire: event.wire,
      agent: host.speakers.ownName ?? host.speakers.own.name,
    };
    const interrupts = event.type === 'message' && event.interruption !== undefined;
    this.#follower = tracer?.start(this.#shown, {
      headers: delivery.headers, interrupts, isBeside: isBeside(event),
    });
    this.note({ type: 'turnStarted', event: event.type, text: this.#words(textOf(event)) });
  }

  /** Runs a step of the turn. */
  run<T>(step: () => T): T {
    return this.#follower === undefined ? step() : this.#follower.run(step);
  }

  note(happening: TurnHappening): void {
    this.#follower?.note(happening);
    if (TURN_CHANNEL.hasSubscribers) TURN_CHANNEL.publish({ ...happening, turn: this.#shown });
  }

  end(end: Omit<TurnEnded, 'type' | 'text'>): void {
    this.note({ type: 'turnEnded', ...end, text: this.#words(this.#turn.spoken.text()) });
  }

  /** Runs a tool call. `tool` is its name for logs and metrics, `signal` that of the call. */
  async runTool(
    tool: string, call: ToolCall, signal: AbortSignal, step: () => Awaitable<string>,
  ): Promise<string> {
    const { id: toolCallId } = call;
    const startedAtMs = performance.now();
    const end = (ended: Pick<ToolEnded, 'outcome' | 'error' | 'result'>): void => {
      const durationMs = performance.now() - startedAtMs;
      this.note({ type: 'toolEnded', tool, toolCallId, durationMs, ...ended });
    };
    this.note({ type: 'toolStarted', tool, toolCallId, args: this.#words(call.args) });
    this.#outcomes.set(toolCallId, undefined);
    try {
      const follower = this.#follower;
      const result = await (follower === undefined ? step() : follower.runTool(toolCallId, step));
      const outcome = this.#outcomes.get(toolCallId) ?? 'completed';
      end({ outcome, result: this.#words(result) });
      return result;
    } catch (error) {
      const isInterrupted = signal.aborted && isAbort(error, signal.reason);
      end({ outcome: isInterrupted ? 'interrupted' : 'failed', error });
      throw error;
    } finally {
      this.#outcomes.delete(toolCallId);
    }
  }

  /** A tool call that runs has said how it ended: it may return an error for the model. */
  noteOutcome(toolCallId: string, outcome: ToolCallOutcome): void {
    if (this.#outcomes.has(toolCallId)) this.#outcomes.set(toolCallId, outcome);
  }

  #words(text: string | undefined): string | undefined {
    return this.#hasWords ? text : undefined;
  }
}

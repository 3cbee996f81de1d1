import type { IncomingHttpHeaders } from 'node:http';

import type { Interruption } from '../conversations/rules.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import type { CallStartedEvent, MessageEvent, SessionStartEvent, TranscriptEvent } from '../layercode/events.ts';
import type { ReplySink } from '../layercode/reply.ts';
import type { Logger } from '../log.ts';
import type { Agent, ModelUsage } from '../agents/agent.ts';

export type TurnEvent = SessionStartEvent | MessageEvent | CallStartedEvent | TranscriptEvent;

/**
 * How a request for a turn was answered. `taken over`: a newer delivery of the same turn got the rest of it. `stale`: an older
 * turn that had not completed, delivered again while a newer one ran; it got nothing but the end.
 */
export const TURN_OUTCOMES = ['completed', 'interrupted', 'failed', 'replayed', 'taken over', 'stale'] as const;
export type TurnOutcome = (typeof TURN_OUTCOMES)[number];

export interface TurnReport {
  readonly outcome: TurnOutcome;
  /** From the first delivery's `receivedAtMs` to the first spoken event; undefined when nothing was spoken. */
  readonly firstSpeechMs?: number | undefined;
  /** One entry for each time a model was asked. */
  readonly usage?: readonly ModelUsage[] | undefined;
  /** Why it failed. */
  readonly error?: unknown;
}

/** One delivery of a turn: the event, and where its reply goes. */
export interface TurnRequest {
  readonly event: TurnEvent;
  readonly conversationId: string;
  /** The platform's; undefined where it sent none. */
  readonly turnId: string | undefined;
  readonly sink: ReplySink;
  /** What the agent is told of the request; asked only when the agent asks. */
  readonly source: { readonly headers: IncomingHttpHeaders; readonly log: Logger };
  /** `performance.now()` when the request came. */
  readonly receivedAtMs: number;
  /** Called once. */
  onOutcome(report: TurnReport): void;
}

/** What a request has begun or joined. */
export interface BegunTurn {
  /** The request's connection closed before its stream ended. */
  drop(request: TurnRequest): void;
}

/** What all turns of an app share. */
export interface TurnScope {
  readonly agent: Agent;
  readonly conversations: ConversationManager;
  /** From the request on. Then the agent is aborted and the apology spoken. */
  readonly turnTimeoutMs: number;
  /** The same, for a turn that has spoken nothing. */
  readonly firstWordTimeoutMs: number;
}

/** The caller's words; undefined for a turn that the caller did not begin. */
export function textOf(event: TurnEvent): string | undefined {
  if (event.type === 'message') return event.text;
  return event.type === 'transcript' ? event.transcript : undefined;
}

/** What the event tells of the turn right before; undefined where that was not interrupted. */
export function interruptionOf(event: TurnEvent): Interruption | undefined {
  const context = event.type === 'message' ? event.interruption_context : undefined;
  if (!context?.previous_turn_interrupted) return undefined;
  return { textHeard: context.text_heard ?? undefined, turnId: context.assistant_turn_id ?? undefined };
}

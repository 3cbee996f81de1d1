import type { IncomingHttpHeaders } from 'node:http';

import type { Awaitable } from '../base/awaitable.ts';
import type { ModelUsage } from '../agents/agent.ts';
import type { Interruption } from '../conversations/heard.ts';
import type { ReplyEvent } from '../layercode/dialect.ts';
import type {
  CallStartedEvent,
  MessageEvent,
  SessionStartEvent,
  TranscriptEvent,
} from '../layercode/events.ts';
import type { Logger } from '../log.ts';

export type TurnEvent = SessionStartEvent | MessageEvent | CallStartedEvent | TranscriptEvent;

/**
 * How a delivery was answered. `replayed`: the turn was completed before, and its reply was sent
 * again. `taken over`: a newer delivery of the same turn got the rest of it. `stale`: an older turn
 * that had not completed was delivered again while a newer one ran; it got nothing but the end.
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

export interface TurnReport {
  readonly outcome: TurnOutcome;
  /**
   * From the verified event of the first delivery to the first spoken event. Undefined when nothing
   * was spoken.
   */
  readonly firstSpeechMs?: number | undefined;
  /** One entry for each request to a model. */
  readonly usage?: readonly ModelUsage[] | undefined;
  /** The agents that spoke, in their order, if not only the one of the path. */
  readonly speakers?: readonly string[] | undefined;
  /** Why it failed. */
  readonly error?: unknown;
}

/**
 * One delivery of a turn: the event that was posted, and the stream that its reply is written to.
 */
export interface Delivery {
  readonly event: TurnEvent;
  readonly conversationId: string;
  /** The platform's id of the turn. Undefined where it sent none. */
  readonly turnId: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly log: Logger;
  /** True until the stream has ended or its connection is gone. */
  readonly isOpen: boolean;
  /**
   * How many of the events sent last have not left this process. Still right after the end, and
   * after the connection has closed.
   */
  readonly unsent: number;
  /**
   * Writes an event. True when it was taken, a promise of that while the connection has no room,
   * false when the stream is over. The events of one tick leave together.
   */
  send(event: ReplyEvent): Awaitable<boolean>;
  /**
   * Ends the stream, and the waiting of everybody whom `send` made wait. Idempotent. True when
   * everything has left this process. Otherwise `Turns.delivered` or `Turns.drop` is called once
   * that is known.
   */
  end(): boolean;
  /** Called once, when it is known how the delivery was answered. */
  onOutcome(report: TurnReport): void;
}

/** The caller's words. Undefined for a turn that the caller did not begin. */
export function textOf(event: TurnEvent): string | undefined {
  switch (event.type) {
    case 'message':
      return event.text;
    case 'transcript':
      return event.transcript;
    case 'session.start':
    case 'call_started':
      return undefined;
    default:
      return event satisfies never;
  }
}

/**
 * What the event says about the interruption of an older turn. Undefined where it says nothing of
 * one.
 */
export function interruptionOf(event: TurnEvent): Interruption | undefined {
  const context = event.type === 'message' ? event.interruption_context : undefined;
  if (!context?.previous_turn_interrupted) return undefined;
  return {
    textHeard: context.text_heard ?? undefined,
    turnId: context.assistant_turn_id ?? undefined,
  };
}

/** Whether both deliver one turn: the same id, type and words. */
export function isSameTurn(a: Delivery, b: Delivery): boolean {
  return (
    a.turnId !== undefined &&
    a.turnId === b.turnId &&
    a.event.type === b.event.type &&
    textOf(a.event) === textOf(b.event)
  );
}

/**
 * Whether the event stands beside the conversation: a `session.start` without `turn_id` may come
 * from a second sender of lifecycle events, so that nobody may hear the welcome.
 */
export function isBeside({ event, turnId }: Delivery): boolean {
  return event.type === 'session.start' && turnId === undefined;
}

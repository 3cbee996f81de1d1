import type { IncomingHttpHeaders } from 'node:http';

import type { Awaitable } from '../base/awaitable.ts';
import type { ModelUsage } from '../agents/agent.ts';
import type { Interruption } from '../conversations/heard.ts';
import type { ReplyEvent } from '../wires/layercode/dialect.ts';
import type {
  CallStartedEvent,
  MessageEvent,
  SessionStartEvent,
  TranscriptEvent,
} from '../wires/layercode/events.ts';
import type { Logger } from '../log.ts';

export type TurnEvent = SessionStartEvent | MessageEvent | CallStartedEvent | TranscriptEvent;

/**
 * How a delivery was answered. `replayed`: the turn had completed before, and its reply was sent
 * again. `taken over`: a newer delivery of the same turn got the rest of the reply. `stale`: an
 * older turn that had not completed was delivered again while a newer one ran, and got only the end
 * of the stream.
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
   * From the verified event of the turn's first delivery to the first spoken event. Undefined if
   * nothing was spoken.
   */
  readonly firstSpeechMs?: number | undefined;
  /** One entry for each request to a model. */
  readonly usage?: readonly ModelUsage[] | undefined;
  /** The agents that spoke, in order. Undefined if the path's own agent was the only one. */
  readonly speakers?: readonly string[] | undefined;
  /** Why it failed. */
  readonly error?: unknown;
}

/**
 * One delivery of a turn: the event that was posted, and the stream that the reply is written to.
 */
export interface Delivery {
  readonly event: TurnEvent;
  readonly conversationId: string;
  /** The platform's id of the turn. Undefined if it sent none. */
  readonly turnId: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly log: Logger;
  /** True until the stream has ended or its connection is gone. */
  readonly isOpen: boolean;
  /**
   * How many events, counted from the last, have not left this process. Remains correct after the
   * end and after the connection has closed.
   */
  readonly unsent: number;
  /**
   * Writes an event. Returns true if it was taken, false if the stream is over, and a promise of
   * either while the connection has no room. The events of one tick leave together.
   */
  send(event: ReplyEvent): Awaitable<boolean>;
  /**
   * Ends the stream, and resolves the promises that `send` returned. Idempotent. Returns true if
   * everything has left this process. Otherwise `Turns.delivered` or `Turns.drop` is called as soon
   * as that is known. `with others`: the reply is complete, and what is left of it may depart a
   * moment later, with other replies.
   */
  end(when?: 'now' | 'with others'): boolean;
  /** Whether the reply is complete, and another process has to say how much of it has left. */
  readonly isAwaited: boolean;
  /** Called once, as soon as it is known how the delivery was answered. */
  onOutcome(report: TurnReport): void;
}

/** The caller's words. Undefined for a turn that does not begin with the caller speaking. */
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

/** What the event says about the interruption of an older turn. Undefined if it reports none. */
export function interruptionOf(event: TurnEvent): Interruption | undefined {
  const context = event.type === 'message' ? event.interruption_context : undefined;
  if (!context?.previous_turn_interrupted) return undefined;
  return {
    textHeard: context.text_heard ?? undefined,
    turnId: context.assistant_turn_id ?? undefined,
  };
}

/** Whether both deliver the same turn: its id, event type and words are the same. */
export function isSameTurn(a: Delivery, b: Delivery): boolean {
  return (
    a.turnId !== undefined &&
    a.turnId === b.turnId &&
    a.event.type === b.event.type &&
    textOf(a.event) === textOf(b.event)
  );
}

/**
 * Whether the turn runs beside the conversation: it leaves nothing in history, and neither ends
 * other turns nor is ended by them. This is true of a `session.start` without `turn_id`. It may
 * come from a second sender of lifecycle events, and then nobody hears the welcome.
 */
export function isBeside({ event, turnId }: Delivery): boolean {
  return event.type === 'session.start' && turnId === undefined;
}

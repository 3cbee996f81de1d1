import type { IncomingHttpHeaders } from 'node:http';

import type { Awaitable } from '../../base/awaitable.ts';
import type { Logger } from '../../base/log.ts';
import type { ModelUsage } from '../agents/agent.ts';
import type { TurnEvent } from '../calls/call-event.ts';
import type { ReplyEvent, SentEvent } from '../calls/reply-event.ts';
import type { StreamEnd } from './machine.ts';
import type { TurnOutcome } from './report/turn-points.ts';
import type { TurnWork } from './report/turn-work.ts';

export interface TurnReport {
  readonly outcome: TurnOutcome;
  /**
   * From the verified event of the turn's first delivery to the first spoken event. Undefined if
   * nothing was spoken.
   */
  readonly firstSpeechMs?: number | undefined;
  /** The same without fillers. */
  readonly firstWordMs?: number | undefined;
  /** What models, tools and the store did for it. Undefined if it waited for nothing. */
  readonly work?: TurnWork | undefined;
  /** The agents that spoke, in order. Undefined if the path's own agent was the only one. */
  readonly speakers?: readonly string[] | undefined;
  /** Why it failed. */
  readonly error?: unknown;
  /** The id of its trace, if it is traced. */
  readonly traceId?: string | undefined;
}

/** What the stream of a delivery tells its turn. */
export interface DeliveredTurn {
  /** One entry for each request to a model so far. */
  readonly usage: readonly ModelUsage[] | undefined;
  /** The connection closed before all of the stream had left. */
  dropped(): void;
  /** The stream is complete, but its client has no room for it yet. */
  delayed(): void;
  /** All of the stream has left this process. */
  delivered(): void;
}

/**
 * One delivery of a turn: the event that was posted, and the stream that the reply is written to.
 */
export interface Delivery {
  /** The turn that writes the stream. Undefined before that, and once nothing is left to tell. */
  turn: DeliveredTurn | undefined;
  readonly event: TurnEvent;
  readonly headers: IncomingHttpHeaders;
  readonly log: Logger;
  /** Whether the platform can be asked to transfer the call. Default false. */
  readonly canTransfer?: boolean;
  /** Whether the platform passes data on to a browser. Default true. */
  readonly hasBrowser?: boolean;
  /**
   * Whether the platform cannot express the event. It is then neither sent nor part of what was
   * said. Default: false for all.
   */
  drops?(event: SentEvent): boolean;
  /** True until the stream has ended or its connection is gone. */
  readonly isOpen: boolean;
  /**
   * How many events, counted from the last, have not left this process, and would not if the stream
   * ended now. Remains correct after the end and after the connection has closed.
   */
  readonly unsent: number;
  /**
   * Writes an event. Returns true if it was taken, false if the stream is over, and a promise of
   * either while the connection has no room. The events of one tick leave together.
   */
  send(event: ReplyEvent): Awaitable<boolean>;
  /**
   * Ends the stream, and resolves the promises that `send` returned. Idempotent. Returns true if
   * everything has left this process. Otherwise `turn` is told as soon as that is known.
   */
  end(when?: StreamEnd): boolean;
  /** Called once, as soon as it is known how the delivery was answered. */
  onOutcome(report: TurnReport): void;
}

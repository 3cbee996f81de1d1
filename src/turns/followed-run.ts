import type { ModelUsage } from '../agents/agent.ts';
import type { Awaitable } from '../base/awaitable.ts';
import type { SentEvent } from '../conversations/message.ts';
import type { ReplyEvent } from '../layercode/dialect.ts';
import type { Delivery, TurnOutcome, TurnReport } from './delivery.ts';
import type { SpokenReply } from './spoken-reply.ts';

/** The process of the run shows a sign of life more often than this, or is taken for dead. */
const SILENCE_MS = 3_000;

/** A turn that writes what a run of it in another process says. */
export interface FollowingTurn {
  readonly isOver: boolean;
  readonly delivery: Delivery;
  readonly spoken: SpokenReply;
  usage: ModelUsage[] | undefined;
  send(event: SentEvent): Awaitable<boolean>;
  /** The run has ended like this. */
  endAs(outcome: TurnOutcome): void;
  /** The run is lost, perhaps with its process: the turn has to run here. */
  runHere(): void;
}

/** The way back to the process of the run. */
export interface WayBack {
  /** Nothing more is wanted of the run. */
  closed(): void;
  /** The caller has left, and `sent` of the events have reached it. */
  left(sent: number): void;
}

/**
 * A run of a turn in another process. The turn was delivered again to this process, which writes
 * the stream of that run to its caller, and asks no agent.
 */
export class FollowedRun {
  readonly #turn: FollowingTurn;
  readonly #way: WayBack;
  readonly #silence: NodeJS.Timeout;
  /** How many events have come. */
  #received = 0;
  #isClosed = false;

  constructor(turn: FollowingTurn, way: WayBack) {
    this.#turn = turn;
    this.#way = way;
    this.#silence = setTimeout(() => this.#lose(), SILENCE_MS);
  }

  /** A sign of life. */
  alive(): void {
    this.#silence.refresh();
  }

  /** An event of the run, which had sent so many before. */
  event(event: ReplyEvent, sentBefore: number): void {
    if (sentBefore !== this.#received) return this.#lose();
    this.#received += 1;
    this.#silence.refresh();
    if (this.#turn.isOver) return;
    if (event.type === 'error') void this.#turn.delivery.send(event);
    else void this.#turn.send(event);
  }

  /** The run has ended, and has sent so many events in all. */
  ended(
    { outcome, usage, speakers = [] }: Pick<TurnReport, 'outcome' | 'usage' | 'speakers'>,
    sent: number,
  ): void {
    if (sent !== this.#received) return this.#lose();
    this.close();
    if (this.#turn.isOver) return;
    if (usage !== undefined) this.#turn.usage = [...usage];
    for (const speaker of speakers) this.#turn.spoken.changeSpeaker(speaker);
    this.#turn.endAs(outcome);
  }

  /** The caller has left, and `sent` of the events have reached it. The run is told. */
  leave(sent: number): void {
    if (this.#isClosed) return;
    this.#way.left(sent);
    this.close();
  }

  /** Follows no longer. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#silence);
    this.#way.closed();
  }

  /** An event is missing, or the process is silent. */
  #lose(): void {
    this.close();
    if (!this.#turn.isOver) this.#turn.runHere();
  }
}

import type { ModelUsage } from '../agents/agent.ts';
import type { Awaitable } from '../base/awaitable.ts';
import type { SentEvent } from '../conversations/message.ts';
import type { ReplyEvent } from '../wires/layercode/dialect.ts';
import type { Delivery, TurnOutcome, TurnReport } from './delivery.ts';
import type { SpokenReply } from './spoken-reply.ts';

/** A process that is silent for this long is taken for dead. It sends signs of life. */
const SILENCE_MS = 3_000;

/** A turn that runs in another process, and whose caller is connected to this one. */
export interface FollowingTurn {
  readonly isOver: boolean;
  readonly delivery: Delivery;
  readonly spoken: SpokenReply;
  usage: ModelUsage[] | undefined;
  send(event: SentEvent): Awaitable<boolean>;
  /** The run has ended with this outcome. */
  endAs(outcome: TurnOutcome): void;
  /** The run is lost, perhaps with its process. The turn has to run in this process. */
  runHere(): void;
}

/** The way back to the process of the run. */
export interface WayBack {
  /** The run is not followed any longer. */
  closed(): void;
  /**
   * No more of the stream leaves this process. `sent` of the events have, and if `hasEnded`, so has
   * its end.
   */
  left(sent: number, hasEnded: boolean): void;
}

/**
 * A run of a turn in another process. The same turn was delivered to this process too, which writes
 * the events of that run to the caller and asks no agent.
 */
export class FollowedRun {
  readonly #turn: FollowingTurn;
  readonly #way: WayBack;
  readonly #silence: NodeJS.Timeout;
  /** How many events have arrived. */
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

  /** An event of the run. `sentBefore`: how many it had sent before. */
  event(event: ReplyEvent, sentBefore: number): void {
    if (sentBefore !== this.#received) return this.#lose();
    this.#received += 1;
    this.#silence.refresh();
    if (this.#turn.isOver) return;
    if (event.type === 'error') void this.#turn.delivery.send(event);
    else void this.#turn.send(event);
  }

  /** The run has ended. `sent`: how many events it has sent in all. */
  ended(
    { outcome, usage, speakers = [] }: Pick<TurnReport, 'outcome' | 'usage' | 'speakers'>,
    sent: number,
  ): void {
    if (sent !== this.#received) return this.#lose();
    clearTimeout(this.#silence);
    if (outcome !== 'completed') this.close(); // a complete reply still has to leave: see `leave`
    if (this.#turn.isOver) return;
    if (usage !== undefined) this.#turn.usage = [...usage];
    for (const speaker of speakers) this.#turn.spoken.changeSpeaker(speaker);
    this.#turn.endAs(outcome);
  }

  /** Tells the process of the run how much has left: see `WayBack.left`. */
  leave(sent: number, hasEnded: boolean): void {
    if (this.#isClosed) return;
    this.#way.left(sent, hasEnded);
    this.close();
  }

  /** Stops following the run. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#silence);
    this.#way.closed();
  }

  /** An event is missing, or the process is taken for dead. */
  #lose(): void {
    this.close();
    if (!this.#turn.isOver) this.#turn.runHere();
  }
}

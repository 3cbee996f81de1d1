import type { IncomingHttpHeaders } from 'node:http';

import type { ModelUsage } from '../agents/agent.ts';
import type { ReplyEvent } from '../wires/layercode/dialect.ts';
import type { Logger } from '../log.ts';
import type { Delivery, TurnEvent, TurnReport } from './delivery.ts';

/** Interval of the signs of life that are sent to the process that writes the stream. */
const ALIVE_MS = 1_000;

/**
 * How long that process may take to say how much has left. It never says so if it has died or is of
 * an older version, and says so late if its caller reads slowly.
 */
const PATIENCE_MS = 3_000;

/** A run whose stream another process writes. */
export interface RunForOthers {
  /** Until now. */
  readonly delivery: Delivery;
  readonly usage: readonly ModelUsage[] | undefined;
  /** See `TurnReport`. */
  readonly speakers: readonly string[] | undefined;
}

/** The way to the process that writes the stream. */
export interface WayElsewhere {
  send(event: ReplyEvent): void;
  alive(): void;
  ended(report: TurnReport): void;
  /** It has not said how much has left. */
  silent(): void;
  /** Nothing more is said to that process, or heard from it. */
  closed(): void;
}

/** A delivery of the same turn to another process. The turn continues in this process. */
export class DeliveryElsewhere implements Delivery {
  readonly event: TurnEvent;
  readonly conversationId: string;
  readonly turnId: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly log: Logger;
  isOpen = true;
  /** Events that were passed on count as sent until the other process says how many were. */
  unsent = 0;
  #passedOn = 0;
  #isComplete = false;
  #hasLeft = false;
  readonly #run: RunForOthers;
  readonly #way: WayElsewhere;
  readonly #alive: NodeJS.Timeout;
  #patience: NodeJS.Timeout | undefined;

  constructor(run: RunForOthers, way: WayElsewhere) {
    const { event, conversationId, turnId, headers, log } = run.delivery;
    this.event = event;
    this.conversationId = conversationId;
    this.turnId = turnId;
    this.headers = headers;
    this.log = log;
    this.#run = run;
    this.#way = way;
    this.#alive = setInterval(() => way.alive(), ALIVE_MS);
  }

  get isAwaited(): boolean {
    return this.#patience !== undefined;
  }

  send(event: ReplyEvent): boolean {
    if (!this.isOpen) return false;
    this.#passedOn += 1;
    this.#way.send(event);
    return true;
  }

  end(when: 'now' | 'with others' = 'now'): boolean {
    if (!this.isOpen) return this.#hasLeft;
    this.isOpen = false;
    clearInterval(this.#alive);
    if (when === 'with others') {
      this.#isComplete = true;
      this.#patience = setTimeout(() => this.#way.silent(), PATIENCE_MS);
      const { usage, speakers } = this.#run;
      this.#way.ended({ outcome: 'completed', usage, speakers });
    }
    return false;
  }

  onOutcome(report: TurnReport): void {
    this.#stopWaiting();
    if (!this.#isComplete) this.#way.ended(report);
    this.#way.closed();
  }

  /**
   * No more of the stream leaves the other process. `sent` of the events have, and if `hasEnded`,
   * so has its end.
   */
  left(sent: number, hasEnded: boolean): void {
    this.#stopWaiting();
    this.unsent = Math.max(0, this.#passedOn - sent);
    this.#hasLeft = hasEnded;
    this.end();
  }

  /** The other process has not said how much has left: all of it, as far as is known. */
  giveUp(): void {
    this.left(this.#passedOn, true);
  }

  #stopWaiting(): void {
    clearTimeout(this.#patience);
    this.#patience = undefined;
  }
}

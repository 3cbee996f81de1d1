import type { IncomingHttpHeaders } from 'node:http';

import type { ReplyEvent } from '../layercode/dialect.ts';
import type { Logger } from '../log.ts';
import type { Delivery, TurnEvent, TurnReport } from './delivery.ts';

/** Interval of the signs of life that are sent to the process that writes the stream. */
const ALIVE_MS = 1_000;

/** The way to the process that writes the stream. */
export interface WayElsewhere {
  send(event: ReplyEvent): void;
  alive(): void;
  ended(report: TurnReport): void;
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
  readonly #way: WayElsewhere;
  readonly #alive: NodeJS.Timeout;

  constructor({ event, conversationId, turnId, headers, log }: Delivery, way: WayElsewhere) {
    this.event = event;
    this.conversationId = conversationId;
    this.turnId = turnId;
    this.headers = headers;
    this.log = log;
    this.#way = way;
    this.#alive = setInterval(() => way.alive(), ALIVE_MS);
  }

  send(event: ReplyEvent): boolean {
    if (!this.isOpen) return false;
    this.#passedOn += 1;
    this.#way.send(event);
    return true;
  }

  end(): boolean {
    this.isOpen = false;
    clearInterval(this.#alive);
    return true;
  }

  onOutcome(report: TurnReport): void {
    this.#way.ended(report);
  }

  /** The caller of the other process has left. `sent` of the events have reached it. */
  left(sent: number): void {
    this.unsent = Math.max(0, this.#passedOn - sent);
    this.end();
  }
}

import type { IncomingHttpHeaders } from 'node:http';

import type { ReplyEvent } from '../layercode/dialect.ts';
import type { Logger } from '../log.ts';
import type { Delivery, TurnEvent, TurnReport } from './delivery.ts';

/** Between the signs of life of a stream that another process writes to its caller. */
const ALIVE_MS = 1_000;

/** The way to the process that writes the stream. */
export interface WayElsewhere {
  send(event: ReplyEvent): void;
  alive(): void;
  ended(report: TurnReport): void;
}

/** A delivery of the same turn that another process got. The turn goes on here. */
export class DeliveryElsewhere implements Delivery {
  readonly event: TurnEvent;
  readonly conversationId: string;
  readonly turnId: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly log: Logger;
  isOpen = true;
  /** What was handed on counts as sent until the other process says that its caller has left. */
  unsent = 0;
  #handedOn = 0;
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
    this.#handedOn += 1;
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

  /** The caller has left the other process, and got so many of the events. */
  left(sent: number): void {
    this.unsent = Math.max(0, this.#handedOn - sent);
    this.end();
  }
}

// The caller of a scenario, and the platform between them and the agent.

import { randomUUID } from 'node:crypto';

import type { JsonObject } from '../../base/json.ts';
import { AT_ONCE, CallerTurn, type CallFailure } from '../platform/caller-turn.ts';
import { CompletionsTestWire } from '../platform/completions-test-wire.ts';
import { Delivery } from '../platform/delivery.ts';
import { LayercodeTestWire } from '../platform/layercode-test-wire.ts';
import { fieldsOf, type Fields, type TestRequest, type TestWire } from '../platform/test-wire.ts';
import type { Origin } from './scenario.ts';
import type { Address } from './stage.ts';

/** Who calls, as far as a scenario needs them. What they do is answered by a `CallerTurn`. */
export interface Caller {
  readonly conversationId: string;
  /** The id of the turn that was delivered last. */
  readonly turnId: string | undefined;
  /** Says something; without words, the call begins. */
  say(words: string | undefined): CallerTurn;
  /** The platform delivers the last turn again, with the same bytes. */
  deliverAgain(): CallerTurn;
  /** Listens up to that word; to 0, until the reply begins. False if it ends before that. */
  hear(reply: CallerTurn, words: number, timeoutMs: number): Promise<boolean>;
  /** Speaks over the reply: the next turn says how much of it was heard. */
  interrupt(reply: CallerTurn): void;
  /** The caller's page sends data. */
  data(data: JsonObject): CallerTurn;
  /** The caller hangs up. */
  end(): CallerTurn;
  /** A failure in words for the report. */
  explain(failure: CallFailure): string;
}

export interface ReaderOptions {
  readonly origin: Origin;
  /** Where the agent is at the moment. */
  readonly address: () => Address;
  readonly secret: string;
  readonly key: string;
}

/**
 * Reads replies as they come. What they have heard is exactly what was read, up to the word at
 * which they stopped, so it is the same in each run.
 */
export class Reader implements Caller {
  readonly conversationId = randomUUID();
  readonly #wire: TestWire;
  readonly #address: () => Address;
  readonly #fields: Fields;
  readonly #headers: Readonly<Record<string, string>>;
  #last: TestRequest | undefined;

  constructor({ origin, address, secret, key }: ReaderOptions) {
    const { conversationId } = this;
    this.#wire = origin.wire === 'layercode'
      ? new LayercodeTestWire({ secret, conversationId })
      : new CompletionsTestWire({ profile: 'generic', key, conversationId });
    this.#address = address;
    this.#fields = fieldsOf(origin);
    this.#headers = origin.language === undefined ? {} : { 'x-language': origin.language };
  }

  get turnId(): string | undefined {
    return this.#last?.ids.turnId;
  }

  say(words: string | undefined): CallerTurn {
    this.#last = this.#wire.turn(words, this.#fields);
    return this.deliverAgain();
  }

  deliverAgain(): CallerTurn {
    if (this.#last === undefined) throw new Error('nothing was delivered');
    return this.#post(this.#last, true);
  }

  async hear(reply: CallerTurn, words: number, timeoutMs: number): Promise<boolean> {
    reply.stopAfter(words);
    await reply.until(() => reply.cut !== undefined || reply.isOver, timeoutMs);
    return reply.cut !== undefined;
  }

  interrupt(reply: CallerTurn): void {
    this.#last?.cutTo(reply.stop());
  }

  data(data: JsonObject): CallerTurn {
    return this.#post(this.#wire.data?.(data, this.#fields), false);
  }

  end(): CallerTurn {
    return this.#post(this.#wire.end?.([], this.#fields), false);
  }

  explain({ reason }: CallFailure): string {
    return `there was no answer: ${reason}`;
  }

  /** Nothing is posted without a request. */
  #post(request: TestRequest | undefined, isReply: boolean): CallerTurn {
    const turn = new CallerTurn({ wire: this.#wire, wordsPerMinute: AT_ONCE, isReply });
    if (request === undefined) turn.settle({ outcome: 'ended' }, undefined);
    else {
      const { origin, route } = this.#address();
      const url = origin + this.#wire.pathOn(route);
      const delivery = turn.delivery = new Delivery({
        request,
        post: (signal) => this.#wire.post(url, request, { headers: this.#headers }, signal),
        onEvent: (event) => turn.take(event),
      });
      void delivery.end.then((end) => turn.settle(end, delivery.status));
    }
    return turn;
  }
}

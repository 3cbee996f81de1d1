// The caller of a scenario, and the platform between them and the agent.

import { randomUUID } from 'node:crypto';

import { isEventStream } from '../../base/abortable-body.ts';
import { CompletionsTestWire } from '../platform/completions-test-wire.ts';
import { LayercodeTestWire } from '../platform/layercode-test-wire.ts';
import type { TestRequest, TestWire } from '../platform/test-wire.ts';
import { Hearing } from './hearing.ts';
import type { Origin } from './scenario.ts';
import type { Address } from './stage.ts';

export interface CallerOptions {
  readonly origin: Origin;
  readonly secret: string;
  readonly key: string;
  readonly route: string;
}

export class ScenarioCaller {
  readonly conversationId = randomUUID();
  readonly #origin: Origin;
  readonly #wire: TestWire;
  #last: TestRequest | undefined;

  constructor({ origin, secret, key, route: agentRoute }: CallerOptions) {
    const { conversationId } = this;
    this.#origin = origin;
    this.#wire = origin.wire === 'layercode'
      ? new LayercodeTestWire({ secret, agentRoute, conversationId })
      : new CompletionsTestWire({ profile: 'generic', key, agentRoute, conversationId });
  }

  /** The id of the turn that was delivered last. */
  get turnId(): string | undefined {
    return this.#last?.ids.turnId;
  }

  /** Says something; without words, the call begins. */
  say(address: Address, words: string | undefined): Hearing {
    const { from, to, metadata } = this.#origin;
    this.#last = this.#wire.turn(words, {
      ...(from === undefined ? {} : { from_phone_number: from }),
      ...(to === undefined ? {} : { to_phone_number: to }),
      ...(metadata === undefined ? {} : { metadata }),
    });
    return this.#deliver(address, this.#last);
  }

  /** The platform delivers the last turn again, with the same bytes. */
  deliverAgain(address: Address): Hearing {
    if (this.#last === undefined) throw new Error('nothing was delivered');
    return this.#deliver(address, this.#last);
  }

  /** The caller speaks over the reply: the next turn says how much of it was heard. */
  interrupt(hearing: Hearing): void {
    this.#last?.cutTo(hearing.stop());
  }

  /** The caller's page sends data. Undefined if it was taken, otherwise the reason. */
  async sendData(address: Address, data: object): Promise<string | undefined> {
    return this.#tell(address, { type: 'data', turn_id: randomUUID(), data });
  }

  /** The caller hangs up. Only LayerCode tells the agent. */
  async hangUp(address: Address): Promise<string | undefined> {
    if (this.#origin.wire !== 'layercode') return undefined;
    const now = new Date().toISOString();
    return this.#tell(address, {
      type: 'session.end', agent_id: 'eval', started_at: now, ended_at: now, duration: 0,
      transcript: [],
    });
  }

  async #tell(address: Address, event: object): Promise<string | undefined> {
    const { from, to, metadata } = this.#origin;
    const request = this.#wire.byHand(JSON.stringify({
      session_id: 'test-session',
      conversation_id: this.conversationId,
      ...(from === undefined ? {} : { from_phone_number: from }),
      ...(to === undefined ? {} : { to_phone_number: to }),
      ...(metadata === undefined ? {} : { metadata }),
      ...event,
    }));
    const response = await this.#post(address, request, new AbortController().signal);
    const answer = await response.text();
    return response.ok ? undefined : `${response.status} ${answer}`;
  }

  #deliver(address: Address, request: TestRequest): Hearing {
    const hearing = new Hearing((event) => this.#wire.isHangUp(event));
    hearing.read(async (signal) => {
      const response = await this.#post(address, request, signal);
      if (isEventStream(response)) return request.events(response, signal);
      throw new Error(`${response.status} ${(await response.text()).slice(0, 500)}`);
    });
    return hearing;
  }

  #post({ origin }: Address, request: TestRequest, signal: AbortSignal): Promise<Response> {
    const { language } = this.#origin;
    const headers: Record<string, string> = language === undefined
      ? {}
      : { 'x-language': language };
    return this.#wire.post(origin + this.#wire.path, request, { headers }, signal);
  }
}

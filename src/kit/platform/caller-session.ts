import { randomUUID } from 'node:crypto';

import type { Awaitable } from '../../base/awaitable.ts';
import type { Json, JsonObject } from '../../base/json.ts';
import { CallerTurn } from './caller-turn.ts';
import { deliver, type OutgoingDelivery } from './delivery.ts';
import type { DeliveryEnd, DeliveryFrame, SignatureKind } from './frames.ts';
import { interruptionContext } from './layercode-test-wire.ts';
import {
  fieldsOf, type CallerFacts, type Fields, type Forgery, type PostOptions, type TestRequest,
  type TestWire,
} from './test-wire.ts';
import { SessionTranscript } from './transcript.ts';

/** Gets what the caller hears. If it returns a promise, reading goes on once that has resolved. */
export interface CallListener {
  onText?(piece: string, turn: CallerTurn): Awaitable<unknown>;
  onData?(content: Json, turn: CallerTurn): Awaitable<unknown>;
  /** The caller has said this. */
  onSaid?(text: string, turnId: string): void;
  /** The reply is complete, or has broken off. */
  onReply?(turn: CallerTurn): Awaitable<unknown>;
  /** The caller has left the reply while it was coming. */
  onLeft?(turn: CallerTurn): void;
  /** If a request is sent several times unchanged, only the delivery that is heard is traced. */
  onTrace?(frame: DeliveryFrame): Awaitable<unknown>;
  /** The agent has hung up or transferred the call, after its last words. */
  onHangUp?(): void;
}

export interface CallerSessionOptions {
  readonly wire: TestWire;
  /** Where the agent is at the moment. */
  readonly url: () => string;
  readonly listener?: CallListener | undefined;
  readonly caller?: CallerFacts | undefined;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: a new id. */
  readonly id?: string | undefined;
  /** The pace of the voice, which decides how much of a reply can have been heard. */
  readonly wordsPerMinute?: number | undefined;
  /** The call goes on, so no welcome is asked for. */
  readonly isResumed?: boolean;
  /** Each turn is sent a second time while it is being answered, as retrying clients do. */
  readonly isRetrying?: boolean;
  /** Each message is first sent without its last word, as platforms that guess its end do. */
  readonly isSpeculating?: boolean;
}

/** A turn's request. */
interface Posted {
  /** The number of the request among those that are traced, from 1. */
  readonly number: number;
  readonly turn: CallerTurn;
  readonly request: TestRequest;
  readonly signature: SignatureKind;
  /** The delivery that is traced: the newest. */
  delivery?: OutgoingDelivery;
}

/**
 * A caller in text mode, and the platform between them and the agent. Methods that return a turn do
 * so at once, before it is answered; if nothing is posted, it is over already. `redeliver` and
 * `forge` resolve with nothing, once the answer is over.
 */
export class CallerSession {
  readonly id: string;
  readonly #options: CallerSessionOptions;
  readonly #listener: CallListener;
  readonly #fields: Fields;
  readonly #transcript = new SessionTranscript();
  readonly #open = new Set<OutgoingDelivery>();
  #newest: Posted | undefined;
  /** What the caller said last, and its turn. */
  #lastSaid: { readonly text: string; readonly posted: Posted } | undefined;
  #requests = 0;
  #isOver = false;

  constructor(options: CallerSessionOptions) {
    this.#options = options;
    this.#listener = options.listener ?? {};
    this.#fields = fieldsOf(options.caller ?? {});
    this.id = options.id ?? randomUUID();
  }

  get conversationId(): string {
    return this.#options.wire.conversationId;
  }

  /** The same caller calls again, in the same conversation. */
  again(): CallerSession {
    return new CallerSession(this.#options);
  }

  /** The call begins. The agent answers with its welcome. */
  start(): CallerTurn {
    const { wire, isResumed } = this.#options;
    if (this.#isOver || isResumed === true) return this.#answer(undefined);
    return this.#begin(wire.turn(undefined, this.#fields));
  }

  /**
   * The caller says something. It is an interruption if a reply is still streaming, or if a voice
   * would still be speaking it.
   */
  say(text: string): CallerTurn {
    if (this.#isOver || text.trim() === '') return this.#answer(undefined);
    this.interrupt();
    const { wire, isSpeculating } = this.#options;
    const turnId = randomUUID();
    this.#listener.onSaid?.(text, turnId);
    this.#transcript.set('user', turnId, text);
    const guessed = isSpeculating === true ? withoutLastWord(text) : undefined;
    const guess = guessed === undefined ? undefined : wire.draft(guessed, this.#fields);
    const turn = this.#begin(wire.turn(text, this.#fields), guess);
    if (this.#newest !== undefined) this.#lastSaid = { text, posted: this.#newest };
    return turn;
  }

  /** The front end sends data for the agent. Nothing is posted if the wire has no such event. */
  data(data: JsonObject): CallerTurn {
    const { wire } = this.#options;
    return this.#answer(this.#isOver ? undefined : wire.data?.(data, this.#fields));
  }

  /**
   * The caller begins to speak. Drops the reply's request. The next message says how much of the
   * reply can have been heard. Returns false if no voice would be speaking.
   */
  interrupt(): boolean {
    const { turn, request } = this.#newest ?? {};
    if (turn?.isHeard !== true) return false;
    const isStreaming = turn.delivery !== undefined;
    const heard = turn.stop();
    request?.cutTo(heard);
    this.#transcript.set('assistant', turn.id, heard.text);
    if (isStreaming) this.#listener.onLeft?.(turn);
    return true;
  }

  /** What the next message says about the newest reply. Undefined if nobody spoke over it. */
  get interruption(): JsonObject | undefined {
    const { cut, id } = this.#newest?.turn ?? {};
    return cut === undefined ? undefined : interruptionContext(id ?? '', cut);
  }

  /**
   * The front end has played a reply to its end, or plays no replies. It may say so in the middle
   * of a reply, which does not end the reply. Default: the newest reply.
   */
  finishPlaying(turnId?: string): void {
    const { turn } = this.#newest ?? {};
    if (turn !== undefined && (turnId === undefined || turnId === turn.id)) turn.isPlayed = true;
  }

  /**
   * Delivers the last message again. If its reply is still streaming, the reply continues in the
   * new delivery. If it is complete, the new delivery is only traced.
   */
  async redeliver(): Promise<void> {
    const { posted } = this.#lastSaid ?? {};
    if (this.#isOver || this.#lastSaid === undefined || posted === undefined) return;
    const { request, turn } = posted;
    if (posted.turn !== this.#newest?.turn || turn.isWhole) {
      const { headers, body } = request;
      await this.#answer({ ...this.#options.wire.byHand(body), headers }).over();
      return;
    }
    if (turn.delivery !== undefined) turn.expectRepeat();
    const goesOn = turn.delivery === undefined ? this.#newTurn(request) : turn;
    const again = this.#posted(request, goesOn);
    this.#newest = again;
    this.#lastSaid = { ...this.#lastSaid, posted: again };
    const told = this.#traceRequest(again);
    await this.#hear(again, this.#post(again, request, told));
  }

  /** Delivers the newest turn again, as a turn of its own. */
  deliverAgain(): CallerTurn {
    if (this.#newest === undefined) throw new Error('nothing was delivered');
    return this.#begin(this.#newest.request);
  }

  /** The connection breaks in the middle of a reply that nobody interrupted. */
  drop(): void {
    if (this.#newest?.turn.drop() !== true) return;
    this.#remember(this.#newest);
    this.#listener.onLeft?.(this.#newest.turn);
  }

  /** Posts the last message, or a greeting, in a way that must be refused. */
  async forge(forgery: Forgery): Promise<void> {
    if (this.#isOver) return;
    const { text = 'Hello' } = this.#lastSaid ?? {};
    await this.#answer(this.#options.wire.draft(text, this.#fields), forgery).over();
  }

  end(): CallerTurn {
    if (this.#isOver) return this.#answer(undefined);
    this.interrupt();
    this.abandon();
    this.#isOver = true;
    return this.#answer(this.#options.wire.end?.(this.#transcript.entries, this.#fields));
  }

  /** Stops waiting for answers: an open request would keep the process alive. */
  abandon(): void {
    for (const delivery of this.#open) delivery.drop();
  }

  /** The number of the request with this id. Undefined if it is not from this session. */
  deliveryOf(requestId: string): number | undefined {
    return requestId.startsWith(`${this.id}-`)
      ? Number(requestId.slice(this.id.length + 1))
      : undefined;
  }

  #begin(request: TestRequest, guess?: TestRequest): CallerTurn {
    const { interruption } = this;
    const turn = this.#newTurn(request);
    const posted = this.#posted(request, turn);
    this.#newest = posted;
    void this.#run(posted, guess, this.#traceRequest(posted, interruption));
    return turn;
  }

  #newTurn({ ids }: TestRequest): CallerTurn {
    const { wire, wordsPerMinute } = this.#options;
    return new CallerTurn({
      wire, wordsPerMinute, id: ids.turnId,
      onText: (piece, turn) => this.#listener.onText?.(piece, turn),
      onData: (content, turn) => this.#listener.onData?.(content, turn),
    });
  }

  #posted(request: TestRequest, turn: CallerTurn, signature: SignatureKind = 'right'): Posted {
    return { number: ++this.#requests, turn, request, signature };
  }

  async #run(
    posted: Posted,
    guess: TestRequest | undefined,
    told: Awaitable<unknown>,
  ): Promise<void> {
    const { turn, request } = posted;
    if (guess !== undefined) {
      const early = this.#post(posted, guess, told);
      await early.answered;
      early.drop();
      // The caller may have interrupted by now.
      if (turn.delivery !== early) return this.#over(posted, early, { outcome: 'dropped' });
    }
    let last = this.#post(posted, request, told);
    if (this.#options.isRetrying === true) {
      await last.answered;
      if (turn.delivery === last) {
        turn.expectRepeat();
        last = this.#post(posted, request, undefined);
      }
    }
    await this.#hear(posted, last);
  }

  /**
   * Waits for the end of a delivery. The turn ends with it, unless another delivery speaks by then.
   */
  async #hear(posted: Posted, delivery: OutgoingDelivery): Promise<void> {
    const { turn } = posted;
    const end = await delivery.end;
    const isLast = turn.delivery === delivery;
    if (isLast) {
      turn.delivery = undefined;
      this.#remember(posted);
      await this.#listener.onReply?.(turn);
    }
    await this.#over(posted, delivery, end, isLast && turn.endsCallBy !== undefined);
  }

  /** Nobody spoke over the reply. */
  #remember({ turn: { id, text }, request }: Posted): void {
    request.endAt(text);
    this.#transcript.set('assistant', id, text);
  }

  async #over(
    { number, turn }: Posted,
    { status }: OutgoingDelivery,
    end: DeliveryEnd,
    hangsUp = false,
  ): Promise<void> {
    await this.#trace({ type: 'local.over', delivery: number, ...end });
    if (hangsUp) {
      turn.isPlayed = true; // the last words are spoken before the call is ended
      this.#listener.onHangUp?.();
    }
    if (turn.delivery === undefined) turn.settle(end, status); // no other delivery is open
  }

  /** Posts a request whose answer nobody hears. Without a request, the turn is over already. */
  #answer(request: TestRequest | undefined, signature?: SignatureKind): CallerTurn {
    const { wire } = this.#options;
    const turn = new CallerTurn({ wire, id: request?.ids.turnId, isReply: false });
    if (request === undefined) {
      turn.settle({ outcome: 'ended' }, undefined);
      return turn;
    }
    const posted = this.#posted(request, turn, signature);
    const delivery = this.#post(posted, request, this.#traceRequest(posted));
    void delivery.end.then((end) => {
      turn.delivery = undefined;
      return this.#over(posted, delivery, end);
    });
    return turn;
  }

  /** From now on, this delivery is the one that speaks, unless it is for a guess. */
  #post(posted: Posted, request: TestRequest, told: Awaitable<unknown>): OutgoingDelivery {
    const { wire, url, headers } = this.#options;
    const { number, turn, signature } = posted;
    const options: PostOptions = {
      ...(signature === 'right' ? {} : wire.forged(request, signature)),
      headers: { ...headers, 'x-request-id': `${this.id}-${number}` },
    };
    const isTraced = (): boolean => request === posted.request && posted.delivery === delivery;
    const delivery: OutgoingDelivery = deliver({
      request,
      post: async (signal) => {
        await told;
        return wire.post(url(), request, options, signal);
      },
      onStatus: (status) =>
        isTraced() ? this.#trace({ type: 'local.answer', delivery: number, status }) : undefined,
      onEvent: async (event) => {
        if (!isTraced()) return;
        await this.#trace({ type: 'local.event', delivery: number, event });
        if (turn.delivery === delivery) await turn.take(event);
      },
      onOther: (event) =>
        isTraced() ? this.#trace({ type: 'local.event', delivery: number, event }) : undefined,
    });
    turn.delivery = posted.delivery = delivery;
    this.#open.add(delivery);
    void delivery.end.then(() => this.#open.delete(delivery));
    return delivery;
  }

  #traceRequest(
    { number, turn, request, signature }: Posted,
    interruption?: JsonObject,
  ): Awaitable<unknown> {
    if (this.#listener.onTrace === undefined) return undefined;
    const body = JSON.parse(String(request.body)) as JsonObject;
    const isComplete = turn.id === '' || 'turn_id' in body;
    const event = isComplete ? body : { turn_id: turn.id, ...body };
    const isTold = interruption === undefined || 'interruption_context' in body;
    return this.#trace({
      type: 'local.request', delivery: number, signature, event,
      ...(isTold ? {} : { interruption }),
    });
  }

  #trace(frame: DeliveryFrame): Awaitable<unknown> {
    return this.#listener.onTrace?.(frame);
  }
}

/** Undefined if the caller says one word. */
function withoutLastWord(words: string): string | undefined {
  return /^(.*\S)\s+\S+\s*$/s.exec(words)?.[1];
}

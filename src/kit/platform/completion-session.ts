import { randomUUID } from 'node:crypto';

import type { Awaitable } from '../../base/awaitable.ts';
import { parseJson, type JsonObject } from '../../base/json.ts';
import type { ProfileName } from '../../wires/chat-completions/profiles.ts';
import { AssistantTurn } from './assistant-turn.ts';
import type { CallerFacts, CallerSession } from './caller-session.ts';
import { CompletionCall, type CompletionRequest, type CompletionTurn } from './completion-call.ts';
import { eventsIn, type ReceivedPart } from './completion-events.ts';
import { deliveryOf, OutgoingDelivery, requestIdOf, type DeliveryOptions } from './delivery.ts';
import type { DeliveryEnd, DeliveryFrame, ServerFrame, SignatureKind } from './frames.ts';
import { postCompletion } from './post-completion.ts';

export interface CompletionSessionOptions {
  /** Where completions are asked for. */
  readonly url: string;
  readonly key: string;
  readonly profile: ProfileName;
  readonly conversationId: string;
  readonly caller?: CallerFacts | undefined;
  /** One that goes on. Default: a new one. */
  readonly call?: CompletionCall;
  /** Each request is sent a second time while the first is answered, as a retrying client does. */
  readonly isRetrying: boolean;
  /** Each message is first sent without its last word, as a platform does that guesses its end. */
  readonly isSpeculating: boolean;
  /**
   * Receives frames of the kinds that a traced `TextSession` sends, in order. Of each turn only the
   * delivery that is spoken is among them. If it returns a promise, the rest of the reply is read
   * after that.
   */
  readonly onFrame: (frame: ServerFrame) => Awaitable<unknown>;
  /** Called when the agent has hung up or transferred the call, after its last words. */
  readonly onHangUp: () => void;
}

/**
 * A caller in text mode. Does what platforms of Chat Completions do between a caller and an agent:
 * resends the whole call with each message, and what was heard of the last reply in it.
 */
export class CompletionSession implements CallerSession {
  readonly id = randomUUID();
  readonly #options: CompletionSessionOptions;
  readonly #call: CompletionCall;
  readonly #zeroMs = performance.now();
  readonly #open = new Set<OutgoingDelivery>();
  #turn: AssistantTurn | undefined;
  /** What the platform remembers of it. */
  #said: CompletionTurn | undefined;
  /** What the last message of the caller was. */
  #lastMessage: Posted | undefined;
  #deliveries = 0;
  #isOver = false;

  constructor(options: CompletionSessionOptions) {
    this.#options = options;
    this.#call = options.call ?? new CompletionCall(options);
  }

  /** Asks for a welcome, unless the call goes on. */
  async start(): Promise<void> {
    if (!this.#isOver && !this.#call.hasBegun) await this.#runTurn(undefined);
  }

  async say(text: string): Promise<void> {
    if (this.#isOver || text.trim() === '') return;
    this.interrupt();
    const turn_id = randomUUID();
    const { onFrame } = this.#options;
    // Not awaited: if another text arrives now, it must find this one's turn already begun.
    void onFrame({ type: 'turn.start', role: 'user', turn_id });
    void onFrame({ type: 'user.transcript', content: text, turn_id });
    void onFrame({ type: 'turn.end', role: 'user', turn_id });
    await this.#runTurn(text);
  }

  /** Drops the reply's request. The next one says how much of it can have been heard. */
  interrupt(): void {
    const heard = this.#turn?.interrupt();
    if (heard !== undefined) this.#said?.cutTo(heard);
  }

  finishPlaying(turnId?: string): void {
    if (this.#turn !== undefined && (turnId === undefined || turnId === this.#turn.id)) {
      this.#turn.isPlayed = true;
    }
  }

  /** The same bytes again: the wire has no ids of turns. */
  async redeliver(): Promise<void> {
    const last = this.#lastMessage;
    const { said } = last ?? {};
    if (this.#isOver || last === undefined || said === undefined) return;
    const isNewest = this.#turn === last.turn;
    if (!isNewest || last.turn.isWhole) return this.#show(last, 'right');
    let { turn } = last;
    if (turn.delivery !== undefined) turn.expectRepeat();
    else turn = this.#turn = new AssistantTurn(turn.id, undefined, this.#options.onFrame);
    said.begin();
    const again = { ...last, turn, number: ++this.#deliveries };
    this.#lastMessage = again;
    await this.#traceRequest(again);
    await this.#hear(again, said, this.#post(again));
  }

  drop(): void {
    if (this.#turn?.drop() === true) this.#said?.cutTo(this.#turn.text);
  }

  /** With another key: this wire signs nothing. */
  async forge(signature: Exclude<SignatureKind, 'right'>): Promise<void> {
    if (this.#isOver) return;
    const greeting = (): Pick<Posted, 'request'> => ({ request: this.#call.request('Hello') });
    const { request } = this.#lastMessage ?? greeting();
    await this.#show({ request, turn: { id: randomUUID() } }, signature);
  }

  /** Posts nothing: the end of a call is not part of this wire. */
  async end(): Promise<void> {
    if (this.#isOver) return;
    this.interrupt();
    this.abandon();
    this.#isOver = true;
  }

  abandon(): void {
    for (const delivery of this.#open) delivery.drop();
  }

  deliveryOf(requestId: string): number | undefined {
    return deliveryOf(this.id, requestId);
  }

  async #runTurn(words: string | undefined): Promise<void> {
    const { onFrame, caller, isRetrying, isSpeculating } = this.#options;
    const number = ++this.#deliveries;
    const interruption = this.#turn?.interruption;
    const turn = new AssistantTurn(randomUUID(), undefined, onFrame);
    const guessed = isSpeculating ? withoutLastWord(words) : undefined;
    const guess = guessed === undefined ? undefined : this.#call.request(guessed, caller);
    const request = this.#call.request(words, caller);
    const said = this.#call.say(words);
    const posted: Posted = { number, turn, request, said };
    [this.#turn, this.#said] = [turn, said];
    if (words !== undefined) this.#lastMessage = posted;
    await this.#traceRequest(posted, interruption);
    if (this.#turn !== turn || this.#isOver) return this.#over(number, { outcome: 'dropped' });
    if (guess !== undefined) {
      const early = this.#post({ ...posted, request: guess, said: undefined });
      await early.answered;
      // The caller may have interrupted by now.
      if (turn.delivery !== early.delivery) return this.#over(number, { outcome: 'dropped' });
      early.delivery.drop();
    }
    let last = this.#post(posted);
    if (isRetrying) {
      await last.answered;
      if (turn.delivery === last.delivery) {
        turn.expectRepeat();
        said.begin();
        last = this.#post(posted);
      }
    }
    await this.#hear(posted, said, last);
  }

  /** Waits for the end of a delivery that speaks, as long as no other one does. */
  async #hear({ number, turn }: Posted, said: CompletionTurn, last: InFlight): Promise<void> {
    const end = await last.end;
    const isLast = turn.delivery === last.delivery;
    if (isLast) {
      turn.isWhole = last.delivery.hasWholeReply;
      said.cutTo(turn.text);
      await turn.finish();
    }
    await this.#over(number, end);
    if (!isLast || !turn.hangsUp) return;
    turn.isPlayed = true; // the last words are spoken before the line is cut
    this.#options.onHangUp();
  }

  /** Posts a request whose answer is only traced. */
  async #show(
    { request, turn }: Pick<Posted, 'request'> & { readonly turn: Pick<AssistantTurn, 'id'> },
    signature: SignatureKind,
  ): Promise<void> {
    const number = ++this.#deliveries;
    const delivery = new OutgoingDelivery({
      number,
      signature,
      eventsIn,
      send: this.#sender(number, request, signature),
      onFrame: (frame) =>
        frame.type === 'local.request' ? undefined : this.#trace(frame),
      onEvent: () => undefined,
    });
    await this.#traceRequest({ number, turn, request }, undefined, signature);
    this.#open.add(delivery);
    const end = await delivery.post(request.body as JsonObject);
    this.#open.delete(delivery);
    await this.#over(number, end);
  }

  #sender(
    number: number,
    request: CompletionRequest,
    signature: SignatureKind,
  ): DeliveryOptions['send'] {
    const { url, key } = this.#options;
    const headers = { ...request.headers, 'x-request-id': requestIdOf(this.id, number) };
    const sent = signature === 'right' ? key : `${key}-another`;
    return (body, signal) => postCompletion(url, body, { key: sent, headers, signal });
  }

  /** Posts a request of a turn. From now on, this delivery is the one that speaks. */
  #post({ number, turn, request, said }: Posted): InFlight {
    const { promise: answered, resolve: onAnswer } = deferred();
    const isHeard = (): boolean => said !== undefined && turn.delivery === delivery;
    const delivery = new OutgoingDelivery({
      number,
      signature: 'right',
      eventsIn,
      send: this.#sender(number, request, 'right'),
      onFrame: (frame) => {
        if (frame.type === 'local.answer') onAnswer();
        return isHeard() && frame.type !== 'local.request' ? this.#trace(frame) : undefined;
      },
      onEvent: (event) => {
        if (said === undefined || !isHeard()) return undefined;
        return this.#take(turn, said, event as ReceivedPart); // `eventsIn` made it
      },
    });
    turn.delivery = delivery;
    this.#open.add(delivery);
    const end = delivery.post(request.body as JsonObject).finally(() => {
      onAnswer();
      this.#open.delete(delivery);
    });
    return { delivery, answered, end };
  }

  async #take(turn: AssistantTurn, said: CompletionTurn, part: ReceivedPart): Promise<void> {
    if (part.type === 'content') {
      return turn.take({ type: 'response.tts', content: part.content });
    }
    if (part.type !== 'tool_call') return;
    said.take(part);
    // What the platform does besides hanging up is shown to the person who talks.
    if (!this.#call.isHangUp(part.content)) {
      const { name, arguments: args } = part.content;
      await turn.take({ type: 'response.data', content: { [name]: parseJson(args) ?? args } });
    }
    await turn.take({ type: 'response.hangup' });
  }

  async #traceRequest(
    { number, turn, request }: Pick<Posted, 'number' | 'request'>
      & { readonly turn: Pick<AssistantTurn, 'id'> },
    interruption?: JsonObject,
    signature: SignatureKind = 'right',
  ): Promise<void> {
    const event = { turn_id: turn.id, ...request.body } as JsonObject; // it becomes JSON
    const cut = interruption === undefined ? {} : { interruption };
    await this.#trace({ type: 'local.request', delivery: number, signature, event, ...cut });
  }

  async #over(delivery: number, end: DeliveryEnd): Promise<void> {
    await this.#trace({ type: 'local.over', delivery, ...end });
  }

  /** Times are in milliseconds since the session began, rounded to a tenth. */
  #trace(frame: DeliveryFrame): Awaitable<unknown> {
    const at = Math.round((performance.now() - this.#zeroMs) * 10) / 10;
    return this.#options.onFrame({ ...frame, at });
  }
}

/** A request that was posted. */
interface InFlight {
  readonly delivery: OutgoingDelivery;
  readonly answered: Promise<void>;
  readonly end: Promise<DeliveryEnd>;
}

/** A request of a turn. */
interface Posted {
  /** Counts the requests of a session that are traced, from 1. */
  readonly number: number;
  readonly turn: AssistantTurn;
  readonly request: CompletionRequest;
  /** Undefined for a guess, which is never spoken. */
  readonly said?: CompletionTurn | undefined;
}

/** Undefined if the caller says one word. */
function withoutLastWord(words: string | undefined): string | undefined {
  return /^(.*\S)\s+\S+\s*$/s.exec(words ?? '')?.[1];
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

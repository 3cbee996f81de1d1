import { randomUUID } from 'node:crypto';

import type { Awaitable } from '../base/awaitable.ts';
import { parseJson, type JsonObject } from '../base/json.ts';
import type { ProfileName } from '../wires/chat-completions/profiles.ts';
import { AssistantTurn } from './assistant-turn.ts';
import type { CallerFacts, CallerSession } from './caller-session.ts';
import { CompletionCall, type CompletionRequest, type CompletionTurn } from './completion-call.ts';
import { eventsIn, type CompletionPart } from './completion-events.ts';
import { Delivery } from './delivery.ts';
import type { DeliveryEnd, DeliveryFrame, ServerFrame } from './frames.ts';
import { postCompletion } from './post-completion.ts';

export interface CompletionSessionOptions {
  /** Where completions are asked for. */
  readonly url: string;
  readonly key: string;
  readonly profile: ProfileName;
  readonly conversationId: string;
  readonly caller?: CallerFacts | undefined;
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
  readonly #options: CompletionSessionOptions;
  readonly #call: CompletionCall;
  readonly #zeroMs = performance.now();
  readonly #open = new Set<Delivery>();
  #turn: AssistantTurn | undefined;
  /** What the platform remembers of it. */
  #said: CompletionTurn | undefined;
  #turns = 0;
  #isOver = false;

  constructor(options: CompletionSessionOptions) {
    this.#options = options;
    this.#call = new CompletionCall(options);
  }

  /** Asks for a welcome. */
  async start(): Promise<void> {
    if (!this.#isOver) await this.#runTurn(undefined);
  }

  async say(text: string): Promise<void> {
    if (this.#isOver || text.trim() === '') return;
    this.interrupt();
    await this.#runTurn(text);
  }

  /** Drops the reply's request. The next one says how much of it can have been heard. */
  interrupt(): void {
    const heard = this.#turn?.interrupt();
    if (heard !== undefined) this.#said?.cutTo(heard);
  }

  finishPlaying(): void {
    if (this.#turn !== undefined) this.#turn.isPlayed = true;
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

  async #runTurn(words: string | undefined): Promise<void> {
    const { onFrame, onHangUp, caller, isRetrying, isSpeculating } = this.#options;
    const number = ++this.#turns;
    const turn = new AssistantTurn(randomUUID(), undefined, onFrame);
    const guessed = isSpeculating ? withoutLastWord(words) : undefined;
    const guess = guessed === undefined ? undefined : this.#call.request(guessed, caller);
    const posted: Posted = { number, turn, request: this.#call.request(words, caller) };
    const said = this.#call.say(words);
    [this.#turn, this.#said] = [turn, said];
    const event = { turn_id: turn.id, ...posted.request.body } as JsonObject; // it becomes JSON
    await this.#trace({ type: 'local.request', delivery: number, signature: 'right', event });
    if (this.#turn !== turn || this.#isOver) return this.#over(number, { outcome: 'dropped' });
    if (guess !== undefined) {
      const early = this.#post({ ...posted, request: guess });
      await early.answered;
      // The caller may have interrupted by now.
      if (turn.delivery !== early.delivery) return this.#over(number, { outcome: 'dropped' });
      early.delivery.drop();
    }
    let last = this.#post({ ...posted, said });
    if (isRetrying) {
      await last.answered;
      if (turn.delivery === last.delivery) {
        turn.expectRepeat();
        said.begin();
        last = this.#post({ ...posted, said });
      }
    }
    const end = await last.end;
    const isLast = turn.delivery === last.delivery;
    if (isLast) {
      said.cutTo(turn.text);
      await turn.finish();
    }
    await this.#over(number, end);
    if (!isLast || !turn.hangsUp) return;
    turn.isPlayed = true; // the last words are spoken before the line is cut
    onHangUp();
  }

  /** Posts a request of a turn. From now on, this delivery is the one that speaks. */
  #post({ number, turn, request, said }: Posted): {
    readonly delivery: Delivery;
    readonly answered: Promise<void>;
    readonly end: Promise<DeliveryEnd>;
  } {
    const { url, key } = this.#options;
    const { promise: answered, resolve: onAnswer } = deferred();
    const isHeard = (): boolean => said !== undefined && turn.delivery === delivery;
    const delivery = new Delivery({
      number,
      signature: 'right',
      eventsIn,
      send: (body, signal) => postCompletion(url, body, { key, headers: request.headers, signal }),
      onFrame: (frame) => {
        if (frame.type === 'local.answer') onAnswer();
        return isHeard() && frame.type !== 'local.request' ? this.#trace(frame) : undefined;
      },
      onEvent: (event) => {
        if (said === undefined || !isHeard()) return undefined;
        return this.#take(turn, said, event as CompletionPart); // `eventsIn` made it
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

  async #take(turn: AssistantTurn, said: CompletionTurn, part: CompletionPart): Promise<void> {
    if (part.type === 'content') {
      return turn.take({ type: 'response.tts', content: part.content });
    }
    if (part.type !== 'tool_call') return;
    said.take(part);
    // What the platform does beside hanging up is shown to the person who talks.
    if (!this.#call.isHangUp(part.content)) {
      const { name, arguments: args } = part.content;
      await turn.take({ type: 'response.data', content: { [name]: parseJson(args) ?? args } });
    }
    await turn.take({ type: 'response.hangup' });
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

/** A request of a turn. */
interface Posted {
  /** Counts the turns of a session, from 1. */
  readonly number: number;
  readonly turn: AssistantTurn;
  readonly request: CompletionRequest;
  /** Undefined for a guess, which is never spoken. */
  readonly said?: CompletionTurn;
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

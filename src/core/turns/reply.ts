import type { Awaitable } from '../../base/awaitable.ts';
import type { Json } from '../../base/json.ts';
import { lazyPattern } from '../../base/lazy-pattern.ts';
import type { Reply } from '../agents/agent.ts';
import type { SentEvent } from '../calls/reply-event.ts';
import type { Delivery } from './delivery.ts';
import type { SpokenReply } from './spoken-reply.ts';

/** A turn in which an agent speaks. */
export interface SpeakingTurn {
  readonly isOver: boolean;
  readonly signal: AbortSignal;
  readonly spoken: SpokenReply;
  readonly canTransfer: boolean;
  /** True when the event was accepted, false when the turn is over. See `Reply.say`. */
  send(event: SentEvent): Awaitable<boolean>;
  /** Completes the turn. Does nothing once it is over. */
  end(): void;
}

/**
 * What an agent speaks through. Its verbs can be taken out of it, as in `({ text }, { say }) =>
 * say(text)`. Each is bound when it is first read.
 */
export class TurnReply implements Reply {
  readonly #turn: SpeakingTurn;
  #say: Reply['say'] | undefined;

  constructor(turn: SpeakingTurn) {
    this.#turn = turn;
  }

  get say(): Reply['say'] {
    // Not a closure: docs/decisions/005-tuned-for-v8.md, "Objects that outlive a turn".
    return (this.#say ??= say.bind(undefined, this.#turn));
  }

  get data(): Reply['data'] {
    return (content: Json) => sendData(this.#turn, content);
  }

  get hangup(): Reply['hangup'] {
    return (options) => {
      if (!this.isOver) endCall(this.#turn, { type: 'hangup' }, options?.say);
    };
  }

  get transfer(): Reply['transfer'] {
    return (options) => transfer(this.#turn, options);
  }

  get end(): Reply['end'] {
    return () => this.#turn.end();
  }

  get isOver(): boolean {
    return this.#turn.isOver;
  }

  get signal(): AbortSignal {
    return this.#turn.signal;
  }
}

/** See `Reply.say`. Throws a `TypeError` for anything but a string. */
export function say(turn: SpeakingTurn, text: string): Awaitable<boolean> {
  if (turn.isOver) return false;
  if (typeof text !== 'string') throw new TypeError(`say takes a string, got ${typeof text}`);
  const event = turn.spoken.say(text);
  return event === undefined ? true : turn.send(event);
}

function sendData(turn: SpeakingTurn, content: Json): Awaitable<boolean> {
  if (turn.isOver) return false;
  const json = JSON.stringify(content) as string | undefined;
  if (json === undefined) throw new TypeError(`data must be a JSON value, got ${typeof content}`);
  return turn.send(turn.spoken.sendData(json));
}

/** See `Reply.transfer`. Throws a `TypeError` for a destination that is not a string. */
function transfer(
  turn: SpeakingTurn,
  { to, say: words, briefing }: Parameters<Reply['transfer']>[0],
): boolean {
  if (turn.isOver || !turn.canTransfer) return false;
  if (typeof to !== 'string' || to === '') throw new TypeError('transfer needs a destination: to');
  const brief = briefing === undefined ? {} : { briefing };
  endCall(turn, { type: 'transfer', to, ...brief }, words);
  return true;
}

/** Says the last words, then ends or transfers the call. */
function endCall(turn: SpeakingTurn, event: SentEvent, goodbye: string | undefined): void {
  // Models often write a goodbye and then pass it to `hang_up` as well.
  const isSaid = goodbye !== undefined && endsWithWords(turn.spoken.text(), goodbye);
  if (goodbye !== undefined && !isSaid) void say(turn, turn.spoken.apart(goodbye));
  sendHalfCharacter(turn);
  void turn.send(event);
  turn.end();
}

/** Whether a text ends with these words, whatever their case and punctuation. */
function endsWithWords(text: string, words: string): boolean {
  const end = wordsOf(words);
  return end !== ' ' && wordsOf(text).endsWith(end);
}

const SIGNS = lazyPattern(String.raw`[^\p{L}\p{N}]+`, 'gu');

/** `Well, good-bye!` → ` well good bye` */
function wordsOf(text: string): string {
  return ` ${text.toLowerCase().replace(SIGNS(), ' ').trim()}`;
}

/** Sends half a character if one is still waiting for its other half. */
export function sendHalfCharacter(turn: SpeakingTurn): void {
  const event = turn.spoken.flush();
  if (event !== undefined) void turn.send(event);
}

/** Sends the last words of a failed turn, even if its reply was too long. */
export function apologise(
  { spoken, delivery }: { readonly spoken: SpokenReply; readonly delivery: Delivery },
  apology: string,
): void {
  // The space is an event of its own, so that the apology stays one.
  const texts = spoken.endsInWord ? [' ', apology] : [apology];
  for (const text of texts) {
    const event: SentEvent = { type: 'say', text };
    spoken.note(event);
    void delivery.send(event);
  }
}

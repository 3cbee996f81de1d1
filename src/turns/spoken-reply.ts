import { apart } from '../base/apart.ts';
import type { SentEvent } from '../calls/reply-event.ts';
import type { AssistantMessage, Message } from '../conversations/message.ts';
import type { SpokenToolCall } from '../tools/tool-calls-noted.ts';
import {
  isOwnText,
  messagesOf,
  ownText,
  replayOf,
  speakersIn,
  type Break,
  type Redactor,
  type SpeakerChange,
} from './reply-messages.ts';

/**
 * Longest reply of a turn, inclusive: text and data together, in UTF-16 code units. A longer one
 * fails the turn.
 */
export const MAX_REPLY_LENGTH = 1_048_576;

/** Takes the values that the agent redacts out of what was said. */
export interface RedactedValues extends Redactor {
  text(text: string): string;
  event(event: SentEvent): SentEvent;
}

/** A turn has said more than `MAX_REPLY_LENGTH`. */
export class ReplyTooLong extends RangeError {
  override readonly name = 'ReplyTooLong';
  readonly code = 'ERR_REPLY_TOO_LONG';
}

const NOTHING_SENT: SentEvent[] = [];
const NO_CALLS: readonly SpokenToolCall[] = [];

/**
 * What a turn has said: its events in order, and how they appear in history. It does no input or
 * output. `say`, `sayFiller`, `sendData` and `flush` return the event to send, and `note` is called
 * when it was sent.
 */
export class SpokenReply {
  readonly #values: RedactedValues | undefined;
  #sent: SentEvent[] = NOTHING_SENT;
  #length = 0;
  #hasSpoken = false;
  #hasSentData = false;
  #filler: string | undefined;
  /**
   * The first half of a surrogate pair, if the last piece ended with it: models split characters
   * between tokens.
   */
  #highSurrogate = '';
  #breaks: Break[] | undefined;
  /** How many events left on earlier deliveries of the turn. */
  #sentEarlier = 0;

  /** With `values`, whatever is not sent to the caller comes without them. */
  constructor(values?: RedactedValues) {
    this.#values = values;
  }

  /** Whether the agent has spoken a word. A filler does not count. */
  get hasSpoken(): boolean {
    return this.#hasSpoken;
  }

  /** True until the agent has spoken a word, sent data, or begun a character. */
  get isEmpty(): boolean {
    return !this.#hasSpoken && !this.#hasSentData && this.#highSurrogate === '';
  }

  get isTooLong(): boolean {
    return this.#length > MAX_REPLY_LENGTH;
  }

  get events(): readonly SentEvent[] {
    return this.#sent;
  }

  /** All fillers of the turn, as one text. Undefined if there was none. */
  get filler(): string | undefined {
    const [filler, values] = [this.#filler, this.#values];
    return filler === undefined || values === undefined ? filler : values.text(filler);
  }

  /** The event for a piece of text. Undefined if nothing can be sent yet. */
  say(text: string): SentEvent | undefined {
    const words = this.#breaks === undefined ? text : this.#apartFromLastSpeaker(text);
    const piece = this.#joinSurrogates(words);
    if (piece === '') return undefined;
    if (!this.#hasSpoken && /\S/.test(piece)) this.#hasSpoken = true;
    this.#length += piece.length;
    return { type: 'say', text: piece };
  }

  /** The event for a filler. Undefined once the agent has spoken. */
  sayFiller(text: string): SentEvent | undefined {
    if (this.#hasSpoken || text.trim() === '') return undefined;
    const piece = `${text.trimEnd()} `;
    this.#length += piece.length;
    this.#filler = this.#filler === undefined ? text.trim() : `${this.#filler} ${text.trim()}`;
    return { type: 'say', text: piece, isFiller: true };
  }

  /** The event for data. `json` is the text of a JSON value. */
  sendData(json: string): SentEvent {
    this.#hasSentData = true;
    this.#length += json.length;
    return { type: 'data', json };
  }

  /** The event for half a character whose other half never came. Undefined if there is none. */
  flush(): SentEvent | undefined {
    if (this.#highSurrogate === '') return undefined;
    this.#highSurrogate = '';
    return { type: 'say', text: '\ufffd' };
  }

  /** The text, with a space in front if it would run into the last word. */
  apart(text: string): string {
    const last = this.#sent.findLast((event) => event.type === 'say');
    return apart(text, last?.type === 'say' ? last.text : '');
  }

  /** Whether the last event is a word of the agent's without a space after it. */
  get endsInWord(): boolean {
    const last = this.#sent.at(-1);
    return last !== undefined && isOwnText(last) && /\S$/.test(last.text);
  }

  /** Notes an event that was sent. */
  note(event: SentEvent): void {
    if (!this.#hasSpoken && isOwnText(event) && /\S/.test(event.text)) this.#hasSpoken = true;
    // Most replies have one or two events. `push` onto an empty array would allocate 17 places.
    if (this.#sent.length === 0) this.#sent = [event];
    else this.#sent.push(event);
  }

  /** Notes calls that a model made together. */
  noteCalls(calls: readonly SpokenToolCall[]): void {
    (this.#breaks ??= []).push({ calls, sentBefore: this.#sent.length });
  }

  /** Another agent speaks from now on. Undefined is the path's own agent. */
  changeSpeaker(agent: string | undefined): void {
    const messagesBefore = this.messages('', 'open').length;
    const change = { agent, messagesBefore, hasSpoken: false };
    (this.#breaks ??= []).push({ calls: NO_CALLS, sentBefore: this.#sent.length, change });
  }

  /** Name of the agent that speaks. Undefined is the path's own agent. */
  get speaker(): string | undefined {
    return this.#breaks === undefined ? undefined : this.#lastChange?.agent;
  }

  /**
   * Names of the agents that spoke, in order. `own` is the name of the path's own agent. Undefined
   * if only that one spoke.
   */
  speakers(own: string | undefined): readonly string[] | undefined {
    if (this.#breaks === undefined || this.#lastChange === undefined) return undefined;
    return speakersIn(this.#breaks, own);
  }

  /**
   * Another delivery takes over. All events of the one before count as sent, except for the last
   * `unsent`.
   */
  noteTakeOver(unsent: number): void {
    this.#sentEarlier = Math.max(this.#sentEarlier, this.#sent.length - unsent);
  }

  /**
   * How many events have left, on this delivery or an earlier one. `unsent`: how many of the last
   * have not left on this one.
   */
  countSent(unsent: number): number {
    return Math.max(this.#sentEarlier, this.#sent.length - unsent);
  }

  /** The agent's own words among the first `count` events. */
  text(count = this.#sent.length): string {
    const text = ownText(this.#sent, 0, count);
    if (this.#values === undefined) return text;
    return this.#values.beginning(ownText(this.#sent, 0, this.#sent.length), text.length);
  }

  /** The reply as history holds it, as far as its first `count` events. */
  messages(turnId: string, state: AssistantMessage['state'], count = this.#sent.length): Message[] {
    return messagesOf(this.#sent, this.#breaks, turnId, state, count, this.#values);
  }

  /** What the agent that speaks has said and called so far. */
  messagesOfSpeaker(turnId: string): Message[] {
    return this.messages(turnId, 'open').slice(this.#lastChange?.messagesBefore ?? 0);
  }

  /** The same, without the words after its last call. */
  rounds(turnId: string): Message[] {
    const messages = this.messagesOfSpeaker(turnId);
    return messages.slice(0, messages.findLastIndex(({ role }) => role === 'tool') + 1);
  }

  /** See `replayOf`. */
  replay(): SentEvent[] | undefined {
    const [replay, values] = [replayOf(this.#sent), this.#values];
    return values === undefined ? replay : replay?.map((event) => values.event(event));
  }

  get #lastChange(): SpeakerChange | undefined {
    return this.#breaks?.findLast(({ change }) => change !== undefined)?.change;
  }

  /** An agent's first words must not run into those of the agent before it. */
  #apartFromLastSpeaker(text: string): string {
    const change = this.#lastChange;
    if (change === undefined || change.hasSpoken || text === '') return text;
    change.hasSpoken = true;
    return this.apart(text);
  }

  #joinSurrogates(text: string): string {
    let piece = text;
    if (this.#highSurrogate !== '') {
      piece = this.#highSurrogate + text;
      this.#highSurrogate = '';
    }
    const last = piece.charCodeAt(piece.length - 1);
    if (last < 0xd800 || last > 0xdbff || Number.isNaN(last)) return piece;
    this.#highSurrogate = piece.slice(-1);
    return piece.slice(0, -1);
  }
}

import { apart } from '../base/apart.ts';
import type { AssistantMessage, Message, SentEvent } from '../conversations/message.ts';
import {
  isOwnText,
  messagesOf,
  ownText,
  replayOf,
  speakersIn,
  type Break,
  type SpeakerChange,
  type SpokenCall,
} from './reply-messages.ts';

/**
 * Longest reply of a turn, inclusive: texts and data together, in UTF-16 code units. A longer one
 * fails the turn.
 */
export const MAX_REPLY_LENGTH = 1_048_576;

const NOTHING_SENT: SentEvent[] = [];
const NO_CALLS: readonly SpokenCall[] = [];

/**
 * What a turn has said: its events in order, and what they come to in history. Does no input or
 * output: `say` and its neighbours make the event to send, and `note` takes it down once it was
 * sent.
 */
export class SpokenReply {
  #sent: SentEvent[] = NOTHING_SENT;
  #length = 0;
  #hasSpoken = false;
  #hasSentData = false;
  #filler: string | undefined;
  /**
   * The first half of a surrogate pair that ended the last piece: models split characters between
   * tokens.
   */
  #highSurrogate = '';
  #breaks: Break[] | undefined;
  /** How many events an earlier delivery of the turn is known to have sent. */
  #sentEarlier = 0;

  /** Whether the agent has spoken a word of its own. A filler is none. */
  get hasSpoken(): boolean {
    return this.#hasSpoken;
  }

  /** Whether anything was sent, or begun, that the agent chose to send. */
  get isEmpty(): boolean {
    return !this.#hasSpoken && !this.#hasSentData && this.#highSurrogate === '';
  }

  get isTooLong(): boolean {
    return this.#length > MAX_REPLY_LENGTH;
  }

  get events(): readonly SentEvent[] {
    return this.#sent;
  }

  /** Everything said while the agent had no word yet. */
  get filler(): string | undefined {
    return this.#filler;
  }

  /** The event for a piece of text. Undefined where nothing can be sent yet. */
  say(text: string): SentEvent | undefined {
    const piece = this.#joinSurrogates(this.#breaks === undefined ? text : this.#begun(text));
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

  /** `json` is the text of a JSON value. */
  sendData(json: string): SentEvent {
    this.#hasSentData = true;
    this.#length += json.length;
    return { type: 'data', json };
  }

  /** The event for half a character that was left without its other half. */
  flush(): SentEvent | undefined {
    if (this.#highSurrogate === '') return undefined;
    this.#highSurrogate = '';
    return { type: 'say', text: '\ufffd' };
  }

  /** The text, with a space in front where it would stick to what was said last. */
  apart(text: string): string {
    const last = this.#sent.findLast((event) => event.type === 'say');
    return apart(text, last?.type === 'say' ? last.text : '');
  }

  /** Whether the agent's last word would run into the next, which has not been said. */
  get endsInWord(): boolean {
    const last = this.#sent.at(-1);
    return last !== undefined && isOwnText(last) && /\S$/.test(last.text);
  }

  /** Takes down an event that was sent. */
  note(event: SentEvent): void {
    if (!this.#hasSpoken && isOwnText(event) && /\S/.test(event.text)) this.#hasSpoken = true;
    // Most replies have an event or two, and `push` onto an empty array makes room for 17.
    if (this.#sent.length === 0) this.#sent = [event];
    else this.#sent.push(event);
  }

  /** The model called tools. */
  noteCalls(calls: readonly SpokenCall[]): void {
    (this.#breaks ??= []).push({ calls, sentBefore: this.#sent.length });
  }

  /** Another agent speaks from now on. Undefined: the one of the path. */
  changeSpeaker(agent: string | undefined): void {
    const messagesBefore = this.messages('', 'open').length;
    const change = { agent, messagesBefore, hasSpoken: false };
    (this.#breaks ??= []).push({ calls: NO_CALLS, sentBefore: this.#sent.length, change });
  }

  /** The agent that speaks. Undefined: the one of the path. */
  get speaker(): string | undefined {
    return this.#breaks === undefined ? undefined : this.#lastChange?.agent;
  }

  /**
   * The agents that spoke, in their order; `own` is the one of the path. Undefined if that is the
   * only one.
   */
  speakers(own: string | undefined): readonly string[] | undefined {
    if (this.#breaks === undefined || this.#lastChange === undefined) return undefined;
    return speakersIn(this.#breaks, own);
  }

  /**
   * Another delivery goes on: what this one has sent stays sent. `unsent` of the last events have
   * not left.
   */
  noteTakeOver(unsent: number): void {
    this.#sentEarlier = Math.max(this.#sentEarlier, this.#sent.length - unsent);
  }

  /** How many events have left, on this delivery or an earlier one. */
  countSent(unsent: number): number {
    return Math.max(this.#sentEarlier, this.#sent.length - unsent);
  }

  /** The agent's own words among the first `count` events. */
  text(count = this.#sent.length): string {
    return ownText(this.#sent, 0, count);
  }

  /** The reply as history holds it, as far as its first `count` events. */
  messages(turnId: string, state: AssistantMessage['state'], count = this.#sent.length): Message[] {
    return messagesOf(this.#sent, this.#breaks, turnId, state, count);
  }

  /** As `messages`, of a reply that goes on: what the agent that speaks has said and called. */
  messagesOfSpeaker(turnId: string): Message[] {
    return this.messages(turnId, 'open').slice(this.#lastChange?.messagesBefore ?? 0);
  }

  /** As `messagesOfSpeaker`, without the words after the last call. */
  rounds(turnId: string): Message[] {
    const messages = this.messagesOfSpeaker(turnId);
    return messages.slice(0, messages.findLastIndex(({ role }) => role === 'tool') + 1);
  }

  /**
   * What to send again when the turn is delivered again. Undefined where the messages say it all.
   */
  replay(): SentEvent[] | undefined {
    return replayOf(this.#sent);
  }

  get #lastChange(): SpeakerChange | undefined {
    return this.#breaks?.findLast(({ change }) => change !== undefined)?.change;
  }

  /** What an agent says first must not run into the words of the one before it. */
  #begun(text: string): string {
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

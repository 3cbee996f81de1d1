import { apart } from '../../base/apart.ts';
import type { SentEvent } from '../calls/reply-event.ts';
import type { AssistantMessage, Message } from '../conversations/message.ts';
import type { SpokenToolCall } from '../tools/tool-calling-turn.ts';
import type { Values } from './values.ts';

/**
 * Longest reply of a turn, inclusive: text and data together, in UTF-16 code units. A longer one
 * fails the turn.
 */
export const MAX_REPLY_LENGTH = 1_048_576;

const NOTHING_SENT: SentEvent[] = [];
const NO_CALLS: readonly SpokenToolCall[] = [];

/**
 * What a turn has said: its events in order, and how they appear in history. It does no input or
 * output. `say`, `sayFiller`, `sendData` and `flush` return the event to send, and `note` is called
 * once it has been sent.
 */
export class SpokenReply {
  readonly #values: Values | undefined;
  readonly #maxWords: number;
  #sent: SentEvent[] = NOTHING_SENT;
  #length = 0;
  /** Undefined while the reply is too short to have too many words. */
  #counted: WordCount | undefined;
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

  /**
   * With `values`, everything that is not sent to the caller has placeholders for them. A reply of
   * more than `maxWords`, fillers included, is too long.
   */
  constructor(values?: Values, maxWords = Infinity) {
    this.#values = values;
    this.#maxWords = maxWords;
  }

  /** Whether the agent has spoken a word. A filler does not count. */
  get hasSpoken(): boolean {
    return this.#hasSpoken;
  }

  /** True until the agent has spoken a word, sent data, or begun a character. */
  get isEmpty(): boolean {
    return !this.#hasSpoken && !this.#hasSentData && this.#highSurrogate === '';
  }

  /** The limit that the reply has exceeded. Undefined if it is not too long. */
  get excess(): string | undefined {
    if (this.#length > MAX_REPLY_LENGTH) return `${MAX_REPLY_LENGTH} characters`;
    if (this.#counted === undefined || this.#counted.words <= this.#maxWords) return undefined;
    return `${this.#maxWords} words`;
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
    this.#lengthen(piece);
    return { type: 'say', text: piece };
  }

  /** The event for a filler. Undefined once the agent has spoken. */
  sayFiller(text: string): SentEvent | undefined {
    if (this.#hasSpoken || text.trim() === '') return undefined;
    const piece = `${text.trimEnd()} `;
    this.#lengthen(piece);
    this.#filler = this.#filler === undefined ? text.trim() : `${this.#filler} ${text.trim()}`;
    return { type: 'say', text: piece, isFiller: true };
  }

  #lengthen(piece: string): void {
    this.#length += piece.length;
    if (this.#length < this.#maxWords) return; // most replies are never counted
    if (this.#counted === undefined) {
      this.#counted = new WordCount();
      for (const event of this.#sent) if (event.type === 'say') this.#counted.add(event.text);
    }
    this.#counted.add(piece);
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

  /** The text, with a space first if it would run into the last word. */
  apart(text: string): string {
    const last = this.#sent.findLast((event) => event.type === 'say');
    return apart(text, last?.type === 'say' ? last.text : '');
  }

  /** Whether the last event is the agent's own text, and has no space at its end. */
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

  /** Another agent speaks from now on. Undefined: the path's own agent. */
  changeSpeaker(agent: string | undefined): void {
    const messagesBefore = this.messages('', 'open').length;
    const change = { agent, messagesBefore, hasSpoken: false };
    (this.#breaks ??= []).push({ calls: NO_CALLS, sentBefore: this.#sent.length, change });
  }

  /** Name of the agent that speaks. Undefined: the path's own agent. */
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
    return this.#words(0, this.#sent.length, count);
  }

  /**
   * The reply as history holds it, up to its first `count` events: texts and tool calls in order,
   * each call with its result.
   */
  messages(turnId: string, state: AssistantMessage['state'], count = this.#sent.length): Message[] {
    const messages: Message[] = [];
    let from = 0;
    let agent: string | undefined;
    for (const { calls, sentBefore, change } of this.#breaks ?? NO_BREAKS) {
      const content = this.#words(from, sentBefore, count);
      from = sentBefore;
      if (change !== undefined) {
        if (content !== '') messages.push(by(agent, { role: 'assistant', content, turnId, state }));
        agent = change.agent;
        continue;
      }
      const toolCalls = calls.map(({ call }) => call);
      messages.push(by(agent, { role: 'assistant', content, turnId, state, toolCalls }));
      for (const call of calls) messages.push(resultOf(call, turnId));
    }
    const rest = this.#words(from, this.#sent.length, count, state === 'interrupted');
    if (rest !== '') messages.push(by(agent, { role: 'assistant', content: rest, turnId, state }));
    return messages;
  }

  /**
   * Agents' words among the events from `from` up to `to`, within the first `count` events.
   * `isCut`: whether they may end in mid-word.
   */
  #words(from: number, to: number, count: number, isCut = false): string {
    const words = ownText(this.#sent, from, Math.min(to, count));
    if (this.#values === undefined) return words;
    // A value may have been sent in part.
    return this.#values.beginning(ownText(this.#sent, from, to), words.length, isCut);
  }

  /** What the current speaker has said and called so far. */
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

/**
 * Counts the words of a text that comes in pieces. They are separated by white space; a Chinese or
 * Japanese character counts as one.
 */
class WordCount {
  words = 0;
  #isInWord = false;

  add(piece: string): void {
    for (let at = 0; at < piece.length; at++) {
      const unit = piece.charCodeAt(at);
      const isSpace = unit <= 0x20 || unit === 0xa0 || (unit >= 0x3000 && unit <= 0x303f);
      const isWhole = (unit >= 0x3040 && unit <= 0x30ff) || (unit >= 0x3400 && unit <= 0x9fff);
      if (isWhole || (!isSpace && !this.#isInWord)) this.words += 1;
      this.#isInWord = !isSpace && !isWhole;
    }
  }
}

/** From here on another agent speaks. */
interface SpeakerChange {
  /** Its name. Undefined: the path's own agent. */
  readonly agent: string | undefined;
  /** How many messages of the reply come from the agents before it. */
  readonly messagesBefore: number;
  hasSpoken: boolean;
}

/** A break in the reply: calls that a model made together, or a change of speaker. */
interface Break {
  readonly calls: readonly SpokenToolCall[];
  /** How many events had been sent before. */
  readonly sentBefore: number;
  readonly change?: SpeakerChange;
}

const NO_BREAKS: readonly Break[] = [];

function resultOf(
  { call, key, runId, process, joins, isRepeatable, state, content, handOver }: SpokenToolCall,
  turnId: string,
): Message {
  return {
    role: 'tool',
    content,
    turnId,
    toolCallId: call.id,
    runId,
    ...(process === undefined ? {} : { process }),
    state,
    ...(joins === true ? { joins } : {}),
    ...(isRepeatable === true ? { isRepeatable } : {}),
    ...(key === undefined ? {} : { key }),
    ...(handOver === undefined ? {} : { handOver }),
  };
}

function by(agent: string | undefined, message: AssistantMessage): AssistantMessage {
  return agent === undefined ? message : { ...message, agent };
}

/**
 * Names of the agents that spoke, in order. The path's own agent, named `own`, is the first if the
 * reply begins with it: then the first break is the call that handed over.
 */
function speakersIn(breaks: readonly Break[], own: string | undefined): string[] {
  const names = breaks.map(({ change }, index) => {
    if (change !== undefined) return change.agent ?? own;
    return index === 0 ? own : undefined;
  });
  return names.filter((name) => name !== undefined);
}

/** The words of agents among the events from `from` up to `to`, without fillers. */
function ownText(events: readonly SentEvent[], from: number, to: number): string {
  let text = '';
  for (let index = from; index < Math.min(to, events.length); index++) {
    const event = events[index];
    if (event !== undefined && isOwnText(event)) text += event.text;
  }
  return text;
}

/**
 * What to send if the turn is delivered again after it has completed: the same events, with
 * adjacent texts joined and without fillers. Undefined if the messages alone give the same.
 */
function replayOf(sent: readonly SentEvent[]): SentEvent[] | undefined {
  if (sent.every(isOwnText)) return undefined;
  const replay: SentEvent[] = [];
  for (const event of sent) {
    if (event.type === 'say' && event.isFiller === true) continue;
    const last = replay.at(-1);
    if (event.type === 'say' && last?.type === 'say')
      replay[replay.length - 1] = { ...last, text: last.text + event.text };
    else replay.push(event);
  }
  return replay;
}

/** Whether the event is an agent's text, and not a filler. */
function isOwnText(event: SentEvent): event is Extract<SentEvent, { type: 'say' }> {
  return event.type === 'say' && event.isFiller !== true;
}

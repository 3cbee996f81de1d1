import { apart } from '../base/apart.ts';
import type {
  AssistantMessage,
  Message,
  SentEvent,
  ToolCall,
  ToolCallState,
} from '../conversations/message.ts';

/**
 * Longest reply of a turn, texts and data together, in UTF-16 code units. A longer one fails the
 * turn.
 */
export const MAX_REPLY_LENGTH = 1_048_576;

/** A tool call of the reply, and what is known of its result. */
export interface SpokenCall {
  readonly call: ToolCall;
  readonly key: string | undefined;
  state: ToolCallState;
  content: string;
  /** The agent that it handed the conversation over to. */
  handOver?: string;
}

/** Another agent speaks from here on. */
interface SpeakerChange {
  /** Undefined: the one of the path. */
  readonly agent: string | undefined;
  /** How many messages the agents before it have left. */
  readonly messagesBefore: number;
  hasSpoken: boolean;
}

/**
 * Calls that a model made together, or a change of the speaker, and how many events had been sent
 * before.
 */
interface ToolRound {
  readonly calls: readonly SpokenCall[];
  readonly sentBefore: number;
  readonly change?: SpeakerChange;
}

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
  #rounds: ToolRound[] | undefined;
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
    const piece = this.#joinSurrogates(this.#rounds === undefined ? text : this.#begun(text));
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

  /** Takes down an event that was sent. */
  note(event: SentEvent): void {
    if (!this.#hasSpoken && isOwnText(event) && /\S/.test(event.text)) this.#hasSpoken = true;
    // Most replies have an event or two, and `push` onto an empty array makes room for 17.
    if (this.#sent.length === 0) this.#sent = [event];
    else this.#sent.push(event);
  }

  /** The model called tools. */
  noteCalls(calls: readonly SpokenCall[]): void {
    (this.#rounds ??= []).push({ calls, sentBefore: this.#sent.length });
  }

  /** Another agent speaks from now on. Undefined: the one of the path. */
  changeSpeaker(agent: string | undefined): void {
    const messagesBefore = this.messages('', 'open').length;
    const change = { agent, messagesBefore, hasSpoken: false };
    (this.#rounds ??= []).push({ calls: NO_CALLS, sentBefore: this.#sent.length, change });
  }

  /** The agent that speaks. Undefined: the one of the path. */
  get speaker(): string | undefined {
    return this.#rounds === undefined ? undefined : this.#lastChange?.agent;
  }

  /**
   * The agents that spoke, in their order; `own` is the one of the path. Undefined if that is the
   * only one.
   */
  speakers(own: string | undefined): readonly string[] | undefined {
    if (this.#rounds === undefined || this.#lastChange === undefined) return undefined;
    const changes = this.#rounds.map(({ change }, index) => {
      if (change !== undefined) return change.agent ?? own;
      return index === 0 ? own : undefined;
    });
    return changes.filter((name) => name !== undefined);
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

  /**
   * The reply as history holds it, up to an event: texts and tool calls in their order, each call
   * with its result.
   */
  messages(turnId: string, state: AssistantMessage['state'], count = this.#sent.length): Message[] {
    const messages: Message[] = [];
    let from = 0;
    let agent: string | undefined;
    for (const { calls, sentBefore, change } of this.#rounds ?? []) {
      const content = ownText(this.#sent, from, Math.min(sentBefore, count));
      from = sentBefore;
      if (change !== undefined) {
        if (content !== '') messages.push(by(agent, { role: 'assistant', content, turnId, state }));
        agent = change.agent;
        continue;
      }
      const toolCalls = calls.map(({ call }) => call);
      messages.push(by(agent, { role: 'assistant', content, turnId, state, toolCalls }));
      for (const { call, key, state: callState, content: result, handOver } of calls) {
        messages.push({
          role: 'tool',
          content: result,
          turnId,
          toolCallId: call.id,
          state: callState,
          ...(key === undefined ? {} : { key }),
          ...(handOver === undefined ? {} : { handOver }),
        });
      }
    }
    const rest = ownText(this.#sent, from, count);
    if (rest !== '') messages.push(by(agent, { role: 'assistant', content: rest, turnId, state }));
    return messages;
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
    return this.#sent.every(isOwnText) ? undefined : joinTexts(this.#sent.filter(isOwn));
  }

  get #lastChange(): SpeakerChange | undefined {
    return this.#rounds?.findLast(({ change }) => change !== undefined)?.change;
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

function by(agent: string | undefined, message: AssistantMessage): AssistantMessage {
  return agent === undefined ? message : { ...message, agent };
}

function ownText(events: readonly SentEvent[], from: number, to: number): string {
  let text = '';
  for (let index = from; index < Math.min(to, events.length); index++) {
    const event = events[index];
    if (event?.type === 'say' && event.isFiller !== true) text += event.text;
  }
  return text;
}

/** False for a filler. */
function isOwn(event: SentEvent): boolean {
  return event.type !== 'say' || event.isFiller !== true;
}

function isOwnText(event: SentEvent): event is Extract<SentEvent, { readonly type: 'say' }> {
  return event.type === 'say' && event.isFiller !== true;
}

/** The same events, neighbouring texts as one. */
function joinTexts(events: readonly SentEvent[]): SentEvent[] {
  const joined: SentEvent[] = [];
  for (const event of events) {
    const last = joined.at(-1);
    if (event.type === 'say' && last?.type === 'say')
      joined[joined.length - 1] = { ...last, text: last.text + event.text };
    else joined.push(event);
  }
  return joined;
}

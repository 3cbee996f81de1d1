// How one turn is kept: plain JSON that every store can write, and what can be read from it.

import {
  TURN_STATES,
  type AssistantMessage,
  type Message,
  type SentEvent,
  type ToolMessage,
  type TurnState,
} from './message.ts';

/** What one model was asked in a turn. Tokens are undefined where the vendor reported none. */
export interface ModelFigures {
  readonly model: string;
  readonly requests: number;
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
  readonly cachedTokens: number | undefined;
}

/** What the record of a call says of a turn beside its messages. */
export interface TurnFigures {
  readonly sessionId: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** These are missing while the turn runs, and if its process died. */
  readonly durationMs?: number | undefined;
  /** Missing too if nothing was spoken. */
  readonly firstSpeechMs?: number | undefined;
  /** Missing too if no model was asked. From its request to the first text or tool call. */
  readonly firstTokenMs?: number | undefined;
  readonly models?: readonly ModelFigures[] | undefined;
}

/** One exchange. Its messages stand together, in the turn's place, whenever they were written. */
export interface TurnRecord {
  readonly id: string;
  state: TurnState;
  /**
   * The run that owns the record. A turn that runs anew has a new one, and the old run loses its
   * right to write words.
   */
  runId: number;
  /**
   * The caller's words and the reply, null where there are none. Most turns need no more than these
   * two.
   */
  words: string | null;
  reply: string | null;
  /**
   * All messages of a turn that has more: tool calls, several messages of one role, or the words of
   * an agent that the conversation was handed over to.
   */
  messages?: Message[];
  /**
   * How many of `messages` come before the words of the current run: the caller's, and calls of
   * earlier runs.
   */
  kept?: number;
  /**
   * What was said while the agent had no word yet. Not part of the messages, but the caller heard
   * it.
   */
  filler?: string;
  /** What was sent, where the messages do not say all of it. */
  sent?: readonly SentEvent[];
  /** Set when somebody else closed the turn, so that what its run sent is not known here. */
  isUnknown?: true;
  /** Where several processes share the conversation: the address of the one that runs the turn. */
  process?: string;
  /** Only where calls are recorded. */
  figures?: TurnFigures;
  /**
   * Only where several processes may share the conversation: when the turn was added, in
   * milliseconds since the epoch, but always later than the turn before it. So the order holds
   * though clocks differ, and a turn that another process adds later finds its place.
   */
  addedAt?: number;
}

/** A run of another process. */
export interface RunElsewhere {
  readonly process: string;
  readonly runId: number;
}

/** Whether a part of a store is a turn: what is none must not end the calls of its conversation. */
export function isTurnRecord(value: object): value is TurnRecord {
  const part: Partial<Record<string, unknown>> = { ...value };
  const { id, state, runId, words, reply, messages, sent = [], addedAt = 0 } = part;
  const isText = (text: unknown): boolean => text === null || typeof text === 'string';
  return (
    typeof id === 'string' &&
    TURN_STATES.some((known) => known === state) &&
    typeof runId === 'number' &&
    isText(words) &&
    isText(reply) &&
    Array.isArray(sent) &&
    typeof addedAt === 'number' &&
    (messages === undefined || (Array.isArray(messages) && messages.every(isMessage)))
  );
}

function isMessage(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { role, content, toolCalls = [] }: Partial<Record<string, unknown>> = { ...value };
  return typeof role === 'string' && typeof content === 'string' && Array.isArray(toolCalls);
}

export function newTurn(id: string, state: TurnState, runId: number): TurnRecord {
  return { id, state, runId, words: null, reply: null };
}

/**
 * The id of the n-th turn that came with one id, each with other words. The caller's platform knows
 * none but the first.
 */
export function idOfNth(turnId: string, n: number): string {
  return n === 1 ? turnId : `${turnId}~${n}`;
}

/** Whether the turn came with that id. */
export function cameWith({ id }: TurnRecord, turnId: string): boolean {
  return (
    id.startsWith(turnId) && (id.length === turnId.length || /^~\d+$/.test(id.slice(turnId.length)))
  );
}

/** The messages of a turn. Some are the record's own objects: not to be handed to an agent. */
export function messagesOf({ id: turnId, state, words, reply, messages }: TurnRecord): Message[] {
  if (messages !== undefined) return messages;
  const plain: Message[] = [];
  if (words !== null) plain.push({ role: 'user', content: words, turnId });
  if (reply !== null) plain.push({ role: 'assistant', content: reply, turnId, state });
  return plain;
}

/**
 * What comes before the words of the current run: the caller's words, and the calls of earlier
 * runs.
 */
export function leadingMessages(record: TurnRecord): Message[] {
  const messages = messagesOf(record);
  return record.kept === undefined
    ? messages.filter(({ role }) => role === 'user')
    : messages.slice(0, record.kept);
}

/** What the current run has said and called. */
export function ownMessages(record: TurnRecord): Message[] {
  const messages = messagesOf(record);
  return record.kept === undefined
    ? messages.filter(({ role }) => role !== 'user')
    : messages.slice(record.kept);
}

/** The words of the current run. */
export function replyText(record: TurnRecord): string {
  if (record.messages === undefined) return record.reply ?? '';
  let text = '';
  for (const message of ownMessages(record))
    if (message.role === 'assistant') text += message.content;
  return text;
}

/** What a completed turn sent: enough to send it again. */
export function sentEvents(record: TurnRecord): readonly SentEvent[] {
  if (record.sent !== undefined) return record.sent;
  const text = replyText(record);
  return text === '' ? [] : [{ type: 'say', text }];
}

/**
 * Whether a delivery with these words is the one that began the turn. Undefined: a delivery that
 * carries no words.
 */
export function isBegunBy({ words, messages }: TurnRecord, text: string | undefined): boolean {
  if (messages === undefined) return words === (text ?? null);
  return messages.find(({ role }) => role === 'user')?.content === text;
}

export function setPlain(record: TurnRecord, words: string | null, reply: string | null): void {
  record.words = words;
  record.reply = reply;
  // Deleting costs a call into V8's runtime, even where there is nothing to delete.
  if (record.messages !== undefined) delete record.messages;
  if (record.kept !== undefined) delete record.kept;
}

/** Removes what a run left beside the messages. */
export function forgetRun(record: TurnRecord): void {
  if (record.sent !== undefined) delete record.sent;
  if (record.filler !== undefined) delete record.filler;
  if (record.isUnknown !== undefined) delete record.isUnknown;
}

/** Replaces all messages. The first `kept` of them come before the current run's own. */
export function setMessages(record: TurnRecord, messages: Message[], kept?: number): void {
  const [first, second] = messages;
  const words = first?.role === 'user' ? first : undefined;
  const reply = words === undefined ? first : second;
  const count = Number(words !== undefined) + Number(reply !== undefined);
  if (messages.length === count && (reply === undefined || isPlainReply(reply))) {
    setPlain(record, words?.content ?? null, reply?.content ?? null);
    return;
  }
  setPlain(record, null, null);
  record.messages = messages;
  if (kept !== undefined) record.kept = kept;
}

export function isPlainReply(message: Message): message is AssistantMessage {
  if (message.role !== 'assistant') return false;
  return message.toolCalls === undefined && message.agent === undefined;
}

export function toolMessagesOf({ messages }: TurnRecord): ToolMessage[] {
  return messages === undefined ? [] : messages.filter((message) => message.role === 'tool');
}

export function countMessages({ words, reply, messages }: TurnRecord): number {
  return messages?.length ?? Number(words !== null) + Number(reply !== null);
}

export function countRunningCalls({ messages }: TurnRecord): number {
  let count = 0;
  if (messages !== undefined) {
    for (const message of messages)
      if (message.role === 'tool' && message.state === 'running') count += 1;
  }
  return count;
}

/** UTF-16 code units of all that is kept of the turn. */
export function textLengthOf({ words, reply, messages, sent }: TurnRecord): number {
  let length = (words?.length ?? 0) + (reply?.length ?? 0);
  if (messages !== undefined) for (const message of messages) length += messageLength(message);
  if (sent !== undefined) for (const event of sent) length += eventLength(event);
  return length;
}

function messageLength(message: Message): number {
  let length = message.content.length;
  if (message.role === 'assistant' && message.toolCalls !== undefined) {
    for (const { name, args } of message.toolCalls) length += name.length + args.length;
  }
  return length;
}

function eventLength(event: SentEvent): number {
  switch (event.type) {
    case 'say':
      return event.text.length;
    case 'data':
      return event.json.length;
    case 'hangup':
      return 0;
  }
}

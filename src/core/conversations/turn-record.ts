// How a turn is stored: plain JSON for every store, and the functions that read it.

import { randomInt } from 'node:crypto';

import type { SentEvent } from '../calls/reply-event.ts';
import {
  roundsOf, type AssistantMessage, type Message, type ToolCallId, type ToolMessage, type TurnState,
} from './message.ts';
import type { TracedRun } from './trace-place.ts';
import type { TurnFigures } from './turn-figures.ts';

/**
 * One exchange. Its messages stay together, in the turn's place, regardless of when they were
 * written.
 */
export interface TurnRecord {
  readonly id: string;
  state: TurnState;
  /**
   * The run that owns the record. If the turn runs again, the old run may no longer write words.
   */
  runId: number;
  /**
   * How many runs the turn has had, if not one. Of two copies the one with more has the later run.
   * 0: it was over before it could open, and only has its place in history.
   */
  runs?: number;
  /**
   * Only where several processes may share the conversation: the runs that the current one knew of
   * when it began, the latest last. A run that is not among them may be the later one.
   */
  earlierRuns?: readonly number[];
  /** The caller's words and the reply, or null. Most turns need only these two. */
  words: string | null;
  reply: string | null;
  /**
   * All messages, if those two are not enough: with tool calls, with several messages of one role,
   * or after a hand-over.
   */
  messages?: Message[];
  /**
   * How many of `messages` come before the current run: the caller's words and the calls of
   * earlier runs.
   */
  kept?: number;
  /** What was said before the agent's first word. The caller heard it, but it is not a message. */
  filler?: string;
  /** What was sent, if the messages alone do not say. */
  sent?: readonly SentEvent[];
  /**
   * What its run has told about its reply, if the turn is over and that is not its last word: see
   * `Account` in last-word.ts.
   */
  said?: 'nothing' | 'leaving';
  /** What the platform has reported about the reply of a run. */
  heard?: Heard;
  /** The address of the process that runs the turn, if several share the conversation. */
  process?: string;
  /** Only if calls are recorded. */
  figures?: TurnFigures;
  /** Only if its run is traced. */
  trace?: TracedRun;
  /**
   * Only where the platform sends the whole call with each request: the turn's place in the call,
   * greater than that of any turn before it, and than the number of texts before it. A turn that
   * replaces another one has the same number.
   */
  number?: number;
  /**
   * On the same wires: set if the platform asked for another reply instead, and never spoke this
   * one. History holds only what its tools did.
   */
  isDiscarded?: true;
  /** On the same wires: what undoes the changes that it made to the state, as JSON. */
  undo?: string;
  /** On the same wires: the agent before it handed the conversation over. Null: the path's own. */
  agentBefore?: string | null;
  /**
   * Only where several processes may share the conversation: when the turn arrived, in milliseconds
   * since the epoch, but always later than for the turn before it. This keeps the order even if
   * clocks differ, and gives its place to a turn that another process adds later. It may be a
   * fraction.
   */
  addedAt?: number;
  /**
   * In the same case: when the delivery of its last run arrived, by that process's clock, in
   * milliseconds since the epoch.
   */
  arrivedAt?: number;
  /**
   * When its first delivery arrived, if a later one has the turn now, or none has run it yet.
   */
  firstArrivedAt?: number;
}

/** What the platform has reported about a reply: that it was cut and, as far as known, where. */
export interface Heard {
  /** The run that the report is about. */
  readonly runId: number;
  /** What was heard of it. Kept until the run has had its last word, which is cut to this. */
  readonly text?: string;
  /** The same, as texts of a transcript, which may also be the platform's own. */
  readonly lines?: readonly string[];
  /** See `Transcript`, where the lines are from. */
  readonly isHeard?: boolean;
}

/** A run in another process. */
export interface RunElsewhere {
  readonly process: string;
  readonly runId: number;
}

/** What tells the runs of a turn apart. */
type NotedRuns = Pick<TurnRecord, 'runId' | 'runs' | 'earlierRuns'>;

/** See `TurnRecord.runs`. */
export function countRuns({ runs = 1 }: NotedRuns): number {
  return runs;
}

/** Maximum number of runs that are noted as earlier ones of a turn. */
const MAX_EARLIER_RUNS = 16;

/** What the next run notes as `earlierRuns`. Call it before `runs` changes. */
export function earlierRunsOf(record: TurnRecord): readonly number[] {
  const { earlierRuns = [], runId } = record;
  if (countRuns(record) === 0) return earlierRuns;
  return [...earlierRuns, runId].slice(-MAX_EARLIER_RUNS);
}

/**
 * Whether the run that has this record began after `other`, and knew of it. A record with more runs
 * may have, if its earlier runs are no longer all noted.
 */
export function hasFollowed(record: NotedRuns, other: NotedRuns): boolean {
  const { earlierRuns = [] } = record;
  const [runs, others] = [countRuns(record), countRuns(other)];
  return earlierRuns.includes(other.runId)
    || (runs > others && (others === 0 || earlierRuns.length + 1 < runs));
}

export function newTurn(id: string, state: TurnState, runId: number): TurnRecord {
  return { id, state, runId, words: null, reply: null };
}

/**
 * The id of a turn that only a platform's transcript reports. `hash` is made from its place and
 * words.
 */
export function toldId(hash: string): string {
  return `told-${hash}`;
}

/** Whether the turn is known only from a platform's transcript. */
export function isTold({ id, runId }: TurnRecord): boolean {
  return runId === 0 && id.startsWith('told-');
}

/**
 * The id of the n-th turn delivered under the same id, each with different words. The platform
 * knows only the first.
 */
export function idOfNth(turnId: string, n: number): string {
  return n === 1 ? turnId : `${turnId}~${n}`;
}

/** Whether the turn was delivered under that id. */
export function cameWith({ id }: TurnRecord, turnId: string): boolean {
  return (
    id.startsWith(turnId) && (id.length === turnId.length || /^~\d+$/.test(id.slice(turnId.length)))
  );
}

/** A turn's messages. They may be the record's own objects, so never hand them to an agent. */
export function messagesOf({ id: turnId, state, words, reply, messages }: TurnRecord): Message[] {
  if (messages !== undefined) return messages;
  const plain: Message[] = [];
  if (words !== null) plain.push({ role: 'user', content: words, turnId });
  if (reply !== null) plain.push({ role: 'assistant', content: reply, turnId, state });
  return plain;
}

/** The messages before the current run: the caller's words and the calls of earlier runs. */
export function leadingMessages(record: TurnRecord): Message[] {
  const messages = messagesOf(record);
  return record.kept === undefined
    ? messages.filter(({ role }) => role === 'user')
    : messages.slice(0, record.kept);
}

/** The messages of the current run. */
export function ownMessages(record: TurnRecord): Message[] {
  const messages = messagesOf(record);
  return record.kept === undefined
    ? messages.filter(({ role }) => role !== 'user')
    : messages.slice(record.kept);
}

/** What a discarded turn leaves in history: calls that have acted, without its words. */
export function callsOfDiscarded(record: TurnRecord): Message[] {
  if (record.messages === undefined) return [];
  return roundsOf(record.messages, mayStay, { content: '', state: 'interrupted' });
}

/**
 * Whether a call stays in history when its turn is discarded. A call that only took the result of
 * an identical one has changed nothing.
 */
export function mayStay({ state, isRepeatable, joins }: ToolMessage): boolean {
  return state !== 'interrupted' && isRepeatable !== true && joins !== true;
}

/** What the current run has said. */
export function replyText(record: TurnRecord): string {
  if (record.messages === undefined) return record.reply ?? '';
  let text = '';
  for (const message of ownMessages(record))
    if (message.role === 'assistant') text += message.content;
  return text;
}

/** What a completed turn sent, so that it can be sent again. */
export function sentEvents(record: TurnRecord): readonly SentEvent[] {
  if (record.sent !== undefined) return record.sent;
  const text = replyText(record);
  return text === '' ? [] : [{ type: 'say', text }];
}

/** Whether a delivery with these words began the turn. Undefined for a delivery without words. */
export function isBegunBy({ words, messages }: TurnRecord, text: string | undefined): boolean {
  if (messages === undefined) return words === (text ?? null);
  return messages.find(({ role }) => role === 'user')?.content === text;
}

export function setPlain(record: TurnRecord, words: string | null, reply: string | null): void {
  record.words = words;
  record.reply = reply;
  // `delete` is a slow call into V8, even if the property does not exist.
  if (record.messages !== undefined) delete record.messages;
  if (record.kept !== undefined) delete record.kept;
}

/** Removes what a run left besides the messages. */
export function forgetRun(record: TurnRecord): void {
  if (record.sent !== undefined) delete record.sent;
  if (record.filler !== undefined) delete record.filler;
  if (record.said !== undefined) delete record.said;
  if (record.heard !== undefined) delete record.heard;
  if (record.trace !== undefined) delete record.trace;
}

/** Replaces all messages. The first `kept` of them come before the current run. */
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

/** The index of a call's result among the messages. -1 if there is no such call. */
export function indexOfCall(record: TurnRecord, { runId, toolCallId }: ToolCallId): number {
  return (record.messages ?? []).findLastIndex(
    (message) =>
      message.role === 'tool' && message.toolCallId === toolCallId && message.runId === runId,
  );
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

/** UTF-16 code units of everything kept for the turn. */
export function textLengthOf({ words, reply, messages, sent, heard, undo }: TurnRecord): number {
  let length = (words?.length ?? 0) + (reply?.length ?? 0) + (undo?.length ?? 0);
  if (heard !== undefined)
    for (const text of [heard.text ?? '', ...(heard.lines ?? [])]) length += text.length;
  if (messages !== undefined) for (const message of messages) length += messageLength(message);
  if (sent !== undefined) for (const event of sent) length += eventLength(event);
  return length;
}

function messageLength(message: Message): number {
  let length = message.content.length;
  if (message.role === 'tool') length += message.toolCallId.length;
  if (message.role === 'assistant' && message.toolCalls !== undefined) {
    for (const { id, name, args } of message.toolCalls)
      length += id.length + name.length + args.length;
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
    case 'transfer':
      return event.to.length + (event.briefing?.length ?? 0);
    default:
      event satisfies never;
      return 0; // stored by a newer version
  }
}

/** V8 keeps a number below 2 ** 30 without an object. */
const RUN_IDS = 2 ** 30;

let lastRunId = randomInt(RUN_IDS);

/**
 * Tells the runs of one turn apart. Several processes may share a store, so each counts from a
 * random number.
 */
export function nextRunId(): number {
  lastRunId = (lastRunId + 1) % RUN_IDS;
  return lastRunId;
}

/** Whether a run of this process began after another of its runs. */
export function isLaterRun(runId: number, other: number): boolean {
  const ahead = (runId - other + RUN_IDS) % RUN_IDS;
  return ahead > 0 && ahead < RUN_IDS / 2;
}

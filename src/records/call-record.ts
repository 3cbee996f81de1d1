// The record of one call, made when its session has ended: plain JSON that outlives the
// conversation.

import { callerIn, type Conversation } from '../conversations/conversation.ts';
import type { Message, ToolCall, ToolCallState, TurnState } from '../conversations/message.ts';
import { messagesOf, type ModelFigures, type TurnRecord } from '../conversations/turn-record.ts';

/** A session that has ended. */
export interface EndedCall {
  readonly sessionId: string;
  readonly conversationId: string;
  /** What the store knows the conversation by: no other agent's conversation has the same key. */
  readonly conversationKey: string;
  readonly agent: string;
  /** The numbers of a telephone call, where the event of the end has them. */
  readonly caller: { readonly from: string | undefined; readonly to: string | undefined }
    | undefined;
  /** Milliseconds since the epoch; undefined where the platform did not say. */
  readonly startedAt: number | undefined;
  readonly endedAt: number;
}

/** `hung up`: by the agent. `ended`: by the caller, or by the platform. */
export type CallOutcome = 'hung up' | 'ended';

/** One entry of the transcript. Tool calls, arguments and results are as history holds them. */
export interface RecordedMessage {
  readonly role: Message['role'];
  readonly content: string;
  readonly toolCalls?: readonly ToolCall[];
  readonly toolCallId?: string;
  readonly state?: ToolCallState;
}

export interface RecordedTurn {
  readonly turnId: string;
  readonly outcome: TurnState;
  /** ISO 8601, as all times of a record. */
  readonly startedAt?: string;
  readonly durationMs?: number;
  readonly firstSpeechMs?: number;
  readonly firstTokenMs?: number;
  /** What was said before the agent had a word of its own. */
  readonly filler?: string;
  readonly models?: readonly ModelFigures[];
  readonly messages: readonly RecordedMessage[];
}

/** What was counted in all turns. Tokens are missing where no vendor reported them. */
export interface RecordedTokens {
  readonly input?: number;
  readonly output?: number;
  readonly cachedInput?: number;
}

/** Ids come first: of a line that broke off, they are what is needed most. */
export interface CallRecord {
  readonly format: 1;
  readonly conversationId: string;
  readonly sessionId: string;
  readonly agent: string;
  readonly from?: string;
  readonly to?: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly durationMs: number;
  readonly outcome: CallOutcome;
  readonly tokens: RecordedTokens;
  readonly turns: readonly RecordedTurn[];
}

/** Makes the record of what the conversation holds of the session. Copies. */
export function callRecordOf(call: EndedCall, conversation: Conversation | undefined): CallRecord {
  const { sessionId, conversationId, agent, endedAt } = call;
  const records = conversation === undefined ? [] : turnsOf(conversation, sessionId);
  const startedAt = call.startedAt ?? records[0]?.figures?.startedAt ?? endedAt;
  const caller =
    call.caller ?? (conversation === undefined ? undefined : callerIn(conversation, sessionId));
  const models = records.flatMap(({ figures }) => figures?.models ?? []);
  return {
    format: 1,
    conversationId,
    sessionId,
    agent,
    ...given({ from: caller?.from, to: caller?.to }),
    startedAt: new Date(startedAt).toISOString(),
    endedAt: new Date(endedAt).toISOString(),
    durationMs: Math.max(0, endedAt - startedAt),
    outcome: records.some(hasHungUp) ? 'hung up' : 'ended',
    tokens: given({
      input: sumOfKnown(models.map(({ inputTokens }) => inputTokens)),
      output: sumOfKnown(models.map(({ outputTokens }) => outputTokens)),
      cachedInput: sumOfKnown(models.map(({ cachedTokens }) => cachedTokens)),
    }),
    turns: records.map(recordedTurn),
  };
}

/** Whether nothing of the call runs any more: neither a turn nor a tool. */
export function isSettled({ turns }: CallRecord): boolean {
  return turns.every(
    ({ outcome, messages }) =>
      outcome !== 'open' && messages.every(({ state }) => state !== 'running'),
  );
}

/** The record in a text; undefined for a text that is none. */
export function parseCallRecord(text: string): CallRecord | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isCallRecord(value) ? value : undefined;
  } catch {
    return undefined; // a line that broke off, and there is no more to say about it
  }
}

/** Fields that a reader needs. Others may come with a later version. */
function isCallRecord(value: unknown): value is CallRecord {
  if (typeof value !== 'object' || value === null) return false;
  const record: Partial<Record<keyof CallRecord, unknown>> = value;
  const { conversationId, sessionId, startedAt, turns } = record;
  return (
    [conversationId, sessionId, startedAt].every((text) => typeof text === 'string')
    && Array.isArray(turns)
  );
}

/**
 * A turn without figures belongs to the session of the one before it: a hook has added it, or the
 * process that ran it keeps no records.
 */
function turnsOf({ turns }: Conversation, sessionId: string): TurnRecord[] {
  let current: string | undefined;
  return turns.filter(({ figures }) => (current = figures?.sessionId ?? current) === sessionId);
}

function hasHungUp({ sent }: TurnRecord): boolean {
  return sent?.some(({ type }) => type === 'hangup') === true;
}

function recordedTurn(record: TurnRecord): RecordedTurn {
  const { id, state, filler, figures } = record;
  return {
    turnId: id,
    outcome: state,
    ...given({
      startedAt: figures && new Date(figures.startedAt).toISOString(),
      durationMs: figures?.durationMs,
      firstSpeechMs: figures?.firstSpeechMs,
      firstTokenMs: figures?.firstTokenMs,
      filler: filler === '' ? undefined : filler,
      models: figures?.models,
    }),
    messages: messagesOf(record).map(recordedMessage),
  };
}

function recordedMessage(message: Message): RecordedMessage {
  const { role, content } = message;
  switch (role) {
    case 'user':
      return { role, content };
    case 'assistant':
      return { role, content, ...given({ toolCalls: message.toolCalls?.map(copyOf) }) };
    case 'tool':
      return { role, content, toolCallId: message.toolCallId, state: message.state };
  }
}

function copyOf(call: ToolCall): ToolCall {
  return { ...call };
}

type Given<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the fields that are undefined. */
function given<T extends object>(fields: T): Given<T> {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Given<T>; // what is left of them
}

function sumOfKnown(counts: readonly (number | undefined)[]): number | undefined {
  const known = counts.filter((count) => count !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, count) => sum + count, 0);
}

// The record of one call, made after its session has ended: plain JSON that outlives the
// conversation.

import {
  arrayOf, isTooDeep, object, objectOf, orMissing, string, type Field,
} from '../../base/fields.ts';
import { parseJson, type Json } from '../../base/json.ts';
import { sumOfCosts, sumOfKnown } from '../../base/sum-of-known.ts';
import type { EndedCall } from '../../core/calls/ended-call.ts';
import type { CapturedTurn } from '../../core/captures/captured-requests.ts';
import { callerIn, type Conversation } from '../../core/conversations/conversation.ts';
import type {
  Message, ToolCall, ToolCallState, TurnState,
} from '../../core/conversations/message.ts';
import type {
  FailureFigures, FillerFigures, ModelFigures, RequestFigures, ToolFigures,
} from '../../core/conversations/turn-figures.ts';
import { isTold, messagesOf, type TurnRecord } from '../../core/conversations/turn-record.ts';

export const CALL_OUTCOMES = ['hung up', 'ended', 'not reported'] as const;
/**
 * `hung up`: ended by the agent. `ended`: ended by the caller or the platform. `not reported`: the
 * platform never said that it ended.
 */
export type CallOutcome = (typeof CALL_OUTCOMES)[number];

/** One entry of the transcript. Tool calls, arguments and results are as in history. */
export interface RecordedMessage {
  readonly role: Message['role'];
  readonly content: string;
  readonly toolCalls?: readonly ToolCall[];
  readonly toolCallId?: string;
  readonly state?: ToolCallState;
  /** For a result whose state is `unknown`: the key under which the tool may have acted. */
  readonly idempotencyKey?: string;
  /** The agent that spoke, if it is not the call's. */
  readonly agent?: string;
}

/** One turn of a call, with its messages. */
export interface RecordedTurn {
  readonly turnId: string;
  /** The id of its trace, if it is traced. */
  readonly traceId?: string;
  readonly outcome: TurnState;
  /** ISO 8601, like all times in a record. */
  readonly startedAt?: string;
  readonly durationMs?: number;
  readonly firstSpeechMs?: number;
  /** The same without fillers. */
  readonly firstWordMs?: number;
  readonly firstTokenMs?: number;
  /** Time it waited for the store. */
  readonly storeMs?: number;
  /** Time its tools waited before having effects, in case the platform replaced the turn. */
  readonly settleMs?: number;
  /** From the start of the turn to the beginning of that wait. */
  readonly settlingFromMs?: number;
  readonly failure?: FailureFigures;
  /** The call's limit that ended the turn: the agent hung up. */
  readonly limit?: 'cost' | 'tokens';
  /** Set if the platform asked for another reply instead, and never spoke this one. */
  readonly isDiscarded?: true;
  /** What was said before the agent's first word. */
  readonly filler?: string;
  /** The same, one by one. */
  readonly fillers?: readonly FillerFigures[];
  readonly models?: readonly ModelFigures[];
  readonly requests?: readonly RequestFigures[];
  readonly tools?: readonly ToolFigures[];
  /** What was sent to models, and what they answered, with `CAPTURE_MODEL_REQUESTS`. */
  readonly captured?: CapturedTurn;
  readonly messages: readonly RecordedMessage[];
}

/** Totals over all turns. A count is missing if no vendor reported it. */
export interface RecordedTokens {
  readonly input?: number;
  readonly output?: number;
  readonly cachedInput?: number;
  /** Set if some counts are estimated: requests were cut off before the vendor reported them. */
  readonly isEstimated?: true;
}

/**
 * The ids come first, because they matter most if a line is cut off. Format 1 has no `requests`,
 * `tools`, `fillers`, `failure`, `storeMs`, `firstWordMs` or `state`.
 */
export interface CallRecord {
  readonly format: 1 | 2;
  readonly conversationId: string;
  readonly sessionId: string;
  readonly agent: string;
  /** Missing in records from older versions, which knew only one wire. */
  readonly wire?: string;
  readonly from?: string;
  readonly to?: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly durationMs: number;
  readonly outcome: CallOutcome;
  readonly tokens: RecordedTokens;
  /** In the currency of `MODEL_PRICES`. Missing if no model has a price. */
  readonly cost?: number;
  /** The agent's state when the record was made, if `CALL_RECORDS_STATE` is on. */
  readonly state?: Json;
  readonly turns: readonly RecordedTurn[];
}

/** What a record holds only on request. */
export interface RecordContents {
  /** The agent's state. Default false. */
  readonly hasState?: boolean | undefined;
  /** What was sent to models, and what they answered. Default false. */
  readonly hasRequests?: boolean | undefined;
}

/** Makes a call's record from the session's turns in the conversation. Copies everything. */
export function callRecordOf(
  call: EndedCall,
  conversation: Conversation | undefined,
  { hasState = false, hasRequests = false }: RecordContents = {},
): CallRecord {
  const { sessionId, conversationId, agent, wire, endedAt, isReported = true } = call;
  const records = conversation === undefined ? [] : turnsOf(conversation, sessionId);
  const firstFigures = records.find(({ figures }) => figures !== undefined)?.figures;
  const startedAt = call.startedAt ?? firstFigures?.startedAt ?? endedAt;
  const caller =
    call.caller ?? (conversation === undefined ? undefined : callerIn(conversation, sessionId));
  const models = records.flatMap(({ figures }) => figures?.models ?? []);
  return {
    format: 2,
    conversationId,
    sessionId,
    agent,
    wire,
    ...given({ from: caller?.from, to: caller?.to }),
    startedAt: new Date(startedAt).toISOString(),
    endedAt: new Date(endedAt).toISOString(),
    durationMs: Math.max(0, endedAt - startedAt),
    outcome: records.some(hasHungUp) ? 'hung up' : isReported ? 'ended' : 'not reported',
    tokens: given({
      input: sumOfKnown(models.map(({ inputTokens }) => inputTokens)),
      output: sumOfKnown(models.map(({ outputTokens }) => outputTokens)),
      cachedInput: sumOfKnown(models.map(({ cachedTokens }) => cachedTokens)),
      isEstimated: models.some(({ isEstimated }) => isEstimated) ? true : undefined,
    }),
    ...given({
      cost: sumOfCosts(models.map(({ cost }) => cost)),
      state: hasState ? stateOf(conversation) : undefined,
    }),
    turns: records.map((record) => recordedTurn(record, hasRequests)),
  };
}

/** The session's last turn. Undefined if the conversation has no turn of the session. */
export function lastTurnOf(
  conversation: Conversation | undefined,
  sessionId: string,
): TurnRecord | undefined {
  return conversation === undefined ? undefined : turnsOf(conversation, sessionId).at(-1);
}

/** The figures of tool calls, by the ids of the calls. */
export function toolFiguresIn(
  { tools = [] }: RecordedTurn,
): ReadonlyMap<string | undefined, ToolFigures> {
  return new Map(tools.map((tool) => [tool.toolCallId, tool]));
}

/**
 * The outcome of a tool call. What the tool threw is more exact than the state, but a result that
 * arrived after all takes precedence.
 */
export function toolOutcomeOf(
  { state }: RecordedMessage,
  tool: ToolFigures | undefined,
): ToolFigures['outcome'] {
  const outcome = tool?.outcome;
  return state === 'unknown' || outcome === 'unknown' ? state : (outcome ?? state);
}

/**
 * How long the caller waited for the agent's own words, in milliseconds. If there were none: for
 * the apology, or for the end of the turn. Undefined if the record does not say.
 */
export function waitForWords(
  { firstWordMs, firstSpeechMs, fillers, durationMs }: RecordedTurn,
): number | undefined {
  const isFiller = firstSpeechMs === undefined || fillers !== undefined;
  return firstWordMs ?? (isFiller ? durationMs : firstSpeechMs);
}

/** Whether no turn or tool of the call is running any more. */
export function isSettled({ turns }: CallRecord): boolean {
  return turns.every(
    ({ outcome, messages }) =>
      outcome !== 'open' && messages.every(({ state }) => state !== 'running'),
  );
}

/** Whether the record says how the call ended. */
export function isOfEnd(record: { readonly outcome: string } | undefined): boolean {
  return record !== undefined && record.outcome !== 'not reported';
}

/**
 * Whether `other` is the better one of two records of a call, and to be kept although `record` is
 * newer: an end may be repeated after the conversation has been forgotten, and a process that shuts
 * down does not know what happens at the others.
 */
export function saysMore(other: CallRecord, record: CallRecord): boolean {
  if (isOfEnd(record) && !isOfEnd(other)) return false;
  const more = other.turns.length - record.turns.length;
  return more > 0 || (more === 0 && isOfEnd(other) && !isOfEnd(record));
}

/** Parses a record. Undefined if the text is not one: a line may have been cut off. */
export function parseCallRecord(text: string): CallRecord | undefined {
  const value: unknown = parseJson(text);
  return RECORD.check(value) === undefined && !isTooDeep(value) ? (value as CallRecord) : undefined;
}

const anything: Field = { ...object, check: () => undefined };
const objects = orMissing(arrayOf(object));

/**
 * The fields a reader needs, so that one odd line does not hide the others. Later versions may add
 * fields.
 */
const RECORD = objectOf({
  conversationId: string, sessionId: string, agent: string,
  from: orMissing(string), to: orMissing(string),
  startedAt: string, endedAt: string, outcome: string, tokens: object,
  turns: arrayOf(objectOf({
    outcome: string, startedAt: orMissing(string), failure: orMissing(object),
    messages: arrayOf(objectOf({
      role: string, content: string,
      toolCalls: orMissing(arrayOf(objectOf({ id: string, name: string, args: string }))),
    })),
    requests: objects, tools: objects, fillers: objects, models: objects,
    captured: orMissing(objectOf({
      requests: arrayOf(objectOf({
        fields: orMissing(object), withoutFields: orMissing(arrayOf(anything)),
        messages: arrayOf(anything),
      })),
    })),
  })),
});

/**
 * A turn without figures belongs to the session of the turn before it: it was added by a hook, or
 * by a process that keeps no records. Turns at the beginning that only the platform reported belong
 * to the first session. If the platform has then asked again, they are repeats.
 */
function turnsOf({ turns }: Conversation, sessionId: string): TurnRecord[] {
  const first = turns.find(({ figures }) => figures !== undefined)?.figures?.sessionId;
  let current: string | undefined;
  return turns.filter((turn) => {
    if (isTold(turn) && turn.isDiscarded === true) return false;
    current = turn.figures?.sessionId ?? current ?? (isTold(turn) ? first : undefined);
    return current === sessionId;
  });
}

function stateOf(conversation: Conversation | undefined): Json | undefined {
  return conversation?.state === undefined ? undefined : parseJson(conversation.state);
}

function hasHungUp({ sent }: TurnRecord): boolean {
  return sent?.some(({ type }) => type === 'hangup') === true;
}

function recordedTurn(record: TurnRecord, hasRequests: boolean): RecordedTurn {
  const { id, state, filler, figures, isDiscarded, trace } = record;
  const { sessionId, startedAt, collisions, captured, ...others } = figures ?? {};
  return {
    turnId: id,
    outcome: state,
    ...given({
      traceId: trace?.traceId,
      startedAt: startedAt === undefined ? undefined : new Date(startedAt).toISOString(),
      ...structuredClone(others),
      isDiscarded,
      filler: filler === '' ? undefined : filler,
      captured: hasRequests ? structuredClone(captured) : undefined,
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
      return {
        role, content,
        ...given({ toolCalls: structuredClone(message.toolCalls), agent: message.agent }),
      };
    case 'tool': {
      const { toolCallId, state, key } = message;
      const idempotencyKey = state === 'unknown' ? key : undefined;
      return { role, content, toolCallId, state, ...given({ idempotencyKey }) };
    }
  }
}

type Given<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

/** Omits undefined fields. */
function given<T extends object>(fields: T): Given<T> {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Given<T>; // only defined values are left
}

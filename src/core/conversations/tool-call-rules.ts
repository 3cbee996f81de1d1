// The rules of a turn's tool calls: each is recorded before it runs, gets one result in the end,
// and is not repeated by a later run of its turn.

import { keepAgent, keepState, keepStateOfMissing, type StateChange } from './agent-state.ts';
import { add, findTurn, rewrite, subtract, type Conversation } from './conversation.ts';
import { earlierCallsIn, type EarlierToolCall } from './discarded-turns.ts';
import { trim, type ConversationBounds } from './history-bounds.ts';
import { mayWrite } from './last-word.ts';
import { roundsOf, type Message, type ToolCallState, type ToolMessage } from './message.ts';
import type { OnceCall } from './once-call.ts';
import {
  claimOnce, settleOnce, type Claimer, type ClaimOutcome, type OnceClaim, type OnceResult,
} from './once-rules.ts';
import {
  indexOfCall, leadingMessages, mayStay, messagesOf, ownMessages, toolMessagesOf, type TurnRecord,
} from './turn-record.ts';
import { UNFINISHED_RESULTS } from './unfinished-tool-results.ts';

/** What a run has said and called so far, recorded before its calls run. */
export interface TurnProgress extends Claimer, StateChange {
  readonly messages: readonly Message[];
  /** See `TurnRecord.filler`. */
  readonly filler?: string | undefined;
  /** Calls that act once per conversation, and are about to start. */
  readonly claims?: readonly OnceClaim[] | undefined;
}

/**
 * Whether the run may still speak. `noted`: it owns its turn. `closed`: a newer turn has begun.
 * `taken over`: a newer run of the turn has begun. `forgotten`: the turn was removed.
 */
export type Ownership = 'noted' | 'closed' | 'taken over' | 'forgotten';

export interface NotedProgress {
  readonly ownership: Ownership;
  /** In the order of the claims. None are made for a run that may no longer speak. */
  readonly claims: readonly ClaimOutcome[];
  /**
   * The calls of other runs of the turn, which this run might not know of: it may have begun while
   * the store did not answer its process.
   */
  readonly earlierCalls: readonly EarlierToolCall[];
}

/** `agentState`: what the call, or the turn meanwhile, has changed. */
export interface ToolResult extends Claimer, StateChange {
  readonly toolCallId: string;
  readonly state: Exclude<ToolCallState, 'running'>;
  /** JSON text. */
  readonly content: string;
  /** The agent the call hands the conversation over to. */
  readonly handOver?: string | undefined;
  /** Set if the call has claimed a key. */
  readonly once?: OnceResult | undefined;
}

const NO_CLAIMS: readonly ClaimOutcome[] = [];
const NO_MESSAGES: readonly ToolMessage[] = [];

/**
 * Records what a run has said and called so far. If a newer turn has closed the run's turn, only
 * its calls are added: its words no longer count, but a call may already be having an effect.
 */
export function noteProgress(
  conversation: Conversation,
  progress: TurnProgress,
  bounds: ConversationBounds,
): NotedProgress {
  const { turnId, runId, messages, filler, claims = [] } = progress;
  const record = findTurn(conversation, turnId);
  const unclaimed = { claims: NO_CLAIMS, earlierCalls: NO_MESSAGES } as const;
  if (record === undefined) return { ownership: 'forgotten', ...unclaimed };
  // Before the calls are added: they have not begun, so the changes are not theirs.
  if (record.isDiscarded !== true) keepState(conversation, record, progress);
  if (record.runId !== runId) return { ownership: 'taken over', ...unclaimed };
  if (filler !== undefined) record.filler = filler;
  const leading = leadingMessages(record);
  const isOpen = mayWrite(record, 'its calls');
  const own = isOpen
    ? withKnownResults(record, messages)
    : [...ownMessages(record), ...callsUnknownTo(record, messages)];
  rewrite(conversation, record, [...leading, ...own], leading.length);
  keepAgent(conversation, record);
  trim(conversation, bounds);
  if (!isOpen) return { ownership: 'closed', ...unclaimed };
  const outcomes = claims.map((claim) => claimOnce(conversation, progress, claim));
  noteJoining(conversation, record, claims, outcomes);
  const earlierCalls = progress.process === undefined ? NO_MESSAGES : callsOfOthers(record);
  return { ownership: 'noted', claims: outcomes, earlierCalls };
}

function callsOfOthers(record: TurnRecord): readonly EarlierToolCall[] {
  if (record.kept === undefined || record.kept < 2) return NO_MESSAGES;
  return earlierCallsIn(record, earlierRounds(record)).filter(
    ({ runId }) => runId !== record.runId,
  );
}

/**
 * Calls whose key another one has claimed do not act. Each names the process of that one: if it is
 * gone, so is the result that they are waiting for.
 */
function noteJoining(
  conversation: Conversation,
  record: TurnRecord,
  claims: readonly OnceClaim[],
  outcomes: readonly ClaimOutcome[],
): void {
  const { messages = [], runId } = record;
  for (const [place, { toolCallId }] of claims.entries()) {
    const outcome = outcomes[place];
    if (outcome === undefined || !('call' in outcome)) continue;
    const index = indexOfCall(record, { runId, toolCallId });
    const call = messages[index];
    if (call?.role !== 'tool') continue;
    const { process = call.process } = outcome.call;
    messages[index] = { ...call, joins: true, ...(process === undefined ? {} : { process }) };
    conversation.touched?.add(record);
  }
}

export interface NotedResult {
  /** Whether the result was recorded for the call. */
  readonly isKept: boolean;
  /** Whether the claim of the call was lost before, so that its outcome was unknown until now. */
  readonly wasUnknown: boolean;
}

/**
 * Records the result of a call and what it has changed in the state, even after its run has ended.
 * Words and their order stay the same. `isKept` is false if the turn was trimmed or cleared, or has
 * no such call.
 */
export function noteToolResult(
  conversation: Conversation,
  result: ToolResult,
  bounds: ConversationBounds,
): NotedResult {
  const { turnId, toolCallId, state, content, once } = result;
  const record = findTurn(conversation, turnId);
  let wasUnknown = false;
  if (once !== undefined) {
    const claimBefore = conversation.onceCalls?.[once.key];
    settleOnce(conversation, result, toolCallId, once, record !== undefined);
    const claim = conversation.onceCalls?.[once.key];
    wasUnknown = claimBefore?.state === 'unknown' && claim?.state !== 'unknown';
    if (state === 'completed')
      for (const turn of conversation.turns) completeJoined(conversation, turn, once.key, content);
  }
  if (record === undefined) keepStateOfMissing(conversation, result);
  const isKept =
    record !== undefined && writeResult(conversation, record, result, bounds);
  return { isKept, wasUnknown };
}

function writeResult(
  conversation: Conversation,
  record: TurnRecord,
  result: ToolResult,
  bounds: ConversationBounds,
): boolean {
  const { runId, toolCallId, state, content, handOver } = result;
  const { messages = [] } = record;
  const index = indexOfCall(record, { runId, toolCallId });
  const call = messages[index];
  const isDiscarded = record.isDiscarded === true;
  if (call?.role !== 'tool') {
    if (!isDiscarded) keepState(conversation, record, result);
    return false;
  }
  const ended = { ...call, state };
  // What an interrupted call leaves belongs to the turn that continues, and may be taken back with
  // it.
  const owner = state === 'interrupted' ? conversation.turns.at(-1) ?? record : record;
  if (!isDiscarded || mayStay(ended)) keepState(conversation, owner, result, ended);
  if (call.state === 'completed') {
    keepAgent(conversation, record); // an earlier try of this write may have brought the result
    return true; // a result never changes
  }
  subtract(conversation, record);
  messages[index] = { ...call, state, content, ...(handOver === undefined ? {} : { handOver }) };
  add(conversation, record);
  keepAgent(conversation, record);
  if (state === 'completed') completeJoined(conversation, record, call.key, content);
  trim(conversation, bounds);
  return true;
}

/**
 * Gives the result of a call to the turn's calls that were waiting for it. Calls that ran
 * themselves keep their own. In other turns only calls that act once wait for it.
 */
function completeJoined(
  conversation: Conversation,
  record: TurnRecord,
  key: string | undefined,
  content: string,
): void {
  const { messages } = record;
  if (key === undefined || messages === undefined) return;
  for (const [index, message] of messages.entries()) {
    if (message.role !== 'tool' || message.key !== key || message.joins !== true) continue;
    if (message.state === 'completed') continue;
    subtract(conversation, record);
    messages[index] = { ...message, state: 'completed', content };
    add(conversation, record);
  }
}

/**
 * Gives calls that no living process is running an unknown outcome, and returns them. `isRunning`
 * takes the key and the process of a call. A call that was only waiting for another, of a process
 * that `isAlive`, is interrupted if that one left no trace: neither has begun.
 */
export function forgetLostCalls(
  conversation: Conversation,
  record: TurnRecord,
  isRunning: (key: string, process: string | undefined) => boolean,
  isAlive: (process: string) => boolean,
): readonly ToolMessage[] {
  const { messages } = record;
  if (messages === undefined) return NO_MESSAGES;
  takeKnownResults(conversation, record);
  const running = toolMessagesOf(record).filter(({ state }) => state === 'running');
  const runs = ({ key, process = record.process }: ToolMessage): boolean =>
    key !== undefined && isRunning(key, process);
  // A call that waits for another run's call is lost with that one, not earlier.
  const alive = new Set(running.filter(runs).map(({ key }) => key));
  const over = running.filter(({ key }) => key === undefined || !alive.has(key));
  const hasTrace = (key: string | undefined): boolean =>
    (key !== undefined && isClaimed(conversation.onceCalls?.[key]))
    || messages.some((message) =>
      message.role === 'tool' && message.key === key && message.joins !== true
      && message.state !== 'interrupted');
  const hasBegun = ({ key = '', joins, process = record.process }: ToolMessage): boolean =>
    joins === true
      ? process === undefined || !isAlive(process) || hasTrace(key)
      : conversation.onceCalls?.[key]?.state !== 'released';
  const lost = over.filter(hasBegun);
  for (const message of over) {
    subtract(conversation, record);
    const state = lost.includes(message) ? 'unknown' : 'interrupted';
    const content = UNFINISHED_RESULTS[state];
    messages[messages.indexOf(message)] = { ...message, state, content };
    add(conversation, record);
  }
  return lost;
}

/** Whether the call that has the key, if any, may have acted. */
function isClaimed(call: OnceCall | undefined): boolean {
  return call !== undefined && call.state !== 'released';
}

/** A call may have been stored after the result that it waited for. */
function takeKnownResults(conversation: Conversation, record: TurnRecord): void {
  const calls = toolMessagesOf(record);
  for (const { key, state, joins } of calls) {
    if (state !== 'running' || joins !== true || key === undefined) continue;
    const made = [conversation.onceCalls?.[key], ...calls.filter((call) => call.key === key)];
    const known = made.find((call) => call?.state === 'completed');
    if (known !== undefined) completeJoined(conversation, record, key, known.content);
  }
}

/**
 * What earlier runs of a turn did and cannot undo: calls that completed, are still running or have
 * an unknown outcome, each after its words as an interrupted reply. Of several calls with the same
 * key a completed one is kept, otherwise the first.
 */
export function earlierRounds(record: TurnRecord): Message[] {
  const messages = messagesOf(record);
  const kept = new Map<string, ToolMessage>();
  for (const message of messages) {
    if (message.role !== 'tool' || message.state === 'interrupted') continue;
    const key = message.key ?? `${message.runId} ${message.toolCallId}`;
    if (!kept.has(key) || (message.state === 'completed' && kept.get(key)?.state !== 'completed'))
      kept.set(key, message);
  }
  const results = new Set(kept.values());
  return roundsOf(messages, (result) => results.has(result), { state: 'interrupted' });
}

/** The calls in these messages that the record lacks, without the words around them. */
function callsUnknownTo(record: TurnRecord, messages: readonly Message[]): Message[] {
  const isUnknown = (result: ToolMessage): boolean => knownCall(record, result) === undefined;
  return roundsOf(messages, isUnknown, { content: '', state: record.state });
}

/**
 * The messages of the record's run, completed with results from the record, which may have been
 * stored after the messages were made.
 */
export function withKnownResults(record: TurnRecord, messages: readonly Message[]): Message[] {
  if (record.messages === undefined || !messages.some(({ role }) => role === 'tool'))
    return [...messages];
  return messages.map((message) => {
    if (message.role !== 'tool' || message.state === 'completed') return message;
    const known = knownCall(record, message);
    return known?.state === 'completed' ? known : message;
  });
}

/** The call with the same run and id in the record. */
function knownCall(
  record: TurnRecord,
  { runId = record.runId, toolCallId }: ToolMessage,
): ToolMessage | undefined {
  const known = record.messages?.[indexOfCall(record, { runId, toolCallId })];
  return known?.role === 'tool' ? known : undefined;
}

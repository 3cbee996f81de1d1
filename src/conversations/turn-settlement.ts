// How a turn ends in its conversation.

import type { SentEvent } from '../calls/reply-event.ts';
import { keepState, type StateWrite } from './agent-state.ts';
import { trim, type ConversationBounds } from './bounds.ts';
import { keepFigures } from './captured-calls.ts';
import {
  add, findTurn, rewrite, subtract, type Conversation,
} from './conversation.ts';
import type { Message, TurnState } from './message.ts';
import type { Claimer } from './once-rules.ts';
import { hearTold } from './reconcile.ts';
import { keepHandOver, withKnownResults } from './tool-call-rules.ts';
import type { TracedRun } from './trace-place.ts';
import { begin } from './turn-begin.ts';
import type { TurnFigures } from './turn-figures.ts';
import {
  hasFollowed, isPlainReply, leadingMessages, messagesOf, ownMessages, setMessages, setPlain,
  type TurnRecord,
} from './turn-record.ts';

/** How a run ended. */
export interface TurnSettlement extends Claimer {
  readonly state: Exclude<TurnState, 'open'>;
  /**
   * What the run said and called. In history this follows the caller's words and the calls of
   * earlier runs.
   */
  readonly messages: readonly Message[];
  readonly sent?: readonly SentEvent[] | undefined;
  readonly filler?: string | undefined;
  /** What it has changed in the agent's state. Kept even if something else closed the turn. */
  readonly agentState?: StateWrite | undefined;
  /** Set if calls are recorded. */
  readonly figures?: TurnFigures | undefined;
  /** Set if the run is traced. */
  readonly trace?: TracedRun | undefined;
  /** See `OpenedTurn`. Default 0. */
  readonly erasedAt?: number | undefined;
  /** Whether the last events may not have left yet: the run settles again if they do not. */
  readonly isLeaving?: true | undefined;
}

const NO_TURNS: readonly TurnRecord[] = [];

/**
 * Ends a run, once. Returns false if the run no longer owns the turn: it was settled, cut to
 * what was heard, run again or cleared. A run whose turn was closed by a newer one still settles
 * it, because only that run knows what was sent.
 */
export function settleTurn(
  conversation: Conversation,
  settlement: TurnSettlement,
  bounds: ConversationBounds,
): boolean {
  const record = findTurn(conversation, settlement.turnId);
  if (record === undefined) return false;
  if (record.runId !== settlement.runId) {
    if (!hasSaidMore(conversation, record, settlement)) return false;
    regain(conversation, record, settlement);
  }
  const isOver =
    record.state !== 'open' && record.isUnknown !== true && record.isLeaving !== true;
  if (!isOver) settle(conversation, record, settlement);
  if (record.isDiscarded !== true) keepState(conversation, record, settlement.agentState);
  trim(conversation, bounds);
  return !isOver;
}

/**
 * Whether a complete reply replaces one that is not, of a run that did not know of its run: while a
 * store fails or forgets, two processes may run one turn. The caller has heard this reply whole,
 * unless the platform has reported otherwise.
 */
function hasSaidMore(
  { erasedAt: erasedNow = 0 }: Conversation,
  record: TurnRecord,
  { state, runId, process, erasedAt = 0 }: TurnSettlement,
): boolean {
  if (state !== 'completed' || process === undefined || erasedNow > erasedAt) return false;
  return record.state !== 'completed' && record.isDiscarded !== true
    && record.isReported !== true && !hasFollowed(record, { runId });
}

/** Gives the record back to the run, together with the calls of the one that had it. */
function regain(
  conversation: Conversation,
  record: TurnRecord,
  { runId, process, figures, trace }: TurnSettlement,
): void {
  const text = messagesOf(record).find(({ role }) => role === 'user')?.content;
  begin(conversation, record, { runId, text, process, figures, trace }, true);
}

function settle(
  conversation: Conversation,
  record: TurnRecord,
  { state, messages, sent, filler, figures, isLeaving }: TurnSettlement,
): void {
  if (record.state === 'open') conversation.openTurns -= 1;
  record.state = state;
  if (record.isUnknown !== undefined) delete record.isUnknown;
  if (isLeaving === true) record.isLeaving = true;
  else if (record.isLeaving !== undefined) delete record.isLeaving;
  if (filler !== undefined) record.filler = filler;
  if (figures !== undefined) keepFigures(conversation, record, figures);
  subtract(conversation, record);
  if (record.messages === undefined && messages.length <= 1 && messages.every(isPlainReply)) {
    setPlain(record, record.words, messages[0]?.content ?? null);
  } else {
    keepHandOver(conversation, record, messages);
    const leading = leadingMessages(record);
    setMessages(record, leading.concat(withKnownResults(record, messages)), leading.length);
  }
  if (sent !== undefined) record.sent = sent;
  // `delete` is a slow call into V8, even if the property does not exist.
  else if (record.sent !== undefined) delete record.sent;
  add(conversation, record);
  hearTold(conversation, record);
}

/**
 * Ends the turns that are open, because another one begins. Returns those that run in this process,
 * whose sent text so far is known.
 */
export function endOpenTurns(
  conversation: Conversation,
  running: readonly TurnSettlement[],
): readonly TurnRecord[] {
  if (running.length > 0) settleLeaving(conversation, running);
  return conversation.openTurns > 0 ? closeOpenTurns(conversation, running) : NO_TURNS;
}

/** Complete replies of this process that have not left yet end as they are now. */
function settleLeaving(
  conversation: Conversation,
  running: readonly TurnSettlement[],
): void {
  for (const soFar of running) {
    const record = findTurn(conversation, soFar.turnId);
    if (record?.isLeaving !== true || record.runId !== soFar.runId) continue;
    settle(conversation, record, { ...soFar, isLeaving: true }); // its run still has the last word
  }
}

/** See `endOpenTurns`. */
function closeOpenTurns(
  conversation: Conversation,
  running: readonly TurnSettlement[],
): readonly TurnRecord[] {
  const closed: TurnRecord[] = [];
  for (const record of conversation.turns) {
    if (record.state !== 'open') continue;
    const soFar = running.find(({ runId }) => runId === record.runId);
    if (soFar === undefined) abandon(conversation, record);
    else {
      settle(conversation, record, soFar);
      closed.push(record);
    }
  }
  return closed;
}

/** The turn's run is gone, perhaps with its process, so what it sent is unknown here. */
function abandon(conversation: Conversation, record: TurnRecord): void {
  conversation.openTurns -= 1;
  record.state = 'interrupted';
  record.isUnknown = true;
  const leading = leadingMessages(record);
  const own = ownMessages(record).flatMap((message): Message[] => {
    if (message.role !== 'assistant') return [message];
    return message.content === '' && message.toolCalls === undefined
      ? []
      : [{ ...message, state: 'interrupted' }];
  });
  rewrite(conversation, record, [...leading, ...own], leading.length);
}

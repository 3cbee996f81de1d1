// How a turn ends in its conversation.

import type { SentEvent } from '../calls/reply-event.ts';
import { keepAgent, keepState, keepStateOfMissing, type StateChange } from './agent-state.ts';
import { keepFigures } from './captured-calls.ts';
import { add, findTurn, rewrite, subtract, type Conversation } from './conversation.ts';
import { trim, type ConversationBounds } from './history-bounds.ts';
import { mayWrite } from './last-word.ts';
import type { Message, TurnState } from './message.ts';
import type { Claimer } from './once-rules.ts';
import { hearReported } from './reconcile.ts';
import { withKnownResults } from './tool-call-rules.ts';
import { begin, type BegunRun } from './turn-begin.ts';
import {
  hasFollowed, isPlainReply, leadingMessages, messagesOf, ownMessages, setMessages, setPlain,
  type TurnRecord,
} from './turn-record.ts';

/** How a run ended. Its changes to the state are kept even if something else closed the turn. */
export interface TurnSettlement extends Claimer, StateChange, Pick<BegunRun, 'figures' | 'trace'> {
  readonly state: Exclude<TurnState, 'open'>;
  /**
   * What the run said and called. In history this follows the caller's words and the calls of
   * earlier runs.
   */
  readonly messages: readonly Message[];
  readonly sent?: readonly SentEvent[] | undefined;
  readonly filler?: string | undefined;
  /** Whether the last events may not have left yet: the run settles again if they do not. */
  readonly isLeaving?: true | undefined;
}

/**
 * Ends a run, once. Returns false if the run no longer owns the turn: it was settled, run again or
 * cleared. What it has changed in the state counts even then, unless it was erased. A run whose
 * turn was closed or cut still settles it, because only that run knows what was sent.
 */
export function settleTurn(
  conversation: Conversation,
  settlement: TurnSettlement,
  bounds: ConversationBounds,
): boolean {
  const { turnId, runId } = settlement;
  const record = findTurn(conversation, turnId);
  if (record === undefined) {
    keepStateOfMissing(conversation, settlement);
    return false;
  }
  const isLater = record.runId !== runId && hasSaidMore(conversation, record, settlement);
  if (isLater) regain(conversation, record, settlement);
  const mayTell = record.runId === runId && mayWrite(record, 'its end');
  if (mayTell) settle(conversation, record, settlement);
  if (record.isDiscarded !== true) keepState(conversation, record, settlement);
  trim(conversation, bounds);
  return mayTell;
}

/**
 * Whether a complete reply replaces an incomplete one, of a run that did not know of this one:
 * while a store fails or forgets, two processes may run the same turn. The caller has heard all of
 * this reply, unless the platform has reported otherwise.
 */
function hasSaidMore(
  { erasedAt: erasedNow = 0 }: Conversation,
  record: TurnRecord,
  { state, runId, process, erasedAt = 0 }: TurnSettlement,
): boolean {
  if (state !== 'completed' || process === undefined || erasedNow > erasedAt) return false;
  return record.state !== 'completed' && record.isDiscarded !== true
    && mayWrite(record, 'another run') && !hasFollowed(record, { runId });
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
  if (isLeaving === true) record.said = 'leaving';
  else if (record.said !== undefined) delete record.said;
  if (filler !== undefined) record.filler = filler;
  if (figures !== undefined) keepFigures(conversation, record, figures);
  subtract(conversation, record);
  if (record.messages === undefined && messages.length <= 1 && messages.every(isPlainReply)) {
    setPlain(record, record.words, messages[0]?.content ?? null);
  } else {
    const leading = leadingMessages(record);
    setMessages(record, leading.concat(withKnownResults(record, messages)), leading.length);
    keepAgent(conversation, record);
  }
  if (sent !== undefined) record.sent = sent;
  // `delete` is a slow call into V8, even if the property does not exist.
  else if (record.sent !== undefined) delete record.sent;
  add(conversation, record);
  hearReported(conversation, record);
}

/**
 * Ends the open turns, because another one begins. `running`: what the turns of this process have
 * said so far. They still have the last word.
 */
export function endOpenTurns(conversation: Conversation, running: readonly TurnSettlement[]): void {
  if (running.length === 0 && conversation.openTurns === 0) return;
  for (const record of conversation.turns) {
    if (!mayWrite(record, 'a newer turn')) continue;
    const soFar = running.find(({ runId }) => runId === record.runId);
    if (soFar !== undefined) settle(conversation, record, { ...soFar, isLeaving: true });
    else if (record.state === 'open') abandon(conversation, record);
  }
}

/** The turn's run is gone, perhaps with its process, so what it sent is unknown here. */
function abandon(conversation: Conversation, record: TurnRecord): void {
  conversation.openTurns -= 1;
  record.state = 'interrupted';
  record.said = 'nothing';
  const leading = leadingMessages(record);
  const own = ownMessages(record).flatMap((message): Message[] => {
    if (message.role !== 'assistant') return [message];
    return message.content === '' && message.toolCalls === undefined
      ? []
      : [{ ...message, state: 'interrupted' }];
  });
  rewrite(conversation, record, [...leading, ...own], leading.length);
}

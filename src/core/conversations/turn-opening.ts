// How a turn begins in its conversation.

import type { Interruption, Transcript } from '../calls/call-event.ts';
import type { SentEvent } from '../calls/reply-event.ts';
import {
  add, addTurn, findTurn, indexOfDelivered, keepCaller, type Conversation,
  type KnownCaller,
} from './conversation.ts';
import { callsAtPlace, nextNumber, numberOfReplaced, takePlace } from './discarded-turns.ts';
import {
  askedFirst, lostCallsOf, openRunsElsewhere, runsAfter, type AskedFirst, type KnownRuns,
} from './elsewhere.ts';
import { cutOf, noteHeard } from './heard.ts';
import { trim, type ConversationBounds } from './history-bounds.ts';
import { mayWrite } from './last-word.ts';
import type { Message, ToolMessage } from './message.ts';
import { OpenedTurn } from './opened-turn.ts';
import { reconcile } from './reconcile.ts';
import type { RunLinks, TracePlace } from './trace-place.ts';
import { compareTranscript, replacedBy, type Comparison } from './transcript-comparison.ts';
import { begin, type BegunRun } from './turn-begin.ts';
import {
  arrivalOf, isDeliveredSince, isErasedSince, moveBefore, newerThan, type Arrival,
} from './turn-order.ts';
import {
  countRuns, idOfNth, isBegunBy, newTurn, replyText, sentEvents, setPlain, toolMessagesOf,
  type RunElsewhere, type TurnRecord,
} from './turn-record.ts';
import { endOpenTurns, type TurnSettlement } from './turn-settlement.ts';

export interface TurnOpening extends BegunRun, KnownRuns {
  readonly turnId: string;
  readonly interruption?: Interruption | undefined;
  /** Set if the platform sends the whole call with each request. */
  readonly transcript?: Transcript | undefined;
  /** Set if the event names a telephone caller. */
  readonly caller?: KnownCaller | undefined;
  /**
   * What each turn running in this process would leave if it ended now. The new turn interrupts
   * them.
   */
  readonly running?: readonly TurnSettlement[] | undefined;
  /** The turns of this process that arrived before this one and have not been opened yet. */
  readonly waiting?: readonly WaitingTurn[] | undefined;
  /** The newest turn when other processes were asked about: see `AskedFirst`. */
  readonly newestBefore?: string | undefined;
  /** Whether the turn has ended while waiting for the store. Default: it has not. */
  readonly isOver?: (() => boolean) | undefined;
}

export type WaitingTurn = Arrival & Pick<TurnOpening, 'turnId' | 'text'>;

export type TurnOpeningResult =
  | OpenedTurn
  /** The same delivery has already completed: its reply can be sent again. */
  | {
      readonly kind: 'completed before';
      readonly sent: readonly SentEvent[];
      readonly links?: RunLinks;
    }
  /**
   * A newer turn is running, or was opened while this one waited for the store: say nothing. The
   * caller's words have their place in history. `turnId`: this turn is running for a later
   * delivery.
   */
  | { readonly kind: 'stale'; readonly turnId?: string }
  /** The turn ended while it waited for the store. It does not end turns of other processes. */
  | { readonly kind: 'over' }
  | AskedFirst;

const NO_CALLS: readonly ToolMessage[] = [];
const NO_TURNS: readonly TurnRecord[] = [];
const NO_RUNS: readonly RunElsewhere[] = [];

/**
 * Begins a turn: ends the open ones, cuts an older one to what was heard, and stores the caller's
 * words and a placeholder. Leaves a completed delivery alone. A delivery that was interrupted or
 * failed runs again in its old place, unless a newer turn is running.
 *
 * The order is that of arrival. A turn whose opening waited for the store yields to turns that
 * other processes have opened meanwhile: it gets its place before them, and ends none of them.
 */
export function openTurn(
  conversation: Conversation,
  opening: TurnOpening,
  bounds: ConversationBounds,
): TurnOpeningResult {
  const { id: turnId, record: known } = turnOf(conversation, opening);
  if (known?.state === 'completed') {
    if (mayWrite(known, 'a replay')) {
      delete known.said; // the newer delivery gets all of it
      conversation.touched?.add(known);
    }
    const links = linksFor(conversation, opening, known);
    return {
      kind: 'completed before', sent: sentEvents(known), ...(links === undefined ? {} : { links }),
    };
  }
  const newer = opening.process === undefined ? NO_TURNS : newerThan(conversation, opening, known);
  const comparison = comparisonFor(conversation, opening, known);
  const situation = { turnId, known, newer, comparison };
  return refuse(conversation, opening, situation, bounds)
    ?? openNow(conversation, opening, situation, bounds);
}

/** Undefined for a run that is not traced. */
function linksFor(
  { turns }: Conversation,
  { trace, interruption }: TurnOpening,
  known: TurnRecord | undefined,
): RunLinks | undefined {
  if (trace === undefined) return undefined;
  if (known !== undefined) return { repeats: placeIn(known) };
  const before = turns.at(-1);
  const isSameSession = before?.trace?.sessionId === trace.sessionId;
  const isCut = before?.state === 'open' || (before?.state === 'interrupted' && isSameSession);
  const hasSpokenOver = interruption !== undefined;
  return before !== undefined && (isCut || hasSpokenOver) ? { interrupts: placeIn(before) } : {};
}

function placeIn({ trace }: TurnRecord): TracePlace | undefined {
  if (trace === undefined) return undefined;
  const { traceId, spanId, traceFlags } = trace;
  return { traceId, spanId, traceFlags };
}

/** The state in which an unfinished delivery finds its conversation. */
interface Situation {
  readonly turnId: string;
  /** The record of its turn. Undefined for a new turn. */
  readonly known: TurnRecord | undefined;
  /** The newer turns that were there before it, in order: see `newerThan`. */
  readonly newer: readonly TurnRecord[];
  /** See `comparisonFor`. */
  readonly comparison: Comparison | undefined;
}

/**
 * Why the turn must not run, or not yet. Undefined if it may. If it is over, or a newer turn was
 * opened meanwhile, the caller's words still get their place in history.
 */
function refuse(
  conversation: Conversation,
  opening: TurnOpening,
  situation: Situation,
  bounds: ConversationBounds,
): Exclude<TurnOpeningResult, OpenedTurn> | undefined {
  const { known, newer, comparison } = situation;
  const { process, isAlive } = opening;
  const again = known?.state === 'open' ? undefined : known;
  const later = known?.state === 'open' && isDeliveredSince(known, opening) ? known : undefined;
  const isOver = opening.isOver?.() === true;
  if (process !== undefined && isAlive === undefined && !isOver) {
    const mayYield = again !== undefined || later !== undefined || newer.length > 0;
    const elsewhere = askedFirst(conversation, process, mayYield, known);
    if (elsewhere !== undefined) return elsewhere;
  }
  const isFollowed = isFollowedSince(conversation, opening, known)
    || newer.some((turn) => isAnswered(turn, opening));
  if (isOver || isFollowed) {
    // A newer request with the whole call has brought these words, or replaced them.
    const isTold = isFollowed && comparison !== undefined;
    if (known === undefined && !isTold) addOver(conversation, opening, situation, bounds);
    return { kind: isOver && !isOvertaken(conversation, known, opening) ? 'over' : 'stale' };
  }
  if (comparison?.isLate === true) return { kind: 'stale' };
  if (later !== undefined && isAnswered(later, opening))
    return { kind: 'stale', turnId: later.id };
  return isOvertaken(conversation, known, opening) ? { kind: 'stale' } : undefined;
}

/** Whether the turn has run or is still running. An open one is not if its process is gone. */
function isAnswered(turn: TurnRecord, { process: own, isAlive }: TurnOpening): boolean {
  const { state, process } = turn;
  if (state !== 'open') return countRuns(turn) > 0;
  return process === undefined || process === own || isAlive?.(process) !== false;
}

/**
 * Whether a turn that was delivered again has waited for other processes, and another one has
 * followed or replaced it meanwhile.
 */
function isFollowedSince(
  { turns }: Conversation,
  opening: TurnOpening,
  known: TurnRecord | undefined,
): boolean {
  const { newestBefore } = opening;
  const newest = turns.at(-1);
  if (newestBefore === undefined || newest === undefined) return false;
  return newest.id !== newestBefore && newest !== known && isAnswered(newest, opening);
}

/**
 * Whether a newer turn than this one, which has its place already, is running or waiting to be
 * opened here.
 */
function isOvertaken(
  conversation: Conversation,
  known: TurnRecord | undefined,
  opening: TurnOpening,
): boolean {
  if (known === undefined) return false;
  if (runsAfter(conversation, known, opening)) return true;
  const { waiting = [] } = opening;
  const { turns } = conversation;
  return waiting.some((turn) => {
    const { record } = turnOf(conversation, turn);
    return record === undefined
      ? !newerThan(conversation, turn).includes(known)
      : turns.indexOf(record) > turns.indexOf(known);
  });
}

function openNow(
  conversation: Conversation,
  opening: TurnOpening,
  { turnId, known, newer, comparison }: Situation,
  bounds: ConversationBounds,
): OpenedTurn {
  const { process, running = [] } = opening;
  const links = linksFor(conversation, opening, known);
  const isResumed = conversation.turns.length > (known === undefined ? 0 : 1);
  const endedElsewhere =
    process === undefined ? NO_RUNS : openRunsElsewhere(conversation, process);
  endOpenTurns(conversation, running);
  const lostCalls = lostCallsOf(conversation, opening);
  const told = comparison === undefined ? undefined : reconcile(conversation, comparison);
  const { interruption } = opening;
  // A turn that is delivered again brings a report that was handled before, perhaps for an earlier
  // run.
  const isNews = interruption !== undefined && known === undefined;
  const heard = isNews ? noteHeard(conversation, interruption, turnId) : told?.cut;

  const record = known ?? newTurn(turnId, 'open', opening.runId);
  if (known === undefined) addInOrder(conversation, record, opening, newer);
  const hasEarlierCalls = begin(conversation, record, opening, known !== undefined);
  const hasPredecessors =
    told !== undefined
    && takePlace(conversation, record, told.discarded, linesBefore(opening));
  keepCaller(conversation, opening.caller);
  trim(conversation, bounds);

  const ownCalls = hasEarlierCalls ? toolMessagesOf(record) : NO_CALLS;
  return new OpenedTurn(conversation, record, {
    isResumed,
    cut: heard === undefined ? undefined : cutOf(heard),
    earlierCalls: hasPredecessors ? callsAtPlace(conversation, record) : ownCalls,
    endedElsewhere,
    lostCalls,
    links,
    mayAct: comparison === undefined || !isLateCopy(conversation, opening, record),
  });
}

function addInOrder(
  conversation: Conversation,
  record: TurnRecord,
  opening: TurnOpening,
  [newer]: readonly TurnRecord[],
): void {
  addTurn(conversation, record);
  if (newer !== undefined) moveBefore(conversation, record, newer, arrivalOf(opening));
}

/**
 * An opening whose transcript begins after what was erased: a platform sends the whole call again.
 * The agent's texts after that place answer what was erased. A shorter call was cut by the
 * platform: none of it is added to an empty conversation.
 */
export function withoutErased(
  { erasedTo = 0, turns }: Conversation,
  opening: TurnOpening,
): TurnOpening {
  const { transcript } = opening;
  const isCut = linesBefore(opening) < erasedTo - 1;
  if (transcript === undefined || erasedTo === 0 || (isCut && turns.length > 0)) return opening;
  const { lines, omitted } = transcript;
  let from = isCut ? lines.length : Math.max(0, erasedTo - omitted);
  while (lines[from]?.role === 'assistant') from += 1;
  const rest = { ...transcript, lines: lines.slice(from), omitted: omitted + from };
  return from === 0 ? opening : { ...opening, transcript: rest };
}

/** How many texts the platform's call has before the caller's words. */
function linesBefore({ transcript }: TurnOpening): number {
  return transcript === undefined ? 0 : transcript.omitted + transcript.lines.length;
}

/** Whether a completed turn has followed or replaced the same request since. */
function isLateCopy(
  conversation: Conversation,
  { turnId, text }: TurnOpening,
  record: TurnRecord,
): boolean {
  const later = conversation.turns.slice(indexOfDelivered(conversation, turnId, text) + 1);
  return later.some((turn) => turn !== record && turn.state === 'completed');
}

/** Undefined on a wire that reports everything only once. */
function comparisonFor(
  conversation: Conversation,
  { transcript, text = '', running = [] }: TurnOpening,
  known: TurnRecord | undefined,
): Comparison | undefined {
  if (transcript === undefined) return undefined;
  return compareTranscript(conversation, transcript, text, known, (turn) => {
    const soFar =
      turn.state === 'open' ? running.find(({ runId }) => runId === turn.runId) : undefined;
    return soFar === undefined
      ? { reply: replyText(turn), filler: turn.filler }
      : { reply: textOfReply(soFar.messages), filler: soFar.filler };
  });
}

function textOfReply(messages: readonly Message[]): string {
  return messages.map(({ role, content }) => (role === 'assistant' ? content : '')).join('');
}

/**
 * The turn that the delivery belongs to. If the wire's id is taken, by a turn with other words or
 * by a discarded one, it gets an id of our own. A repeated delivery has the same words and finds
 * the same id.
 */
function turnOf(
  conversation: Conversation,
  { turnId, text }: Pick<TurnOpening, 'turnId' | 'text'>,
): { readonly id: string; readonly record: TurnRecord | undefined } {
  let id = turnId;
  let record = findTurn(conversation, id);
  const isOther = (turn: TurnRecord): boolean =>
    turn.isDiscarded === true || !isBegunBy(turn, text);
  for (let n = 2; record !== undefined && isOther(record); n += 1) {
    id = idOfNth(turnId, n);
    record = findTurn(conversation, id);
  }
  return { id, record };
}

/**
 * Adds a turn that is over, unless it was erased before it could be added. Its run may still record
 * what it has sent: an apology.
 */
function addOver(
  conversation: Conversation,
  opening: TurnOpening,
  { turnId, newer, comparison }: Situation,
  bounds: ConversationBounds,
): void {
  if (isErasedSince(conversation, opening)) return;
  const { runId, text, process, figures, interruption } = opening;
  const record = newTurn(turnId, 'interrupted', runId);
  record.said = 'nothing';
  record.runs = 0;
  if (process !== undefined) {
    record.process = process;
    record.firstArrivedAt = arrivalOf(opening);
  }
  if (figures !== undefined) record.figures = figures;
  setPlain(record, text ?? null, null);
  if (comparison !== undefined) {
    const { turns } = conversation;
    // It keeps the number if it runs again, and then replaces those turns.
    record.number = numberOfReplaced(turns, replacedBy(comparison))
      ?? nextNumber(turns, linesBefore(opening));
  }
  addInOrder(conversation, record, opening, newer);
  add(conversation, record);
  if (interruption !== undefined) noteHeard(conversation, interruption, turnId);
  trim(conversation, bounds);
}

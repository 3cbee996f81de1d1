// How a turn begins in its conversation, or goes on for another delivery.

import type { Interruption, Transcript } from '../calls/call-event.ts';
import type { SentEvent } from '../calls/reply-event.ts';
import { trim, type ConversationBounds } from './bounds.ts';
import {
  add, addTurn, callerIn, findTurn, historyUpTo, indexOfDelivered, keepCaller, settleForGood,
  type Conversation, type KnownCaller,
} from './conversation.ts';
import {
  callsAtPlace, earlierCallsIn, nextNumber, numberOfReplaced, takePlace, type EarlierToolCall,
} from './discarded-turns.ts';
import {
  askedFirst, lostCallsOf, openRunsElsewhere, runsAfter, type AskedFirst, type KnownRuns,
  type LostCall,
} from './elsewhere.ts';
import { cutOf, noteHeard, type CutTurn, type HeardTurn } from './heard.ts';
import type { Message, ToolMessage } from './message.ts';
import type { Claimer } from './once-rules.ts';
import {
  compare, reconcile, replacedBy, type Comparison, type Reconciled,
} from './reconcile.ts';
import { linksOf, type RunLinks } from './run-links.ts';
import { begin, noteProcess, type BegunRun } from './turn-begin.ts';
import { arrivalOf, isErasedSince, moveBefore, newerThan } from './turn-order.ts';
import {
  countRuns, idOfNth, isBegunBy, messagesOf, newTurn, replyText, sentEvents, setPlain,
  toolMessagesOf, type RunElsewhere, type TurnRecord,
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
  /** Whether the turn has ended while it waited for the store. Default: it has not. */
  readonly isOver?: (() => boolean) | undefined;
}

/** What a turn has found in its conversation: see `OpenedTurn`. */
interface FoundByTurn extends Pick<
  OpenedTurn,
  'isResumed' | 'cut' | 'earlierCalls' | 'takenOver' | 'lostCalls' | 'hasGoneBack' | 'wasElsewhere'
  | 'links' | 'mayAct'
> {
  /** All runs of open turns in other processes, `takenOver` among them. */
  readonly openElsewhere: readonly RunElsewhere[];
}

/** An opened turn as its run sees it. Exposes no record the run could change. */
export class OpenedTurn {
  readonly kind = 'opened';
  /**
   * The opening's `turnId`, or an id of our own if other words have already begun a turn with that
   * id.
   */
  readonly turnId: string;
  /** Whether the conversation existed before this turn. */
  readonly isResumed: boolean;
  /** An older turn, cut to what the caller heard. */
  readonly cut: CutTurn | undefined;
  /**
   * Calls by earlier runs of this turn that have completed, are still running, or have an unknown
   * outcome.
   */
  readonly earlierCalls: readonly EarlierToolCall[];
  /**
   * Runs of older turns in other processes that this turn has ended. They have not been told yet.
   */
  readonly endedElsewhere: readonly RunElsewhere[];
  /** The run of this turn in another process, if it ran there. It has not been told yet. */
  readonly takenOver: RunElsewhere | undefined;
  /** Tool calls whose outcome is unknown from now on, as their process is gone. */
  readonly lostCalls: readonly LostCall[];
  /** What names the turn in the keys of its tool calls: see `TurnRecord.number`. */
  readonly place: string;
  /** Whether the state has gone back to what it was before a discarded turn. */
  readonly hasGoneBack: boolean;
  /** Whether another process owned the state before this turn. */
  readonly wasElsewhere: boolean;
  /**
   * False if the request is a late copy of one that another turn has followed or replaced, which
   * has completed. It is answered, but its tools must not change anything.
   */
  readonly mayAct: boolean;
  /** Undefined if it is not traced. */
  readonly links: RunLinks | undefined;
  /** When the conversation was last erased. 0: never. */
  readonly erasedAt: number;
  readonly #conversation: Conversation;
  readonly #record: TurnRecord;

  constructor(conversation: Conversation, record: TurnRecord, found: FoundByTurn) {
    const { openElsewhere, takenOver } = found;
    this.turnId = record.id;
    this.isResumed = found.isResumed;
    this.cut = found.cut;
    this.earlierCalls = found.earlierCalls;
    this.endedElsewhere =
      takenOver === undefined ? openElsewhere : openElsewhere.filter((run) => run !== takenOver);
    this.takenOver = takenOver;
    this.lostCalls = found.lostCalls;
    // No id of a platform's has a control character.
    this.place = record.number === undefined ? record.id : `\u0000${record.number}`;
    this.hasGoneBack = found.hasGoneBack;
    this.wasElsewhere = found.wasElsewhere;
    this.mayAct = found.mayAct;
    this.links = found.links;
    this.erasedAt = conversation.erasedAt ?? 0;
    this.#conversation = conversation;
    this.#record = record;
  }

  /** Copies of the current messages up to the caller's words and the calls of earlier runs. */
  history(): Message[] {
    return historyUpTo(this.#conversation, this.#record);
  }

  /** The agent's state, as JSON text. Undefined if none is stored. */
  get state(): string | undefined {
    return this.#conversation.state;
  }

  /** The agent that the conversation was last handed over to. */
  get agent(): string | undefined {
    return this.#conversation.agent;
  }

  /** The names of the conversation's values. Undefined if it has none. */
  get placeholders(): Conversation['placeholders'] {
    return this.#conversation.placeholders;
  }

  /** Who called in that session, if known. */
  callerIn(sessionId: string): ReturnType<typeof callerIn> {
    return callerIn(this.#conversation, sessionId);
  }
}

export type TurnOpeningResult =
  | OpenedTurn
  /** The same delivery has already completed: its reply can be sent again. */
  | {
      readonly kind: 'completed before';
      readonly sent: readonly SentEvent[];
      readonly links?: RunLinks;
    }
  /**
   * A newer turn runs, or was opened while this one waited for the store: say nothing. The caller's
   * words have their place in history.
   */
  | { readonly kind: 'stale' }
  /** The turn ended while it waited for the store. It ends no turn of another process. */
  | { readonly kind: 'over' }
  | AskedFirst;

const NO_CALLS: readonly ToolMessage[] = [];
const NO_TURNS: readonly TurnRecord[] = [];
const NO_RUNS: readonly RunElsewhere[] = [];
const NO_LOST_CALLS: readonly LostCall[] = [];

/**
 * Begins a turn: ends the open ones, cuts an older one to what was heard, and stores the caller's
 * words and a placeholder. Leaves a completed delivery alone. A delivery that was interrupted or
 * failed runs again in its old place, unless a newer turn is running.
 *
 * Order is that of arrival. A turn whose opening waited for the store yields to turns that other
 * processes have opened meanwhile: it gets its place in front of them, and ends none.
 */
export function openTurn(
  conversation: Conversation,
  opening: TurnOpening,
  bounds: ConversationBounds,
): TurnOpeningResult {
  const { id: turnId, record: known } = turnOf(conversation, opening);
  if (known?.state === 'completed') {
    settleForGood(conversation, known); // the newer delivery gets all of it
    const links = linksFor(conversation, opening, known);
    return {
      kind: 'completed before', sent: sentEvents(known), ...(links === undefined ? {} : { links }),
    };
  }
  const newer = opening.process === undefined ? NO_TURNS : newerThan(conversation, opening);
  const comparison = comparisonFor(conversation, opening, known);
  const situation = { turnId, known, newer, comparison };
  return refuse(conversation, opening, situation, bounds)
    ?? openNow(conversation, opening, situation, bounds);
}

function linksFor(
  conversation: Conversation,
  { trace, interruption }: TurnOpening,
  known: TurnRecord | undefined,
): RunLinks | undefined {
  return trace === undefined
    ? undefined
    : linksOf(conversation, known, interruption !== undefined, trace.sessionId);
}

/** How a delivery that has not completed finds its conversation. */
interface Situation {
  readonly turnId: string;
  /** The record of its turn. Undefined for a new turn. */
  readonly known: TurnRecord | undefined;
  /** The turns that are newer and there before it, the first one first: see `newerThan`. */
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
  const { process } = opening;
  const again = known?.state === 'open' ? undefined : known;
  const isOver = opening.isOver?.() === true;
  if (isOver || newer.some((turn) => countRuns(turn) > 0)) {
    if (known === undefined) addOver(conversation, opening, situation, bounds);
    const isLate = again !== undefined && runsAfter(conversation, again, opening);
    return { kind: isOver && !isLate ? 'over' : 'stale' };
  }
  if (comparison?.isLate === true) return { kind: 'stale' };
  if (process !== undefined && opening.isAlive === undefined) {
    const elsewhere = askedFirst(conversation, process, again);
    if (elsewhere !== undefined) return elsewhere;
  }
  if (again !== undefined && runsAfter(conversation, again, opening)) return { kind: 'stale' };
  return undefined;
}

function openNow(
  conversation: Conversation,
  opening: TurnOpening,
  { turnId, known, newer, comparison }: Situation,
  bounds: ConversationBounds,
): OpenedTurn {
  const { process, running = [], isCallRunning = () => false } = opening;
  const links = linksFor(conversation, opening, known);
  const isResumed = conversation.turns.length > (known === undefined ? 0 : 1);
  const openElsewhere =
    process === undefined ? NO_RUNS : openRunsElsewhere(conversation, process);
  const takenOver = openElsewhere.find(({ runId }) => known?.runId === runId);
  const closed = endOpenTurns(conversation, running);
  const { runningCalls, onceCalls } = conversation;
  const mayBeLost = runningCalls > 0 || onceCalls !== undefined;
  const lostCalls =
    mayBeLost ? lostCallsOf(conversation, isCallRunning, opening) : NO_LOST_CALLS;
  const told = comparison === undefined ? undefined : reconcile(conversation, comparison);
  const heard = cutToHeard(conversation, turnId, opening.interruption, told, closed);

  const record = known ?? newTurn(turnId, 'open', opening.runId);
  if (known === undefined) addInOrder(conversation, record, newer);
  const hasEarlierCalls = begin(conversation, record, opening, known !== undefined);
  const place =
    told === undefined ? undefined : takePlace(conversation, record, told.discarded);
  keepCaller(conversation, opening.caller);
  const wasElsewhere = takeState(conversation, process);
  trim(conversation, bounds);

  const ownCalls = hasEarlierCalls ? toolMessagesOf(record) : NO_CALLS;
  return new OpenedTurn(conversation, record, {
    isResumed,
    cut: heard === undefined ? undefined : cutOf(heard),
    earlierCalls: place === undefined ? ownCalls : callsAtPlace(conversation, record, place),
    openElsewhere,
    takenOver,
    lostCalls,
    hasGoneBack: place?.hasGoneBack === true,
    wasElsewhere,
    links,
    mayAct: comparison === undefined || !isLateCopy(conversation, opening, record),
  });
}

/**
 * Cuts an older turn to what the caller heard of it, as the interruption reports it or, without
 * one, the transcript. The runs of `closed` turns may still be sending and know best what was sent,
 * unless the platform has reported what was heard.
 */
function cutToHeard(
  conversation: Conversation,
  turnId: string,
  interruption: Interruption | undefined,
  told: Reconciled | undefined,
  closed: readonly TurnRecord[],
): HeardTurn | undefined {
  const heard = interruption === undefined
    ? told?.cut
    : noteHeard(conversation, interruption, turnId);
  const decided = interruption?.textHeard === undefined ? undefined : heard?.record;
  for (const turn of closed)
    if (turn !== decided && told?.decided.has(turn) !== true) turn.isUnknown = true;
  return heard;
}

function addInOrder(
  conversation: Conversation,
  record: TurnRecord,
  [newer]: readonly TurnRecord[],
): void {
  addTurn(conversation, record);
  if (newer !== undefined) moveBefore(conversation, record, newer);
}

/** The state is this process's from now on. True if another process had it. */
function takeState(conversation: Conversation, process: string | undefined): boolean {
  const { stateOwner } = conversation;
  if (process !== undefined) conversation.stateOwner = process;
  return stateOwner !== undefined && stateOwner !== process;
}

/** Whether a turn that completed has followed the same request since, or has replaced it. */
function isLateCopy(
  conversation: Conversation,
  { turnId, text }: TurnOpening,
  record: TurnRecord,
): boolean {
  const later = conversation.turns.slice(indexOfDelivered(conversation, turnId, text) + 1);
  return later.some((turn) => turn !== record && turn.state === 'completed');
}

/** Undefined on a wire that reports each thing once. */
function comparisonFor(
  conversation: Conversation,
  { transcript, text = '', running = [] }: TurnOpening,
  known: TurnRecord | undefined,
): Comparison | undefined {
  if (transcript === undefined) return undefined;
  return compare(conversation, transcript, text, known, (turn) => {
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
 * by a discarded one, it has an id of our own. A repeated delivery has the same words and finds the
 * same id.
 */
function turnOf(
  conversation: Conversation,
  { turnId, text }: TurnOpening,
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
 * Adds a turn that does not run any more, unless it was erased before it could be added. Its run
 * may still record what it has sent: an apology.
 */
function addOver(
  conversation: Conversation,
  opening: TurnOpening,
  { turnId, newer, comparison }: Situation,
  bounds: ConversationBounds,
): void {
  if (isErasedSince(conversation, opening)) return;
  const { runId, text, process, figures } = opening;
  const record = newTurn(turnId, 'interrupted', runId);
  record.isUnknown = true;
  record.runs = 0;
  if (process !== undefined) {
    noteProcess(record, process);
    record.firstArrivedAt = arrivalOf(opening);
  }
  if (figures !== undefined) record.figures = figures;
  setPlain(record, text ?? null, null);
  if (comparison !== undefined) {
    const { turns } = conversation;
    // It keeps the number if it runs again, and then replaces those turns.
    record.number = numberOfReplaced(turns, replacedBy(comparison)) ?? nextNumber(turns);
  }
  addInOrder(conversation, record, newer);
  add(conversation, record);
  trim(conversation, bounds);
}

/**
 * Whether a run may continue for another delivery of its turn. `owned`: yes, the record is this
 * run's. If a run in another process had it and did not complete, `earlierCalls` are that run's,
 * and `earlierRuns` has its id. `closed`: no, a newer turn has begun. `completed`: no, another run
 * has said everything.
 */
export type TurnClaim =
  | {
      readonly kind: 'owned';
      readonly earlierCalls: readonly EarlierToolCall[];
      readonly earlierRuns: readonly number[] | undefined;
    }
  | { readonly kind: 'closed' | 'completed' };

/** Claims the record of a turn for the run that began it, to continue for another delivery. */
export function claimTurn(
  conversation: Conversation,
  claim: Claimer & Pick<TurnOpening, 'text' | 'trace' | 'figures'>,
): TurnClaim {
  const { turnId, runId } = claim;
  const record = findTurn(conversation, turnId);
  // It was cleared: the run goes on, unrecorded.
  if (record === undefined) return owned(NO_CALLS, undefined);
  if (record.runId === runId) {
    const isOurs = record.state === 'open' || record.isLeaving === true;
    return isOurs ? owned(NO_CALLS, record) : { kind: 'closed' };
  }
  if (record.state === 'completed') return { kind: 'completed' };
  if (record.state === 'open') conversation.openTurns -= 1;
  const hasCalls = begin(conversation, record, claim, true);
  const calls = hasCalls ? earlierCallsIn(record, messagesOf(record)) : NO_CALLS;
  return owned(calls.filter((call) => call.runId !== runId), record);
}

function owned(
  earlierCalls: readonly EarlierToolCall[],
  record: TurnRecord | undefined,
): TurnClaim {
  return { kind: 'owned', earlierCalls, earlierRuns: record?.earlierRuns };
}

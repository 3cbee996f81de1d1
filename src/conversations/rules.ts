// The rules of a conversation: pure functions over plain data, the same for every store.

import type { Interruption, Transcript } from '../calls/call-event.ts';
import type { SentEvent } from '../calls/reply-event.ts';
import { trim, type ConversationBounds } from './bounds.ts';
import { makeWhole, withinBounds } from './captured-calls.ts';
import {
  add, addTurn, callerIn, findTurn, historyUpTo, indexOfDelivered, keepCaller, keepState,
  moveLastTurn, rewrite, settleForGood, subtract, type Conversation, type KnownCaller,
} from './conversation.ts';
import {
  callsAtPlace, nextNumber, numberOfReplaced, takePlace, type EarlierToolCall,
} from './discarded-turns.ts';
import { cutOf, noteHeard, type CutTurn, type HeardTurn } from './heard.ts';
import type { Message, ToolMessage, TurnState } from './message.ts';
import { loseOnceCalls, type Claimer } from './once-rules.ts';
import {
  compare, hearTold, reconcile, replacedBy, type Comparison, type Reconciled,
} from './reconcile.ts';
import { linksOf, type RunLinks } from './run-links.ts';
import {
  ALL_KEPT, NOTHING_KEPT, ONLY_STATE_KEPT, STATE_DROPPED, type RunWrite,
} from './run-write.ts';
import {
  earlierRounds, forgetLostCalls, keepHandOver, withKnownResults,
} from './tool-call-rules.ts';
import { roundsOf } from './tool-rounds.ts';
import type { TracedRun } from './trace-place.ts';
import type { TurnFigures } from './turn-figures.ts';
import {
  countRuns, forgetRun, idOfNth, isBegunBy, isLaterRun, isPlainReply, leadingMessages, messagesOf,
  newTurn, ownMessages, replyText, sentEvents, setMessages, setPlain, toolMessagesOf,
  type RunElsewhere, type TurnRecord,
} from './turn-record.ts';

export interface TurnOpening {
  readonly turnId: string;
  readonly runId: number;
  /** The caller's words. Undefined if the caller did not begin the turn. */
  readonly text?: string | undefined;
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
  /** Whether a living process runs the tool call. Default: none does. */
  readonly isCallRunning?: IsCallRunning | undefined;
  /** The address of this process, if it shares the conversation with others. */
  readonly process?: string | undefined;
  /**
   * Whether a process is known to live. Undefined until the others have been asked what they run:
   * until then nothing is taken from them.
   */
  readonly isAlive?: ((process: string) => boolean) | undefined;
  /** How long ago the turn arrived, on a monotonic clock, in milliseconds. Default 0. */
  readonly waitedMs?: (() => number) | undefined;
  /** Whether the turn has ended while it waited for the store. Default: it has not. */
  readonly isOver?: (() => boolean) | undefined;
  /** Set if calls are recorded. */
  readonly figures?: TurnFigures | undefined;
  /** Set if the run is traced. */
  readonly trace?: TracedRun | undefined;
}

/**
 * Whether the process of this address runs the call with this key, which began at that time, in
 * milliseconds since the epoch.
 */
export type IsCallRunning = (
  key: string,
  process: string | undefined,
  sinceMs: number | undefined,
) => boolean;

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
  /**
   * Other processes may be running tool calls that this turn would count as lost, or a newer turn.
   * Ask them first; nothing has changed.
   */
  | {
      readonly kind: 'elsewhere';
      /** Keys of tool calls, by the process that may be running them. */
      readonly calls: ReadonlyMap<string, readonly string[]>;
    };

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
  /** The agent's state, as JSON text. Kept even if something else closed the turn. */
  readonly agentState?: string | undefined;
  /** Set if calls are recorded. */
  readonly figures?: TurnFigures | undefined;
  /** Whether the last events may not have left yet: the run settles again if they do not. */
  readonly isLeaving?: true | undefined;
}

const NO_CALLS: readonly ToolMessage[] = [];
const NO_TURNS: readonly TurnRecord[] = [];
const NO_RUNS: readonly RunElsewhere[] = [];
const NO_LOST_CALLS: readonly LostCall[] = [];

/**
 * A turn whose opening waited for less than this, in milliseconds, is the newest, whatever other
 * clocks say.
 */
export const PROMPT_MS = 100;

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
  const newer = newerThan(conversation, opening);
  const comparison = comparisonFor(conversation, opening, known);
  const arrived = { turnId, known, newer, comparison };
  return refuse(conversation, opening, arrived, bounds)
    ?? openArrived(conversation, opening, arrived, bounds);
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
interface Arrived {
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
  arrived: Arrived,
  bounds: ConversationBounds,
): Exclude<TurnOpeningResult, OpenedTurn> | undefined {
  const { known, newer, comparison } = arrived;
  const { process } = opening;
  const again = known?.state === 'open' ? undefined : known;
  const isOver = opening.isOver?.() === true;
  if (isOver || newer.some((turn) => countRuns(turn) > 0)) {
    if (known === undefined) addOver(conversation, opening, arrived, bounds);
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

function openArrived(
  conversation: Conversation,
  opening: TurnOpening,
  { turnId, known, newer, comparison }: Arrived,
  bounds: ConversationBounds,
): OpenedTurn {
  const { process, running = [], isCallRunning = () => false } = opening;
  const links = linksFor(conversation, opening, known);
  const isResumed = conversation.turns.length > (known === undefined ? 0 : 1);
  const openElsewhere =
    process === undefined ? NO_RUNS : openRunsElsewhere(conversation, process);
  const takenOver = openElsewhere.find(({ runId }) => known?.runId === runId);
  const closed = endOpenTurns(conversation, running);
  const lostCalls = lostCallsOf(conversation, isCallRunning);
  const told = comparison === undefined ? undefined : reconcile(conversation, comparison);
  const heard = cutToHeard(conversation, turnId, opening.interruption, told, closed);

  const record = known ?? newTurn(turnId, 'open', opening.runId);
  if (known === undefined) addBefore(conversation, record, newer);
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
 * Ends the turns that are open, because another one begins. Returns those that run in this process,
 * whose sent text so far is known.
 */
function endOpenTurns(
  conversation: Conversation,
  running: readonly TurnSettlement[],
): readonly TurnRecord[] {
  if (running.length > 0) settleLeaving(conversation, running);
  return conversation.openTurns > 0 ? closeOpenTurns(conversation, running) : NO_TURNS;
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

type BegunRun =
  Pick<TurnOpening, 'runId' | 'text' | 'process' | 'figures' | 'trace' | 'waitedMs'>;

/**
 * Gives the record of a turn that is not open to this run. If the turn ran before, it keeps the
 * earlier calls that cannot be undone. Returns whether there are any.
 */
function begin(
  conversation: Conversation,
  record: TurnRecord,
  { runId, text, process, figures, trace, waitedMs }: BegunRun,
  isAgain: boolean,
): boolean {
  const { id: turnId } = record;
  const earlier = isAgain ? earlierRounds(record) : [];
  conversation.openTurns += 1;
  record.state = 'open';
  if (isAgain) {
    record.runs = countRuns(record) + 1;
    forgetRun(record);
  }
  record.runId = runId;
  if (process !== undefined) {
    noteProcess(record, process);
    record.arrivedAt = arrivalOf({ waitedMs });
  }
  if (trace !== undefined) record.trace = trace;
  makeFollowersWhole(conversation, record);
  subtract(conversation, record);
  if (figures !== undefined) record.figures = figures;
  if (earlier.length === 0)
    setPlain(record, text ?? null, ''); // the placeholder
  else {
    // A run that takes its turn back writes its own calls again.
    const isOwn = (call: ToolMessage): boolean => call.runId === runId;
    const leading: Message[] = [
      ...(text === undefined ? [] : [{ role: 'user', content: text, turnId } as const]),
      ...roundsOf(earlier, (call) => !isOwn(call), {}),
    ];
    const own = roundsOf(earlier, isOwn, {});
    setMessages(
      record,
      [...leading, ...own, { role: 'assistant', content: '', turnId, state: 'open' }],
      leading.length,
    );
  }
  add(conversation, record);
  return earlier.length > 0;
}

function noteProcess(record: TurnRecord, process: string): void {
  record.process = process;
  record.countedRun = record.runId;
}

function arrivalOf({ waitedMs = () => 0 }: Pick<TurnOpening, 'waitedMs'>): number {
  return Math.round(Date.now() - waitedMs());
}

/**
 * Whether a run may continue for another delivery of its turn. `owned`: yes, the record is this
 * run's. If a run in another process had it and did not complete, `earlierCalls` are that run's.
 * `closed`: no, a newer turn has begun. `completed`: no, another run has said everything.
 */
export type TurnClaim =
  | { readonly kind: 'owned'; readonly earlierCalls: readonly ToolMessage[] }
  | { readonly kind: 'closed' | 'completed' };

const OWNED: TurnClaim = { kind: 'owned', earlierCalls: NO_CALLS };

/** Claims the record of a turn for the run that began it, to continue for another delivery. */
export function claimTurn(
  conversation: Conversation,
  claim: Claimer & Pick<TurnOpening, 'text' | 'trace' | 'figures'>,
): TurnClaim {
  const { turnId, runId } = claim;
  const record = findTurn(conversation, turnId);
  if (record === undefined) return OWNED; // it was cleared: the run goes on, unrecorded
  if (record.runId === runId)
    return record.state === 'open' || record.isLeaving === true ? OWNED : { kind: 'closed' };
  if (record.state === 'completed') return { kind: 'completed' };
  if (record.state === 'open') conversation.openTurns -= 1;
  if (!begin(conversation, record, claim, true)) return OWNED;
  const others = toolMessagesOf(record).filter((call) => call.runId !== runId);
  return { kind: 'owned', earlierCalls: others };
}

/**
 * The turns that arrived after this one and were added before it, because one of the two waited for
 * the store or for other processes. A turn that was already in history and only runs again is not
 * newer.
 *
 * Within a process the run ids decide, which grow. Times of other processes count only if this turn
 * has waited for `PROMPT_MS`. A time in the future comes from a wrong clock and does not count.
 */
function newerThan(
  { turns }: Conversation,
  { process, runId, waitedMs }: TurnOpening,
): readonly TurnRecord[] {
  if (process === undefined || waitedMs === undefined) return NO_TURNS;
  const now = Date.now();
  const waited = waitedMs();
  const from = now - waited;
  return turns.filter((turn) => {
    const { missedAt = 0, arrivedAt = missedAt, addedAt } = turn;
    if (addedAt !== undefined && addedAt < from) return false;
    if (turn.process === process) return isLaterRun(turn.runId, runId);
    return waited >= PROMPT_MS && arrivedAt > from && arrivedAt <= now;
  });
}

/** Whether everything has been forgotten since the turn arrived, by the clock of this process. */
function isErasedSince(
  { erasedAt = 0 }: Conversation,
  { waitedMs = () => 0 }: TurnOpening,
): boolean {
  const now = Date.now();
  return erasedAt > Math.ceil(now - waitedMs()) && erasedAt <= now;
}

/** Adds a turn in front of those that are newer, or at the end. */
function addBefore(
  conversation: Conversation,
  record: TurnRecord,
  [newer]: readonly TurnRecord[],
): void {
  addTurn(conversation, record);
  if (newer === undefined) return;
  record.addedAt = (newer.addedAt ?? 1) - 1;
  moveLastTurn(conversation, conversation.turns.indexOf(newer));
}

/**
 * Adds a turn that does not run any more, unless it was erased before it could be added. Its run
 * may still record what it has sent: an apology.
 */
function addOver(
  conversation: Conversation,
  opening: TurnOpening,
  { turnId, newer, comparison }: Arrived,
  bounds: ConversationBounds,
): void {
  if (isErasedSince(conversation, opening)) return;
  const { runId, text, process, figures } = opening;
  const record = newTurn(turnId, 'interrupted', runId);
  record.isUnknown = true;
  record.runs = 0;
  if (process !== undefined) {
    noteProcess(record, process);
    record.missedAt = arrivalOf(opening);
  }
  if (figures !== undefined) record.figures = figures;
  setPlain(record, text ?? null, null);
  if (comparison !== undefined) {
    const { turns } = conversation;
    // It keeps the number if it runs again, and then replaces those turns.
    record.number = numberOfReplaced(turns, replacedBy(comparison)) ?? nextNumber(turns);
  }
  addBefore(conversation, record, newer);
  add(conversation, record);
  trim(conversation, bounds);
}

/** A tool call whose outcome is unknown. */
export interface LostCall {
  /** The turn that has made it. */
  readonly turnId: string;
  /** For a call that does not act once, what the model called: it may have made up the name. */
  readonly tool: string | undefined;
  /** Undefined if its arguments were not JSON. */
  readonly idempotencyKey: string | undefined;
}

/**
 * Marks the calls that no living process runs, and returns them. A call that acts once is lost with
 * its claim, and so are those of other turns that wait for it.
 */
function lostCallsOf(
  conversation: Conversation,
  isRunning: IsCallRunning,
): readonly LostCall[] {
  const { runningCalls, onceCalls, turns } = conversation;
  if (runningCalls === 0 && onceCalls === undefined) return NO_LOST_CALLS;
  const lost = new Map<unknown, LostCall>();
  for (const [key, { tool, turnId }] of loseOnceCalls(conversation, (key, { process, claimedAt }) =>
    isRunning(key, process, claimedAt),
  ))
    lost.set(key, { turnId, tool, idempotencyKey: key });
  const isClaimed = (key: string): boolean => conversation.onceCalls?.[key]?.state === 'running';
  for (const turn of turns)
    for (const message of forgetLostCalls(
      conversation,
      turn,
      (key, process) => isClaimed(key) || isRunning(key, process, turn.arrivedAt),
    ))
      if (!lost.has(message.key))
        lost.set(message.key ?? message, {
          turnId: turn.id,
          tool: calledIn(turn, message.toolCallId), idempotencyKey: message.key,
        });
  return [...lost.values()];
}

function calledIn({ messages = [] }: TurnRecord, toolCallId: string): string | undefined {
  const calls = messages.flatMap((message) =>
    message.role === 'assistant' ? (message.toolCalls ?? []) : [],
  );
  return calls.findLast(({ id }) => id === toolCallId)?.name;
}

/**
 * Ends a run, once. `isKept` is false if the run no longer owns the turn: it was settled, cut to
 * what was heard, run again or cleared. A run whose turn was closed by a newer one still settles
 * it, because only that run knows what was sent.
 */
export function settleTurn(
  conversation: Conversation,
  settlement: TurnSettlement,
  bounds: ConversationBounds,
): RunWrite {
  const record = findTurn(conversation, settlement.turnId);
  if (record?.runId !== settlement.runId) return NOTHING_KEPT;
  const isStateKept =
    record.isDiscarded !== true
    && keepState(conversation, settlement.agentState, settlement.process);
  const isDecided = record.isUnknown !== true && record.isLeaving !== true;
  if (record.state !== 'open' && isDecided)
    return isStateKept ? ONLY_STATE_KEPT : NOTHING_KEPT;
  settle(conversation, record, settlement);
  trim(conversation, bounds);
  return isStateKept ? ALL_KEPT : STATE_DROPPED;
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
  if (figures !== undefined) makeFollowersWhole(conversation, record);
  subtract(conversation, record);
  if (figures !== undefined) record.figures = withinBounds(figures, conversation, record);
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

/** Appends a message to its turn if known, otherwise as a completed turn of its own. */
export function appendMessage(
  conversation: Conversation,
  message: Message,
  bounds: ConversationBounds,
): void {
  let record = findTurn(conversation, message.turnId);
  if (record === undefined) {
    record = newTurn(message.turnId, 'completed', 0);
    addTurn(conversation, record);
  }
  rewrite(conversation, record, [...messagesOf(record), message], record.kept);
  trim(conversation, bounds);
}

/** The turns that run in other processes, as far as the conversation knows. */
export function openRunsElsewhere(
  { turns, openTurns }: Conversation,
  own: string,
): readonly RunElsewhere[] {
  if (openTurns === 0) return NO_RUNS;
  return turns.flatMap(({ state, process, runId }) =>
    state === 'open' && process !== undefined && process !== own ? [{ process, runId }] : [],
  );
}

/**
 * What to ask other processes: which of the running calls they run and, for a turn delivered
 * `again`, whether those that run a newer turn are alive. Undefined if there is nothing to ask.
 */
function askedFirst(
  conversation: Conversation,
  own: string,
  again: TurnRecord | undefined,
): Extract<TurnOpeningResult, { readonly kind: 'elsewhere' }> | undefined {
  const { turns, runningCalls, onceCalls } = conversation;
  const calls = new Map<string, Set<string>>();
  const keysOf = (process: string): Set<string> => {
    const keys = calls.get(process) ?? new Set();
    calls.set(process, keys);
    return keys;
  };
  if (runningCalls > 0) {
    for (const turn of turns)
      for (const { state, key, process = turn.process } of toolMessagesOf(turn))
        if (state === 'running' && key !== undefined && isOther(process, own))
          keysOf(process).add(key);
  }
  for (const [key, { state, process }] of Object.entries(onceCalls ?? {}))
    if (state === 'running' && isOther(process, own)) keysOf(process).add(key);
  if (again !== undefined && conversation.openTurns > 0)
    for (const { state, process } of turns.slice(turns.indexOf(again) + 1))
      if (state === 'open' && isOther(process, own)) keysOf(process);
  if (calls.size === 0) return undefined;
  const listed = [...calls].map(([process, keys]) => [process, [...keys]] as const);
  return { kind: 'elsewhere', calls: new Map(listed) };
}

function isOther(process: string | undefined, own: string): process is string {
  return process !== undefined && process !== own;
}

/** Whether a turn after this one runs: here, or in another process that lives. */
function runsAfter(
  { turns }: Conversation,
  record: TurnRecord,
  { running = [], process: own, isAlive = () => false }: TurnOpening,
): boolean {
  for (let index = turns.length - 1; index >= 0 && turns[index] !== record; index--) {
    const turn = turns[index];
    if (turn?.state !== 'open') continue;
    if (running.some(({ runId }) => runId === turn.runId)) return true;
    if (own !== undefined && isOther(turn.process, own) && isAlive(turn.process)) return true;
  }
  return false;
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

/** Call it before the turn's figures change. */
function makeFollowersWhole(conversation: Conversation, { id }: TurnRecord): void {
  if (conversation.capturedBytes === undefined) return;
  makeWhole(conversation, conversation.turns, (turnId) => turnId === id);
}

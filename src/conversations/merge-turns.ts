import {
  add, addTurn, findTurn, moveLastTurn, subtract, type Conversation,
} from './conversation.ts';
import type { Message } from './message.ts';
import { hearTold } from './reconcile.ts';
import { withCallsOf, withResultsOf, type MergedMessages } from './tool-call-merge.ts';
import {
  countRuns, forgetRun, hasFollowed, isLaterRun, leadingMessages, messagesOf, ownMessages,
  setMessages, type TurnRecord,
} from './turn-record.ts';

/**
 * Merges turns this process remembers into a conversation that others may have changed since.
 * Turns are matched by id, so merging twice changes nothing:
 *
 * - A turn the conversation lacks is added in its place.
 * - If both know the same run, this process has the newer copy, unless what was heard has been
 *   decided by now.
 * - If they know different runs, the one that knew of the other wins. If neither did, that is one
 *   that the platform has reported of, then a completed one, then the one that goes on. If both go
 *   on in two processes, it is the one whose delivery arrived later.
 * - A turn stays open even if one behind it began in a process whose store did not answer. Clocks
 *   may be apart, so it may be the newer one. If its process is gone, the next opening closes it.
 * - A tool call never loses its true result, and never gets another call's: a call belongs to a
 *   run.
 *
 * `own` are the addresses of this process.
 */
export function mergeTurns(
  conversation: Conversation,
  remembered: readonly TurnRecord[],
  own: ReadonlySet<string> = NO_ADDRESSES,
): void {
  for (const ours of remembered) {
    const theirs = findTurn(conversation, ours.id);
    if (theirs === undefined) {
      const place = placeOf(ours, conversation.turns);
      addTurn(conversation, ours);
      moveLastTurn(conversation, place);
      if (ours.state === 'open') conversation.openTurns += 1;
      add(conversation, ours);
      continue;
    }
    if (isNewer(ours, theirs)) replace(conversation, theirs, ours);
    else keep(conversation, theirs, withCallsOf(ours, theirs, own));
    if (ours.isDiscarded === true && theirs.isDiscarded !== true) {
      theirs.isDiscarded = true;
      conversation.touched?.add(theirs);
    }
  }
}

/** A turn of which it was not known how it had ended, and a copy of what it was then. */
export interface UndecidedTurn {
  readonly turn: TurnRecord;
  readonly was: TurnRecord;
}

/** The turns that are open, or were closed by something other than their run. */
export function undecidedAmong(turns: readonly TurnRecord[]): readonly UndecidedTurn[] {
  return turns
    .filter(({ state, isUnknown }) => state === 'open' || isUnknown === true)
    .map((turn) => ({ turn, was: { ...turn } }));
}

const NO_ADDRESSES: ReadonlySet<string> = new Set();

/**
 * The same for open turns, and for those altered by a change that the store did not take. Three
 * things hold anyway: what tools returned, how the run of a turn ended, and which run is the later
 * one. But a turn that was `undecided` before may have been ended by that very change, or given to
 * another run; and a run of a process that is not among `own` may be over by now.
 */
export function mergeAltered(
  conversation: Conversation,
  altered: readonly TurnRecord[],
  undecided: readonly UndecidedTurn[],
  own: ReadonlySet<string> = NO_ADDRESSES,
): void {
  for (const ours of altered) {
    const theirs = findTurn(conversation, ours.id);
    if (theirs === undefined) continue;
    const was = undecided.find(({ turn }) => turn === ours)?.was;
    const isOurRun = ours.process === undefined || own.has(ours.process);
    const mayBeOver = !isOurRun && !hasFollowed(ours, theirs);
    const certain =
      was?.state === 'open' && mayBeOver ? undefined : certainOf(ours, theirs, was);
    if (certain !== undefined && isNewer(certain, theirs)) replace(conversation, theirs, certain);
    else if (hasGoneOn(theirs, ours)) replace(conversation, theirs, ours);
    else keep(conversation, theirs, withResultsOf(ours, theirs));
  }
}

/** What of an altered turn does not come from the change. Undefined if that is not known. */
function certainOf(
  ours: TurnRecord,
  theirs: TurnRecord,
  was: TurnRecord | undefined,
): TurnRecord | undefined {
  if (was === undefined) return ours.state === 'open' || isTold(ours, theirs) ? undefined : ours;
  if (was.runId !== ours.runId || isSameRun(ours, theirs)) return undefined;
  if (was.state !== 'open') return was;
  return ours.state === 'open' ? ours : reopened(ours);
}

/**
 * A turn as it was before a change that the store did not take, as far as that is known.
 * `undecided` has the turns that were so then.
 */
export function beforeChange(
  turn: TurnRecord,
  undecided: readonly UndecidedTurn[],
): TurnRecord {
  const was = undecided.find((one) => one.turn === turn)?.was;
  const isSame = was?.runId === turn.runId;
  if (turn.state === 'open') return isSame ? turn : (was ?? notBegun(turn));
  if (!isSame) return turn;
  if (was.state !== 'open') return was;
  return turn.isUnknown === true ? reopened(turn) : turn;
}

/** The turn before it ran again. What its run before had said is gone, but that may be told. */
function notBegun(begun: TurnRecord): TurnRecord {
  const {
    process: _process, arrivedAt: _arrivedAt, trace: _trace, earlierRuns = [], ...turn
  } = begun;
  const runId = earlierRuns.at(-1) ?? turn.runId;
  const messages = leadingMessages(begun);
  const before = { ...turn, runId, runs: countRuns(begun) - 1 };
  const closed: TurnRecord = {
    ...before, earlierRuns: earlierRuns.slice(0, -1), state: 'interrupted', isUnknown: true,
  };
  setMessages(closed, messages, messages.length);
  return closed;
}

/** The turn while its run went on. That run still has to say what was sent. */
function reopened(ended: TurnRecord): TurnRecord {
  const { isUnknown: _closed, isLeaving: _leaving, sent: _sent, ...turn } = ended;
  const { kept = 0 } = turn;
  const messages = turn.messages?.map((message, index): Message =>
    message.role === 'assistant' && index >= kept ? { ...message, state: 'open' } : message,
  );
  return { ...turn, state: 'open', ...(messages === undefined ? {} : { messages }) };
}

function isSameRun(ours: TurnRecord, theirs: TurnRecord): boolean {
  return ours.runId === theirs.runId;
}

/** Whether the run itself has said how it ended. If others have closed its turn, it still may. */
function isTold(ours: TurnRecord, theirs: TurnRecord): boolean {
  return theirs.state !== 'open' && theirs.isUnknown !== true && isSameRun(ours, theirs);
}

/**
 * The index at which a turn belongs among others: after the last one that was added before it, and
 * after all without a time, which older versions did not note.
 */
export function placeOf(turn: TurnRecord, turns: readonly TurnRecord[]): number {
  const before = ({ addedAt }: TurnRecord): boolean =>
    addedAt === undefined || turn.addedAt === undefined || addedAt <= turn.addedAt;
  return turns.findLastIndex(before) + 1;
}

/**
 * The turns that a store has lost, such as its last writes in a failover: those that it lacks and
 * nobody trimmed. Turns that both know are included, except open ones, which may have continued
 * elsewhere, and `touched` ones, which a failed change has altered.
 */
export function turnsLostBy(
  conversation: Conversation,
  remembered: readonly TurnRecord[],
  touched: ReadonlySet<TurnRecord>,
): readonly TurnRecord[] {
  const isKnown = ({ id }: TurnRecord): boolean => findTurn(conversation, id) !== undefined;
  const first = remembered.findIndex(isKnown);
  return remembered.filter((turn, index) => {
    if (isKnown(turn)) return turn.state !== 'open' && !touched.has(turn);
    return turn.state === 'open' || !isTrimmed(turn, conversation, index < first);
  });
}

/**
 * Older versions noted neither when turns were added nor what they trimmed. There, trimmed turns
 * are those before all that are left.
 */
function isTrimmed(
  { addedAt }: TurnRecord,
  { trimmedTo = 0 }: Conversation,
  isBeforeKnown: boolean,
): boolean {
  return addedAt === undefined ? isBeforeKnown : addedAt <= trimmedTo;
}

function isNewer(ours: TurnRecord, theirs: TurnRecord): boolean {
  if (!isSameRun(ours, theirs)) return isOfNewerRun(ours, theirs);
  if (ours.isUnknown === true) return false;
  if (ours.isReported === true && theirs.isReported !== true) return true;
  const isOpen = theirs.isUnknown === true || (theirs.isLeaving === true && !ours.isLeaving);
  return theirs.state === 'open' || (isOpen && ours.state !== 'open');
}

/** For copies of different runs. */
function isOfNewerRun(ours: TurnRecord, theirs: TurnRecord): boolean {
  if (hasFollowed(theirs, ours)) return false;
  const [own, other] = [rankOf(ours), rankOf(theirs)];
  // Where the store has the other one as complete, ours took the turn over without knowing that.
  const mayHaveTaken = own > 0 || theirs.state !== 'completed';
  if (mayHaveTaken && hasFollowed(ours, theirs)) return true;
  if (own !== other) return own > other;
  if (own > 0) return false;
  if (ours.process !== undefined && ours.process === theirs.process)
    return isLaterRun(ours.runId, theirs.runId);
  if (ours.state !== 'open' || theirs.state !== 'open') return ours.state === 'open';
  return hasArrivedLater(ours, theirs);
}

/** By what is known of what the caller heard: the platform knows best, then a complete reply. */
function rankOf({ state, isReported }: TurnRecord): number {
  if (isReported === true) return 2;
  return state === 'completed' ? 1 : 0;
}

/** A time in the future comes from a wrong clock and does not count. */
function hasArrivedLater(ours: TurnRecord, theirs: TurnRecord): boolean {
  const now = Date.now();
  const timeOf = ({ arrivedAt = 0 }: TurnRecord): number => (arrivedAt > now ? 0 : arrivedAt);
  return timeOf(ours) > timeOf(theirs);
}

/** Whether the second copy of a turn knows more of the same run. */
function hasGoneOn(theirs: TurnRecord, ours: TurnRecord): boolean {
  if (!isSameRun(ours, theirs) || ours.state !== 'open' || theirs.state !== 'open') return false;
  return ownMessages(ours).length > ownMessages(theirs).length;
}

function replace(conversation: Conversation, theirs: TurnRecord, ours: TurnRecord): void {
  const { messages, kept } = withCallsOf(theirs, ours) ?? {
    messages: messagesOf(ours), kept: ours.kept,
  };
  const { state, runId, process, arrivedAt, firstArrivedAt, filler, sent, trace } = ours;
  const { isUnknown, isLeaving, isReported, runs, earlierRuns } = ours;
  const { told = theirs.runId === runId ? theirs.told : undefined } = ours;
  subtract(conversation, theirs);
  conversation.openTurns += Number(state === 'open') - Number(theirs.state === 'open');
  theirs.state = state;
  theirs.runId = runId;
  if (runs !== undefined) theirs.runs = runs;
  else if (theirs.runs !== undefined) delete theirs.runs;
  if (earlierRuns !== undefined) theirs.earlierRuns = earlierRuns;
  else if (theirs.earlierRuns !== undefined) delete theirs.earlierRuns;
  if (process !== undefined) theirs.process = process;
  if (arrivedAt !== undefined) theirs.arrivedAt = arrivedAt;
  if (firstArrivedAt !== undefined) theirs.firstArrivedAt = firstArrivedAt;
  forgetRun(theirs);
  setMessages(theirs, messages, kept);
  if (filler !== undefined) theirs.filler = filler;
  if (sent !== undefined) theirs.sent = sent;
  if (trace !== undefined) theirs.trace = trace;
  if (isUnknown !== undefined) theirs.isUnknown = isUnknown;
  if (isLeaving !== undefined) theirs.isLeaving = isLeaving;
  if (isReported !== undefined) theirs.isReported = isReported;
  if (told !== undefined) theirs.told = told;
  add(conversation, theirs);
  if (state !== 'open' && isUnknown === undefined) hearTold(conversation, theirs);
}

function keep(
  conversation: Conversation,
  theirs: TurnRecord,
  merged: MergedMessages | undefined,
): void {
  if (merged === undefined) return;
  subtract(conversation, theirs);
  setMessages(theirs, merged.messages, merged.kept);
  add(conversation, theirs);
}

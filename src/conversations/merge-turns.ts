import {
  add, addTurn, findTurn, moveLastTurn, subtract, type Conversation,
} from './conversation.ts';
import { hearTold } from './reconcile.ts';
import { withCallsOf, withResultsOf, type MergedMessages } from './tool-call-merge.ts';
import {
  forgetRun, isLaterRun, messagesOf, ownMessages, setMessages, type TurnRecord,
} from './turn-record.ts';

/**
 * Merges turns this process remembers into a conversation that others may have changed since.
 * Turns are matched by id, so merging twice changes nothing:
 *
 * - A turn the conversation lacks is added in its place.
 * - If both know the same run, this process has the newer copy, unless what was heard has been
 *   decided by now.
 * - If they know different runs, a completed one wins, otherwise the later one of one process. Of
 *   two processes the stored one stays, unless it is over, and ours goes on, arrived later and was
 *   not taken over by it.
 * - A tool call never loses its true result, and never gets another call's: a call belongs to a
 *   run.
 */
export function mergeTurns(conversation: Conversation, remembered: readonly TurnRecord[]): void {
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
    else keep(conversation, theirs, withCallsOf(ours, theirs));
    if (ours.isDiscarded === true && theirs.isDiscarded !== true) {
      theirs.isDiscarded = true;
      conversation.touched?.add(theirs);
    }
  }
}

/**
 * The same for open turns, and for those altered by a change that the store did not take. Two
 * things hold anyway: what tools returned, and how the run of a turn ended. But a turn that was
 * `open` before may have been ended by that very change.
 */
export function mergeAltered(
  conversation: Conversation,
  altered: readonly TurnRecord[],
  open: readonly TurnRecord[],
): void {
  for (const ours of altered) {
    const theirs = findTurn(conversation, ours.id);
    if (theirs === undefined) continue;
    const isOver = ours.state !== 'open' && !open.includes(ours);
    // By their run itself: one that others have closed waits for its word.
    const isTold =
      theirs.state !== 'open' && theirs.isUnknown !== true && theirs.runId === ours.runId;
    if (isOver && !isTold && isNewer(ours, theirs)) replace(conversation, theirs, ours);
    else if (hasGoneOn(theirs, ours)) replace(conversation, theirs, ours);
    else keep(conversation, theirs, withResultsOf(ours, theirs));
  }
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
  if (ours.runId !== theirs.runId) {
    const isCompleted = ours.state === 'completed';
    if (isCompleted !== (theirs.state === 'completed')) return isCompleted;
    if (isCompleted) return false;
    if (ours.process !== undefined && ours.process === theirs.process)
      return isLaterRun(ours.runId, theirs.runId);
    // A run that was added with ours took the turn over from it, whatever the clocks say.
    const isTakenOver = ours.addedAt === theirs.addedAt;
    const goesOn = ours.state === 'open' && theirs.state !== 'open';
    if (!goesOn || isTakenOver) return false;
    return theirs.hasNeverRun === true || (ours.arrivedAt ?? 0) > (theirs.arrivedAt ?? 0);
  }
  if (ours.isUnknown === true) return false;
  const isOpen = theirs.isUnknown === true || (theirs.isLeaving === true && !ours.isLeaving);
  return theirs.state === 'open' || (isOpen && ours.state !== 'open');
}

/** Whether the second copy of a turn knows more of the same run. */
function hasGoneOn(theirs: TurnRecord, ours: TurnRecord): boolean {
  const isSameRun = ours.runId === theirs.runId;
  const areOpen = ours.state === 'open' && theirs.state === 'open';
  return isSameRun && areOpen && ownMessages(ours).length > ownMessages(theirs).length;
}

function replace(conversation: Conversation, theirs: TurnRecord, ours: TurnRecord): void {
  const { messages, kept } = withCallsOf(theirs, ours) ?? {
    messages: messagesOf(ours), kept: ours.kept,
  };
  const { state, runId, process, arrivedAt, filler, sent, trace } = ours;
  const { isUnknown, isLeaving, hasNeverRun } = ours;
  const { told = theirs.runId === runId ? theirs.told : undefined } = ours;
  subtract(conversation, theirs);
  conversation.openTurns += Number(state === 'open') - Number(theirs.state === 'open');
  theirs.state = state;
  theirs.runId = runId;
  if (process !== undefined) theirs.process = process;
  if (arrivedAt !== undefined) theirs.arrivedAt = arrivedAt;
  forgetRun(theirs);
  setMessages(theirs, messages, kept);
  if (filler !== undefined) theirs.filler = filler;
  if (sent !== undefined) theirs.sent = sent;
  if (trace !== undefined) theirs.trace = trace;
  if (isUnknown !== undefined) theirs.isUnknown = isUnknown;
  if (isLeaving !== undefined) theirs.isLeaving = isLeaving;
  if (hasNeverRun !== undefined) theirs.hasNeverRun = hasNeverRun;
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

import { saysSame } from '../../base/words/spoken-words.ts';
import {
  add, addTurn, findTurn, moveLastTurn, setHeard, subtract, type Conversation,
} from './conversation.ts';
import { cutTo } from './heard.ts';
import { accountOf, hasAccount, isReported, mayWrite, takenOf } from './last-word.ts';
import { hearReported } from './reconcile.ts';
import { withCallsOf, withResultsOf, type MergedMessages } from './tool-call-merge.ts';
import { wordsOf } from './transcript-comparison.ts';
import {
  countRuns, forgetRun, hasFollowed, isLaterRun, isTold, leadingMessages, messagesOf,
  ownMessages, replyText, setMessages, type Heard, type TurnRecord,
} from './turn-record.ts';

/**
 * Merges turns this process remembers into a conversation that others may have changed since.
 * Turns are matched by id, so merging twice changes nothing:
 *
 * - A turn the conversation lacks is added in its place.
 * - If both know the same run, last-word.ts says whose words stay. This process has the newer copy.
 * - If they know different runs, the one that knew of the other wins. If neither did, one that the
 *   platform has reported on wins, then a completed one, then one that is running. If both are
 *   running, in two processes, the one whose delivery arrived later wins.
 * - A turn stays open even if one after it began in a process whose store did not answer. Clocks
 *   may differ, so it may be the newer one. If its process is gone, the next opening closes it.
 * - A tool call never loses its true result, and never gets another call's: a call belongs to a
 *   run.
 * - A turn that one copy has only from the platform's transcript, because its process did not know
 *   the conversation, is left out if the other copy has it. The latter is cut to what was heard.
 *
 * `own` are the addresses of this process. `known` are all turns that it remembers.
 */
export function mergeTurns(
  conversation: Conversation,
  remembered: readonly TurnRecord[],
  own: ReadonlySet<string> = NO_ADDRESSES,
  known: readonly TurnRecord[] = remembered,
): void {
  const pairs = toldTwice(conversation, remembered, known);
  for (const { told } of pairs) {
    if (findTurn(conversation, told.id) === undefined) continue;
    told.isDiscarded = true;
    conversation.touched?.add(told);
  }
  for (const ours of remembered) {
    if (pairs.some(({ told }) => told === ours)) continue;
    const theirs = findTurn(conversation, ours.id);
    if (theirs === undefined) {
      const place = placeOf(ours, conversation.turns);
      addTurn(conversation, ours);
      moveLastTurn(conversation, place);
      if (ours.state === 'open') conversation.openTurns += 1;
      add(conversation, ours);
      continue;
    }
    const taken = isSameRun(ours, theirs)
      ? takenOf(ours, theirs)
      : isOfNewerRun(ours, theirs) ? 'all' : 'nothing';
    if (taken === 'all') replace(conversation, theirs, ours);
    else keep(conversation, theirs, withCallsOf(ours, theirs, own));
    if (taken === 'report') hear(conversation, theirs, ours.heard);
    if (ours.isDiscarded === true && theirs.isDiscarded !== true) {
      theirs.isDiscarded = true;
      conversation.touched?.add(theirs);
    }
  }
  for (const pair of pairs) hearTold(conversation, pair);
}

/** A turn of a transcript, and the same turn in the other copy. */
interface ToldTwice {
  readonly told: TurnRecord;
  readonly turn: TurnRecord;
}

/** Turns that one of the copies has only from a transcript, while the other has them itself. */
function toldTwice(
  conversation: Conversation,
  remembered: readonly TurnRecord[],
  known: readonly TurnRecord[],
): readonly ToldTwice[] {
  const { turns } = conversation;
  if (!remembered.some(isTold) && !turns.some(isTold)) return NO_PAIRS; // nearly always
  const ids = new Set(known.map(({ id }) => id));
  const theirs = turns.filter(({ id }) => !ids.has(id));
  const ours = remembered.filter(({ id }) => findTurn(conversation, id) === undefined);
  return [...pairsOf(ours, theirs), ...pairsOf(theirs, ours)];
}

const NO_PAIRS: readonly ToldTwice[] = [];

/** The told turns of one copy, each with the turn of the other that has the same words. */
function pairsOf(
  told: readonly TurnRecord[],
  others: readonly TurnRecord[],
): readonly ToldTwice[] {
  let from = 0;
  return told.filter(isTold).flatMap((one) => {
    const at = others.findIndex((other, index) => index >= from && isSameExchange(one, other));
    const turn = others[at];
    if (turn === undefined) return [];
    from = at + 1;
    return [{ told: one, turn }];
  });
}

/** The caller's words are enough: the reply may have been cut. */
function isSameExchange(told: TurnRecord, other: TurnRecord): boolean {
  if (isTold(other) || other.isDiscarded === true) return false;
  const [words, others] = [wordsOf(told), wordsOf(other)];
  if (words === undefined || others === undefined)
    return words === others && saysSame(replyText(told), replyText(other));
  return saysSame(words, others);
}

/**
 * Cuts a turn to what the transcript has of it. If its run has given no account, that becomes its
 * reply.
 */
function hearTold(conversation: Conversation, { told, turn }: ToldTwice): void {
  const text = replyText(told);
  if (text === '' || isReported(turn)) return;
  const heard = { runId: turn.runId, lines: [text] };
  if (hasAccount(turn)) return hear(conversation, turn, heard);
  if (turn.state !== 'open') cutTo(conversation, turn, text);
  setHeard(conversation, turn, heard);
}

/** Turns, each with its copy. */
export type TurnCopies = ReadonlyMap<TurnRecord, TurnRecord>;

/** Copies of the turns that are not stored yet, or whose runs may still say more. */
export function copiesOf(
  turns: readonly TurnRecord[],
  unstored: ReadonlySet<TurnRecord>,
): TurnCopies {
  const copied = turns.filter((turn) => unstored.has(turn) || accountOf(turn) !== 'final');
  return new Map(copied.map((turn) => [turn, { ...turn }]));
}

const NO_ADDRESSES: ReadonlySet<string> = new Set();

/**
 * The same as `mergeTurns` for open turns, and for those altered by a change that the store did not
 * take, as they were before it: see `beforeChange`. A copy of the same run is taken only if it says
 * more: a report may come from the change. An open turn of a process that is not among `own` may be
 * over by now.
 */
export function mergeAltered(
  conversation: Conversation,
  altered: readonly TurnRecord[],
  own: ReadonlySet<string> = NO_ADDRESSES,
): void {
  for (const ours of altered) {
    const theirs = findTurn(conversation, ours.id);
    if (theirs === undefined) continue;
    const isOurRun = ours.process === undefined || own.has(ours.process);
    const mayBeOver = ours.state === 'open' && !isOurRun && !hasFollowed(ours, theirs);
    const isNewer = isSameRun(ours, theirs)
      ? saysMore(ours, theirs)
      : !mayBeOver && isOfNewerRun(ours, theirs);
    if (isNewer) replace(conversation, theirs, ours);
    else keep(conversation, theirs, withResultsOf(ours, theirs));
  }
}

/** A turn as it was before a change that the store did not take, as far as that is known. */
export function beforeChange(turn: TurnRecord, copies: TurnCopies): TurnRecord {
  return copies.get(turn) ?? (turn.state === 'open' ? notBegun(turn) : turn);
}

/** The turn before it ran again. What its previous run had said is gone. */
function notBegun(begun: TurnRecord): TurnRecord {
  const {
    process: _process, arrivedAt: _arrivedAt, trace: _trace, earlierRuns = [], ...turn
  } = begun;
  const runId = earlierRuns.at(-1) ?? turn.runId;
  const messages = leadingMessages(begun);
  const before = { ...turn, runId, runs: countRuns(begun) - 1 };
  const closed: TurnRecord = {
    ...before, earlierRuns: earlierRuns.slice(0, -1), state: 'interrupted', said: 'nothing',
  };
  setMessages(closed, messages, messages.length);
  return closed;
}

function isSameRun(ours: TurnRecord, theirs: TurnRecord): boolean {
  return ours.runId === theirs.runId;
}

/** The index at which a turn belongs: after the last one that was added before it. */
export function placeOf({ addedAt: own = 0 }: TurnRecord, turns: readonly TurnRecord[]): number {
  return turns.findLastIndex(({ addedAt = 0 }) => addedAt <= own) + 1;
}

/**
 * The turns that a store has lost, such as its last writes in a failover: those that it lacks and
 * that nobody trimmed. Turns that both know are included, except open ones, which may have
 * continued elsewhere, and `touched` ones, which a failed change has altered.
 */
export function turnsLostBy(
  conversation: Conversation,
  remembered: readonly TurnRecord[],
  touched: ReadonlySet<TurnRecord>,
): readonly TurnRecord[] {
  const isKnown = ({ id }: TurnRecord): boolean => findTurn(conversation, id) !== undefined;
  const { trimmedTo = 0 } = conversation;
  return remembered.filter((turn) => {
    if (isKnown(turn)) return turn.state !== 'open' && !touched.has(turn);
    return (turn.addedAt ?? 0) > trimmedTo;
  });
}

/** For copies of different runs. */
function isOfNewerRun(ours: TurnRecord, theirs: TurnRecord): boolean {
  if (hasFollowed(theirs, ours)) return false;
  const [own, other] = [rankOf(ours), rankOf(theirs)];
  // If the store's copy is complete, ours took the turn over without knowing that.
  const mayHaveTaken = own > 0 || theirs.state !== 'completed';
  if (mayHaveTaken && hasFollowed(ours, theirs)) return true;
  if (own !== other) return own > other;
  if (own > 0) return false;
  if (ours.process !== undefined && ours.process === theirs.process)
    return isLaterRun(ours.runId, theirs.runId);
  if (ours.state !== 'open' || theirs.state !== 'open') return ours.state === 'open';
  return hasArrivedLater(ours, theirs);
}

/**
 * Ranks a copy by how certain it is what the caller heard: reports come first, then complete
 * replies.
 */
function rankOf(turn: TurnRecord): number {
  if (isReported(turn)) return 3;
  if (turn.state !== 'completed') return 0;
  return turn.said === 'leaving' ? 1 : 2; // a leaving one may still be cut
}

/** A time in the future comes from a wrong clock and does not count. */
function hasArrivedLater(ours: TurnRecord, theirs: TurnRecord): boolean {
  const now = Date.now();
  const timeOf = ({ arrivedAt = 0 }: TurnRecord): number => (arrivedAt > now ? 0 : arrivedAt);
  return timeOf(ours) > timeOf(theirs);
}

/** Whether our copy of a turn knows more about the same run. */
function saysMore(ours: TurnRecord, theirs: TurnRecord): boolean {
  if (!mayWrite(theirs, `a copy, ${accountOf(ours)}`)) return false;
  return ours.state !== 'open' || ownMessages(ours).length > ownMessages(theirs).length;
}

/** Fields that belong to the turn, not to a run, are kept. */
function replace(conversation: Conversation, theirs: TurnRecord, ours: TurnRecord): void {
  const { messages, kept } = withCallsOf(theirs, ours) ?? {
    messages: messagesOf(ours), kept: ours.kept,
  };
  const {
    id: _id, words: _words, reply: _reply, messages: _messages, kept: _kept, figures: _figures,
    number: _number, isDiscarded: _isDiscarded, undo: _undo, agentBefore: _agentBefore,
    addedAt: _addedAt, ...run
  } = ours;
  const { heard } = theirs;
  subtract(conversation, theirs);
  conversation.openTurns += Number(run.state === 'open') - Number(theirs.state === 'open');
  forgetRun(theirs);
  delete theirs.runs;
  delete theirs.earlierRuns;
  Object.assign(theirs, run);
  setMessages(theirs, messages, kept);
  add(conversation, theirs);
  if (heard?.runId === run.runId) hear(conversation, theirs, heard);
}

function hear(conversation: Conversation, turn: TurnRecord, heard?: Heard): void {
  setHeard(conversation, turn, heard);
  hearReported(conversation, turn);
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

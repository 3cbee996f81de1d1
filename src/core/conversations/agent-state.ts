// What an agent keeps about its conversation: its state, and which agent has the conversation. Both
// are changed by runs of turns, in the store's order, and taken back with a turn that the platform
// discards.

import { isDeepStrictEqual } from 'node:util';

import {
  applyDifferences, differencesIn, differencesOf, mapIn, type Difference, type Merged,
} from '../../base/json-difference.ts';
import { parseJson } from '../../base/json.ts';
import { add, findTurn, isEmpty, subtract, type Conversation } from './conversation.ts';
import type { ToolMessage } from './message.ts';
import { mayStay, toolMessagesOf, type TurnRecord } from './turn-record.ts';

/** A run's changes to the state, on their way to the store. */
export interface StateWrite {
  /**
   * The `stored` state with the changes made to it, as JSON text, and the state that the run has
   * changed: `from`. Called again if the write is repeated on a later version.
   */
  onto(stored: string | undefined): Merged & { readonly from: string };
  /**
   * Whether a call whose result stays in history was running in their process: the changes may be
   * that call's, as all turns and calls of a process share one object. Default false.
   */
  readonly mayBeOfCall?: boolean;
  /** How often `onto` has been called. */
  readonly timesMade: number;
  /** The store has failed: it might not have the changes. */
  failed(): void;
  /** The changes were not made to what was `stored`, so the next write brings them. */
  refused(stored: string | undefined): void;
}

/** The changes to the agent's state that a write brings. */
export interface StateChange {
  readonly agentState?: StateWrite | undefined;
  /**
   * When the conversation had last been erased when the run began: what has been erased since must
   * not come back. Default 0.
   */
  readonly erasedAt?: number | undefined;
}

/** Replaces the state. */
export function setState(conversation: Conversation, state: string | undefined): void {
  conversation.textLength += (state?.length ?? 0) - (conversation.state?.length ?? 0);
  if (state === undefined) delete conversation.state;
  else conversation.state = state;
}

/**
 * Makes the changes of a turn's run. `call`: the call whose result they come with. The changes of a
 * turn that may be discarded can be taken back, except those of calls whose results stay in
 * history.
 */
export function keepState(
  conversation: Conversation,
  record: TurnRecord,
  change: StateChange,
  call?: ToolMessage,
): void {
  const { state: before } = conversation;
  const merged = make(conversation, change);
  if (merged === undefined) return;
  if (merged.collisions.length > 0 && record.figures !== undefined) {
    const { collisions = [] } = record.figures;
    record.figures = { ...record.figures, collisions: [...collisions, ...merged.collisions] };
    conversation.touched?.add(record);
  }
  const isOfCall = change.agentState?.mayBeOfCall === true || (call !== undefined && mayStay(call));
  if (record.number === undefined || isOfCall) return;
  noteUndo(conversation, record, before ?? merged.from, merged.text);
}

/** The same for a turn that no longer exists. A conversation that is gone gets no state. */
export function keepStateOfMissing(conversation: Conversation, change: StateChange): void {
  if (!isEmpty(conversation)) make(conversation, change);
}

/** Undefined if nothing is new. */
function make(
  conversation: Conversation,
  { agentState, erasedAt = 0 }: StateChange,
): ReturnType<StateWrite['onto']> | undefined {
  const { state: before, erasedAt: erasedNow = 0 } = conversation;
  if (agentState === undefined || erasedNow > erasedAt) return undefined;
  const merged = agentState.onto(before);
  if (merged.text === before) return undefined;
  if (before === undefined && conversation.touched !== undefined)
    conversation.madeFrom = merged.from;
  setState(conversation, merged.text);
  noteMerged(conversation, merged);
  return merged;
}

/** For the log and the metric of a store that several processes share. */
export function noteMerged(conversation: Conversation, { collisions, misses }: Merged): void {
  if (conversation.touched === undefined || collisions.length + misses.length === 0) return;
  const { merged } = conversation;
  conversation.merged = {
    collisions: [...(merged?.collisions ?? []), ...collisions],
    misses: [...(merged?.misses ?? []), ...misses],
  };
}

function noteUndo(
  conversation: Conversation,
  record: TurnRecord,
  before: string,
  after: string,
): void {
  const [from, to] = [mapIn(after), mapIn(before)];
  if (from === undefined || to === undefined) return;
  const earlier = undoOf(record);
  let undo = JSON.stringify([differencesOf(from, to), ...earlier]);
  if (undo.length > MAX_UNDO_LENGTH) {
    for (const differences of earlier) applyDifferences(to, differences, true);
    undo = JSON.stringify([differencesOf(from, to)]);
  }
  subtract(conversation, record);
  record.undo = undo;
  add(conversation, record);
}

/** In UTF-16 code units. Beyond it, what several writes have changed is undone as one change. */
const MAX_UNDO_LENGTH = 65_536;

/**
 * Takes over, from copies of turns, what undoes their changes that have just been merged. If a turn
 * was discarded meanwhile, its changes are undone at once.
 */
export function mergeUndo(conversation: Conversation, remembered: readonly TurnRecord[]): void {
  for (const ours of remembered) {
    const theirs = findTurn(conversation, ours.id);
    if (theirs === undefined || theirs === ours || ours.undo === undefined) continue;
    const [known, all] = [undoOf(theirs), undoOf(ours)];
    let shared = 0;
    while (shared < Math.min(all.length, known.length)
      && isDeepStrictEqual(all.at(-1 - shared), known.at(-1 - shared))) shared += 1;
    const added = all.slice(0, all.length - shared);
    if (added.length === 0) continue;
    subtract(conversation, theirs);
    theirs.undo = JSON.stringify([...added, ...known]);
    add(conversation, theirs);
    if (theirs.isDiscarded === true) takeBack(conversation, [theirs]);
  }
}

/**
 * One list for each write, the last one first: each applies to the state that its write left. None
 * if they cannot be read.
 */
function undoOf({ undo }: TurnRecord): readonly (readonly Difference[])[] {
  const lists: unknown = undo === undefined ? [] : parseJson(undo);
  const changes = Array.isArray(lists) ? lists.map(differencesIn) : [];
  return changes.every((list) => list !== undefined) ? changes : [];
}

/**
 * Gives the conversation to the agent that a turn's calls have handed it over to, unless a later
 * turn has handed it over. Call it whenever a result may be new. Doing so again changes nothing,
 * because a write that met another one is made again, on a copy that may have the result already.
 */
export function keepAgent(conversation: Conversation, record: TurnRecord): void {
  const agent = handedOverTo(record);
  if (agent === undefined) return;
  const later = conversation.turns.slice(conversation.turns.indexOf(record) + 1);
  if (later.some((turn) => handedOverTo(turn) !== undefined)) return;
  if (record.number !== undefined && record.agentBefore === undefined)
    record.agentBefore = conversation.agent ?? null;
  conversation.agent = agent;
}

function handedOverTo(record: TurnRecord): string | undefined {
  if (record.isDiscarded === true) return undefined;
  return toolMessagesOf(record).findLast(({ handOver }) => handOver !== undefined)?.handOver;
}

/**
 * Takes back what discarded turns have changed, the newest first. A hand-over stays if one of their
 * tools has had effects: the agent that knows of these carries on.
 */
export function takeBack(conversation: Conversation, discarded: readonly TurnRecord[]): void {
  const isAgentBack = !discarded.some(hasChangedThings);
  for (const record of discarded.toReversed()) {
    const { agentBefore } = record;
    if (isAgentBack && agentBefore === null) delete conversation.agent;
    else if (isAgentBack && agentBefore != null) conversation.agent = agentBefore;
    delete record.agentBefore;
    const root = conversation.state === undefined ? undefined : mapIn(conversation.state);
    if (record.undo === undefined || root === undefined) continue;
    for (const differences of undoOf(record)) applyDifferences(root, differences, true);
    setState(conversation, JSON.stringify(root));
    subtract(conversation, record);
    delete record.undo;
    add(conversation, record);
  }
}

/**
 * Whether a tool of the turn has, or may have, changed something outside. A hand-over does not
 * count.
 */
function hasChangedThings(turn: TurnRecord): boolean {
  return toolMessagesOf(turn).some((call) => mayStay(call) && call.handOver === undefined);
}

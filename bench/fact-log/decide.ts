// What a process decides about a conversation, from what it knows of it. Pure: if something came in
// between, it decides again.

import type { Base, Fact, Heard, Known, Off, Told } from './facts.ts';
import {
  currentOf, fold, isDiscarded, replyOf, stateOf, type Turn, type View,
} from './fold.ts';

/** The caller has said something. `turn` is the same if the platform delivers it again. */
export interface Message {
  readonly turn: string;
  readonly run: string;
  readonly words: string;
  readonly initial: Record<string, unknown>;
  /** When it arrived, as the store's clock has it. */
  readonly arrived: number;
  /** What was heard of a turn before, if the platform says so. */
  readonly heard?: Heard | undefined;
  /** The call so far, from a platform that sends it with each request. */
  readonly transcript?: readonly { readonly words: string; readonly reply: string }[] | undefined;
}

/**
 * `run`: the agent is asked. `replay`: the turn was completed, and is sent again. `stale`: a newer
 * one runs, or it was trimmed.
 */
export interface Decision {
  readonly to: 'run' | 'replay' | 'stale';
  readonly facts: readonly Fact[];
}

/** `isErased`: the conversation was erased, so that a report on an unknown turn has old words. */
export function decide(view: View, message: Message, isErased: boolean): Decision {
  const { turn: id, run, words, initial, transcript, arrived } = message;
  const turn = view.turns.find((one) => one.id === id);
  const current = turn === undefined ? undefined : currentOf(turn);
  if (view.cut.has(id)) return { to: 'stale', facts: [] };
  const isLive = turn !== undefined && !isDiscarded(turn);
  if (isLive && current?.said?.how === 'completed') return { to: 'replay', facts: [] };
  const place = transcript?.length;
  const opened = {
    is: 'opened', turn: id, run, words, place, initial, replaces: current?.id,
    heard: [], told: [], discards: [],
  } as const;
  const newest = view.turns.at(-1);
  if (turn !== undefined && newest !== turn && newest?.isOpen === true && transcript === undefined)
    return { to: 'stale', facts: [] };
  const isLate = view.turns.some((one) => one !== turn && one.at > arrived && one.at < Infinity);
  const reported = message.heard === undefined ? [] : reportOn(view, message.heard, isErased);
  // It says nothing, but what it reports was heard all the same.
  if (isLate && turn === undefined)
    return { to: 'stale', facts: [{ ...opened, heard: reported }] };
  if (isLate) return { to: 'stale', facts: reported.map((heard) => ({ is: 'heard', heard })) };
  const compared = transcript === undefined
    ? { heard: [], told: [], discards: [] }
    : compare(view, transcript, id);
  const heard = [...compared.heard, ...reported];
  return { to: 'run', facts: [{ ...opened, ...compared, heard }] };
}

/** A report on a turn that is not known yet waits for it. */
export function reportOn(view: View, { turn: id, text }: Heard, isErased: boolean): Heard[] {
  const isKnown = view.turns.some((one) => one.id === id);
  return !isKnown && (isErased || view.cut.has(id)) ? [] : [{ turn: id, text }];
}

/**
 * What a transcript adds, cuts and discards. Finding the place of a text that was cut off in front
 * or rewritten is `conversations/alignment.ts`, whichever way a conversation is stored.
 */
function compare(
  view: View,
  lines: readonly { readonly words: string; readonly reply: string }[],
  id: string,
): { readonly heard: Heard[]; readonly told: Told[]; readonly discards: string[] } {
  const live = view.turns.filter((turn) => !isDiscarded(turn));
  const isTold = ({ place = 0, words }: Turn): boolean => lines[place]?.words === words;
  const lacking = live.filter((turn) => turn.id !== id && !isTold(turn));
  const discards = lacking.flatMap(({ runs }) => runs.map((run) => run.id));
  const heard: Heard[] = [];
  const told: Told[] = [];
  const [oldest] = live;
  const from = Math.max(view.floor, view.cut.size > 0 ? (oldest?.place ?? 0) : 0);
  for (const [place, { words, reply }] of lines.entries()) {
    const turn = live.find((one) => one.place === place && one.words === words);
    if (turn === undefined && place >= from) told.push({ place, words, reply });
    if (turn === undefined) continue;
    const run = currentOf(turn);
    const ours = replyOf(turn);
    // A cut is confirmed: a run that nobody knows of here may have said more.
    const isCertain = turn.heard.length > 0 || run?.said?.how === 'completed';
    if (reply === ours && isCertain) continue;
    // It cuts a reply, and makes none longer. Of two runs, it may be about the other one's.
    const isOurs = turn.runs.some(({ said }) => said?.text.startsWith(reply));
    if (ours === '' || ours.startsWith(reply) || isOurs || run?.said === undefined)
      heard.push({ turn: turn.id, text: reply });
  }
  return { heard, told, discards };
}

/** A conversation keeps so many turns, at least: only these can be discarded. */
export const KEPT_TURNS = 6;
export const MOST_TURNS = 10;
/** How many ids of trimmed turns are remembered. */
const MOST_CUT = 50;

/**
 * The base that trims a conversation that is too long. Undefined for another. It ends in front of
 * the first fact of a turn that stays, so that all changes in it come before all that do not.
 */
export function trimmed(known: Known, view: View, off: Off): Base | undefined {
  const { entries, base } = known;
  if (view.turns.length <= MOST_TURNS) return undefined;
  const gone = new Set(view.turns.slice(0, -KEPT_TURNS));
  const kept = new Set(view.turns.filter((turn) => !gone.has(turn)).map(({ id }) => id));
  const isKept = (fact: Fact): boolean =>
    fact.is === 'opened' ? kept.has(fact.turn)
      : fact.is === 'heard' ? kept.has(fact.heard.turn)
        : kept.has(view.runs.get(fact.run)?.turn ?? '');
  const first = entries.find(({ facts }) => facts.some(isKept));
  const from = off.has('prefix') ? (entries.at(-1)?.seq ?? 0) - KEPT_TURNS : (first?.seq ?? 0);
  const before = entries.filter(({ seq }) => seq < from);
  if (before.length === 0) return undefined;
  return {
    from,
    trimmedTo: Math.max(view.trimmedTo, ...[...gone].map(({ at }) => (at === Infinity ? 0 : at))),
    cut: [...new Set([...view.cut, ...[...gone].map(({ id }) => id)])].slice(-MOST_CUT),
    discarded: [
      ...(base?.discarded ?? []),
      ...[...gone].flatMap(({ runs }) => runs).filter((run) => run.isDiscarded).map(({ id }) => id),
    ].slice(-MOST_CUT),
    state: stateOf(base, before, view.runs, off),
    names: fold({ ...known, entries: before }, off).names,
    floor: view.floor,
  };
}

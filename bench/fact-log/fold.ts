// What a conversation is, from its facts. Pure: whoever folds the same facts sees the same.

import { applyDifferences, type Difference } from '../../src/base/json-difference.ts';
import { marksIn, nextName } from '../../src/redaction/placeholder.ts';
import type { Base, Fact, Known, Off, Opened, Stored } from './facts.ts';

type JsonMap = Record<string, unknown>;

export interface Call {
  readonly id: string;
  how: 'running' | 'completed' | 'interrupted';
  result: string;
}

export interface Run {
  readonly id: string;
  readonly turn: string;
  readonly at: number;
  readonly replaces: string | undefined;
  /** `order`: of two runs that did not know of each other, the first that completed stays. */
  said?: {
    readonly text: string;
    readonly how: 'completed' | 'interrupted';
    readonly order: number;
  };
  readonly calls: Map<string, Call>;
  isDiscarded: boolean;
}

export interface Turn {
  readonly id: string;
  readonly words: string;
  readonly place: number | undefined;
  /** When it was first opened: its place among the others. */
  at: number;
  readonly runs: Run[];
  readonly heard: { readonly text: string; readonly at: number }[];
  isOpen: boolean;
}

export interface View {
  readonly turns: readonly Turn[];
  readonly state: JsonMap | undefined;
  /** The names of redacted values, by the letters of their marks. */
  readonly names: Readonly<Record<string, string>>;
  /** Turns that were trimmed. */
  readonly cut: ReadonlySet<string>;
  readonly trimmedTo: number;
  /** Words of a transcript in front of this place are not taken. */
  readonly floor: number;
  readonly runs: ReadonlyMap<string, Run>;
}

/** An entry that came so much later than it was made is placed by when that was. */
const LATE_MS = 50;

function placeOf({ at, stamp, seq }: Stored, off: Off): number {
  return seq === 0 || (at - stamp > LATE_MS && !off.has('stamps')) ? stamp : at;
}

/** Entries that wait come last. */
export function fold({ entries, base, mark }: Known, off: Off): View {
  const turns = new Map<string, Turn>();
  const runs = new Map<string, Run>();
  const requests: Opened[] = [];
  const cut = new Set(base?.cut);
  const trimmedTo = base?.trimmedTo ?? 0;
  for (const entry of entries)
    for (const fact of entry.facts) {
      if (fact.is !== 'opened') continue;
      const at = placeOf(entry, off);
      if (at <= trimmedTo && !turns.has(fact.turn)) cut.add(fact.turn);
      if (cut.has(fact.turn) && !off.has('cut')) continue;
      open(turns, runs, fact, at);
      requests.push(fact);
    }
  const atOf = ({ run }: Opened): number => runs.get(run)?.at ?? 0;
  for (const request of requests.sort((a, b) => atOf(a) - atOf(b)))
    noteTranscript(request, turns, runs, cut, off);
  for (const [order, entry] of entries.entries())
    for (const fact of entry.facts) note(fact, order, placeOf(entry, off), turns, runs);
  const all = inOrder(turns);
  const newest = all.findLast(({ id, runs: [run] }) => run?.id !== id);
  for (const turn of all)
    turn.isOpen = currentOf(turn)?.said === undefined && (turn === newest || off.has('closing'));
  return {
    turns: all, cut, trimmedTo, runs,
    state: stateOf(base, entries, runs, off),
    names: namesOf(base, entries, off),
    floor: base?.floor ?? (mark === 0 || off.has('floor') ? 0 : floorOf(entries)),
  };
}

function open(
  turns: Map<string, Turn>,
  runs: Map<string, Run>,
  { turn: id, run: runId, words, place, replaces }: Opened,
  at: number,
): void {
  const turn: Turn = turns.get(id) ?? {
    id, words, place, at, runs: [], heard: [], isOpen: false,
  };
  turn.at = Math.min(turn.at, at);
  const run: Run = { id: runId, turn: id, at, replaces, calls: new Map(), isDiscarded: false };
  turn.runs.push(run);
  turns.set(id, turn);
  runs.set(runId, run);
}

/** A platform that sends the whole call says where each turn is. */
function inOrder(turns: ReadonlyMap<string, Turn>): Turn[] {
  return [...turns.values()].sort((a, b) =>
    (a.place ?? 0) - (b.place ?? 0) || a.at - b.at || (a.id < b.id ? -1 : 1));
}

function note(
  fact: Fact,
  order: number,
  at: number,
  turns: ReadonlyMap<string, Turn>,
  runs: ReadonlyMap<string, Run>,
): void {
  if (fact.is === 'heard') turns.get(fact.heard.turn)?.heard.push({ text: fact.heard.text, at });
  if (fact.is === 'heard' || fact.is === 'opened') return;
  const run = runs.get(fact.run);
  if (run === undefined) return; // its turn was trimmed, or erased
  if (fact.is === 'said') run.said ??= { text: fact.text, how: fact.how, order };
  else if (fact.is === 'called' && !run.calls.has(fact.call)) {
    const { call: id } = fact;
    run.calls.set(id, { id, how: 'running', result: 'still running' });
  } else if (fact.is === 'returned') {
    const call = run.calls.get(fact.call);
    if (call?.how === 'running') Object.assign(call, { how: fact.how, result: fact.result });
  }
}

/** The id of a turn on a platform that sends the whole call: by its place and its words. */
export function idAt(place: number, words: string): string {
  return `${place} ${words}`;
}

/** What comes with a delivery: cuts, discarded runs, and words that only the platform has. */
function noteTranscript(
  { turn: id, run: runId, place, heard, discards, told }: Opened,
  turns: Map<string, Turn>,
  runs: Map<string, Run>,
  cut: ReadonlySet<string>,
  off: Off,
): void {
  const { at = 0 } = runs.get(runId) ?? {};
  // Its process may not have known what came before it: the place says that it is gone.
  const isReplaced = (turn: Turn | undefined): boolean => {
    if (turn?.place === undefined || place === undefined || off.has('behind')) return false;
    const isOther = told.some((one) => one.place === turn.place && one.words !== turn.words);
    return turn.id !== id && (isOther || turn.place >= place);
  };
  for (const run of runs.values())
    if (discards.includes(run.id) || (run.at < at && isReplaced(turns.get(run.turn))))
      run.isDiscarded = true;
  for (const { place, words, reply } of told) {
    const turn = idAt(place, words) + (off.has('place') ? ` ${runId}` : '');
    if (cut.has(turn)) continue;
    const known = turns.get(turn);
    if (known === undefined)
      open(turns, runs, { ...NOTHING_TOLD, turn, run: turn, words, place }, Infinity);
    else if (isDiscarded(known)) for (const run of known.runs) run.isDiscarded = false; // restored
    if (reply !== undefined) turns.get(turn)?.heard.push({ text: reply, at });
  }
  for (const { turn, text } of heard) turns.get(turn)?.heard.push({ text, at });
}

const NOTHING_TOLD = {
  is: 'opened', initial: {}, heard: [], told: [], discards: [],
} as const;

/** Of the runs that none has knowingly replaced, the first that completed, or the last. */
export function currentOf({ runs }: Turn): Run | undefined {
  const live = runs.filter(({ id }) => !runs.some(({ replaces }) => replaces === id));
  const completed = live.filter(({ said }) => said?.how === 'completed');
  const [first] = completed.sort((a, b) => (a.said?.order ?? 0) - (b.said?.order ?? 0));
  return first ?? live.at(-1);
}

export function isDiscarded({ runs }: Turn): boolean {
  return runs.every((run) => run.isDiscarded);
}

/**
 * What the caller heard of it, as far as anybody knows: the last report, unless the turn was
 * knowingly run again since.
 */
export function replyOf(turn: Turn): string {
  const again = turn.runs.filter(({ replaces }) => replaces !== undefined).map(({ at }) => at);
  const since = Math.max(-Infinity, ...again);
  const reports = turn.heard.filter(({ at }) => at >= since).sort((a, b) => a.at - b.at);
  return reports.at(-1)?.text ?? currentOf(turn)?.said?.text ?? '';
}

/** Changes in the order of the log, whoever made them. The first initial state counts. */
export function stateOf(
  base: Base | undefined,
  entries: readonly Stored[],
  runs: ReadonlyMap<string, Run>,
  off: Off,
): JsonMap | undefined {
  let state = base?.state === undefined ? undefined : copyOf(base.state);
  for (const { facts } of entries)
    for (const fact of facts) {
      if (fact.is === 'opened') state ??= copyOf(fact.initial);
      if (!('changes' in fact) || fact.changes.length === 0) continue;
      const run = runs.get(fact.run);
      const isGone = run?.isDiscarded ?? (!off.has('late') && base?.discarded.includes(fact.run));
      if (isGone && !staysWithResult(fact, off) && !off.has('takeBack')) continue;
      applyDifferences((state ??= {}), fact.changes.map(ownOf));
    }
  return state;
}

/** Faster than `structuredClone` for values as small as these. */
function copyOf<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

/** Objects in it become parts of the state, which later changes change. */
function ownOf(change: Difference): Difference {
  const isFlat = (value: unknown): boolean => typeof value !== 'object';
  return Object.values(change).every((value: unknown) =>
    Array.isArray(value) ? value.every(isFlat) : isFlat(value)) ? change : copyOf(change);
}

/** Whether a change comes with a result that stays in history although its turn is discarded. */
function staysWithResult(fact: Fact, off: Off): boolean {
  return fact.is === 'returned' && fact.how === 'completed' && !fact.isRepeatable
    && !off.has('stays');
}

const KINDS = new Set(['card']);

/** In the order of the log, so that everybody gives a value the same number. */
function namesOf(
  base: Base | undefined,
  entries: readonly Stored[],
  off: Off,
): Record<string, string> {
  const names = { ...base?.names };
  for (const { seq, facts } of entries)
    for (const text of seq === 0 && !off.has('numbers') ? [] : facts.flatMap(textsOf))
      for (const letters of text.includes('[card ') ? marksIn(text, KINDS) : [])
        names[letters] ??= nextName('card', names);
  return names;
}

function textsOf(fact: Fact): readonly string[] {
  if (fact.is === 'said') return [fact.text];
  if (fact.is === 'returned') return [fact.result];
  if (fact.is === 'heard') return [fact.heard.text];
  if (fact.is !== 'opened') return [];
  const told = fact.told.flatMap(({ words, reply = '' }) => [words, reply]);
  return [...told, ...fact.heard.map(({ text }) => text), fact.words];
}

/** What a model wrote, as it is stored. */
export function unnamed(text: string, names: View['names']): string {
  let plain = text;
  for (const [letters, name] of Object.entries(names))
    plain = plain.replaceAll(`[${name}]`, `[card ${letters}]`);
  return plain;
}

/** The first request after an erasure sets it: what it tells of was said before. */
function floorOf(entries: readonly Stored[]): number {
  const opened = entries.flatMap(({ facts }) => facts).find(({ is }) => is === 'opened');
  return (opened?.is === 'opened' ? opened.place : undefined) ?? Infinity;
}

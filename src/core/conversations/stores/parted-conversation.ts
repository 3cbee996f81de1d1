// A conversation and its parts: a head, the agent's state, and one part for each turn and for each
// `once` call.

import { randomBytes } from 'node:crypto';

import { mergeUndo, setState } from '../agent-state.ts';
import {
  clearTurns, emptyConversation, forgetHead, isEmpty, isInUse, lengthOf, removeTurn, tally,
  type Conversation,
} from '../conversation.ts';
import {
  beforeChange, copiesOf, mergeAltered, mergeTurns, turnsLostBy, type TurnCopies,
} from '../merge-turns.ts';
import { takeNames } from '../numbering.ts';
import type { TurnRecord } from '../turn-record.ts';
import { HeadParts, type KnownHead } from './head-parts.ts';
import { OnceParts } from './once-parts.ts';
import { ERASED, type PartsChange, type StoredConversation } from './part-store.ts';
import { TurnParts } from './turn-parts.ts';

/** How much longer a conversation that is in use is kept, in milliseconds. */
const IN_USE_MS = 3_600_000;

const NO_TURNS: ReadonlySet<TurnRecord> = new Set();

/** Different in every process, so that no two make the same version. */
const PROCESS = randomBytes(6).toString('base64url');
let versionsMade = 0;

/** What was known about a conversation at one moment. */
export interface Memory {
  readonly head: KnownHead;
  /** Without turns that were added later. The others may have changed since. */
  readonly turns: readonly TurnRecord[];
  /** The turns that were not stored in their present form: the store had lost them. */
  readonly unstored: ReadonlySet<TurnRecord>;
  /** Copies of these turns, and of those whose runs may still say more. */
  readonly copies: TurnCopies;
  readonly onceCalls: Conversation['onceCalls'];
  /** Ids of the `once` calls that this process had claimed. */
  readonly claimed: ReadonlySet<string>;
  /** Ids of `once` calls that are over. A copy that still has them is older. */
  readonly over: ReadonlySet<string>;
  /** 0 if nothing was ever erased. */
  readonly erasedAt: number;
}

/** A conversation in memory that knows which of its parts are not stored yet. */
export class PartedConversation {
  readonly conversation: Conversation;
  /** The version that the store had when it last answered. */
  version: string | undefined;
  readonly #head: HeadParts;
  readonly #turns: TurnParts;
  readonly #once: OnceParts;
  #erasedAt: number | undefined;
  /** When it was last known to be stored, and when it last changed, by `performance.now()`. */
  #confirmedAtMs = performance.now();
  #changedAtMs = performance.now();
  /** Whether the store has lost all of it. */
  #isGone = false;
  /** Whether a failed write may have been made nevertheless. */
  #isUncertain = false;
  /** Whether what is known to be stored may have been erased meanwhile. */
  #isDoubtful = false;
  /** Whether the time of a change that has been made is not noted yet. */
  #isFresh = false;
  /** Names of parts that this version cannot read. Only an erasure removes them. */
  #others: string[] = [];

  /** Parts with one of our names but unknown contents. They are ignored and left alone. */
  readonly unreadable: string[] = [];

  /** Without `stored` the conversation is new. `known`: the copy that the news applies to. */
  constructor(id: string, stored?: StoredConversation, known?: PartedConversation) {
    this.conversation = emptyConversation(id);
    this.version = stored?.version;
    this.#head = new HeadParts(this.conversation);
    this.#turns = new TurnParts(this.conversation);
    this.#once = new OnceParts(this.conversation);
    if (stored !== undefined) this.#join(stored, known);
    this.#turns.noteChanges();
  }

  #join({ parts, news }: StoredConversation, known: PartedConversation | undefined): void {
    if (news !== undefined && known !== undefined) {
      const removed = new Set(news.removed);
      const isNew = (name: string): boolean => parts.has(name) || removed.has(name);
      this.unreadable.push(...this.#head.join(known.#head, isNew, news.added));
      this.#turns.join(known.#turns, isNew);
      this.#once.join(known.#once, isNew);
      this.#others.push(...known.#others.filter((name) => !isNew(name)));
    }
    const kinds = [this.#head, this.#turns, this.#once];
    for (const [name, text] of parts) {
      const kind = kinds.find((one) => one.hasName(name));
      if (kind === undefined) this.#others.push(name); // of a later version
      else if (!kind.read(name, text)) this.unreadable.push(name);
    }
    this.#turns.allRead();
    this.#once.allRead();
    this.#others.push(...this.unreadable);
    tally(this.conversation);
    this.#head.allRead();
    this.#erasedAt = this.conversation.erasedAt;
  }

  /** Whether there are neither turns nor `once` calls. */
  get isEmpty(): boolean {
    return isEmpty(this.conversation);
  }

  /** Without turns, `once` calls and the mark of an erasure nothing is stored. */
  get isKept(): boolean {
    return !this.isEmpty || this.conversation.erasedAt !== undefined;
  }

  /** Whether everything was forgotten and the store has not been told. */
  get isErasing(): boolean {
    return this.conversation.erasedAt !== this.#erasedAt;
  }

  /** Whether nothing is left of it but the mark of an erasure, and perhaps `once` calls. */
  get isErased(): boolean {
    return (
      this.conversation.turns.length === 0
      && this.conversation.erasedAt !== undefined
      && this.#others.length === 0
    );
  }

  /**
   * How long it is kept without further changes, in milliseconds. Longer if a turn is open (a
   * caller is on the line), if a `once` call may still act (its claim must not be lost), and after
   * an erasure (another process may remember an open turn from before it).
   */
  lifetimeMs(ttlMs: number): number {
    const isLonger = isInUse(this.conversation) || this.conversation.erasedAt !== undefined;
    return isLonger ? longestLifetimeMs(ttlMs) : ttlMs;
  }

  /**
   * Whether its lifetime has passed, by the clock of the process that changed it last or by our
   * own.
   */
  isExpired(ttlMs: number): boolean {
    const ageMs = Math.max(
      Date.now() - this.conversation.updatedAt, performance.now() - this.#changedAtMs,
    );
    return ageMs > this.lifetimeMs(ttlMs);
  }

  /** UTF-16 code units of everything kept for it. */
  get characters(): number {
    return lengthOf(this.conversation) + this.#head.characters;
  }

  /** A copy, because the next change is made in place before the store has answered. */
  snapshot(): Conversation {
    const {
      touched: _touched, madeFrom: _madeFrom, merged: _merged, ...conversation
    } = this.conversation;
    return structuredClone(conversation);
  }

  /** Turns that were added, changed or removed since the last write. */
  get touched(): ReadonlySet<TurnRecord> {
    return this.#turns.touched;
  }

  /** Call it when the store has lost all of it: everything must be written again. */
  putBack(): void {
    this.version = undefined;
    this.#isGone = true;
    this.#others = [];
    this.#head.putBack();
    this.#turns.putBack();
    this.#once.putBack();
  }

  /**
   * Forgets what may have been erased while the store did not answer. If that was longer than the
   * mark of an erasure is kept, only turns younger than that are certain not to have been erased.
   */
  forgetDoubtful(ttlMs: number): void {
    const longestMs = longestLifetimeMs(ttlMs);
    if (performance.now() - this.#confirmedAtMs <= longestMs) return;
    this.#isDoubtful = true;
    const since = Date.now() - longestMs;
    const { state, turns } = this.conversation;
    const newState = this.#head.hasNewState ? state : undefined;
    forgetHead(this.conversation);
    setState(this.conversation, newState);
    for (let index = turns.length - 1; index >= 0; index--)
      if ((turns[index]?.addedAt ?? 0) < since) removeTurn(this.conversation, index);
  }

  /**
   * Brings back what the store has lost and this process remembers, such as the last writes in a
   * failover. `kept` is the remembered copy, and `memory` what that was before a change that the
   * store did not take. `own` are the addresses of this process.
   *
   * An erasure is not a loss. The mark it leaves shows which of the two copies is older.
   */
  bringBack(kept: PartedConversation, memory: Memory, own: ReadonlySet<string>): void {
    const { conversation } = this;
    const { turns, copies, unstored, onceCalls, over, claimed } = memory;
    const { erasedAt: theirs = 0, onceCalls: theirCalls } = conversation;
    if (memory.erasedAt < theirs) return this.#once.mergeErased(onceCalls, over, claimed);
    // If the store has the older mark, it has lost an erasure, or has not been told of it.
    const isErased = memory.erasedAt > theirs;
    if (isErased) {
      clearTurns(conversation, memory.erasedAt);
      this.#once.keepCompletedSince(over, theirCalls);
    }
    takeNames(conversation, kept.conversation, [...kept.conversation.turns, ...copies.values()]);
    const before = (turn: TurnRecord): TurnRecord => beforeChange(turn, copies);
    // What was put back before the change, and is not stored yet, is still lost.
    const altered = new Set([...kept.touched].filter((turn) => !unstored.has(turn)));
    mergeTurns(conversation, turnsLostBy(conversation, turns, altered).map(before), own, turns);
    // For an open turn, which may have gone on elsewhere, only what tools returned is certain.
    const isUncertain = (turn: TurnRecord): boolean => turn.state === 'open' || altered.has(turn);
    mergeAltered(conversation, turns.filter(isUncertain).map(before), own);
    this.#once.merge(onceCalls, over, claimed);
    this.#head.takeLost(memory.head, isErased);
  }

  /** Adds what another copy of this process has changed and the store has not taken yet. */
  takeWaiting(kept: PartedConversation, own: ReadonlySet<string>): void {
    const { conversation } = this;
    if ((conversation.erasedAt ?? 0) > (kept.conversation.erasedAt ?? 0)) return;
    takeNames(conversation, kept.conversation);
    const turns = kept.conversation.turns.filter((turn) => kept.touched.has(turn));
    mergeTurns(conversation, turns, own, kept.conversation.turns);
    this.#head.takeNew(kept.#head);
    mergeUndo(conversation, turns);
  }

  /** Whether there is something to write. */
  get hasChanged(): boolean {
    if (!this.isKept) return this.version !== undefined && this.#others.length === 0;
    if (this.touched.size > 0 || this.#once.hasChanged) return true;
    return this.#isGone || this.#isUncertain || this.#head.hasChanged;
  }

  /** What is known now. Turns that are added later are not in it. */
  memory(): Memory {
    const { turns, onceCalls, erasedAt } = this.conversation;
    const unstored = this.touched.size === 0 ? NO_TURNS : new Set(this.touched);
    return {
      head: this.#head.known(this.isErasing || this.#isDoubtful),
      turns: [...turns], // a change may insert some between them
      unstored,
      copies: copiesOf(turns, unstored),
      onceCalls,
      claimed: this.#once.own,
      over: this.#once.over,
      erasedAt: erasedAt ?? 0,
    };
  }

  /** Makes a change in place. */
  apply<T>(change: (conversation: Conversation) => T): T {
    const { onceCalls } = this.conversation;
    this.#isFresh = true;
    const result = change(this.conversation);
    this.#turns.noteAdded();
    this.#once.noteChange(onceCalls);
    return result;
  }

  /** Drops turns that were added and trimmed before they could be written. */
  forgetUnsaved(): void {
    this.#turns.forgetUnsaved();
  }

  /** What must be written. Undefined if nothing has changed. Each call creates a new version. */
  change(ttlMs: number): PartsChange | undefined {
    const { version: from, conversation } = this;
    if (!this.hasChanged) return undefined;
    if (!this.isKept) return { from, to: undefined, set: new Map(), remove: [], ttlMs };
    if (this.#isFresh) this.noteTime();
    const set = new Map<string, string>();
    const add = new Map<string, string>();
    const remove: string[] = [];
    versionsMade += 1;
    const erased = conversation.turns.length === 0 ? ERASED : '';
    const to = `${erased}${PROCESS}${versionsMade.toString(36)}`;
    this.#head.addTo({ set, add, remove }, to);
    this.#turns.addTo(set, remove);
    this.#once.addTo(set, remove);
    if (this.isErasing) remove.push(...this.#others.filter((name) => !set.has(name)));
    return { from, to, set, add, remove, ttlMs };
  }

  /** Call it when the store has not answered a change. */
  failed(change: PartsChange): void {
    this.#isUncertain = true;
    this.#head.failed(change.to);
  }

  /** Notes that it has changed now. */
  noteTime(): void {
    this.#isFresh = false;
    this.conversation.updatedAt = Date.now();
    this.#changedAtMs = performance.now();
  }

  /** Call it when the store has made the change. */
  written({ to, set }: PartsChange): void {
    this.version = to;
    this.#isGone = this.#isUncertain = this.#isDoubtful = false;
    this.#erasedAt = this.conversation.erasedAt;
    this.#confirmedAtMs = performance.now();
    this.#head.written(set);
    this.#turns.written();
    this.#once.written();
  }
}

/** How long anything is kept without further changes, in milliseconds. */
function longestLifetimeMs(ttlMs: number): number {
  return ttlMs + IN_USE_MS;
}

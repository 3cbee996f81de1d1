// A conversation and its parts: a head, the agent's state, and one part for each turn and for each
// `once` call.

import { randomBytes } from 'node:crypto';

import { parseJson } from '../../base/json.ts';
import {
  clearTurns, emptyConversation, forgetHead, isEmpty, isInUse, keepAgent, keepCaller, keepState,
  lengthOf, putBackState, removeTurn, tally, type Conversation, type KnownCaller,
} from '../conversation.ts';
import { undecidedAmong, type UndecidedTurn } from '../merge-turns.ts';
import { isSpent, mergeSpent } from '../spending.ts';
import type { TurnRecord } from '../turn-record.ts';
import { OnceParts } from './once-parts.ts';
import { ERASED, type PartsChange, type StoredConversation } from './part-store.ts';
import { TurnParts } from './turn-parts.ts';

/** Everything except turns and state. Fields that this version does not know are kept. */
const HEAD = 'head';
/** The agent's state, which may be long and seldom changes. */
const STATE = 'state';

/** How much longer a conversation that is in use is kept. */
const OPEN_TURN_MS = 3_600_000;

/** Different in every process, so that no two make the same version. */
const PROCESS = randomBytes(6).toString('base64url');
let versions = 0;

/** What was known of a conversation at one moment. */
export interface Memory {
  readonly state: string | undefined;
  readonly agent: string | undefined;
  readonly caller: KnownCaller | undefined;
  /** How often state and agent had been changed. */
  readonly revision: number;
  /** Without those that were added later. The others may have changed since. */
  readonly turns: () => readonly TurnRecord[];
  readonly undecided: readonly UndecidedTurn[];
  readonly onceCalls: Conversation['onceCalls'];
  /** Ids of the `once` calls that this process had claimed. */
  readonly claimed: ReadonlySet<string>;
  readonly spent: Conversation['spent'];
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
  readonly #turns: TurnParts;
  readonly #once: OnceParts;
  /** Head, state and agent as they are stored. */
  #head = '';
  #state: string | undefined;
  #agent: string | undefined;
  #erasedAt: number | undefined;
  /** How often state and agent were changed. A store with a smaller number has lost a change. */
  #revision = 0;
  /** When it was last known to be stored, and when it last changed, by `performance.now()`. */
  #confirmedAtMs = performance.now();
  #changedAtMs = performance.now();
  /** Whether the store has lost all of it. */
  #isGone = false;
  /** Whether a write has failed that may have been made nevertheless. */
  #isUncertain = false;
  /** Whether a change has been made whose time is not noted yet. */
  #isFresh = false;
  /** Names of parts that this version cannot read. Only an erasure removes them. */
  #others: string[] = [];

  /** Parts with a name of ours and unknown contents. They are ignored and left alone. */
  readonly unreadable: string[] = [];

  /** Without `stored` the conversation is new. */
  constructor(id: string, stored?: StoredConversation) {
    this.conversation = emptyConversation(id);
    this.version = stored?.version;
    this.#turns = new TurnParts(this.conversation);
    this.#once = new OnceParts(this.conversation);
    if (stored !== undefined) this.#join(stored.parts);
    this.#turns.noteChanges();
  }

  #join(parts: ReadonlyMap<string, string>): void {
    for (const [name, text] of parts) {
      if (name === STATE) {
        this.conversation.state = this.#state = text;
        continue;
      }
      const isTurn = TurnParts.isName(name);
      if (name !== HEAD && !isTurn && !OnceParts.isName(name)) {
        this.#others.push(name); // of a later version
        continue;
      }
      const part = parsed(text);
      if (part !== undefined && name === HEAD) this.#takeHead(part);
      else if (!(isTurn ? this.#turns.read(name, part) : this.#once.read(name, part)))
        this.unreadable.push(name);
    }
    this.#turns.allRead();
    this.#once.allRead();
    this.#others.push(...this.unreadable);
    tally(this.conversation);
    this.#agent = this.conversation.agent;
    this.#head = this.#newHead();
    this.#erasedAt = this.conversation.erasedAt;
  }

  /** What can be counted from the turns is not taken from the head. */
  #takeHead(head: object): void {
    const { id, turns, turnHashes } = this.conversation;
    const { revision = 0, ...fields }: { readonly revision?: unknown } = head;
    if (typeof revision === 'number') this.#revision = revision;
    Object.assign(this.conversation, fields, { id, turns, turnHashes });
    if (!isSpent(this.conversation.spent)) delete this.conversation.spent;
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

  /** Whether it was erased after the other copy was made. */
  isErasedSince({ conversation }: PartedConversation): boolean {
    return (this.conversation.erasedAt ?? 0) > (conversation.erasedAt ?? 0);
  }

  /**
   * How long it is kept without further changes, in milliseconds. Longer if a turn is open, as a
   * caller is on the line, or a `once` call runs, whose claim must not be lost, and after an
   * erasure, as another process may remember an open turn from before it.
   */
  lifetimeMs(ttlMs: number): number {
    const isLonger = isInUse(this.conversation) || this.conversation.erasedAt !== undefined;
    return isLonger ? longestLifetimeMs(ttlMs) : ttlMs;
  }

  /**
   * Whether that time has passed, by the clock of the process that changed it last or by our own.
   */
  isExpired(ttlMs: number): boolean {
    const ageMs = Math.max(
      Date.now() - this.conversation.updatedAt, performance.now() - this.#changedAtMs,
    );
    return ageMs > this.lifetimeMs(ttlMs);
  }

  /** UTF-16 code units of everything kept for it. */
  get characters(): number {
    return lengthOf(this.conversation);
  }

  /** A copy, as the next change is made in place before the store has answered. */
  snapshot(): Conversation {
    const { touched: _touched, ...conversation } = this.conversation;
    return structuredClone(conversation);
  }

  /** Turns that were added, changed or removed since the last write. */
  get touched(): ReadonlySet<TurnRecord> {
    return this.#turns.touched;
  }

  /** Turns that are not stored in their present form. */
  waitingTurns(): readonly TurnRecord[] {
    return this.#turns.waiting();
  }

  /** Takes over the caller, and a state and an agent that are not stored yet. */
  takeNewHeadOf({ conversation, hasNewState, hasNewAgent }: PartedConversation): void {
    if (hasNewState) keepState(this.conversation, conversation.state, conversation.stateOwner);
    if (hasNewAgent) keepAgent(this.conversation, conversation.agent);
    if (this.conversation.caller === undefined)
      keepCaller(this.conversation, conversation.caller);
  }

  /**
   * Restores a state, an agent, a caller and spending that were stored and lost. A missing one was
   * lost, unless state and agent have since gone back to those before a turn: `before`.
   */
  takeLostHead(lost: Memory, isErased: boolean): void {
    const isLost = isErased || this.#revision < lost.revision;
    const { state, agent, caller, before } = this.conversation;
    const mayBeMissing = before !== undefined && this.#revision > lost.revision;
    const isMissing = (part: string | undefined): boolean => part === undefined && !mayBeMissing;
    if (isLost || isMissing(state)) putBackState(this.conversation, lost.state);
    if (isLost || isMissing(agent)) keepAgent(this.conversation, lost.agent);
    if (isLost || caller === undefined) keepCaller(this.conversation, lost.caller);
    mergeSpent(this.conversation, lost.spent);
    this.#revision = Math.max(this.#revision, lost.revision);
  }

  /** The store has lost all of it: everything must be written again. */
  putBack(): void {
    this.version = undefined;
    this.#isGone = true;
    this.#others = [];
    this.#once.putBack();
    this.#turns.putBack();
  }

  /**
   * Forgets what may have been erased while the store did not answer. If that was longer than the
   * mark of an erasure is kept, only turns younger than that are certain not to have been erased.
   */
  forgetDoubtful(ttlMs: number): void {
    const longestMs = longestLifetimeMs(ttlMs);
    if (performance.now() - this.#confirmedAtMs <= longestMs) return;
    const since = Date.now() - longestMs;
    const { state, turns } = this.conversation;
    const newState = this.hasNewState ? state : undefined;
    forgetHead(this.conversation);
    keepState(this.conversation, newState);
    for (let index = turns.length - 1; index >= 0; index--)
      if ((turns[index]?.addedAt ?? 0) < since) removeTurn(this.conversation, index);
  }

  /** Takes over what was known about `once` calls. */
  takeOnceCallsOf({ onceCalls, over, claimed }: Memory): void {
    this.#once.merge(onceCalls, over, claimed);
  }

  /** The same, if the other copy is from before an erasure. */
  takeErasedCallsOf({ onceCalls, over, claimed }: Memory): void {
    this.#once.mergeErased(onceCalls, over, claimed);
  }

  /** Erases everything here, as another copy was erased. */
  erase({ erasedAt, over }: Memory): void {
    const { onceCalls } = this.conversation;
    clearTurns(this.conversation, erasedAt);
    this.#once.keepCompletedSince(over, onceCalls);
  }

  get hasNewState(): boolean {
    return this.conversation.state !== this.#state;
  }

  get hasNewAgent(): boolean {
    return this.conversation.agent !== this.#agent;
  }

  /** Whether there is something to write. */
  get hasChanged(): boolean {
    if (!this.isKept) return this.version !== undefined && this.#others.length === 0;
    const isTouched = this.touched.size > 0 || this.hasNewState || this.#once.hasChanged;
    return isTouched || this.#isGone || this.#isUncertain || this.#newHead() !== this.#head;
  }

  /** What is known now. Turns that are added later are not in it. */
  memory(): Memory {
    const { turns, onceCalls, erasedAt, state, agent, caller } = this.conversation;
    const { spent } = this.conversation;
    const known = [...turns]; // a change may add turns in front of others
    return {
      state,
      agent,
      caller,
      revision: this.#revision,
      turns: () => known,
      undecided: undecidedAmong(turns),
      onceCalls,
      spent,
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

  /** What must be written. Undefined if nothing has changed. Each call makes a new version. */
  change(ttlMs: number): PartsChange | undefined {
    const { version: from, conversation } = this;
    if (!this.hasChanged) return undefined;
    if (!this.isKept) return { from, to: undefined, set: new Map(), remove: [], ttlMs };
    if (this.#isFresh) this.noteTime();
    const set = new Map([[HEAD, this.#newHead()]]);
    const remove: string[] = [];
    if (this.hasNewState && conversation.state === undefined) remove.push(STATE);
    else if (conversation.state !== undefined && (this.hasNewState || this.#isGone))
      set.set(STATE, conversation.state);
    this.#turns.addTo(set, remove);
    this.#once.addTo(set, remove);
    if (this.isErasing) remove.push(...this.#others.filter((name) => !set.has(name)));
    versions += 1;
    const erased = conversation.turns.length === 0 ? ERASED : '';
    return { from, to: `${erased}${PROCESS}${versions.toString(36)}`, set, remove, ttlMs };
  }

  /** Call it when the store has not answered a change. */
  failed(): void {
    this.#isUncertain = true;
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
    this.#isGone = this.#isUncertain = false;
    this.#revision = this.#newRevision;
    this.#head = set.get(HEAD) ?? '';
    this.#erasedAt = this.conversation.erasedAt;
    this.#confirmedAtMs = performance.now();
    this.#state = this.conversation.state;
    this.#agent = this.conversation.agent;
    this.#once.written();
    this.#turns.written();
  }

  get #newRevision(): number {
    return this.#revision + Number(this.hasNewState || this.hasNewAgent);
  }

  #newHead(): string {
    return JSON.stringify({ ...headOf(this.conversation), revision: this.#newRevision });
  }
}

function parsed(text: string): object | undefined {
  const value: unknown = parseJson(text);
  return typeof value === 'object' && value !== null ? value : undefined;
}

/** How long anything is kept without further changes, in milliseconds. */
function longestLifetimeMs(ttlMs: number): number {
  return ttlMs + OPEN_TURN_MS;
}

/** Without what can be counted from the turns. */
function headOf(conversation: Conversation): object {
  const {
    id: _id,
    turns: _turns,
    turnHashes: _turnHashes,
    openTurns: _openTurns,
    runningCalls: _runningCalls,
    messageCount: _messageCount,
    textLength: _textLength,
    capturedBytes: _capturedBytes,
    touched: _touched,
    state: _state,
    onceCalls: _onceCalls,
    ...head
  } = conversation;
  return head;
}

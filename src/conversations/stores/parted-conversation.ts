// A conversation and its parts: a head, the agent's state, and one part for each turn and for each
// `once` call.

import { randomBytes } from 'node:crypto';

import {
  emptyConversation,
  isEmpty,
  keepAgent,
  keepCaller,
  keepState,
  lengthOf,
  tally,
  type Conversation,
} from '../conversation.ts';
import { placeOf } from '../merge-turns.ts';
import { isTurnRecord, type TurnRecord } from '../turn-record.ts';
import { OnceParts } from './once-parts.ts';
import type { PartsChange, StoredConversation } from './part-store.ts';

/** Everything except turns and state. Fields that this version does not know are kept. */
const HEAD = 'head';
/** The agent's state, which may be long and seldom changes. */
const STATE = 'state';

/** The name of a turn's part. */
const NUMBER = /^\d{1,15}$/;

/** Different in every process, so that no two make the same version. */
const PROCESS = randomBytes(6).toString('base64url');
let versions = 0;

/** A conversation in memory that knows which of its parts are not stored yet. */
export class PartedConversation {
  readonly conversation: Conversation;
  /** The version that the store had when it last answered. */
  version: string | undefined;
  /** How often the store may have lost data by then, as far as this process knows. */
  lossesSeen = 0;
  /** Turns that were added, changed or removed since the last write. */
  touched = new Set<TurnRecord>();
  /** The name of each turn's part: numbers, in the order in which they were written. */
  readonly #names = new Map<TurnRecord, string>();
  #nextNumber = 0;
  readonly #once: OnceParts;
  /** Head, state and agent as they are stored. */
  #head = '';
  #state: string | undefined;
  #agent: string | undefined;

  /** Parts that should be one of ours, but are not. They are ignored and left alone. */
  readonly unreadable: string[] = [];

  /** Without `stored` the conversation is new. */
  constructor(id: string, stored?: StoredConversation) {
    this.conversation = emptyConversation(id);
    this.version = stored?.version;
    this.#once = new OnceParts(this.conversation);
    if (stored !== undefined) this.#join(stored.parts);
    this.conversation.touched = this.touched;
  }

  #join(parts: ReadonlyMap<string, string>): void {
    const turns = new Map<number, TurnRecord>();
    for (const [name, text] of parts) {
      if (name === STATE) {
        this.conversation.state = this.#state = text;
        continue;
      }
      const isOurs = name === HEAD || NUMBER.test(name) || OnceParts.isName(name);
      if (!isOurs) continue; // of a later version
      const part = parsed(text);
      if (part !== undefined && name === HEAD) this.#takeHead(part);
      else if (part !== undefined && NUMBER.test(name) && isTurnRecord(part))
        turns.set(Number(name), part);
      else if (part === undefined || !this.#once.read(name, part)) this.unreadable.push(name);
    }
    for (const number of [...turns.keys()].sort((a, b) => a - b)) {
      const record = turns.get(number);
      if (record === undefined) continue;
      const { turns: placed } = this.conversation;
      placed.splice(placeOf(record, placed), 0, record);
      this.#names.set(record, String(number));
    }
    this.#nextNumber = 1 + [...parts.keys()].reduce(greatest, -1);
    tally(this.conversation);
    this.#head = headOf(this.conversation);
    this.#agent = this.conversation.agent;
  }

  /** What can be counted from the turns is not taken from the head. */
  #takeHead(head: object): void {
    const { id, turns, turnHashes } = this.conversation;
    Object.assign(this.conversation, head, { id, turns, turnHashes });
  }

  /** A conversation without turns and `once` calls is not stored. */
  get isEmpty(): boolean {
    return isEmpty(this.conversation);
  }

  /** UTF-16 code units of everything kept for it. */
  get characters(): number {
    return lengthOf(this.conversation);
  }

  /** A copy, as the next change is made in place before the store has answered. */
  snapshot(): Conversation {
    const { touched: _touched, isCleared: _isCleared, ...conversation } = this.conversation;
    return structuredClone(conversation);
  }

  /** Turns that are not stored in their present form. */
  waitingTurns(): readonly TurnRecord[] {
    return this.conversation.turns.filter((record) => this.touched.has(record));
  }

  /** Takes over the caller, and a state and an agent that are not stored yet. */
  takeHeadOf({ conversation, hasNewState, hasNewAgent }: PartedConversation): void {
    const isNew = this.version === undefined;
    if (isNew && conversation.stateOwner !== undefined)
      this.conversation.stateOwner = conversation.stateOwner;
    if (hasNewState || isNew)
      keepState(this.conversation, conversation.state, conversation.stateOwner);
    if (hasNewAgent || isNew) keepAgent(this.conversation, conversation.agent);
    if (this.conversation.caller === undefined)
      keepCaller(this.conversation, conversation.caller);
  }

  /** Takes over what the other copy knows about `once` calls, with these calls. */
  takeOnceCallsOf(other: PartedConversation, calls: Conversation['onceCalls']): void {
    this.#once.merge(calls, other.#once);
  }

  get hasNewState(): boolean {
    return this.conversation.state !== this.#state;
  }

  get hasNewAgent(): boolean {
    return this.conversation.agent !== this.#agent;
  }

  /** Whether everything was cleared and the store has not been told. */
  get isCleared(): boolean {
    return this.conversation.isCleared === true;
  }

  /** Whether there is something to write. */
  get hasChanged(): boolean {
    const isKept = this.version !== undefined && this.unreadable.length === 0;
    if (this.isEmpty) return isKept || this.isCleared;
    const isTouched = this.touched.size > 0 || this.hasNewState || this.#once.hasChanged;
    return isTouched || headOf(this.conversation) !== this.#head;
  }

  /** Makes a change in place. */
  apply<T>(change: (conversation: Conversation) => T): T {
    const { onceCalls } = this.conversation;
    const before = onceCalls === undefined ? undefined : { ...onceCalls };
    const result = change(this.conversation);
    this.#noteAdded();
    this.#once.noteFreed(before);
    return result;
  }

  /** Notes when new turns were added, which decides their place among other processes' turns. */
  #noteAdded(): void {
    const { turns } = this.conversation;
    const isKnown = (turn: TurnRecord): boolean =>
      turn.addedAt !== undefined || this.#names.has(turn);
    const known = turns.findLastIndex(isKnown);
    if (known === turns.length - 1) return;
    let last = turns[known]?.addedAt ?? 0;
    for (const turn of turns.slice(known + 1))
      turn.addedAt = last = Math.max(Date.now(), last + 1);
  }

  /** Drops turns that were added and trimmed before they could be written. */
  forgetUnsaved(): void {
    const turns = new Set(this.conversation.turns);
    for (const record of this.touched)
      if (!turns.has(record) && !this.#names.has(record)) this.touched.delete(record);
  }

  /**
   * What has to be written; undefined if nothing has changed. Each call makes another version.
   */
  change(ttlMs: number): PartsChange | undefined {
    const { version: from, conversation } = this;
    if (!this.hasChanged) return undefined;
    if (this.isEmpty) return { from, to: undefined, set: new Map(), remove: [], ttlMs };
    conversation.updatedAt = Date.now();
    const set = new Map([[HEAD, headOf(conversation)]]);
    const remove: string[] = [];
    if (this.hasNewState && conversation.state === undefined) remove.push(STATE);
    else if (conversation.state !== undefined && this.hasNewState)
      set.set(STATE, conversation.state);
    for (const record of this.touched) {
      if (!conversation.turns.includes(record)) remove.push(...this.#nameIfAny(record));
      else set.set(this.#nameOf(record), JSON.stringify(record));
    }
    this.#once.addTo(set, remove);
    versions += 1;
    return { from, to: `${PROCESS}${versions.toString(36)}`, set, remove, ttlMs };
  }

  /** Call it when the store has made the change. */
  written({ to, set }: PartsChange): void {
    this.version = to;
    this.#head = set.get(HEAD) ?? '';
    this.#state = this.conversation.state;
    this.#agent = this.conversation.agent;
    this.#once.written();
    delete this.conversation.isCleared;
    for (const record of this.touched)
      if (!this.conversation.turns.includes(record)) this.#names.delete(record);
    // A Set that is cleared leaves its old table behind: docs/decisions/005-no-map-of-turns.md
    this.touched = this.conversation.touched = new Set();
  }

  #nameIfAny(record: TurnRecord): readonly string[] {
    const name = this.#names.get(record);
    return name === undefined ? [] : [name];
  }

  #nameOf(record: TurnRecord): string {
    let name = this.#names.get(record);
    if (name === undefined) {
      name = String(this.#nextNumber);
      this.#nextNumber += 1;
      this.#names.set(record, name);
    }
    return name;
  }
}

function parsed(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined; // the caller reports it
  }
}

function greatest(most: number, name: string): number {
  return NUMBER.test(name) ? Math.max(most, Number(name)) : most;
}

/** JSON text, without what can be counted from the turns. */
function headOf(conversation: Conversation): string {
  const {
    id: _id,
    turns: _turns,
    turnHashes: _turnHashes,
    openTurns: _openTurns,
    runningCalls: _runningCalls,
    messageCount: _messageCount,
    textLength: _textLength,
    touched: _touched,
    isCleared: _isCleared,
    state: _state,
    onceCalls: _onceCalls,
    ...head
  } = conversation;
  return JSON.stringify(head);
}

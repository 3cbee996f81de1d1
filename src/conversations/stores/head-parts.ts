import { merge } from '../../base/json-difference.ts';
import { keepAgent, noteMerged, setState } from '../agent-state.ts';
import { keepCaller, type Conversation, type KnownCaller } from '../conversation.ts';
import { hearWaiting } from '../heard.ts';
import { isSpent, mergeSpent } from '../spending.ts';
import { parsePart } from './part-store.ts';
import { NO_STATE, stateIn, stateWrite, withAdded, type StoredState } from './state-part.ts';

/** Everything except turns and state. Fields that this version does not know are kept. */
const HEAD = 'head';
/** The agent's state, which may be long and seldom changes. */
const STATE = 'state';

/** How many writes of the state that were not answered are remembered. */
const MAX_ATTEMPTS = 16;

/** What was known of a conversation's head and state at one moment. */
export interface KnownHead {
  readonly state: string | undefined;
  readonly agent: string | undefined;
  readonly caller: KnownCaller | undefined;
  /** How often state and agent had been changed. */
  readonly revision: number;
  readonly spent: Conversation['spent'];
  readonly reports: Conversation['reports'];
}

/** Where changes of parts are put. */
interface Changes {
  readonly set: Map<string, string>;
  readonly add: Map<string, string>;
  readonly remove: string[];
}

/** The head of one conversation, and the agent's state, which is a part of its own. */
export class HeadParts {
  readonly #conversation: Conversation;
  /** Head, state and agent as they are stored, and the state as it is after a write. */
  #head = '';
  #state = NO_STATE;
  #next = NO_STATE;
  #agent: string | undefined;
  /** How often state and agent were changed. A store with a smaller number has lost a change. */
  #revision = 0;
  /** Writes of the state that were not answered. The store may have made them. */
  #attempts: { readonly version: string; readonly state: string }[] = [];
  /** Whether the store has lost them. */
  #areGone = false;

  constructor(conversation: Conversation) {
    this.#conversation = conversation;
  }

  hasName(name: string): boolean {
    return name === HEAD || name === STATE;
  }

  /**
   * Takes over the state that another copy knows to be stored. The head is always news. Returns the
   * names of parts that cannot be read.
   */
  join(
    known: HeadParts,
    isNew: (name: string) => boolean,
    added: ReadonlyMap<string, string>,
  ): readonly string[] {
    if (isNew(STATE)) return [];
    return this.#readState(withAdded(known.#state, added.get(STATE) ?? '')) ? [] : [STATE];
  }

  /** Reads a stored part. False if it cannot. Call `allRead` after the last one. */
  read(name: string, text: string): boolean {
    if (name === STATE) return this.#readState(stateIn(text));
    const head = parsePart(text);
    if (head === undefined) return false;
    // What can be counted from the turns is not taken from the head.
    const { id, turns, turnHashes } = this.#conversation;
    const known: Partial<Record<string, unknown>> = { ...head };
    const { revision = 0, ...fields } = known;
    if (typeof revision === 'number') this.#revision = revision;
    Object.assign(this.#conversation, fields, { id, turns, turnHashes });
    if (!isSpent(this.#conversation.spent)) delete this.#conversation.spent;
    if (!Array.isArray(this.#conversation.reports)) delete this.#conversation.reports;
    return true;
  }

  #readState(state: StoredState | undefined): boolean {
    if (state === undefined) return false;
    this.#state = this.#next = state;
    if (state.text !== undefined) this.#conversation.state = state.text;
    return true;
  }

  allRead(): void {
    this.#agent = this.#conversation.agent;
    this.#head = this.#newHead();
  }

  get hasNewState(): boolean {
    return this.#conversation.state !== this.#state.text;
  }

  get #hasNewAgent(): boolean {
    return this.#conversation.agent !== this.#agent;
  }

  /** Whether there is something to write. */
  get hasChanged(): boolean {
    return this.hasNewState || this.#newHead() !== this.#head;
  }

  /** What is known now. */
  known(): KnownHead {
    const { state, agent, caller, spent, reports } = this.#conversation;
    return { state, agent, caller, spent, reports, revision: this.#revision };
  }

  /**
   * Takes over the caller of another copy, and reports and changes of the state and the agent that
   * are not stored yet. Call it when the turns have been merged.
   */
  takeNew(other: HeadParts): void {
    const { state, agent, caller } = other.#conversation;
    if (other.hasNewState && state !== undefined) this.#takeState(state, other);
    if (other.#hasNewAgent) this.#takeAgent(agent);
    if (this.#conversation.caller === undefined) keepCaller(this.#conversation, caller);
    hearWaiting(this.#conversation, other.#conversation);
  }

  /** Changes that a write may have made, although it was not answered, are not made again. */
  #takeState(state: string, other: HeadParts): void {
    const { state: stored } = this.#conversation;
    const { madeFrom } = other.#conversation;
    if (stored === undefined || stored === state) {
      if (madeFrom !== undefined) this.#conversation.madeFrom = madeFrom;
      return setState(this.#conversation, state);
    }
    const { versions } = this.#state;
    const made = other.#attempts.findLast(({ version }) => versions.includes(version));
    const base = made?.state ?? other.#state.text ?? madeFrom ?? '{}';
    const merged = merge(base, state, stored);
    setState(this.#conversation, merged.text);
    noteMerged(this.#conversation, merged);
  }

  #takeAgent(agent: string | undefined): void {
    if (agent === undefined) return;
    const record = this.#conversation.turns.findLast((turn) =>
      turn.messages?.some((message) => message.role === 'tool' && message.handOver === agent));
    if (record === undefined) this.#conversation.agent = agent;
    else keepAgent(this.#conversation, record, agent);
  }

  /**
   * Restores a state, an agent, a caller, spending and waiting reports that were stored and lost.
   * Call it when the turns have been restored: reports may be about them.
   */
  takeLost(lost: KnownHead, isErased: boolean): void {
    const isLost = isErased || this.#revision < lost.revision;
    const { state, agent, caller } = this.#conversation;
    const hasGoneBack = this.#revision > lost.revision;
    if (lost.state !== undefined && (isLost || state === undefined))
      setState(this.#conversation, lost.state);
    if (lost.agent !== undefined && (isLost || (agent === undefined && !hasGoneBack)))
      this.#conversation.agent = lost.agent;
    if (isLost || caller === undefined) keepCaller(this.#conversation, lost.caller);
    mergeSpent(this.#conversation, lost.spent);
    hearWaiting(this.#conversation, lost);
    this.#revision = Math.max(this.#revision, lost.revision);
  }

  /**
   * Adds what must be written to a change that creates that version. The head is always written: it
   * has the time of the change.
   */
  addTo({ set, add, remove }: Changes, version: string): void {
    const { state } = this.#conversation;
    const { versions } = this.#state;
    const stored = this.#areGone ? { ...NO_STATE, versions } : this.#state;
    set.set(HEAD, this.#newHead());
    if (state === stored.text) this.#next = stored;
    else if (state === undefined) {
      this.#next = NO_STATE;
      remove.push(STATE);
    } else {
      const write = stateWrite(stored, state, version);
      this.#next = write.stored;
      if ('set' in write) set.set(STATE, write.set);
      else add.set(STATE, write.add);
    }
  }

  /** Call it when the store has not answered a change to that version. It may have made it. */
  failed(version: string | undefined): void {
    const { text: state } = this.#next;
    if (state === undefined || version === undefined || this.#next === this.#state) return;
    this.#attempts = [...this.#attempts, { version, state }].slice(-MAX_ATTEMPTS);
  }

  /** Call it when the store has made the change. */
  written(set: ReadonlyMap<string, string>): void {
    this.#revision = this.#newRevision;
    this.#attempts = [];
    this.#head = set.get(HEAD) ?? '';
    this.#state = this.#next;
    this.#agent = this.#conversation.agent;
    this.#areGone = false;
  }

  /** The store has lost them. */
  putBack(): void {
    this.#areGone = true;
  }

  get #newRevision(): number {
    return this.#revision + Number(this.hasNewState || this.#hasNewAgent);
  }

  #newHead(): string {
    return JSON.stringify({ ...headOf(this.#conversation), revision: this.#newRevision });
  }
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
    madeFrom: _madeFrom,
    merged: _merged,
    state: _state,
    onceCalls: _onceCalls,
    ...head
  } = conversation;
  return head;
}

import {
  arrayOf, count, objectOf, orMissing, string, time, type Field,
} from '../../../base/fields.ts';
import { merge } from '../../../base/json-difference.ts';
import { keepAgent, noteMerged, setState } from '../agent-state.ts';
import { keepCaller, type Conversation, type KnownCaller } from '../conversation.ts';
import { hearWaiting } from '../heard.ts';
import { placeholderNames } from '../numbering.ts';
import { mergeSpent, spentEntries } from '../spending.ts';
import { isLost, lengthOfChanges, withChange, type MadeChange } from './made-changes.ts';
import { parsePart } from './part-store.ts';
import {
  MAX_VERSIONS, NO_STATE, stateIn, stateWrite, withAdded, type StoredState,
} from './state-part.ts';

/** Everything except turns and state. Fields that this version does not know are kept. */
const HEAD = 'head';
/** The agent's state, which may be long and seldom changes. */
const STATE = 'state';

/** How many unanswered writes of the state are remembered. */
const MAX_ATTEMPTS = 16;

/** What was known about a conversation's head and state at one moment. */
export interface KnownHead {
  readonly state: string | undefined;
  /** The state without what is not stored. */
  readonly storedState: string | undefined;
  /** The last versions that changed the state, and what this process has changed in it. */
  readonly versions: readonly string[];
  readonly made: readonly MadeChange[];
  readonly agent: string | undefined;
  readonly caller: KnownCaller | undefined;
  /** How often state and agent had been changed. */
  readonly revision: number;
  readonly spent: Conversation['spent'];
  readonly reports: Conversation['reports'];
}

interface Changes {
  readonly set: Map<string, string>;
  readonly add: Map<string, string>;
  readonly remove: string[];
}

/** The head of one conversation, and the agent's state, which is a part of its own. */
export class HeadParts {
  readonly #conversation: Conversation;
  /** Head, state and agent as they are stored, and the state as it will be after a write. */
  #head = '';
  #state = NO_STATE;
  #next = NO_STATE;
  #agent: string | undefined;
  /** How often state and agent were changed. A store with a smaller number has lost a change. */
  #revision = 0;
  /** Writes of the state that were not answered. The store may have made them. */
  #attempts: { readonly version: string; readonly state: string }[] = [];
  /** Changes to the state that this process has made and the store has taken. */
  #made: readonly MadeChange[] = [];
  /** The same as `#state`, with changes that the store has lost. All of it is written again. */
  #restored: StoredState | undefined;

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

  /** Reads a stored part. False if it cannot be read. Call `allRead` after the last one. */
  read(name: string, text: string): boolean {
    if (name === STATE) return this.#readState(stateIn(text));
    const head = parsePart(text);
    if (head === undefined) return false;
    const { revision = 0, ...fields }: Partial<Record<string, unknown>> = headOf(head);
    const isBad = ([name, value]: [string, unknown]): boolean =>
      FIELDS.get(name)?.check(value) !== undefined;
    const all = Object.entries(fields).filter(([name]) => name !== '__proto__');
    Object.assign(this.#conversation, Object.fromEntries(all.filter((field) => !isBad(field))));
    const isCount = count.check(revision) === undefined;
    if (isCount) this.#revision = Number(revision);
    return isCount && !all.some(isBad);
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

  /** The state before any change that is not stored. */
  get #base(): StoredState {
    return this.#restored ?? this.#state;
  }

  /** UTF-16 code units of what is remembered besides the conversation. */
  get characters(): number {
    return lengthOfChanges(this.#made);
  }

  get hasNewState(): boolean {
    return this.#conversation.state !== this.#base.text;
  }

  get #hasNewAgent(): boolean {
    return this.#conversation.agent !== this.#agent;
  }

  get hasChanged(): boolean {
    return this.#restored !== undefined || this.hasNewState || this.#newHead() !== this.#head;
  }

  /** What is known now. `isErasing`: everything that is stored has been forgotten here. */
  known(isErasing: boolean): KnownHead {
    const { state, agent, caller, spent, reports } = this.#conversation;
    const { text, versions } = this.#base;
    const storedState = isErasing ? undefined : text;
    const [made, revision] = [this.#made, this.#revision];
    return { state, storedState, versions, made, agent, caller, spent, reports, revision };
  }

  /**
   * Takes over another copy's caller, and its reports and changes to the state and the agent that
   * are not stored yet. Call it once the turns have been merged.
   */
  takeNew(other: HeadParts): void {
    const { state, agent, caller } = other.#conversation;
    if (other.hasNewState && state !== undefined) this.#takeState(state, other);
    if (other.#hasNewAgent) this.#takeAgent(agent);
    if (this.#conversation.caller === undefined) keepCaller(this.#conversation, caller);
    hearWaiting(this.#conversation, other.#conversation);
    const { versions } = this.#state;
    this.#attempts = other.#attempts.filter(({ version }) => !versions.includes(version));
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
    const base = made?.state ?? other.#base.text ?? madeFrom ?? '{}';
    const merged = merge(base, state, stored);
    setState(this.#conversation, merged.text);
    noteMerged(this.#conversation, merged);
  }

  #takeAgent(agent: string | undefined): void {
    if (agent === undefined) return;
    const record = this.#conversation.turns.findLast((turn) =>
      turn.messages?.some((message) => message.role === 'tool' && message.handOver === agent));
    if (record === undefined) this.#conversation.agent = agent;
    else keepAgent(this.#conversation, record);
  }

  /**
   * Restores a state, an agent, a caller, spending and waiting reports that were stored and lost.
   * Call it once the turns have been restored: reports may be about them.
   */
  takeLost(lost: KnownHead, isErased: boolean): void {
    const isOlder = isErased || this.#revision < lost.revision;
    const { state, agent, caller, erasedAt = 0 } = this.#conversation;
    const hasGoneBack = this.#revision > lost.revision;
    this.#made = lost.made.filter((change) => change.erasedAt === erasedAt);
    const whole = isErased ? lost.state : lost.storedState;
    if (whole !== undefined && (isOlder || state === undefined))
      this.#restore(whole, lost.versions);
    else if (state !== undefined) this.#makeAgain(state);
    if (lost.agent !== undefined && (isOlder || (agent === undefined && !hasGoneBack)))
      this.#conversation.agent = lost.agent;
    if (isOlder || caller === undefined) keepCaller(this.#conversation, lost.caller);
    mergeSpent(this.#conversation, lost.spent);
    hearWaiting(this.#conversation, lost);
    this.#revision = Math.max(this.#revision, lost.revision);
  }

  /**
   * Makes again those of its own changes that the store has lost, on top of what others have made.
   */
  #makeAgain(state: string): void {
    let text = state;
    let { versions } = this.#state;
    for (const change of this.#made) {
      if (!isLost(change, versions)) continue;
      const merged = merge(change.from, change.to, text);
      noteMerged(this.#conversation, merged);
      text = merged.text;
      versions = [...versions, change.version].slice(-MAX_VERSIONS);
    }
    if (versions !== this.#state.versions) this.#restore(text, versions);
  }

  #restore(text: string, versions: readonly string[]): void {
    setState(this.#conversation, text);
    this.#restored = { ...NO_STATE, text, versions };
  }

  /**
   * Adds what must be written to the change that creates `version`. The head is always written: it
   * holds the time of the change.
   */
  addTo({ set, add, remove }: Changes, version: string): void {
    const { state } = this.#conversation;
    const stored = this.#restored === undefined
      ? this.#state : { ...NO_STATE, versions: this.#restored.versions };
    set.set(HEAD, this.#newHead());
    if (state === undefined) {
      this.#next = NO_STATE;
      if (this.#state.text !== undefined) remove.push(STATE);
    } else if (state === stored.text) this.#next = stored;
    else {
      const write = stateWrite(stored, state, version);
      this.#next = write.stored;
      if ('set' in write) set.set(STATE, write.set);
      else add.set(STATE, write.add);
    }
  }

  /** Call it when the store has not answered the change to that version, which it may have made. */
  failed(version: string | undefined): void {
    const { text: state } = this.#next;
    if (state === undefined || version === undefined || this.#next === this.#state) return;
    this.#attempts = [...this.#attempts, { version, state }].slice(-MAX_ATTEMPTS);
  }

  /** Call it when the store has made the change. */
  written(set: ReadonlyMap<string, string>): void {
    // Otherwise what an earlier write may already have made would be made twice.
    if (this.#attempts.length === 0) this.#noteMade(this.#base, this.#next);
    this.#revision = this.#newRevision;
    this.#attempts = [];
    this.#head = set.get(HEAD) ?? '';
    this.#state = this.#next;
    this.#agent = this.#conversation.agent;
    this.#restored = undefined;
  }

  #noteMade({ text, versions }: StoredState, { text: to, versions: next }: StoredState): void {
    const { madeFrom = '{}', erasedAt = 0 } = this.#conversation;
    const [from, version] = [text ?? madeFrom, next.at(-1)];
    if (version === undefined || to === undefined || to === from) return;
    const change = { version, behind: versions.at(-1), from, to, erasedAt };
    this.#made = withChange(this.#made, { ...change, atMs: performance.now() });
  }

  /** Call it when the store has lost the head and the state. */
  putBack(): void {
    this.#restored ??= this.#state;
  }

  get #newRevision(): number {
    const hasOtherState = this.#conversation.state !== this.#state.text;
    return this.#revision + Number(hasOtherState || this.#hasNewAgent);
  }

  #newHead(): string {
    return JSON.stringify({ ...headOf(this.#conversation), revision: this.#newRevision });
  }
}

/** What the fields of a head may be. Those of later versions may hold anything. */
const FIELDS: ReadonlyMap<string, Field> = new Map(Object.entries({
  format: count,
  updatedAt: time,
  agent: string,
  caller: objectOf({ sessionId: string, from: orMissing(string), to: orMissing(string) }),
  spent: spentEntries,
  erasedAt: time,
  erasedTo: count,
  placeholders: placeholderNames,
  reports: arrayOf(objectOf({ turnId: orMissing(string), textHeard: orMissing(string) })),
  trimmedTo: time,
}));

/** The head, without what can be counted from the turns, and without what is not stored. */
function headOf(conversation: Partial<Conversation>): object {
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
    isBehind: _isBehind,
    madeFrom: _madeFrom,
    merged: _merged,
    state: _state,
    onceCalls: _onceCalls,
    ...head
  } = conversation;
  return head;
}

import {
  keepAgent, keepCaller, keepState, putBackState, type Conversation, type KnownCaller,
} from '../conversation.ts';
import { isSpent, mergeSpent } from '../spending.ts';
import { parsePart } from './part-store.ts';

/** Everything except turns and state. Fields that this version does not know are kept. */
const HEAD = 'head';
/** The agent's state, which may be long and seldom changes. */
const STATE = 'state';

/** What was known of a conversation's head and state at one moment. */
export interface KnownHead {
  readonly state: string | undefined;
  readonly agent: string | undefined;
  readonly caller: KnownCaller | undefined;
  /** How often state and agent had been changed. */
  readonly revision: number;
  readonly spent: Conversation['spent'];
}

/** The head of one conversation, and the agent's state, which is a part of its own. */
export class HeadParts {
  readonly #conversation: Conversation;
  /** Head, state and agent as they are stored. */
  #head = '';
  #state: string | undefined;
  #agent: string | undefined;
  /** How often state and agent were changed. A store with a smaller number has lost a change. */
  #revision = 0;
  /** Whether the store has lost them. */
  #areGone = false;

  constructor(conversation: Conversation) {
    this.#conversation = conversation;
  }

  hasName(name: string): boolean {
    return name === HEAD || name === STATE;
  }

  /** Reads a stored part. False if it cannot. Call `allRead` after the last one. */
  read(name: string, text: string): boolean {
    if (name === STATE) {
      this.#conversation.state = this.#state = text;
      return true;
    }
    const head = parsePart(text);
    if (head === undefined) return false;
    // What can be counted from the turns is not taken from the head.
    const { id, turns, turnHashes } = this.#conversation;
    const { revision = 0, ...fields }: { readonly revision?: unknown } = head;
    if (typeof revision === 'number') this.#revision = revision;
    Object.assign(this.#conversation, fields, { id, turns, turnHashes });
    if (!isSpent(this.#conversation.spent)) delete this.#conversation.spent;
    return true;
  }

  allRead(): void {
    this.#agent = this.#conversation.agent;
    this.#head = this.#newHead();
  }

  get hasNewState(): boolean {
    return this.#conversation.state !== this.#state;
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
    const { state, agent, caller, spent } = this.#conversation;
    return { state, agent, caller, spent, revision: this.#revision };
  }

  /** Takes over the caller of another copy, and a state and an agent that are not stored yet. */
  takeNew(other: HeadParts): void {
    const { state, stateOwner, agent, caller } = other.#conversation;
    if (other.hasNewState) keepState(this.#conversation, state, stateOwner);
    if (other.#hasNewAgent) keepAgent(this.#conversation, agent);
    if (this.#conversation.caller === undefined) keepCaller(this.#conversation, caller);
  }

  /**
   * Restores a state, an agent, a caller and spending that were stored and lost. A missing one was
   * lost, unless state and agent have since gone back to those before a turn: `before`.
   */
  takeLost(lost: KnownHead, isErased: boolean): void {
    const isLost = isErased || this.#revision < lost.revision;
    const { state, agent, caller, before } = this.#conversation;
    const mayBeMissing = before !== undefined && this.#revision > lost.revision;
    const isMissing = (part: string | undefined): boolean => part === undefined && !mayBeMissing;
    if (isLost || isMissing(state)) putBackState(this.#conversation, lost.state);
    if (isLost || isMissing(agent)) keepAgent(this.#conversation, lost.agent);
    if (isLost || caller === undefined) keepCaller(this.#conversation, lost.caller);
    mergeSpent(this.#conversation, lost.spent);
    this.#revision = Math.max(this.#revision, lost.revision);
  }

  /** Adds to a change what must be written. The head always is: it has the time of the change. */
  addTo(set: Map<string, string>, remove: string[]): void {
    const { state } = this.#conversation;
    set.set(HEAD, this.#newHead());
    if (state !== undefined && (this.hasNewState || this.#areGone)) set.set(STATE, state);
    else if (state === undefined && this.hasNewState) remove.push(STATE);
  }

  /** Call it when the store has made the change. */
  written(set: ReadonlyMap<string, string>): void {
    this.#revision = this.#newRevision;
    this.#head = set.get(HEAD) ?? '';
    this.#state = this.#conversation.state;
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
    state: _state,
    onceCalls: _onceCalls,
    ...head
  } = conversation;
  return head;
}

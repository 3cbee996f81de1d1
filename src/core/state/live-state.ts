// The agent states of the conversations that are active in this process.

import { mapIn, merge, patch, type Merged } from '../../base/json-difference.ts';
import type { Logger } from '../../base/log.ts';
import { checkStateLength, parseState, stateText } from './state-text.ts';

/** What is stored about the conversation of an opened turn. */
interface StoredState {
  /** JSON text. Undefined if none is stored. */
  readonly state: string | undefined;
  /** False if the conversation begins with this turn. */
  readonly isResumed: boolean;
  /** How many of its turns have been discarded. Default 0. */
  readonly discardedTurns?: number;
  /** When the conversation was last erased. 0, the default: never. */
  readonly erasedAt?: number;
}

/**
 * Takes values out of a state that is about to be stored, as JSON text. `before`: what the store
 * was given last.
 */
export type StateRedactor = (json: string, before: string | undefined) => string;

/** Makes one for a conversation. */
export type StateRedactors = (conversationId: string) => StateRedactor;

/** One state per conversation, for as long as something uses it. */
export class LiveStates<S = unknown> {
  readonly #create: () => S;
  readonly #live = new Map<string, LiveState<S>>();
  readonly #redactorFor: StateRedactors | undefined;

  /** Without `redactorFor`, a state is stored as it is. */
  constructor(create: () => S, redactorFor?: StateRedactors) {
    this.#create = create;
    this.#redactorFor = redactorFor;
  }

  /**
   * The conversation's state. Each `enter` must be followed by a `leave`. After an erasure, tools
   * still running keep the object they had. When a turn has been discarded since, whichever process
   * has replaced it, the object is new and lacks what that turn changed but did not store, unless a
   * call whose changes count is running.
   */
  enter(
    conversationId: string,
    { state, isResumed, discardedTurns = 0, erasedAt = 0 }: StoredState,
  ): LiveState<S> {
    const known = this.#live.get(conversationId);
    const goesOn = known?.hasCalls === true || known?.discardedTurns === discardedTurns;
    const isKept = goesOn && (isResumed || state !== undefined);
    const isSame = known !== undefined && isKept && known.erasedAt === erasedAt;
    const live = isSame ? known : this.#read(conversationId, state, erasedAt);
    if (isSame) live.follow(state);
    live.discardedTurns = discardedTurns;
    this.#live.set(conversationId, live);
    live.enter();
    return live;
  }

  /** The conversation was erased at that time. Later changes to the old object are not stored. */
  erase(conversationId: string, erasedAt: number): void {
    const live = this.#live.get(conversationId);
    if (live === undefined || live.erasedAt >= erasedAt) return;
    live.erase();
    this.#live.delete(conversationId);
  }

  /** The conversation's state, or a copy that is not kept. */
  peek(conversationId: string, state: string | undefined): LiveState<S> {
    return this.#live.get(conversationId) ?? this.#read(conversationId, state, 0);
  }

  /** The number of states in use. */
  get size(): number {
    return this.#live.size;
  }

  #read(conversationId: string, text: string | undefined, erasedAt: number): LiveState<S> {
    const unused = (): void => {
      if (this.#live.get(conversationId) === live) this.#live.delete(conversationId);
    };
    const live: LiveState<S> = new LiveState(
      this.#create, text, erasedAt, unused, this.#redactorFor?.(conversationId),
    );
    return live;
  }
}

/**
 * The state of one conversation: the single object that its turns and tools change. Its changes are
 * stored, not the object: other processes may change the state, too.
 */
export class LiveState<S = unknown> {
  readonly erasedAt: number;
  /** How many turns had been discarded when one last entered. */
  discardedTurns = 0;
  readonly #create: () => S;
  readonly #unused: () => void;
  readonly #redact: StateRedactor | undefined;
  /** What the store has, as far as we know. */
  #known: string | undefined;
  /**
   * The same with all changes that have been given to the store. The object may have changed since.
   */
  #given: string | undefined;
  /**
   * The last changes that the store failed to take, and what it had before. It may have taken them
   * after all.
   */
  #doubted: { readonly of: GivenChanges; readonly before: string | undefined } | undefined;
  #made: { readonly value: S } | undefined;
  /** What a new state began with. */
  #created: string | undefined;
  #users = 0;
  #calls = 0;
  #isErased = false;
  /** How often the store has been given something new. */
  revision = 0;

  constructor(
    create: () => S,
    text: string | undefined,
    erasedAt: number,
    unused: () => void,
    redact?: StateRedactor,
  ) {
    this.#create = create;
    this.#redact = redact;
    this.#known = this.#given = text;
    this.erasedAt = erasedAt;
    this.#unused = unused;
  }

  /** Created when first read. Throws a `StateError` if a new state is not JSON. */
  get value(): S {
    const known = this.#known;
    this.#made ??= { value: known === undefined ? this.#createNew() : parseState(known) };
    return this.#made.value;
  }

  /**
   * What was changed since the last call, to be stored. Undefined if nobody has looked at the
   * state, or if it is not valid: that is logged, and the last good one stays.
   */
  changes(log: Logger, conversationId: string): StateChanges | undefined {
    if (this.#made === undefined) return undefined;
    try {
      return this.validChanges();
    } catch (error) {
      log.error('state not kept', { conversationId, error });
      return undefined;
    }
  }

  /** The same. Undefined once the state is erased. Throws a `StateError` if it is not valid. */
  validChanges(): StateChanges | undefined {
    if (this.#isErased) return undefined;
    const to = this.#textToStore(this.value);
    const from = this.#given ?? this.#created ?? to;
    if (from !== to || this.#given === undefined) this.revision += 1;
    this.#given = to;
    const given: GivenChanges = { from, to, isMade: false, timesMade: 0, hasFailed: false };
    return {
      onto: (stored) => this.#make(given, stored),
      mayBeOfCall: this.hasCalls,
      get timesMade() {
        return given.timesMade;
      },
      failed: () => this.#failed(given),
      refused: (stored) => this.#refused(given, stored),
    };
  }

  /**
   * The store now has that state. What others have changed is changed here too, in the object that
   * turns and tools hold.
   */
  follow(stored: string | undefined): void {
    if (stored !== undefined) this.#follow(this.#known ?? this.#created ?? stored, stored);
  }

  #make(given: GivenChanges, stored: string | undefined): Merged & { readonly from: string } {
    const { from, to } = given;
    // A store may fail after it has written. Then it has what is known here.
    const isStored = given.hasFailed && stored === this.#known;
    // If nothing was ever stored, the store lacks what earlier writes failed to bring.
    const first = this.#known === undefined ? (this.#created ?? from) : from;
    const before = this.#withDoubted(given, stored) ?? first;
    const merged = merge(isStored ? to : from, to, before);
    const expected = given.isMade ? this.#known : merge(from, to, this.#known ?? from).text;
    given.timesMade += 1;
    Object.assign(given, { isMade: true, hasFailed: false, before: stored });
    this.#follow(expected ?? merged.text, merged.text);
    return { from: stored === undefined ? first : from, ...merged };
  }

  /** The stored state, plus the changes of another failed write if it lacks them. */
  #withDoubted(given: GivenChanges, stored: string | undefined): string | undefined {
    const doubted = this.#doubted;
    this.#doubted = undefined;
    if (doubted === undefined || doubted.of === given || doubted.before !== stored) return stored;
    const { from, to } = doubted.of;
    return merge(from, to, stored ?? from).text;
  }

  #failed(given: GivenChanges): void {
    given.hasFailed = true;
    if (given.isMade) this.#doubted = { of: given, before: given.before };
    else this.#giveAgain(given); // nobody has them
  }

  #refused(given: GivenChanges, stored: string | undefined): void {
    if (given.isMade) this.#known = given.before;
    this.#giveAgain(given);
    this.follow(stored);
  }

  #giveAgain({ from, to }: GivenChanges): void {
    if (this.#given !== undefined) this.#given = merge(to, from, this.#given).text;
  }

  /** Others have changed the state from `expected` to `stored`. */
  #follow(expected: string, stored: string): void {
    this.#known = stored;
    if (this.#made === undefined) this.#given = stored;
    if (this.#made === undefined || stored === expected) return;
    const { value } = this.#made;
    const before = this.#given ?? this.#created ?? expected;
    // Others' changes come first, then those on their way, then those not yet given.
    const given = merge(expected, before, stored).text;
    try {
      const current = this.#textOf(value);
      const [now, next] = [current, merge(before, current, given).text].map(mapIn);
      if (now !== undefined && next !== undefined)
        patch(value as Record<string, unknown>, now, next);
      this.#given = given;
    } catch {
      // The state is not valid now, and storing it reports that. It lacks others' changes, so what
      // is given next must not start from it: that would undo them.
    }
  }

  erase(): void {
    this.#isErased = true;
  }

  enter(): void {
    this.#users += 1;
  }

  /** Whether a call is running whose result stays in history, even if its turn is discarded. */
  get hasCalls(): boolean {
    return this.#calls > 0;
  }

  callBegan(): void {
    this.#calls += 1;
  }

  callEnded(): void {
    this.#calls -= 1;
  }

  leave(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#unused();
  }

  #createNew(): S {
    const value = this.#create();
    this.#created = this.#textToStore(value, stateText(value));
    return value;
  }

  /**
   * A state that is too long, because processes have merged theirs, is accepted if it is shorter
   * than before.
   */
  #textToStore(value: S, before?: string): string {
    const text = this.#textOf(value, before);
    if (text.length >= (this.#given?.length ?? 0)) checkStateLength(text);
    return text;
  }

  #textOf(value: S, before = this.#given ?? this.#created): string {
    const text = stateText(value);
    return this.#redact === undefined ? text : this.#redact(text, before);
  }
}

/** Changes that have been given to the store. */
interface GivenChanges {
  readonly from: string;
  readonly to: string;
  /** Whether they have been made to something that the store had. */
  isMade: boolean;
  /** How often: a write is repeated on a later version. */
  timesMade: number;
  /** Whether the store has failed since. */
  hasFailed: boolean;
  /** What the store had then. */
  before?: string | undefined;
}

/** Changes on their way to the store: see `StateWrite` in core/conversations/agent-state.ts. */
export interface StateChanges {
  readonly onto: (stored: string | undefined) => Merged & { readonly from: string };
  readonly mayBeOfCall: boolean;
  readonly timesMade: number;
  readonly failed: () => void;
  readonly refused: (stored: string | undefined) => void;
}

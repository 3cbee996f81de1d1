// The agent states of the conversations that are active in this process.

import { jsonFaultOf } from '../../base/json-value.ts';
import type { Logger } from '../../log.ts';

/** Longest state as JSON text, in UTF-16 code units, inclusive. */
export const MAX_STATE_LENGTH = 65_536;

/** A state cannot be stored because it is not plain JSON or too long. */
export class StateError extends TypeError {
  override readonly name = 'StateError';
  readonly code = 'ERR_STATE';
}

/** What is stored about the conversation of an opened turn. */
export interface StoredState {
  /** JSON text. Undefined if none is stored. */
  readonly state: string | undefined;
  /** False if the conversation begins with this turn. */
  readonly isResumed: boolean;
  /** Whether it is an older state, as a turn that changed it was discarded. */
  readonly hasGoneBack?: boolean;
  /** Whether another process had it meanwhile: what was changed here and not stored is dropped. */
  readonly wasElsewhere?: boolean;
}

/** Takes values out of a state that is about to be stored, as JSON text. */
export type StateRedactor = (conversationId: string, json: string) => string;

/** One state per conversation, for as long as something uses it. */
export class LiveStates<S = unknown> {
  readonly #create: () => S;
  readonly #live = new Map<string, LiveState<S>>();
  readonly #redact: StateRedactor | undefined;

  /** Without `redact`, a state is stored as it is. */
  constructor(create: () => S, redact?: StateRedactor) {
    this.#create = create;
    this.#redact = redact;
  }

  /** The conversation's state. Each `enter` must be followed by a `leave`. */
  enter(
    conversationId: string,
    { state, isResumed, hasGoneBack, wasElsewhere }: StoredState,
  ): LiveState<S> {
    const known = this.#live.get(conversationId);
    // After a clear the conversation starts afresh, even if one of its tools is still running.
    const goesOn = !hasGoneBack && (isResumed || state !== undefined);
    const isDropped = wasElsewhere === true && known?.hasNews === true;
    const isSame = known !== undefined && goesOn && known.is(state) && !isDropped;
    if (!isSame) known?.supersede();
    const live = isSame ? known : this.#read(conversationId, state);
    this.#live.set(conversationId, live);
    live.enter();
    return live;
  }

  /** The conversation's state, or a copy that is not kept. */
  peek(conversationId: string, state: string | undefined): LiveState<S> {
    return this.#live.get(conversationId) ?? this.#read(conversationId, state);
  }

  /** The number of states in use. */
  get size(): number {
    return this.#live.size;
  }

  #read(conversationId: string, text: string | undefined): LiveState<S> {
    const unused = (): void => {
      if (this.#live.get(conversationId) === live) this.#live.delete(conversationId);
    };
    const redact = this.#redact;
    const live: LiveState<S> = new LiveState(
      this.#create, text, unused,
      redact === undefined ? undefined : (json) => redact(conversationId, json),
    );
    return live;
  }
}

/**
 * The state of one conversation: the single object that its turns and tools change. It is stored as
 * long as this process has opened the conversation's newest turn.
 */
export class LiveState<S = unknown> {
  readonly #create: () => S;
  readonly #unused: () => void;
  readonly #redact: ((json: string) => string) | undefined;
  /** The last text that could be stored. */
  #text: string | undefined;
  /** What was read last, or is known to be stored. */
  #stored: string | undefined;
  /** What was given to the store last, which may have it without having confirmed it. */
  #given: string | undefined;
  #made: { readonly value: S } | undefined;
  /** What a new state began with. */
  #created: string | undefined;
  #users = 0;
  /** Set once another process has changed the stored state. */
  #isSuperseded = false;
  #hasLoggedDrop = false;

  constructor(
    create: () => S,
    text: string | undefined,
    unused: () => void,
    redact?: (json: string) => string,
  ) {
    this.#create = create;
    this.#redact = redact;
    this.#text = this.#stored = this.#given = text;
    this.#unused = unused;
  }

  /** Whether a stored text is what this process read or wrote last. */
  is(text: string | undefined): boolean {
    return text === this.#stored || text === this.#given;
  }

  /** Whether it has changes that are not known to be stored. */
  get hasNews(): boolean {
    if (this.#made === undefined) return false;
    try {
      return this.#textOf(this.#made.value) !== this.#stored;
    } catch {
      return true; // it cannot be stored
    }
  }

  /**
   * Another process or a newer turn has changed the stored state: turns that begin now use another
   * object.
   */
  supersede(): void {
    this.#isSuperseded = true;
  }

  /** Created when first read. Throws a `StateError` if a new state is not JSON. */
  get value(): S {
    this.#made ??= { value: this.#text === undefined ? this.#createNew() : parse(this.#text) };
    return this.#made.value;
  }

  /**
   * The current state as JSON text, to be stored. If it is no longer valid, logs that and returns
   * the last valid text. Undefined if there is nothing to store.
   */
  textToStore(log: Logger, conversationId: string): string | undefined {
    if (this.#made === undefined) return undefined;
    try {
      this.#text = this.#textOf(this.#made.value);
    } catch (error) {
      log.error('state not kept', { conversationId, error });
    }
    if (!this.#isSuperseded) return (this.#given = this.#text);
    this.written(false, log, conversationId);
    return undefined;
  }

  /**
   * The current state as JSON text. Throws a `StateError` if it is not valid, or if another process
   * has the conversation's state by now.
   */
  textNow(): string {
    if (this.#isSuperseded) throw new StateError(STATE_IS_TAKEN);
    return (this.#given = this.#text = this.#textOf(this.value));
  }

  /** Call it with what became of the last text. Logs, once, that changes were not taken. */
  written(isKept: boolean, log: Logger, conversationId: string): void {
    const isChanged = this.#text !== (this.#stored ?? this.#created);
    if (isKept) this.#stored = this.#given;
    else if (isChanged && !this.#hasLoggedDrop) {
      this.#hasLoggedDrop = true;
      log.warn('changes of the state were dropped: a newer turn has it', { conversationId });
    }
  }

  enter(): void {
    this.#users += 1;
  }

  leave(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#unused();
  }

  #createNew(): S {
    const value = this.#create();
    this.#text = this.#created = this.#textOf(value);
    return value;
  }

  #textOf(value: S): string {
    const text = textOf(value);
    return this.#redact === undefined ? text : this.#redact(text);
  }
}

/** Why a turn may not write the state any more. */
export const STATE_IS_TAKEN = 'a newer turn has the state, here or in another process';

function parse<S>(text: string): S {
  try {
    return JSON.parse(text);
  } catch {
    throw new StateError('the stored state is not JSON'); // no cause: Node's message quotes it
  }
}

function textOf(value: unknown): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new StateError('a state must be an object');
  }
  const fault = jsonFaultOf(value, 'state', { takesToJson: false });
  if (fault !== undefined) {
    // Names only the field: names below it may be the caller's words.
    const [field = ''] = /^state(?:\.\w+)?/.exec(fault.path) ?? [];
    throw new StateError(`something in ${field} ${fault.text}`);
  }
  const text = JSON.stringify(value);
  if (text.length <= MAX_STATE_LENGTH) return text;
  throw new StateError(`the state is longer than ${MAX_STATE_LENGTH} characters`);
}

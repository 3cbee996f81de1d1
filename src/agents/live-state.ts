// The states of conversations that run in this process.

import type { Logger } from '../log.ts';
import { jsonFaultOf } from './json-value.ts';

/** Longest state as JSON text, in UTF-16 code units, inclusive. */
export const MAX_STATE_LENGTH = 65_536;

/** A state is not plain JSON, or too long, and so cannot be stored. */
export class StateError extends TypeError {
  override readonly name = 'StateError';
  readonly code = 'ERR_STATE';
}

/** What is stored of the conversation that a turn has opened. */
export interface StoredState {
  /** JSON text. Undefined: there is none. */
  readonly state: string | undefined;
  /** False for a conversation that begins with this turn. */
  readonly isResumed: boolean;
}

/** One state for each conversation, as long as somebody uses it. */
export class LiveStates<S = unknown> {
  readonly #create: () => S;
  readonly #live = new Map<string, LiveState<S>>();

  constructor(create: () => S) {
    this.#create = create;
  }

  /** The conversation's state. Whoever asks for it is to `leave` it. */
  enter(conversationId: string, { state, isResumed }: StoredState): LiveState<S> {
    const known = this.#live.get(conversationId);
    // A conversation that was cleared begins anew, though a tool of the old one may still run.
    const isSame = known !== undefined && (isResumed || state !== undefined);
    const live = isSame ? known : this.#read(conversationId, state);
    this.#live.set(conversationId, live);
    live.enter();
    return live;
  }

  /** The conversation's state, or one like it that is not kept. */
  peek(conversationId: string, state: string | undefined): LiveState<S> {
    return this.#live.get(conversationId) ?? this.#read(conversationId, state);
  }

  /** How many conversations' states are in use. */
  get size(): number {
    return this.#live.size;
  }

  #read(conversationId: string, text: string | undefined): LiveState<S> {
    const live: LiveState<S> = new LiveState(this.#create, text, () => {
      if (this.#live.get(conversationId) === live) this.#live.delete(conversationId);
    });
    return live;
  }
}

/** The state of one conversation: the one object that turns and tools change. */
export class LiveState<S = unknown> {
  readonly #create: () => S;
  readonly #unused: () => void;
  /** As it was last stored, or could have been. */
  #text: string | undefined;
  #made: { readonly value: S } | undefined;
  #users = 0;

  constructor(create: () => S, text: string | undefined, unused: () => void) {
    this.#create = create;
    this.#text = text;
    this.#unused = unused;
  }

  /** Made when it is first looked at. Throws a `StateError` for a new one that is not JSON. */
  get value(): S {
    this.#made ??= { value: this.#text === undefined ? this.#createNew() : parse(this.#text) };
    return this.#made.value;
  }

  /**
   * As it is now, to be stored: JSON text. The last good one if it can no longer be stored, which
   * is logged. Undefined: nothing is to be stored.
   */
  textToStore(log: Logger, conversationId: string): string | undefined {
    if (this.#made === undefined) return undefined;
    try {
      this.#text = textOf(this.#made.value);
    } catch (error) {
      log.error('state not kept', { conversationId, error });
    }
    return this.#text;
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
    this.#text = textOf(value);
    return value;
  }
}

function parse<S>(text: string): S {
  try {
    return JSON.parse(text);
  } catch {
    throw new StateError('the stored state is not JSON'); // Node's error quotes it
  }
}

function textOf(value: unknown): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new StateError('a state must be an object');
  }
  const fault = jsonFaultOf(value, 'state', { takesToJson: false });
  if (fault !== undefined) {
    // No more of the place than the field: names below it may be the caller's words.
    const [field = ''] = /^state(?:\.\w+)?/.exec(fault.path) ?? [];
    throw new StateError(`something in ${field} ${fault.text}`);
  }
  const text = JSON.stringify(value);
  if (text.length <= MAX_STATE_LENGTH) return text;
  throw new StateError(`the state is longer than ${MAX_STATE_LENGTH} characters`);
}

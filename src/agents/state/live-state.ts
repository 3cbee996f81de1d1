// The agent states of the conversations that are active in this process.

import { mapIn, merge, patch, type Merged } from '../../base/json-difference.ts';
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
  /** Whether changes of discarded turns were taken back, so that it is an older state. */
  readonly hasGoneBack?: boolean;
  /** When the conversation was last erased. 0, the default: never. */
  readonly erasedAt?: number;
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

  /**
   * The conversation's state. Each `enter` must be followed by a `leave`. After an erasure, and
   * where a discarded turn is replaced, tools that still run keep the object that they had.
   */
  enter(
    conversationId: string,
    { state, isResumed, hasGoneBack = false, erasedAt = 0 }: StoredState,
  ): LiveState<S> {
    const known = this.#live.get(conversationId);
    const goesOn = !hasGoneBack && (isResumed || state !== undefined);
    const isSame = known !== undefined && goesOn && known.erasedAt === erasedAt;
    const live = isSame ? known : this.#read(conversationId, state, erasedAt);
    if (isSame) live.follow(state);
    this.#live.set(conversationId, live);
    live.enter();
    return live;
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
    const redact = this.#redact;
    const live: LiveState<S> = new LiveState(
      this.#create, text, erasedAt, unused,
      redact === undefined ? undefined : (json) => redact(conversationId, json),
    );
    return live;
  }
}

/**
 * The state of one conversation: the single object that its turns and tools change. What is stored
 * are its changes, not the object: other processes may change the state, too.
 */
export class LiveState<S = unknown> {
  readonly erasedAt: number;
  readonly #create: () => S;
  readonly #unused: () => void;
  readonly #redact: ((json: string) => string) | undefined;
  /** What the store has, as far as is known: the object has changed since from here. */
  #known: string | undefined;
  /** What the store had before a write of which it is not known whether it was made. */
  #doubted: string | undefined;
  #made: { readonly value: S } | undefined;
  /** What a new state began with. */
  #created: string | undefined;
  #users = 0;
  /** How often changes were given to the store. */
  revision = 0;

  constructor(
    create: () => S,
    text: string | undefined,
    erasedAt: number,
    unused: () => void,
    redact?: (json: string) => string,
  ) {
    this.#create = create;
    this.#redact = redact;
    this.#known = text;
    this.erasedAt = erasedAt;
    this.#unused = unused;
  }

  /** Created when first read. Throws a `StateError` if a new state is not JSON. */
  get value(): S {
    this.#made ??= { value: this.#known === undefined ? this.#createNew() : parse(this.#known) };
    return this.#made.value;
  }

  /**
   * What was changed, to be stored: undefined if nobody has looked at the state. A state that is no
   * longer valid is logged when it is to be stored, and then nothing of it is.
   */
  changes(log: Logger, conversationId: string): StateChanges | undefined {
    if (this.#made === undefined) return undefined;
    return this.#changes((error) => log.error('state not kept', { conversationId, error }));
  }

  /** The same. Throws a `StateError` if the state is not valid. */
  validChanges(): StateChanges {
    this.#textToStore(this.value);
    return this.#changes(() => undefined);
  }

  /**
   * The store has that state. What others have changed is changed here, too, in the object that
   * turns and tools have.
   */
  follow(stored: string | undefined): void {
    const from = this.#known;
    if (stored === undefined || stored === from) return;
    if (this.#made === undefined) {
      this.#known = stored;
      return;
    }
    const { value } = this.#made;
    const current = this.#validText(value);
    if (current === undefined) return; // it follows once it can be compared again
    const { text } = merge(from ?? this.#created ?? current, current, stored);
    this.#known = stored;
    const [now, next] = [mapIn(current), mapIn(text)];
    if (text !== current && now !== undefined && next !== undefined)
      patch(value as Record<string, unknown>, now, next);
  }

  #changes(failed: (error: unknown) => void): StateChanges {
    let given: { readonly from: string; readonly to: string } | undefined;
    let hasFailed = false;
    return {
      onto: (stored) => {
        given ??= this.#give(stored, failed);
        if (given === undefined) return undefined;
        const { from, to } = given;
        // A store may fail after it has written: then it has what is known here.
        const isMade = hasFailed && stored === this.#known;
        hasFailed = false;
        const merged = merge(isMade ? to : from, to, stored ?? from);
        this.follow(merged.text);
        return { from, ...merged };
      },
      failed: () => {
        hasFailed = true;
        this.#doubted = given?.from;
      },
    };
  }

  /** From here on these changes are on their way to the store. */
  #give(
    stored: string | undefined,
    failed: (error: unknown) => void,
  ): { readonly from: string; readonly to: string } | undefined {
    if (this.#doubted !== undefined && this.#doubted === stored) this.#known = stored;
    this.#doubted = undefined;
    try {
      const to = this.#textToStore(this.value);
      const from = this.#known ?? this.#created ?? to;
      if (from !== to || this.#known === undefined) this.revision += 1;
      this.#known = to;
      return { from, to };
    } catch (error) {
      failed(error);
      return undefined;
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
    this.#created = this.#textToStore(value);
    return value;
  }

  /** Of a state that is too long, because processes have merged theirs, less is taken. */
  #textToStore(value: S): string {
    const text = this.#textOf(value);
    if (text.length <= Math.max(MAX_STATE_LENGTH, (this.#known?.length ?? 0) - 1)) return text;
    throw new StateError(`the state is longer than ${MAX_STATE_LENGTH} characters`);
  }

  #validText(value: S): string | undefined {
    try {
      return this.#textOf(value);
    } catch {
      return undefined; // whoever stores it is told
    }
  }

  #textOf(value: S): string {
    const text = textOf(value);
    return this.#redact === undefined ? text : this.#redact(text);
  }
}

/** Changes on their way to the store: `StateWrite` of conversations/agent-state.ts says more. */
export interface StateChanges {
  readonly onto: (stored: string | undefined) => (Merged & { readonly from: string }) | undefined;
  readonly failed: () => void;
}

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
  return JSON.stringify(value);
}

import type { Conversation } from '../conversation.ts';
import { isOnceCall, isSameCall, isTruer, type OnceCall, type OnceCalls } from '../once-call.ts';

/**
 * Stored in place of a call that has freed its key. Otherwise a process that remembers the call
 * could not tell whether it was freed or the store has lost it.
 */
interface FreedCall {
  readonly freed: Pick<OnceCall, 'runId' | 'toolCallId'>;
}

type Calls = OnceCalls | undefined;

/** Beyond this, another process may believe that a call which was freed long ago still runs. */
const MAX_FREED = 1_000;

const NAME = /^once-([0-9a-f]{64})$/;

/** The `once` calls of one conversation, each a part with its key in the name. */
export class OnceParts {
  readonly #conversation: Conversation;
  #stored = new Map<string, OnceCall | FreedCall>();
  readonly #freed = new Map<string, FreedCall>();

  constructor(conversation: Conversation) {
    this.#conversation = conversation;
  }

  static isName(name: string): boolean {
    return NAME.test(name);
  }

  /** Reads a stored part. False if it is none of these. */
  read(name: string, part: object): boolean {
    const key = NAME.exec(name)?.[1];
    if (key === undefined) return false;
    if (isOnceCall(part)) (this.#conversation.onceCalls ??= {})[key] = part;
    else if (isFreedCall(part)) this.#freed.set(key, part);
    else return false;
    this.#stored.set(key, part);
    return true;
  }

  /** Call it after each change, with the calls before it. */
  noteFreed(before: Calls): void {
    const { onceCalls = {} } = this.#conversation;
    for (const key of this.#freed.keys())
      if (onceCalls[key] !== undefined) this.#freed.delete(key);
    for (const [key, { runId, toolCallId }] of Object.entries(before ?? {}))
      if (onceCalls[key] === undefined) this.#freed.set(key, { freed: { runId, toolCallId } });
    for (const key of this.#freed.keys()) {
      if (this.#freed.size <= MAX_FREED) return;
      this.#freed.delete(key);
    }
  }

  /** Brings in what another copy of the conversation knows, whose calls these are. */
  merge(calls: Calls, { freed }: { readonly freed: ReadonlyMap<string, FreedCall> }): void {
    const merged: OnceCalls = { ...this.#conversation.onceCalls };
    for (const [key, ours] of Object.entries(calls ?? {})) {
      const theirs = merged[key];
      const theyFreed = this.#freed.get(key)?.freed;
      const isNews = theirs === undefined ? !isSameCall(ours, theyFreed) : isTruer(ours, theirs);
      if (isNews) merged[key] = ours;
    }
    for (const [key, ours] of freed) {
      const theirs = merged[key];
      if (theirs === undefined) this.#freed.set(key, ours);
      else if (theirs.state !== 'completed' && isSameCall(theirs, ours.freed)) delete merged[key];
    }
    const before = this.#conversation.onceCalls;
    if (Object.keys(merged).length > 0) this.#conversation.onceCalls = merged;
    else delete this.#conversation.onceCalls;
    this.noteFreed(before);
  }

  /** An erasure leaves no trace of them. */
  forgetFreed(): void {
    this.#freed.clear();
  }

  /** The store has lost all of them. */
  putBack(): void {
    this.#stored = new Map();
  }

  get freed(): ReadonlyMap<string, FreedCall> {
    return this.#freed;
  }

  /** Whether there is something to write. */
  get hasChanged(): boolean {
    if (this.#conversation.onceCalls === undefined && this.#stored.size === 0) return false;
    const now = this.#now();
    if (now.size !== this.#stored.size) return true;
    for (const [key, part] of now) if (this.#stored.get(key) !== part) return true;
    return false;
  }

  /** Adds to a change what has to be written. */
  addTo(set: Map<string, string>, remove: string[]): void {
    const now = this.#now();
    for (const [key, part] of now)
      if (this.#stored.get(key) !== part) set.set(`once-${key}`, JSON.stringify(part));
    for (const key of this.#stored.keys()) if (!now.has(key)) remove.push(`once-${key}`);
  }

  /** Call it when the store has made the change. */
  written(): void {
    this.#stored = this.#now();
  }

  #now(): Map<string, OnceCall | FreedCall> {
    const now = new Map<string, OnceCall | FreedCall>(this.#freed);
    for (const [key, call] of Object.entries(this.#conversation.onceCalls ?? {}))
      now.set(key, call);
    return now;
  }
}

function isFreedCall(value: object): value is FreedCall {
  const { freed }: { readonly freed?: unknown } = value;
  if (typeof freed !== 'object' || freed === null) return false;
  const { runId, toolCallId }: Partial<Record<string, unknown>> = { ...freed };
  return typeof runId === 'number' && typeof toolCallId === 'string';
}

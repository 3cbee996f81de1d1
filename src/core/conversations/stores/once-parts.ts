import { unfinishedCalls, type Conversation } from '../conversation.ts';
import {
  isOnceCall, isSameCall, isTruer, type OnceCall, type OnceCalls,
} from '../once-call.ts';
import { ERASED_RESULT } from '../unfinished-tool-results.ts';
import { parsePart } from './part-store.ts';

type Calls = OnceCalls | undefined;

const NAME = /^once-([0-9a-f]{64})$/;
/** How many calls `over` remembers. Beyond this the oldest are forgotten. */
const MAX_OVER = 1_000;

/**
 * The `once` calls of one conversation, each a part with its key in the name.
 *
 * A call that has freed its key looks like one that the store has lost. Only the process that
 * claimed it can tell the two apart, so only that one puts back a call without a result. A released
 * one is not put back: nothing depends on it, and others may have removed it.
 */
export class OnceParts {
  readonly #conversation: Conversation;
  #stored = new Map<string, OnceCall>();
  /** The calls that this process claimed. */
  own: ReadonlySet<string> = new Set();
  /** Calls that have freed their keys here, or whose results were erased. */
  over: ReadonlySet<string> = new Set();

  constructor(conversation: Conversation) {
    this.#conversation = conversation;
  }

  hasName(name: string): boolean {
    return NAME.test(name);
  }

  /** Takes over what another copy knows to be stored, except where there is news. */
  join(known: OnceParts, isNew: (name: string) => boolean): void {
    for (const [key, call] of known.#stored) if (!isNew(`once-${key}`)) this.#stored.set(key, call);
  }

  /** Reads a stored part. False if it is not a `once` call. Call `allRead` after the last one. */
  read(name: string, text: string): boolean {
    const part = parsePart(text);
    const key = NAME.exec(name)?.[1];
    if (key === undefined || part === undefined || !isOnceCall(part)) return false;
    this.#stored.set(key, part);
    return true;
  }

  /** The conversation gets the calls of all parts. */
  allRead(): void {
    if (this.#stored.size > 0) this.#conversation.onceCalls = Object.fromEntries(this.#stored);
  }

  /** Call it after each change, with the calls from before it. */
  noteChange(before: Calls): void {
    const { onceCalls } = this.#conversation;
    if (onceCalls === before) return;
    const known = new Set(Object.values(before ?? {}).map(idOf));
    const present = new Set(Object.values(onceCalls ?? {}).map(idOf));
    this.own = new Set([...present].filter((id) => this.own.has(id) || !known.has(id)));
    this.#noteOver(Object.values(before ?? {}).filter((call) => !present.has(idOf(call))));
  }

  /**
   * Adds what another copy of the conversation knew: its calls, which of them are over, and which
   * ones this process has claimed.
   */
  merge(calls: Calls, over: ReadonlySet<string>, own: ReadonlySet<string>): void {
    this.over = new Set([...this.over, ...over]);
    this.own = new Set([...this.own, ...own]);
    const merged = this.#withoutOver(this.#conversation.onceCalls);
    for (const [key, ours] of Object.entries(this.#withoutOver(calls))) {
      const theirs = merged[key];
      const isOwn = this.own.has(idOf(ours));
      const isBetter = theirs === undefined
        ? (isOwn && ours.state !== 'released') || ours.state === 'completed'
        : isTruer(ours, theirs, isOwn);
      if (isBetter) merged[key] = ours;
    }
    this.#replace(merged);
  }

  /**
   * Adds what a copy from before an erasure knows, but none of its words: which calls are over, and
   * which of its own may still act or have acted. A completed call was forgotten, unless the
   * erasure cannot have known of its result: it left the call unfinished, or was made before the
   * claim.
   */
  mergeErased(calls: Calls, over: ReadonlySet<string>, own: ReadonlySet<string>): void {
    this.merge(unfinishedCalls(calls), over, own);
    const { onceCalls = {}, erasedAt = 0 } = this.#conversation;
    const completed = Object.entries(calls ?? {}).filter(([, { state }]) => state === 'completed');
    const isKept = ([key, call]: readonly [string, OnceCall]): boolean =>
      call.claimedAt > erasedAt || isSameCall(call, onceCalls[key]);
    this.#noteOver(completed.filter((entry) => !isKept(entry)).map(([, call]) => call));
    this.#keepDone(completed.filter(isKept));
    this.#replace(this.#withoutOver(this.#conversation.onceCalls));
  }

  /**
   * Call it with the `calls` of a conversation that was erased here because another copy had been.
   * `over`: the calls that are over in that copy. Others may have been claimed since. Clocks may
   * differ, so they do not say which: a call that has acted stays, without its result.
   */
  keepCompletedSince(over: ReadonlySet<string>, calls: Calls): void {
    this.#keepDone(Object.entries(calls ?? {}).filter(
      ([, call]) => call.state === 'completed' && !over.has(idOf(call)),
    ));
  }

  #keepDone(completed: readonly (readonly [key: string, call: OnceCall])[]): void {
    const { onceCalls = {} } = this.#conversation;
    const done = completed
      .filter(([key]) => onceCalls[key]?.state !== 'completed')
      .map(([key, call]) => [key, { ...call, content: ERASED_RESULT }] as const);
    if (done.length > 0) this.#replace({ ...onceCalls, ...Object.fromEntries(done) });
  }

  /** A copy of the calls without those that are over. */
  #withoutOver(calls: Calls): Record<string, OnceCall> {
    const isOver = (call: OnceCall): boolean =>
      call.state !== 'completed' && this.over.has(idOf(call));
    return Object.fromEntries(Object.entries(calls ?? {}).filter(([, call]) => !isOver(call)));
  }

  #replace(calls: OnceCalls): void {
    if (Object.keys(calls).length > 0) this.#conversation.onceCalls = calls;
    else delete this.#conversation.onceCalls;
  }

  #noteOver(calls: readonly OnceCall[]): void {
    if (calls.length === 0) return;
    this.over = new Set([...this.over, ...calls.map(idOf)].slice(-MAX_OVER));
  }

  get hasChanged(): boolean {
    const { onceCalls } = this.#conversation;
    if (onceCalls === undefined) return this.#stored.size > 0;
    const keys = Object.keys(onceCalls);
    const isNew = (key: string): boolean => onceCalls[key] !== this.#stored.get(key);
    return keys.length !== this.#stored.size || keys.some(isNew);
  }

  /** Adds what must be written to a change. */
  addTo(set: Map<string, string>, remove: string[]): void {
    const { onceCalls = {} } = this.#conversation;
    for (const [key, call] of Object.entries(onceCalls))
      if (this.#stored.get(key) !== call) set.set(`once-${key}`, JSON.stringify(call));
    for (const key of this.#stored.keys())
      if (onceCalls[key] === undefined) remove.push(`once-${key}`);
  }

  /** Call it when the store has made the change. */
  written(): void {
    const { onceCalls } = this.#conversation;
    if (onceCalls !== undefined || this.#stored.size > 0)
      this.#stored = new Map(Object.entries(onceCalls ?? {}));
  }

  /** Call it when the store has lost all of them. */
  putBack(): void {
    this.#stored = new Map();
  }
}

/** Identifies a claim: a released call may claim its key again, and the new claim is not over. */
function idOf({ runId, toolCallId, nth = 1 }: OnceCall): string {
  return `${runId} ${toolCallId} ${nth}`;
}

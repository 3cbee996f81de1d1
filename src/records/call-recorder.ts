import { setMaxListeners } from 'node:events';

import type { Awaitable } from '../base/awaitable.ts';
import { BoundedMap } from '../base/bounded-map.ts';
import { within } from '../base/time-limit.ts';
import type { Conversation } from '../conversations/conversation.ts';
import type { Logger } from '../log.ts';
import type { CallArchive } from './call-archive.ts';
import {
  callRecordOf, isSettled, lastTurnOf, type CallRecord, type EndedCall, type RecordContents,
  type RecordedCall,
} from './call-record.ts';
import { IdleCalls } from './idle-calls.ts';

type Read = () => Awaitable<Conversation | undefined>;

/** Keeps a record of each ended call. */
export interface CallRecords {
  /**
   * Call it when a turn of the call is over. If nothing else happens for some time, the call gets
   * its record without an end. `process` is the address of this process, if several share the
   * conversation. For `read` and `isStoreAway` see `ended`. Returns at once and never throws.
   */
  turnEnded?(
    call: RecordedCall,
    process: string | undefined,
    read: Read,
    isStoreAway?: () => boolean,
  ): void;
  /**
   * Call it when the call's session has ended. `read` reads its conversation, and of an erased one
   * the mark; while `isStoreAway`, from what this process remembers (default: never). A call
   * without turns, such as an erased one, gets no record. Returns at once and never throws: a
   * record that cannot be written must not affect callers.
   */
  ended(call: EndedCall, read: Read, isStoreAway?: () => boolean): void;
  /**
   * The end of a call is reported again, with its times. They are those of its record, if that
   * waits for them: see `EndedCall.isReportedAgain`.
   */
  completed?(call: EndedCall): void;
  /**
   * Call it when a conversation was erased in this process: the store may keep no mark of it. May
   * be called again with the same time, in milliseconds since the epoch. Never throws.
   */
  erased?(conversationKey: string, erasedAt: number): void;
  /** Counts since the start. `waiting`: ended calls whose record is not written yet. */
  counts(): { readonly written: number; readonly lost: number; readonly waiting: number };
  /** Writes the waiting records if possible. Takes a bounded time. */
  close(): Promise<void>;
}

export interface CallRecorderOptions {
  readonly archive: CallArchive;
  readonly log: Logger;
  /**
   * How long after the last turn a call without an end gets its record, in milliseconds. Default:
   * it gets none.
   */
  readonly idleMs?: number | undefined;
  readonly contents?: RecordContents | undefined;
  /** Limits for records that wait while the archive fails. Default 1,000 and 67,108,864. */
  readonly maxWaiting?: number;
  readonly maxCharactersWaiting?: number;
}

/** A turn in another process, or a tool that may finish, can end after the session. */
const SETTLING_DELAYS_MS = [50, 250, 1_000, 5_000, 30_000] as const;
/** With more calls than this, their records are written without waiting. */
const MAX_SETTLING = 10_000;
/** How long the record of a call waits for its times. */
const REPORTED_AGAIN_MS = 60_000;
const READ_TIMEOUT_MS = 1_000;
const WRITE_TIMEOUT_MS = 5_000;
const RETRY_MS = 2_000;
const CLOSING_MS = 2_000;

/** Where a call's conversation is read: see `CallRecords.ended`. */
interface Source {
  readonly read: Read;
  readonly isStoreAway: () => boolean;
}

interface Made {
  readonly record: CallRecord;
  /** When the conversation had been erased last. 0: never. */
  readonly erasedAt: number;
}

interface Waiting extends Made {
  readonly call: EndedCall;
  readonly read: Read;
  readonly characters: number;
}

/**
 * Records that are remembered, so that silence or a late end does not repeat them, and erasures.
 */
const MAX_REMEMBERED = 10_000;

/**
 * Makes records and writes them one after another. While that fails they wait in memory, up to a
 * limit, and are retried.
 */
export class CallRecorder implements CallRecords {
  readonly #archive: CallArchive;
  readonly #log: Logger;
  readonly #contents: RecordContents | undefined;
  readonly #idle: IdleCalls | undefined;
  /** Up to where each call is recorded, by key: see `#add`. */
  readonly #recorded = new BoundedMap<string, string>(MAX_REMEMBERED);
  /** When conversations were erased in this process, by `conversationKey`. */
  readonly #erased = new BoundedMap<string, number>(MAX_REMEMBERED);
  readonly #maxWaiting: number;
  readonly #maxCharactersWaiting: number;
  /** Calls whose turns or tools may still be running. */
  readonly #settling = new Set<Promise<void>>();
  /** Takes the times of a call that ended, by key. */
  readonly #incomplete = new Map<string, (call: EndedCall) => void>();
  readonly #queue: Waiting[] = [];
  #charactersWaiting = 0;
  #written = 0;
  #lost = 0;
  /** Chains the runs of `#writeAll`. */
  #writing: Promise<void> = Promise.resolve();
  #isFailing = false;
  #retry: NodeJS.Timeout | undefined;
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;

  constructor(options: CallRecorderOptions) {
    const { archive, log, idleMs, contents, maxWaiting, maxCharactersWaiting } = options;
    this.#archive = archive;
    this.#log = log;
    this.#contents = contents;
    this.#maxWaiting = maxWaiting ?? 1_000;
    this.#maxCharactersWaiting = maxCharactersWaiting ?? 67_108_864;
    setMaxListeners(0, this.#closing.signal); // one for each call that settles
    this.#idle = idleMs === undefined ? undefined : new IdleCalls(idleMs);
  }

  turnEnded(
    call: RecordedCall,
    process: string | undefined,
    read: Read,
    isStoreAway: () => boolean = never,
  ): void {
    this.#idle?.add(keyOf(call), () =>
      this.#track(this.#ofSilent(call, process, { read, isStoreAway })));
  }

  ended(call: EndedCall, read: Read, isStoreAway: () => boolean = never): void {
    this.#idle?.remove(keyOf(call));
    const source = { read, isStoreAway };
    const isComplete = call.isReportedAgain !== true || this.#settling.size >= MAX_SETTLING;
    this.#track(isComplete ? this.#keep(call, source) : this.#keepCompleted(call, source));
  }

  completed(call: EndedCall): void {
    this.#incomplete.get(keyOf(call))?.(call);
  }

  erased(conversationKey: string, erasedAt: number): void {
    this.#erased.set(conversationKey, Math.max(erasedAt, this.#erasedAt(conversationKey)));
    for (const waiting of [...this.#queue]) {
      const isOlder = waiting.erasedAt < erasedAt;
      if (isOlder && waiting.call.conversationKey === conversationKey) this.#leaveQueue(waiting);
    }
  }

  async #keepCompleted(call: EndedCall, source: Source): Promise<void> {
    const key = keyOf(call);
    const again = new Promise<EndedCall>((resolve) => this.#incomplete.set(key, resolve));
    const known = await Promise.race([again, this.#pause(REPORTED_AGAIN_MS).then(() => call)]);
    this.#incomplete.delete(key);
    await this.#keep(known, source);
  }

  /** A shutdown waits for it. It must not reject. */
  #track(work: Promise<void>): void {
    this.#settling.add(work);
    void work.finally(() => this.#settling.delete(work));
  }

  async #keep(call: EndedCall, source: Source): Promise<void> {
    try {
      const made = await this.#settled(call, source);
      if (made.record.turns.length > 0) this.#add(call, source.read, made);
    } catch (error) {
      this.#lose(call, error);
    }
  }

  /** The process that runs a call's last turn records it: the timers of others fire earlier. */
  async #ofSilent(
    call: RecordedCall,
    process: string | undefined,
    source: Source,
  ): Promise<void> {
    const { read, isStoreAway } = source;
    try {
      const conversation = await read();
      const last = lastTurnOf(conversation, call.sessionId);
      if (last?.figures === undefined) return; // forgotten, or erased
      if (last.process !== process) return;
      if (last.state === 'open') return this.turnEnded(call, process, read, isStoreAway);
      // Its end may have gone to another process.
      if (process !== undefined && (await this.#archive.has(call))) return;
      const { startedAt, durationMs = 0 } = last.figures;
      const ended = { startedAt: undefined, endedAt: startedAt + durationMs, isReported: false };
      await this.#keep({ ...call, ...ended }, source);
    } catch (error) {
      this.#lose(call, error);
    }
  }

  counts(): ReturnType<CallRecords['counts']> {
    const waiting = this.#settling.size + this.#queue.length;
    return { written: this.#written, lost: this.#lost, waiting };
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    this.#idle?.close();
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const written = Promise.all(this.#settling).then(() => this.#write());
    await within(CLOSING_MS, written).catch(() => undefined); // the rest is lost, and logged
    while (this.#queue.length > 0) this.#loseOldest();
    // Bounded, because the caller has more to close.
    await within(CLOSING_MS, this.#archive.close()).catch((error: unknown) => this.#failed(error));
  }

  /**
   * The record, as soon as nothing of the call is running any more, or as it is when time is up.
   * Once the store answers again, other processes get some time to write what they remember.
   */
  async #settled(call: EndedCall, { read, isStoreAway }: Source): Promise<Made> {
    let wasAway = false;
    for (const ms of SETTLING_DELAYS_MS) {
      const made = await this.#make(call, read);
      const isTooLate = this.#closing.signal.aborted || this.#settling.size > MAX_SETTLING;
      const isAway = isStoreAway();
      if (isTooLate || (isSettled(made.record) && !isAway && !wasAway)) return made;
      wasAway = isAway;
      await this.#pause(ms);
    }
    return this.#make(call, read);
  }

  async #make(call: EndedCall, read: Read): Promise<Made> {
    const erasedBefore = this.#erasedAt(call.conversationKey); // before: it may be erased meanwhile
    const conversation = await read();
    const erasedAt = Math.max(conversation?.erasedAt ?? 0, erasedBefore);
    return { record: callRecordOf(call, conversation, this.#contents), erasedAt };
  }

  #erasedAt(conversationKey: string): number {
    return this.#erased.get(conversationKey) ?? 0;
  }

  /** Ends early if the recorder closes. */
  #pause(ms: number): Promise<void> {
    const { signal } = this.#closing;
    return new Promise((resolve) => {
      const ended = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', ended);
        resolve();
      };
      const timer = setTimeout(ended, ms).unref();
      signal.addEventListener('abort', ended);
    });
  }

  #add(call: EndedCall, read: Read, { record, erasedAt }: Made): void {
    const { turns } = record;
    const key = keyOf(call);
    // The number alone may be the same again: an erasure or `MAX_MESSAGES` has removed turns.
    const upTo = [erasedAt, turns.length, turns.at(-1)?.turnId].join(' ');
    // Recorded before, after a silence or an end, and nothing was said since.
    if (this.#idle !== undefined && this.#recorded.get(key) === upTo) return;
    this.#recorded.set(key, upTo);
    const characters = JSON.stringify(record).length;
    this.#queue.push({ call, read, record, erasedAt, characters });
    this.#charactersWaiting += characters;
    while (
      this.#queue.length > this.#maxWaiting
      || (this.#charactersWaiting > this.#maxCharactersWaiting && this.#queue.length > 1)
    )
      this.#loseOldest();
    if (this.#retry === undefined) void this.#write();
  }

  #loseOldest(): void {
    const oldest = this.#queue[0];
    if (oldest === undefined) return;
    this.#leaveQueue(oldest);
    this.#lose(oldest.call);
  }

  /** False if it has already left the queue, because it was given up meanwhile. */
  #leaveQueue(waiting: Waiting): boolean {
    const index = this.#queue.indexOf(waiting);
    if (index === -1) return false;
    this.#queue.splice(index, 1);
    this.#charactersWaiting -= waiting.characters;
    return true;
  }

  #write(): Promise<void> {
    return (this.#writing = this.#writing.then(() => this.#writeAll()));
  }

  async #writeAll(): Promise<void> {
    if (this.#retry !== undefined) return;
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (await this.#isErased(next)) this.#leaveQueue(next);
      if (this.#queue[0] !== next) continue; // erased, or given up meanwhile
      try {
        await within(WRITE_TIMEOUT_MS, this.#archive.keep(next.call, next.record));
      } catch (error) {
        this.#failed(error);
        return;
      }
      if (this.#leaveQueue(next)) this.#written += 1;
      if (this.#isFailing) this.#log.info('call records can be written again');
      this.#isFailing = false;
    }
  }

  /**
   * Whether its conversation was erased since the record was made, perhaps by another process: the
   * record may have waited for long. A store that cannot say so must not hold up all records.
   */
  async #isErased({ call, read, erasedAt }: Waiting): Promise<boolean> {
    const { conversationId, sessionId, conversationKey } = call;
    let markedAt = 0;
    try {
      const conversation = await within(READ_TIMEOUT_MS, Promise.resolve(read()));
      markedAt = conversation?.erasedAt ?? 0;
    } catch (error) {
      this.#log.warn('call record not checked for erasure', { conversationId, sessionId, error });
    }
    return Math.max(markedAt, this.#erasedAt(conversationKey)) > erasedAt;
  }

  #failed(error: unknown): void {
    const { name: archive } = this.#archive;
    if (!this.#isFailing) this.#log.error('call records cannot be written', { archive, error });
    this.#isFailing = true;
    if (this.#closed !== undefined) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      void this.#write();
    }, RETRY_MS).unref();
  }

  #lose({ conversationId, sessionId }: RecordedCall, error?: unknown): void {
    this.#lost += 1;
    this.#log.error('call record lost', { conversationId, sessionId, error });
  }
}

function never(): boolean {
  return false;
}

function keyOf({ conversationKey, sessionId }: RecordedCall): string {
  return `${conversationKey}\t${sessionId}`;
}

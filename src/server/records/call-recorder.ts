import { setMaxListeners } from 'node:events';

import { BoundedMap } from '../../base/bounded-map.ts';
import type { Logger } from '../../base/log.ts';
import { within } from '../../base/time-limit.ts';
import type { EndedCall, RecordedCall } from '../../core/calls/ended-call.ts';
import type { EndedCallRecords, ReadConversation } from '../../core/wires/ended-call-records.ts';
import type { CallArchive } from './call-archive.ts';
import {
  callRecordOf, isSettled, lastTurnOf, type CallRecord, type RecordContents,
} from './call-record.ts';
import { IdleCalls } from './idle-calls.ts';

/** Keeps a record of each ended call. */
export interface CallRecords extends EndedCallRecords {
  /**
   * Call this when a turn of the call is over. If nothing else happens for some time, or until
   * `close`, the call is recorded without an end. `process` is the address of this process, if
   * several share the conversation. For `read` and `isStoreAway` see `ended`. Returns at once and
   * never throws.
   */
  turnEnded?(
    call: RecordedCall,
    process: string | undefined,
    read: ReadConversation,
    isStoreAway?: () => boolean,
  ): void;
  /**
   * Call this when a conversation has been erased in this process: the store might not keep a mark
   * of it. May be called again with the same time, in milliseconds since the epoch. Never throws.
   */
  erased?(conversationKey: string, erasedAt: number): void;
  /** Counts since the start. `waiting`: ended calls whose records have not been written yet. */
  counts(): { readonly written: number; readonly lost: number; readonly waiting: number };
  /** Writes the waiting records, and those of silent calls, if possible. Takes a bounded time. */
  close(): Promise<void>;
}

export interface CallRecorderOptions {
  readonly archive: CallArchive;
  readonly log: Logger;
  /**
   * How long after its last turn a call without an end is recorded, in milliseconds. Default: it is
   * not recorded.
   */
  readonly idleMs?: number | undefined;
  readonly contents?: RecordContents | undefined;
  /** Limits on the records waiting while the archive fails. Default 1,000 and 67,108,864. */
  readonly maxWaiting?: number;
  readonly maxCharactersWaiting?: number;
}

/** A turn in another process, or a tool that may finish, can end after the session. */
const SETTLING_DELAYS_MS = [50, 250, 1_000, 5_000, 30_000] as const;
/** If more calls than this are settling, their records are written without waiting. */
const MAX_SETTLING = 10_000;
/** How long the record of a call waits for its times. */
const REPORTED_AGAIN_MS = 60_000;
const READ_TIMEOUT_MS = 1_000;
const WRITE_TIMEOUT_MS = 5_000;
const RETRY_MS = 2_000;
const CLOSING_MS = 2_000;

/** Where a call's conversation is read from: see `CallRecords.ended`. */
interface Source {
  readonly read: ReadConversation;
  readonly isStoreAway: () => boolean;
}

/** A call that nothing happens in: see `CallRecords.turnEnded`. */
interface SilentCall {
  readonly call: RecordedCall;
  readonly process: string | undefined;
  readonly source: Source;
}

interface Made {
  readonly record: CallRecord;
  /** When the conversation had last been erased. 0: never. */
  readonly erasedAt: number;
}

interface Waiting extends Made {
  readonly call: EndedCall;
  readonly read: ReadConversation;
  /** Set if the archive has not said whether another process has recorded the call's end. */
  readonly mayHaveEnd: boolean;
  readonly characters: number;
}

/**
 * How many records are remembered, so that silence or a late end does not repeat them, and how many
 * erasures.
 */
const MAX_REMEMBERED = 10_000;

export type CallRecorder = Required<CallRecords>;

/**
 * Makes records and writes them one after another. While that fails they wait in memory, up to a
 * limit, and are retried.
 */
export function callRecorder({
  archive, log, idleMs, contents, maxWaiting = 1_000, maxCharactersWaiting = 67_108_864,
}: CallRecorderOptions): CallRecorder {
  const idle = idleMs === undefined
    ? undefined
    : new IdleCalls<SilentCall>(idleMs, (silent) => track(silent.call, ofSilent(silent)));
  /** How far each call has been recorded, by key: see `add`. */
  const recorded = new BoundedMap<string, string>(MAX_REMEMBERED);
  /** When conversations were erased in this process, by `conversationKey`. */
  const erasures = new BoundedMap<string, number>(MAX_REMEMBERED);
  /** Calls whose turns or tools may still be running. */
  const settling = new Map<Promise<void>, RecordedCall>();
  /** Functions that take the times of an ended call, by key. */
  const incomplete = new Map<string, (call: EndedCall) => void>();
  const queue: Waiting[] = [];
  let charactersWaiting = 0;
  let written = 0;
  let lost = 0;
  /** Chains the runs of `writeAll`. */
  let writing: Promise<void> = Promise.resolve();
  let isFailing = false;
  let retry: NodeJS.Timeout | undefined;
  const closing = new AbortController();
  let closed: Promise<void> | undefined;
  /** Once closed: all records are written or lost. */
  let isOver = false;
  setMaxListeners(0, closing.signal); // one for each settling call

  function turnEnded(
    ...[call, process, read, isStoreAway = never]: Parameters<CallRecorder['turnEnded']>
  ): void {
    idle?.add(keyOf(call), { call, process, source: { read, isStoreAway } });
  }

  async function keepCompleted(call: EndedCall, source: Source): Promise<void> {
    const key = keyOf(call);
    const again = new Promise<EndedCall>((resolve) => incomplete.set(key, resolve));
    const known = await Promise.race([again, pause(REPORTED_AGAIN_MS).then(() => call)]);
    incomplete.delete(key);
    await keep(known, source);
  }

  /** A shutdown waits for `work`, which must not reject. */
  function track(call: RecordedCall, work: Promise<void>): void {
    settling.set(work, call);
    void work.finally(() => settling.delete(work));
  }

  async function keep(call: EndedCall, source: Source): Promise<void> {
    try {
      add(call, source.read, await settled(call, source));
    } catch (error) {
      lose(call, error);
    }
  }

  /**
   * The process that ran a call's last turn records the call: the timers of the others fire
   * earlier.
   */
  async function ofSilent(silent: SilentCall): Promise<void> {
    const { call, process, source } = silent;
    const { signal } = closing;
    try {
      const conversation = await source.read();
      const last = lastTurnOf(conversation, call.sessionId);
      if (last?.figures === undefined) return; // forgotten, or erased
      if (last.process !== process) return;
      if (last.state === 'open' && !signal.aborted) return idle?.add(keyOf(call), silent);
      // The call's end may have gone to another process. A call recorded by this one may have
      // continued.
      const isOwn = process === undefined || recorded.get(keyOf(call)) !== undefined;
      const hasEnd = !isOwn
        && (await within(READ_TIMEOUT_MS, archive.hasEnd(call)).catch(() => undefined));
      if (hasEnd === true) return;
      const { startedAt, durationMs = 0 } = last.figures;
      const times = { startedAt: undefined, endedAt: startedAt + durationMs };
      const ended = { ...call, ...times, isReported: false };
      add(ended, source.read, await settled(ended, source), hasEnd === undefined);
    } catch (error) {
      if (signal.aborted) return lose(call, error);
      noteFailing(error);
      idle?.add(keyOf(call), silent);
    }
  }

  async function closeAll(): Promise<void> {
    closing.abort();
    clearTimeout(retry);
    retry = undefined;
    await within(CLOSING_MS, writeRest()).catch(() => undefined);
    const unmade = (idle?.takeAll() ?? []).map(({ call }) => call);
    const unwritten = queue.splice(0).map(({ call }) => call);
    const rest = [...unmade, ...settling.values(), ...unwritten];
    for (const call of new Map(rest.map((call) => [keyOf(call), call])).values()) lose(call);
    settling.clear();
    isOver = true;
    // Bounded, because the caller has more to close.
    await within(CLOSING_MS, archive.close()).catch(failed);
  }

  /** Silent calls come last: the end of some may just be being recorded. */
  async function writeRest(): Promise<void> {
    await Promise.all(settling.keys());
    for (const silent of idle?.takeAll() ?? []) track(silent.call, ofSilent(silent));
    await Promise.all(settling.keys());
    await write();
  }

  /**
   * The record, as soon as nothing in the call is running any more, or as it stands when time is
   * up. Once the store answers again, other processes get some time to write what they remember.
   */
  async function settled(call: EndedCall, { read, isStoreAway }: Source): Promise<Made> {
    let wasAway = false;
    for (const ms of SETTLING_DELAYS_MS) {
      const made = await make(call, read);
      const isTooLate = closing.signal.aborted || settling.size > MAX_SETTLING;
      const isAway = isStoreAway();
      if (isTooLate || (isSettled(made.record) && !isAway && !wasAway)) return made;
      wasAway = isAway;
      await pause(ms);
    }
    return make(call, read);
  }

  async function make(call: EndedCall, read: ReadConversation): Promise<Made> {
    const erasedBefore = erasureOf(call.conversationKey); // before: it may be erased meanwhile
    const conversation = await read();
    const erasedAt = Math.max(conversation?.erasedAt ?? 0, erasedBefore);
    return { record: callRecordOf(call, conversation, contents), erasedAt };
  }

  function erasureOf(conversationKey: string): number {
    return erasures.get(conversationKey) ?? 0;
  }

  /** Ends early if the recorder closes. */
  function pause(ms: number): Promise<void> {
    const { signal } = closing;
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms).unref();
      signal.addEventListener('abort', done);
    });
  }

  function add(call: EndedCall, read: ReadConversation, made: Made, mayHaveEnd = false): void {
    const { record, erasedAt } = made;
    const { turns } = record;
    if (turns.length === 0 || isOver) return;
    const key = keyOf(call);
    // The number of turns alone may repeat: an erasure or `MAX_MESSAGES` may have removed some.
    const upTo = [erasedAt, turns.length, turns.at(-1)?.turnId].join(' ');
    // Already recorded, after a silence or an end, and nothing has been said since.
    if (idle !== undefined && recorded.get(key) === upTo) return;
    recorded.set(key, upTo);
    const characters = JSON.stringify(record).length;
    queue.push({ call, read, record, erasedAt, mayHaveEnd, characters });
    charactersWaiting += characters;
    // Closing adds many at once, and soon ends.
    const isTooMuch = (): boolean => (queue.length > maxWaiting && !closing.signal.aborted)
      || (charactersWaiting > maxCharactersWaiting && queue.length > 1);
    while (isTooMuch()) loseOldest();
    if (retry === undefined) void write();
  }

  function loseOldest(): void {
    const oldest = queue[0];
    if (oldest === undefined) return;
    leaveQueue(oldest);
    const key = keyOf(oldest.call);
    const hasLater = queue.some(({ call }) => keyOf(call) === key);
    if (!hasLater) lose(oldest.call);
  }

  /** False if it has already left the queue, because it was given up meanwhile. */
  function leaveQueue(waiting: Waiting): boolean {
    const index = queue.indexOf(waiting);
    if (index === -1) return false;
    queue.splice(index, 1);
    charactersWaiting -= waiting.characters;
    return true;
  }

  function write(): Promise<void> {
    return (writing = writing.then(writeAll));
  }

  async function writeAll(): Promise<void> {
    if (retry !== undefined) return;
    for (let next = queue[0]; next !== undefined; next = queue[0]) {
      if (await isErased(next)) leaveQueue(next);
      if (queue[0] !== next) continue; // erased, or given up meanwhile
      try {
        const isKept = await within(WRITE_TIMEOUT_MS, keepOne(next));
        if (leaveQueue(next) && isKept) written += 1;
      } catch (error) {
        failed(error);
        return;
      }
      if (isFailing) log.info('call records can be written again');
      isFailing = false;
    }
  }

  /** False if another process has recorded the call's end meanwhile. */
  async function keepOne({ call, record, mayHaveEnd }: Waiting): Promise<boolean> {
    if (mayHaveEnd && (await archive.hasEnd(call))) return false;
    await archive.keep(call, record);
    return true;
  }

  /**
   * Whether its conversation has been erased since the record was made, perhaps by another process:
   * the record may have waited a long time. A store that cannot tell must not hold up all records.
   */
  async function isErased({ call, read, erasedAt }: Waiting): Promise<boolean> {
    const { conversationId, sessionId, conversationKey } = call;
    let markedAt = 0;
    try {
      const conversation = await within(READ_TIMEOUT_MS, Promise.resolve(read()));
      markedAt = conversation?.erasedAt ?? 0;
    } catch (error) {
      log.warn('call record not checked for erasure', { conversationId, sessionId, error });
    }
    return Math.max(markedAt, erasureOf(conversationKey)) > erasedAt;
  }

  /** Logs it once, until a record can be written again. */
  function noteFailing(error: unknown): void {
    if (!isFailing) log.error('call records cannot be written', { archive: archive.name, error });
    isFailing = true;
  }

  function failed(error: unknown): void {
    noteFailing(error);
    if (closed !== undefined) return;
    retry = setTimeout(() => {
      retry = undefined;
      void write();
    }, RETRY_MS).unref();
  }

  function lose({ conversationId, sessionId }: RecordedCall, error?: unknown): void {
    if (isOver) return;
    lost += 1;
    log.error('call record lost', { conversationId, sessionId, error });
  }

  return {
    turnEnded,
    ended(call, read, isStoreAway = never) {
      idle?.remove(keyOf(call));
      const source = { read, isStoreAway };
      const isComplete = call.isReportedAgain !== true || settling.size >= MAX_SETTLING;
      track(call, isComplete ? keep(call, source) : keepCompleted(call, source));
    },
    completed: (call) => incomplete.get(keyOf(call))?.(call),
    erased(conversationKey, erasedAt) {
      erasures.set(conversationKey, Math.max(erasedAt, erasureOf(conversationKey)));
      for (const waiting of [...queue]) {
        const isOlder = waiting.erasedAt < erasedAt;
        if (isOlder && waiting.call.conversationKey === conversationKey) leaveQueue(waiting);
      }
    },
    counts: () => ({ written, lost, waiting: settling.size + queue.length }),
    close: () => (closed ??= closeAll()),
  };
}

function never(): boolean {
  return false;
}

function keyOf({ conversationKey, sessionId }: RecordedCall): string {
  return `${conversationKey}\t${sessionId}`;
}

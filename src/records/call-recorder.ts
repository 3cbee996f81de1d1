import type { Awaitable } from '../base/awaitable.ts';
import { within } from '../base/time-limit.ts';
import type { Logger } from '../log.ts';
import type { CallArchive } from './call-archive.ts';
import { callRecordOf, isSettled, type CallRecord, type EndedCall } from './call-record.ts';
import type { Conversation } from '../conversations/conversation.ts';

/** Keeps a record of each ended call. */
export interface CallRecords {
  /**
   * Call it when the call's session has ended. `read` reads its conversation. Returns at once and
   * never throws: a record that cannot be written must not affect callers.
   */
  ended(call: EndedCall, read: () => Awaitable<Conversation | undefined>): void;
  /** Counts since the start. `waiting`: ended calls whose record is not written yet. */
  counts(): { readonly written: number; readonly lost: number; readonly waiting: number };
  /** Writes the waiting records if possible. Takes a bounded time. */
  close(): Promise<void>;
}

export interface CallRecorderOptions {
  readonly archive: CallArchive;
  readonly log: Logger;
  /** Limits for records that wait while the archive fails. Default 1,000 and 67,108,864. */
  readonly maxWaiting?: number;
  readonly maxCharactersWaiting?: number;
}

/** A turn in another process, or a tool that may finish, can end after the session. */
const SETTLING_DELAYS_MS = [50, 250, 1_000, 5_000, 30_000] as const;
/** With more calls than this, their records are written without waiting. */
const MAX_SETTLING = 10_000;
const WRITE_TIMEOUT_MS = 5_000;
const RETRY_MS = 2_000;
const CLOSING_MS = 2_000;

interface Waiting {
  readonly call: EndedCall;
  readonly record: CallRecord;
  readonly characters: number;
}

/**
 * Makes records and writes them one after another. While that fails they wait in memory, up to a
 * limit, and are retried.
 */
export class CallRecorder implements CallRecords {
  readonly #archive: CallArchive;
  readonly #log: Logger;
  readonly #maxWaiting: number;
  readonly #maxCharactersWaiting: number;
  /** Calls whose turns or tools may still be running. */
  readonly #settling = new Set<Promise<void>>();
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

  constructor({ archive, log, maxWaiting, maxCharactersWaiting }: CallRecorderOptions) {
    this.#archive = archive;
    this.#log = log;
    this.#maxWaiting = maxWaiting ?? 1_000;
    this.#maxCharactersWaiting = maxCharactersWaiting ?? 67_108_864;
  }

  ended(call: EndedCall, read: () => Awaitable<Conversation | undefined>): void {
    const settled = this.#settled(call, read).then(
      (record) => this.#add(call, record),
      (error: unknown) => this.#lose(call, error),
    );
    this.#settling.add(settled);
    void settled.finally(() => this.#settling.delete(settled));
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
   */
  async #settled(
    call: EndedCall,
    read: () => Awaitable<Conversation | undefined>,
  ): Promise<CallRecord> {
    for (const ms of SETTLING_DELAYS_MS) {
      const record = callRecordOf(call, await read());
      const isTooLate = this.#closing.signal.aborted || this.#settling.size > MAX_SETTLING;
      if (isTooLate || isSettled(record)) return record;
      await this.#pause(ms);
    }
    return callRecordOf(call, await read());
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

  #add(call: EndedCall, record: CallRecord): void {
    const characters = JSON.stringify(record).length;
    this.#queue.push({ call, record, characters });
    this.#charactersWaiting += characters;
    while (
      this.#queue.length > this.#maxWaiting ||
      (this.#charactersWaiting > this.#maxCharactersWaiting && this.#queue.length > 1)
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

  #lose({ conversationId, sessionId }: EndedCall, error?: unknown): void {
    this.#lost += 1;
    this.#log.error('call record lost', { conversationId, sessionId, error });
  }
}

import { isBuiltin } from 'node:module';
import { Worker } from 'node:worker_threads';

import { BackOff } from '../../../base/back-off.ts';
import type { IdPage, PartsChange, PartStore, ReadAnswer, WriteAnswer } from './part-store.ts';
import type { SqliteStore, SqliteStoreOptions } from './sqlite-store.ts';
import { sqliteWorker } from './sqlite-worker-script.ts';
import { StoreError } from './store-error.ts';

type Methods = Pick<SqliteStore, 'read' | 'writeAll' | 'list' | 'count' | 'overwrite' | 'close'>;

/** Sent to the thread. */
export interface ThreadCall {
  readonly method: keyof Methods;
  readonly args: readonly unknown[];
}

/** Sent back for each call, in order. Before that, unasked: whether the file is open. */
export type ThreadReply = { readonly answer: unknown } | { readonly failure: string };

interface Waiting<T> {
  readonly resolve: (answer: T) => void;
  readonly reject: (error: Error) => void;
}

interface Write extends Waiting<WriteAnswer> {
  readonly id: string;
  readonly change: PartsChange;
}

/**
 * An SQLite file in a thread of its own, so that neither the disk nor another process's lock holds
 * up the event loop. Writes made in one turn of the event loop share a transaction.
 *
 * A thread that dies is started again. Calls are rejected until it has opened the file.
 */
class SqliteThread implements PartStore {
  readonly name = 'sqlite';
  readonly #options: SqliteStoreOptions;
  readonly #backOff = new BackOff();
  /** Calls that the thread has not answered yet. */
  readonly #calls: Waiting<never>[] = [];
  #worker: Worker | undefined;
  /** Resolves when the thread has ended. */
  #ended: Promise<void> = Promise.resolve();
  #isOpen = false;
  /** Why the file is not open. */
  #failure: StoreError | undefined;
  #restart: NodeJS.Timeout | undefined;
  #writes: Write[] = [];
  #isClosed = false;

  constructor(options: SqliteStoreOptions) {
    this.#options = options;
  }

  /** Rejects if the file cannot be used. */
  async open(): Promise<void> {
    await new Promise((resolve, reject) => {
      this.#calls.push({ resolve, reject });
      this.#start();
    });
    this.#isOpen = true;
    this.#failure = undefined;
  }

  read(id: string, known?: string): Promise<ReadAnswer> {
    return this.#call('read', id, known);
  }

  write(id: string, change: PartsChange): Promise<WriteAnswer> {
    return new Promise((resolve, reject) => {
      this.#writes.push({ id, change, resolve, reject });
      if (this.#writes.length === 1) setImmediate(() => void this.#send());
    });
  }

  list(prefix: string, after: string): Promise<IdPage> {
    return this.#call('list', prefix, after);
  }

  count(): Promise<number> {
    return this.#call('count');
  }

  overwrite(): Promise<boolean> {
    return this.#call('overwrite');
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#restart);
    if (this.#isOpen) await this.#call('close');
    else await this.#worker?.terminate();
    this.#worker?.ref(); // otherwise the process could end first, during an await
    await this.#ended;
  }

  #start(): void {
    const startedAtMs = performance.now();
    const died = (cause?: unknown): void => this.#died(performance.now() - startedAtMs, cause);
    const { script, eval: isCode } = sqliteWorker;
    let worker: Worker;
    try {
      worker = new Worker(script, { eval: isCode, workerData: this.#options, execArgv: [] });
    } catch (error) {
      return died(error); // the system has no thread to give
    }
    this.#worker = worker;
    worker.on('message', (reply: ThreadReply) => this.#replied(reply));
    let cause: unknown;
    worker.on('error', (error) => (cause = error));
    this.#ended = new Promise((resolve) => {
      worker.on('exit', () => {
        died(cause);
        resolve();
      });
    });
  }

  #died(livedMs: number, cause: unknown): void {
    this.#isOpen = false;
    if (this.#isClosed) this.#failure = new StoreError('the store is closed');
    else {
      this.#failure ??= new StoreError('the thread of the store died', { cause });
      const waitMs = this.#backOff.delayAfter(livedMs);
      this.#restart = setTimeout(() => void this.#reopen(), waitMs).unref();
    }
    for (const { reject } of this.#calls.splice(0)) reject(this.#failure);
  }

  async #reopen(): Promise<void> {
    try {
      await this.open();
    } catch (error) {
      this.#failure = error as StoreError; // every rejection here is one
    }
  }

  async #send(): Promise<void> {
    const writes = this.#writes;
    this.#writes = [];
    try {
      const answers = await this.#call('writeAll', writes.map(({ id, change }) => [id, change]));
      for (const [index, { resolve }] of writes.entries()) resolve(answers[index]);
    } catch (error) {
      for (const { reject } of writes) reject(error as Error); // always a StoreError
    }
  }

  #call<M extends keyof Methods>(
    method: M,
    ...args: Parameters<Methods[M]>
  ): Promise<ReturnType<Methods[M]>> {
    return new Promise((resolve, reject) => {
      if (!this.#isOpen) throw this.#failure;
      if (this.#calls.length === 0) this.#worker?.ref();
      this.#worker?.postMessage({ method, args } satisfies ThreadCall);
      this.#calls.push({ resolve, reject });
    });
  }

  #replied(reply: ThreadReply): void {
    const waiting = this.#calls.shift();
    // An open file must not keep the process alive.
    if (this.#calls.length === 0) this.#worker?.unref();
    if ('failure' in reply) waiting?.reject(new StoreError(reply.failure));
    else waiting?.resolve(reply.answer as never); // what this method returns
  }
}

/** Rejects with a `StoreError` if the file cannot be used, or Node has no SQLite. */
export async function openSqliteThread(options: SqliteStoreOptions): Promise<PartStore> {
  if (!isBuiltin('node:sqlite')) {
    const needed = 'CONVERSATION_STORE=sqlite:… needs Node 22.13 or later';
    throw new StoreError(`${needed}, this is ${process.version}`);
  }
  const thread = new SqliteThread(options);
  try {
    await thread.open();
    return thread;
  } catch (error) {
    await thread.close();
    throw error;
  }
}

import { isBuiltin } from 'node:module';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';

import type { IdPage, PartsChange, PartStore, StoredConversation } from './part-store.ts';
import type { SqliteStore, SqliteStoreOptions, WriteAnswer } from './sqlite-store.ts';
import { StoreError } from './store-error.ts';

type Methods = Pick<SqliteStore, 'read' | 'writeAll' | 'list' | 'count' | 'close'>;

/** What goes to the thread. */
export interface Call {
  readonly n: number;
  readonly method: keyof Methods;
  readonly args: readonly unknown[];
}

/** What comes back. */
export type Reply =
  | { readonly n: number; readonly answer: unknown }
  | { readonly n: number; readonly failure: string };

interface Waiting<T> {
  readonly resolve: (answer: T) => void;
  readonly reject: (error: Error) => void;
}

interface Write extends Waiting<WriteAnswer> {
  readonly id: string;
  readonly change: PartsChange;
}

/**
 * An SQLite file with a thread of its own, so that neither the disk nor a lock of another process
 * holds up the event loop. Writes of one turn of the event loop are one transaction.
 */
class SqliteThread implements PartStore {
  readonly name = 'sqlite';
  readonly #worker: Worker;
  readonly #calls = new Map<number, Waiting<never>>();
  readonly #ended: Promise<void>;
  /** Rejects when the file cannot be used. */
  readonly opened: Promise<void>;
  #count = 0;
  #writes: Write[] = [];
  #failure: StoreError | undefined;

  constructor(options: SqliteStoreOptions) {
    // In the package the file lies beside the one that holds this.
    const url = new URL(`./sqlite-worker${extname(import.meta.url)}`, import.meta.url);
    this.#worker = new Worker(url, { workerData: options, execArgv: [] });
    this.opened = new Promise((resolve, reject) => {
      this.#calls.set(0, { resolve, reject });
    });
    this.#worker.on('message', (reply: Reply) => this.#replied(reply));
    this.#worker.on('error', (error) => this.#fail('the thread of the store failed', error));
    this.#ended = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        this.#fail('the store is closed');
        resolve();
      });
    });
  }

  read(id: string, known?: string): Promise<StoredConversation | 'unchanged' | undefined> {
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

  async close(): Promise<void> {
    if (this.#failure === undefined) await this.#call('close');
    this.#worker.ref(); // or the process could end first, in the middle of an await
    await this.#ended;
  }

  async #send(): Promise<void> {
    const writes = this.#writes;
    this.#writes = [];
    try {
      const answers = await this.#call('writeAll', writes.map(({ id, change }) => [id, change]));
      for (const [index, { resolve }] of writes.entries()) resolve(answers[index]);
    } catch (error) {
      for (const { reject } of writes) reject(error as Error); // a StoreError, as all are
    }
  }

  #call<M extends keyof Methods>(
    method: M,
    ...args: Parameters<Methods[M]>
  ): Promise<ReturnType<Methods[M]>> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#calls.size === 0) this.#worker.ref();
      this.#count += 1;
      this.#calls.set(this.#count, { resolve, reject });
      this.#worker.postMessage({ n: this.#count, method, args } satisfies Call);
    });
  }

  #replied(reply: Reply): void {
    const waiting = this.#calls.get(reply.n);
    this.#calls.delete(reply.n);
    // An open file keeps no process alive.
    if (this.#calls.size === 0) this.#worker.unref();
    if ('failure' in reply) waiting?.reject(new StoreError(reply.failure));
    else waiting?.resolve(reply.answer as never); // what this method answers
  }

  #fail(what: string, cause?: unknown): void {
    this.#failure ??= new StoreError(what, { cause });
    for (const { reject } of this.#calls.values()) reject(this.#failure);
    this.#calls.clear();
  }
}

/** Rejects with a `StoreError` if the file cannot be used, or Node has no SQLite. */
export async function openSqliteThread(options: SqliteStoreOptions): Promise<PartStore> {
  if (!isBuiltin('node:sqlite')) {
    const needed = 'CONVERSATION_STORE=sqlite:… needs Node 22.13 or later';
    throw new StoreError(`${needed}, this is ${process.version}`);
  }
  const thread = new SqliteThread(options);
  await thread.opened;
  return thread;
}

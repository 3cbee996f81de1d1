import type { Awaitable } from '../base/awaitable.ts';
import type { PartsChange, PartStore, StoredConversation } from './part-store.ts';
import {
  checkDatabase,
  failureOf,
  identityOf,
  openDatabase,
  pragma,
  refused,
  type Synchronous,
} from './sqlite-file.ts';
import { isBusy, type Database, type Statement } from './sqlite-library.ts';

export interface SqliteStoreOptions {
  /** The database file. It is created if it does not exist; its folder must. */
  readonly path: string;
  /**
   * `normal`: the last turns may be lost when the operating system crashes. `full`: none, and every
   * write waits for the disk.
   */
  readonly synchronous: Synchronous;
  /** How long a command is tried again while another process has the file locked. */
  readonly timeoutMs: number;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** How long the start waits for another process that has the file locked. */
const OPENING_MS = 2_000;
const UPKEEP_INTERVAL_MS = 1_000;
/** Between two pieces of upkeep, where one was not enough. */
const UPKEEP_PAUSE_MS = 10;
/** The event loop is not held up longer by expired conversations and free pages. */
const SWEEP_MS = 2;
const ROWS_SWEPT = 1_000;
const PAGES_VACUUMED = 16;
/** Free pages are used again. The file shrinks only when there are many. */
const MIN_FREE_PAGES = 256;
/** Writes after which the log is copied into the database without waiting for the next interval. */
const WRITES_PER_CHECKPOINT = 500;
const LONGEST_RETRY_MS = 20;

interface Row {
  readonly key: number;
  readonly version: string;
}

interface PartRow {
  readonly name: string;
  readonly text: string;
}

interface ExpiryRow {
  readonly key: number;
  readonly expires_at: number;
}

function prepareAll(database: Database): Readonly<Record<keyof typeof SQL, Statement>> {
  const statements = Object.entries(SQL).map(([name, sql]) => [name, database.prepare(sql)]);
  return Object.fromEntries(statements) as Record<keyof typeof SQL, Statement>; // one of each
}

const SQL = {
  beginRead: 'BEGIN',
  beginWrite: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
  find: 'SELECT key, version FROM conversation WHERE id = ? AND expires_at > ?',
  parts: 'SELECT name, text FROM part WHERE conversation = ?',
  insert: 'INSERT INTO conversation (id, version, expires_at) VALUES (?, ?, ?) RETURNING key',
  update: 'UPDATE conversation SET version = ?, expires_at = ? WHERE key = ?',
  findAny: 'SELECT key, version FROM conversation WHERE id = ?',
  remove: 'DELETE FROM conversation WHERE key = ?',
  setPart: `INSERT INTO part (conversation, name, text) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET text = excluded.text`,
  removePart: 'DELETE FROM part WHERE conversation = ? AND name = ?',
  removeParts: 'DELETE FROM part WHERE conversation = ?',
  count: 'SELECT count(*) AS count FROM conversation WHERE expires_at > ?',
  expiries: `SELECT key, expires_at FROM conversation WHERE key > ? ORDER BY key
    LIMIT ${ROWS_SWEPT}`,
  removeExpired: 'DELETE FROM conversation WHERE key = ? AND expires_at <= ?',
  checkpoint: 'PRAGMA wal_checkpoint(PASSIVE)',
} as const;

/** The database while it is open. */
interface Opened {
  readonly database: Database;
  readonly statements: ReturnType<typeof prepareAll>;
  readonly identity: string | undefined;
}

/**
 * Conversations in an SQLite file, which processes of one machine may share. Answers at once, but
 * with a promise where another process has the file locked.
 *
 * The constructor throws a `StoreError` if the file cannot be used.
 */
export class SqliteStore implements PartStore {
  readonly name = 'sqlite';
  readonly #path: string;
  readonly #synchronous: Synchronous;
  readonly #timeoutMs: number;
  readonly #now: () => number;
  readonly #interval: NodeJS.Timeout;
  #opened: Opened | undefined;
  #isClosed = false;
  /** What failed outside of commands. The next one reports it. */
  #problem: Error | undefined;
  #writes = 0;
  /** The key up to which expired conversations were looked for. */
  #sweptTo = 0;
  #nextSweep: NodeJS.Timeout | undefined;

  constructor({ path, synchronous, timeoutMs, now }: SqliteStoreOptions) {
    this.#path = path;
    this.#synchronous = synchronous;
    this.#timeoutMs = timeoutMs;
    this.#now = now ?? Date.now;
    this.#opened = this.#open(OPENING_MS);
    try {
      checkDatabase(this.#opened.database, path);
    } catch (error) {
      this.#letGo();
      throw error;
    }
    this.#interval = setInterval(this.#keepUp, UPKEEP_INTERVAL_MS).unref();
  }

  read(id: string, known?: string): Awaitable<StoredConversation | 'unchanged' | undefined> {
    return this.#run(({ statements }) =>
      this.#inTransaction(statements, statements.beginRead, () => {
        const row = statements.find.get(id, this.#now()) as Row | undefined;
        if (row === undefined) return undefined;
        return row.version === known ? 'unchanged' : stored(statements, row);
      }),
    );
  }

  write(id: string, change: PartsChange): Awaitable<true | StoredConversation | undefined> {
    return this.#run(({ statements }) => {
      const answer = this.#inTransaction(statements, statements.beginWrite, () =>
        this.#change(statements, id, change),
      );
      this.#writes += 1;
      // later, as it waits for the disk
      if (this.#writes === WRITES_PER_CHECKPOINT) setImmediate(this.#keepUp);
      return answer;
    });
  }

  count(): Awaitable<number> {
    return this.#run(({ statements }) => {
      const { count } = statements.count.get(this.#now()) as { readonly count: number };
      return count;
    });
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#interval);
    this.#letGo();
  }

  #change(
    statements: Opened['statements'],
    id: string,
    { from, to, set, remove, ttlMs }: PartsChange,
  ): true | StoredConversation | undefined {
    const now = this.#now();
    const row = statements.find.get(id, now) as Row | undefined;
    if (row?.version === to) return true;
    if (row?.version !== from) return row === undefined ? undefined : stored(statements, row);
    if (to === undefined) return row === undefined || removeAll(statements, row);
    let key = row?.key;
    if (key === undefined) {
      const expired = statements.findAny.get(id) as Row | undefined;
      if (expired !== undefined) removeAll(statements, expired);
      ({ key } = statements.insert.get(id, to, now + ttlMs) as Row);
    } else statements.update.run(to, now + ttlMs, key);
    for (const [name, text] of set) statements.setPart.run(key, name, text);
    for (const name of remove) statements.removePart.run(key, name);
    return true;
  }

  #inTransaction<T>(statements: Opened['statements'], begin: Statement, body: () => T): T {
    begin.run();
    try {
      const result = body();
      statements.commit.run();
      return result;
    } catch (error) {
      try {
        statements.rollback.run();
      } catch {
        // SQLite has rolled back by itself, as it does when the disk is full
      }
      throw error;
    }
  }

  #run<T>(command: (opened: Opened) => T): Awaitable<T> {
    try {
      return command(this.#use());
    } catch (error) {
      if (isBusy(error)) return this.#whenFree(command);
      throw failureOf(this.#path, error);
    }
  }

  /** `busy_timeout` would hold up the event loop. */
  async #whenFree<T>(command: (opened: Opened) => T): Promise<T> {
    const endsAtMs = performance.now() + this.#timeoutMs;
    for (let waitMs = 1; ; waitMs = Math.min(2 * waitMs, LONGEST_RETRY_MS)) {
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      try {
        return command(this.#use());
      } catch (error) {
        if (!isBusy(error) || performance.now() > endsAtMs) throw failureOf(this.#path, error);
      }
    }
  }

  #use(): Opened {
    const problem = this.#problem;
    this.#problem = undefined;
    if (problem !== undefined) throw problem;
    if (this.#isClosed) throw refused(this.#path, 'the store is closed');
    return (this.#opened ??= this.#open(0));
  }

  #open(waitMs: number): Opened {
    const database = openDatabase(this.#path, { synchronous: this.#synchronous, waitMs });
    return { database, statements: prepareAll(database), identity: identityOf(this.#path) };
  }

  #letGo(): void {
    clearTimeout(this.#nextSweep);
    this.#opened?.database.close();
    this.#opened = undefined;
  }

  /** What is due from time to time, outside of turns. */
  readonly #keepUp = (): void => {
    const opened = this.#opened;
    if (opened === undefined) return;
    try {
      if (identityOf(this.#path) !== opened.identity) {
        this.#letGo();
        throw refused(this.#path, 'the file was removed or replaced while the server ran');
      }
      if (this.#writes > 0) {
        this.#writes = 0;
        opened.statements.checkpoint.get();
      }
      this.#sweep(opened);
    } catch (error) {
      if (!isBusy(error)) this.#problem = failureOf(this.#path, error);
    }
  };

  /** Removes expired conversations and gives free pages back, in small pieces. */
  #sweep({ database, statements }: Opened): void {
    const endsAtMs = performance.now() + SWEEP_MS;
    const now = this.#now();
    const rows = statements.expiries.all(this.#sweptTo) as ExpiryRow[];
    const expired = rows.filter(({ expires_at }) => expires_at <= now);
    let isDone = true;
    if (expired.length > 0) {
      this.#inTransaction(statements, statements.beginWrite, () => {
        for (const { key } of expired) {
          if (performance.now() > endsAtMs) return (isDone = false);
          if (statements.removeExpired.run(key, now).changes > 0) statements.removeParts.run(key);
        }
        return isDone;
      });
      this.#writes += 1;
    }
    if (isDone) this.#sweptTo = rows.length < ROWS_SWEPT ? 0 : (rows.at(-1)?.key ?? 0);
    while (isDone && hasManyFreePages(database)) {
      database.exec(`PRAGMA incremental_vacuum(${PAGES_VACUUMED})`);
      this.#writes += 1;
      isDone = performance.now() < endsAtMs;
    }
    if (isDone) return;
    clearTimeout(this.#nextSweep);
    this.#nextSweep = setTimeout(this.#keepUp, UPKEEP_PAUSE_MS).unref();
  }
}

function stored(statements: Opened['statements'], { key, version }: Row): StoredConversation {
  const rows = statements.parts.all(key) as PartRow[];
  return { version, parts: new Map(rows.map(({ name, text }) => [name, text])) };
}

function removeAll(statements: Opened['statements'], { key }: Row): true {
  statements.remove.run(key);
  statements.removeParts.run(key);
  return true;
}

function hasManyFreePages(database: Database): boolean {
  const free = pragma(database, 'freelist_count');
  return free > MIN_FREE_PAGES && 2 * free > pragma(database, 'page_count');
}

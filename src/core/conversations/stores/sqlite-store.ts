import { newsFor, versionIn, withChange } from './change-log.ts';
import {
  ERASED, type IdPage, type PartsChange, type PartStore, type ReadAnswer, type StoredConversation,
  type WriteAnswer,
} from './part-store.ts';
import {
  checkDatabase, identityOf, openDatabase, OPENING_MS, pragma, refused, storeErrorOf,
  type Synchronous,
} from './sqlite-file.ts';
import { isBusy, type Database, type Statement } from './sqlite-library.ts';

export interface SqliteStoreOptions {
  /** The database file. It is created if it does not exist; its folder must. */
  readonly path: string;
  /**
   * `normal`: the last turns may be lost if the operating system crashes. `full`: none are lost,
   * but every write waits for the disk.
   */
  readonly synchronous: Synchronous;
  /** Whether claims wait for the disk, whatever `synchronous` says. Default false. */
  readonly areClaimsSynced?: boolean;
  /** How long a command waits for another process's lock. */
  readonly timeoutMs: number;
  /** Milliseconds since the epoch. Default `Date.now`. Cannot be passed to a thread. */
  readonly now?: () => number;
}

/** How long a sweep may make commands wait. */
const SWEEP_MS = 5;
const ROWS_SWEPT = 1_000;
const PAGES_VACUUMED = 16;
const IDS_LISTED = 1_000;
/** Free pages are reused. The file shrinks only when there are many. */
const MIN_FREE_PAGES = 256;
const WRITES_PER_CHECKPOINT = 2_000;
const MAX_LOG_PAGES = 8_192;
/** The log is not emptied with each checkpoint: writers wait while the disk syncs. */
const EMPTIED_EVERY_MS = 60_000;

interface Row {
  readonly key: number;
  /** The log of its changes. */
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
  part: 'SELECT text FROM part WHERE conversation = ? AND name = ?',
  addToPart: 'UPDATE part SET text = text || ? WHERE conversation = ? AND name = ?',
  setPart: `INSERT INTO part (conversation, name, text) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET text = excluded.text`,
  removePart: 'DELETE FROM part WHERE conversation = ? AND name = ?',
  removeParts: 'DELETE FROM part WHERE conversation = ?',
  list: `SELECT id FROM conversation WHERE id > ? AND id >= ? AND expires_at > ?
    ORDER BY id LIMIT ${IDS_LISTED}`,
  count: `SELECT count(*) AS count FROM conversation
    WHERE expires_at > ? AND version NOT GLOB '${ERASED}*'`,
  expiries: `SELECT key, expires_at FROM conversation WHERE key > ? ORDER BY key
    LIMIT ${ROWS_SWEPT}`,
  removeExpired: 'DELETE FROM conversation WHERE key = ? AND expires_at <= ?',
  checkpoint: 'PRAGMA wal_checkpoint(PASSIVE)',
  truncate: 'PRAGMA wal_checkpoint(TRUNCATE)',
} as const;

/** The database while it is open. */
interface Opened {
  readonly database: Database;
  readonly statements: ReturnType<typeof prepareAll>;
  readonly identity: string | undefined;
}

/**
 * Conversations in an SQLite file that processes on one machine may share. Every method blocks
 * until the disk has answered and locks are free: a server runs it in a thread, `SqliteThread`.
 *
 * The constructor throws a `StoreError` if the file cannot be used.
 */
export class SqliteStore implements PartStore {
  readonly name = 'sqlite';
  readonly #options: SqliteStoreOptions;
  readonly #path: string;
  readonly #now: () => number;
  #opened: Opened | undefined;
  #isClosed = false;
  /** What failed outside commands. The next command reports it. */
  #problem: Error | undefined;
  #writes = 0;
  /** When the log was last emptied, or else when the store was created. */
  #emptiedAtMs = performance.now();
  /** The last key that was checked for expiry. */
  #sweptTo = 0;

  constructor(options: SqliteStoreOptions) {
    this.#options = options;
    this.#path = options.path;
    this.#now = options.now ?? Date.now;
    this.#opened = this.#open(OPENING_MS);
    try {
      checkDatabase(this.#opened.database, this.#path);
    } catch (error) {
      this.#letGo();
      throw error;
    }
  }

  read(id: string, known?: string): ReadAnswer {
    return this.#run(({ statements }) =>
      this.#inTransaction(statements, statements.beginRead, () => {
        const row = statements.find.get(keyOf(id), this.#now()) as Row | undefined;
        if (row === undefined) return undefined;
        const nothing = { from: known, set: new Map(), remove: [] };
        return versionIn(row.version) === known ? 'unchanged' : stored(statements, row, nothing);
      }),
    );
  }

  write(id: string, change: PartsChange): WriteAnswer {
    return this.writeAll([[id, change]])[0];
  }

  /** Writes all of them or none, in one transaction, which costs more than the writes in it. */
  writeAll(writes: readonly (readonly [id: string, change: PartsChange])[]): WriteAnswer[] {
    const { synchronous, areClaimsSynced } = this.#options;
    const isSynced = areClaimsSynced === true && synchronous !== 'full'
      && writes.some(([, { isClaim }]) => isClaim);
    return this.#run(({ database, statements }) => {
      if (isSynced) database.exec('PRAGMA synchronous = full');
      try {
        const answers = this.#inTransaction(statements, statements.beginWrite, () =>
          writes.map(([id, change]) => this.#change(statements, keyOf(id), change)),
        );
        this.#writes += writes.length;
        return answers;
      } finally {
        if (isSynced) database.exec(`PRAGMA synchronous = ${synchronous}`);
      }
    });
  }

  list(prefix: string, after: string): IdPage {
    return this.#run(({ statements }) => {
      const found = statements.list.all(keyOf(after), keyOf(prefix), this.#now());
      const rows = found as { readonly id: string }[];
      const ids = rows.map(({ id }) => idOf(id)).filter((id) => id.startsWith(prefix));
      return { ids, next: ids.length < IDS_LISTED ? undefined : ids.at(-1) };
    });
  }

  count(): number {
    return this.#run(({ statements }) => {
      const { count } = statements.count.get(this.#now()) as { readonly count: number };
      return count;
    });
  }

  overwrite(): boolean {
    return this.#run((opened) => {
      try {
        return this.#checkpoint(opened, true);
      } catch (error) {
        if (isBusy(error)) return false;
        throw error;
      }
    });
  }

  close(): void {
    this.#isClosed = true;
    try {
      if (this.#opened !== undefined && this.#writes > 0) this.#checkpoint(this.#opened, true);
    } catch (error) {
      if (!isBusy(error)) throw storeErrorOf(this.#path, error);
    } finally {
      this.#letGo();
    }
  }

  /** Whether so much has been written that `keepUp` is due early. */
  get isBehind(): boolean {
    return this.#writes >= WRITES_PER_CHECKPOINT;
  }

  /**
   * Maintenance, due every second or so: checks that the file is still there, copies the log into
   * the database, empties it every minute, removes expired conversations and frees unused pages.
   * Takes a few milliseconds, plus the time for the disk. True if there is more to remove. Failures
   * are reported by the next command.
   */
  keepUp(): boolean {
    const opened = this.#opened;
    if (opened === undefined) return false;
    try {
      if (identityOf(this.#path) !== opened.identity) {
        this.#letGo();
        throw refused(this.#path, 'the file was removed or replaced while the server ran');
      }
      const isDue = performance.now() - this.#emptiedAtMs >= EMPTIED_EVERY_MS;
      if (this.#writes > 0 || isDue) this.#checkpoint(opened, isDue);
      return this.#sweep(opened);
    } catch (error) {
      if (!isBusy(error)) this.#problem = storeErrorOf(this.#path, error);
      return false;
    }
  }

  #change(statements: Opened['statements'], id: string, change: PartsChange): WriteAnswer {
    const { from, to, set, add = [], remove, ttlMs } = change;
    const now = this.#now();
    const row = statements.find.get(id, now) as Row | undefined;
    const version = versionIn(row?.version);
    if (version === to) return true;
    if (version !== from) return row === undefined ? undefined : stored(statements, row, change);
    if (to === undefined) return row === undefined || removeAll(statements, row);
    let key = row?.key;
    if (key === undefined) {
      const expired = statements.findAny.get(id) as Row | undefined;
      if (expired !== undefined) removeAll(statements, expired);
      ({ key } = statements.insert.get(id, withChange('', to, change), now + ttlMs) as Row);
    } else statements.update.run(withChange(row?.version ?? '', to, change), now + ttlMs, key);
    for (const [name, text] of set) statements.setPart.run(key, name, text);
    for (const [name, text] of add) statements.addToPart.run(text, key, name);
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

  #run<T>(command: (opened: Opened) => T): T {
    try {
      return command(this.#use());
    } catch (error) {
      throw storeErrorOf(this.#path, error);
    }
  }

  #use(): Opened {
    const problem = this.#problem;
    this.#problem = undefined;
    if (problem !== undefined) throw problem;
    if (this.#isClosed) throw refused(this.#path, 'the store is closed');
    return (this.#opened ??= this.#open(this.#options.timeoutMs));
  }

  #open(waitMs: number): Opened {
    const { synchronous } = this.#options;
    const database = openDatabase(this.#path, { synchronous, waitMs });
    this.#waitForLocks(database);
    return { database, statements: prepareAll(database), identity: identityOf(this.#path) };
  }

  #letGo(): void {
    this.#opened?.database.close();
    this.#opened = undefined;
  }

  /**
   * Copies what it can without holding up any process, and empties the log if nobody reads it.
   * True if the log is empty.
   */
  #checkpoint({ database, statements }: Opened, empties: boolean): boolean {
    this.#writes = 0;
    const { log } = statements.checkpoint.get() as { readonly log: number };
    if (log <= MAX_LOG_PAGES && !empties) return false;
    // A log that is written again from its start keeps what was erased, perhaps by a process that
    // has ended, and under constant writes the log would grow without end. But never wait for a
    // reader, which may be a long backup: nobody could write meanwhile.
    database.exec('PRAGMA busy_timeout = 0');
    try {
      const { busy } = statements.truncate.get() as { readonly busy: number };
      if (busy === 0) this.#emptiedAtMs = performance.now();
      return busy === 0;
    } finally {
      this.#waitForLocks(database);
    }
  }

  #waitForLocks(database: Database): void {
    database.exec(`PRAGMA busy_timeout = ${this.#options.timeoutMs}`);
  }

  /** Removes expired conversations and frees unused pages, in small pieces. */
  #sweep({ database, statements }: Opened): boolean {
    const endsAtMs = performance.now() + SWEEP_MS;
    const now = this.#now();
    const rows = statements.expiries.all(this.#sweptTo) as ExpiryRow[];
    const expired = rows.filter(({ expires_at }) => expires_at <= now);
    let removed = 0;
    if (expired.length > 0) {
      this.#inTransaction(statements, statements.beginWrite, () => {
        for (const { key } of expired) {
          if (statements.removeExpired.run(key, now).changes > 0) statements.removeParts.run(key);
          removed += 1;
          if (performance.now() > endsAtMs) break;
        }
      });
      this.#writes += 1;
    }
    let isDone = removed === expired.length;
    if (isDone) this.#sweptTo = rows.length < ROWS_SWEPT ? 0 : (rows.at(-1)?.key ?? 0);
    for (let free = manyFreePages(database); isDone && free > 0;) {
      database.exec(`PRAGMA incremental_vacuum(${PAGES_VACUUMED})`);
      this.#writes += 1;
      const left = manyFreePages(database);
      if (left >= free) break; // another tool has rewritten the file
      free = left;
      isDone = performance.now() < endsAtMs;
    }
    return !isDone;
  }
}

/** Different ids have different keys: a lone surrogate has no UTF-8. */
function keyOf(id: string): string {
  return id.replace(/[%\p{Surrogate}]/gu, (unit) => `%${unit.charCodeAt(0).toString(16)}`);
}

function idOf(key: string): string {
  return key.replace(/%(25|d[89a-f][\da-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** All of the conversation, or what is new to someone who makes that change. */
function stored(
  statements: Opened['statements'],
  { key, version: log }: Row,
  change: Pick<PartsChange, 'from' | 'set' | 'remove'>,
): StoredConversation {
  const textOf = (name: string): string | undefined =>
    (statements.part.get(key, name) as Pick<PartRow, 'text'> | undefined)?.text;
  const news = newsFor(log, change, textOf);
  if (news !== undefined) return news;
  const rows = statements.parts.all(key) as PartRow[];
  const parts = new Map(rows.map(({ name, text }) => [name, text]));
  return { version: versionIn(log) ?? '', parts };
}

function removeAll(statements: Opened['statements'], { key }: Row): true {
  statements.remove.run(key);
  statements.removeParts.run(key);
  return true;
}

/** 0 unless so many pages are unused that the file should shrink. */
function manyFreePages(database: Database): number {
  const free = pragma(database, 'freelist_count');
  return free > MIN_FREE_PAGES && 2 * free > pragma(database, 'page_count') ? free : 0;
}

import { chmodSync, closeSync, openSync, statSync } from 'node:fs';

import { codeOf, messageOf } from '../../../base/thrown-values.ts';
import { reasonNotCreated } from './file-failure.ts';
import { isBusy, loadSqlite, resultCodeOf, type Database } from './sqlite-library.ts';
import { StoreError } from './store-error.ts';

/** Each step brings the schema one version further. Never change one that was released. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE conversation (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    version TEXT NOT NULL,
    expires_at INTEGER NOT NULL -- milliseconds since the epoch
  ) STRICT;
  CREATE TABLE part (
    conversation INTEGER NOT NULL, -- its key
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (conversation, name)
  ) STRICT, WITHOUT ROWID; -- the parts of a conversation lie together
  `,
];

/** Marks the file as ours, in its header. */
const APPLICATION_ID = 0x4c41_5943;
/** Owner only: the files hold what callers said. */
const PRIVATE = 0o600;
/** A larger file is not checked: that would delay the start by seconds. */
const MAX_CHECKED_BYTES = 536_870_912;

/** The pause between attempts to open a file that another process has locked. */
const RETRY_MS = 20;

/** How long the start waits for another process's lock. */
export const OPENING_MS = 2_000;

export type Synchronous = 'normal' | 'full';

interface OpenDatabaseOptions {
  readonly synchronous: Synchronous;
  /** How long to wait for another process's lock. Blocks the event loop. */
  readonly waitMs: number;
}

/**
 * Opens the database. Creates the file, or migrates it to the current schema, if needed. Throws a
 * `StoreError` that says what is wrong with the file.
 */
export function openDatabase(path: string, { synchronous, waitMs }: OpenDatabaseOptions): Database {
  prepareFile(path);
  const endsAtMs = performance.now() + waitMs;
  for (;;) {
    try {
      return prepareDatabase(path, synchronous);
    } catch (error) {
      if (!isBusy(error) || performance.now() > endsAtMs) throw storeErrorOf(path, error);
    }
    // `busy_timeout` does not cover the switch to WAL, which starting processes make all at once
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
  }
}

function prepareDatabase(path: string, synchronous: Synchronous): Database {
  const database = new (loadSqlite().DatabaseSync)(path);
  try {
    refuseForeign(database, path); // before anything is written into it
    database.exec(`
      PRAGMA auto_vacuum = INCREMENTAL;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${synchronous};
      PRAGMA secure_delete = ON;
      PRAGMA wal_autocheckpoint = 0;
      PRAGMA journal_size_limit = 16777216;
    `);
    migrate(database, path);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Device and inode. Undefined if there is no such file. */
export function identityOf(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? undefined : `${stats.dev}:${stats.ino}`;
}

/**
 * Says what is wrong where SQLite only reports "unable to open database file". Makes sure that
 * other users cannot read the file. SQLite gives the files beside it the same mode.
 *
 * Never opens a file that exists: closing it would release all locks that this process has on it
 * (https://www.sqlite.org/howtocorrupt.html, 2.2).
 */
function prepareFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', PRIVATE));
    return;
  } catch (error) {
    const code = codeOf(error);
    if (code !== 'EEXIST') throw refused(path, reasonNotCreated(path, code), error);
  }
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined)
    throw refused(path, 'it is a link that leads nowhere; remove it, or name another file');
  if (stats.isDirectory()) throw refused(path, 'it is a directory; name a file in it');
  if (!stats.isFile()) throw refused(path, 'it is not a regular file');
  for (const file of [path, `${path}-wal`, `${path}-shm`]) closeToOthers(file);
}

/** A restored copy is often readable by everyone. */
function closeToOthers(file: string): void {
  const stats = statSync(file, { throwIfNoEntry: false });
  const isOurs = stats !== undefined && stats.uid === process.geteuid?.();
  if (isOurs && (stats.mode & 0o777 & ~PRIVATE) !== 0) chmodSync(file, PRIVATE);
}

function refuseForeign(database: Database, path: string): void {
  const isEmpty = database.prepare('SELECT 1 FROM sqlite_schema').get() === undefined;
  if (!isEmpty && pragma(database, 'application_id') !== APPLICATION_ID)
    throw refused(path, 'it is the database of another program; name another file');
}

/** If several processes try at once, one migrates and the others find nothing left to do. */
function migrate(database: Database, path: string): void {
  database.exec('BEGIN IMMEDIATE');
  const version = pragma(database, 'user_version');
  refuseForeign(database, path);
  if (version > MIGRATIONS.length) {
    const schemas = `its schema is ${version}, this version knows ${MIGRATIONS.length}`;
    throw refused(path, `a newer version has written it (${schemas}); run that one`);
  }
  for (const step of MIGRATIONS.slice(version)) database.exec(step);
  // Written every time, so that a disk that cannot be written fails now and not during a call.
  database.exec(`
    PRAGMA application_id = ${APPLICATION_ID};
    PRAGMA user_version = ${MIGRATIONS.length};
    COMMIT;
  `);
}

/** Throws a `StoreError` if the file is damaged. Reads all of it, if it is not too large. */
export function checkDatabase(database: Database, path: string): void {
  const bytes = pragma(database, 'page_count') * pragma(database, 'page_size');
  if (bytes > MAX_CHECKED_BYTES) return;
  const found = first(database.prepare('PRAGMA quick_check(1)').get());
  if (found !== 'ok') throw refused(path, `${DAMAGED} (${String(found).replace(/\s+/g, ' ')})`);
}

/** The value of a pragma that is a number. */
export function pragma(database: Database, name: string): number {
  return Number(first(database.prepare(`PRAGMA ${name}`).get()));
}

function first(row: unknown): unknown {
  return Object.values(row ?? {})[0];
}

const DAMAGED = 'it is damaged; put a backup in its place, or move it away to begin anew';

/** By SQLite's result codes. */
const REASONS: ReadonlyMap<number, string> = new Map([
  [5, 'another process keeps it locked'],
  [6, 'another process keeps it locked'],
  [8, 'it cannot be written; look at its owner and mode, and those of its folder'],
  [10, 'the disk failed or is full'],
  [11, DAMAGED],
  [13, 'the disk is full'],
  [14, 'it, or a file beside it, cannot be opened; look at their owner and mode'],
  [26, 'it is not an SQLite database; name another file'],
]);

/** What SQLite reported, with the file's name and what to do about it. */
export function storeErrorOf(path: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const said = messageOf(error);
  const reason = REASONS.get(resultCodeOf(error) ?? 0);
  return refused(path, reason === undefined ? said : `${reason} (SQLite: ${said})`, error);
}

export function refused(path: string, reason: string, cause?: unknown): StoreError {
  return new StoreError(`the conversations in ${path} cannot be used: ${reason}`, { cause });
}

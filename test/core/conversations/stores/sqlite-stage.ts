import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';

import { noLog } from '../../../../src/base/log.ts';
import type {
  PartsChange, PartStore,
} from '../../../../src/core/conversations/stores/part-store.ts';
import { SharedStore } from '../../../../src/core/conversations/stores/shared-store.ts';
import {
  loadSqlite, type Database,
} from '../../../../src/core/conversations/stores/sqlite-library.ts';
import { SqliteStore } from '../../../../src/core/conversations/stores/sqlite-store.ts';
import { openSqliteThread } from '../../../../src/core/conversations/stores/sqlite-thread.ts';
import type { TurnRecord } from '../../../../src/core/conversations/turn-record.ts';
import { TYPESCRIPT } from '../../../fixtures/typescript.ts';

export const HOUR_MS = 3_600_000;
/** The endings of the files that SQLite makes of one. */
export const ENDINGS = ['', '-wal', '-shm'];

export const folder = mkdtempSync(join(tmpdir(), 'layercode-sqlite-'));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
/** A path without a file. */
export function newPath(): string {
  files += 1;
  return join(folder, `${files}.db`);
}

/** A test that is given a path without a file. */
export function withPath<T>(
  test: (path: string, t: TestContext) => T,
): (t: TestContext) => T {
  return (t) => test(newPath(), t);
}

export function open(path = newPath(), more = {}): SqliteStore {
  return new SqliteStore({ path, synchronous: 'normal', timeoutMs: 250, ...more });
}

export function opened(t: TestContext, path = newPath(), more = {}): SqliteStore {
  const store = open(path, more);
  t.after(() => store.close());
  return store;
}

export function openThread(path = newPath(), more = {}): Promise<PartStore> {
  return openSqliteThread({ path, synchronous: 'normal', timeoutMs: 250, ...more });
}

export function sharing(parts: PartStore): SharedStore {
  const options = { ttlMs: HOUR_MS, maxRemembered: 1_000, timeoutMs: 250, log: noLog() };
  return new SharedStore(parts, options);
}

export function plainTurn(id: string, words = 'Hi'): TurnRecord {
  return { id, state: 'completed', runId: 1, words, reply: null };
}

/** A connection of the test's own. */
export function connection(t: TestContext, path: string): Database {
  const database = new (loadSqlite().DatabaseSync)(path);
  t.after(() => database.close());
  return database;
}

export function number(database: Database, sql: string): number {
  return Number(Object.values(database.prepare(sql).get() ?? {})[0]);
}

/** Flags for Node that run this source, in which `load(name)` stands for a module of the stores. */
export function childFlags(source: string): readonly string[] {
  const code = source.replaceAll(/\bload\('([a-z-]+)'\)/g, (_match, name: string) => {
    const module = import.meta.resolve(`../../../../src/core/conversations/stores/${name}.ts`);
    return `await import(${JSON.stringify(module)})`;
  });
  return [...TYPESCRIPT, '--input-type=module', '-e', code];
}

/** A change that begins a conversation, or goes on from a version. */
export function change(to: string, { from, text = '"text"', ttlMs = HOUR_MS }: {
  from?: string; text?: string; ttlMs?: number;
} = {}): PartsChange {
  return { from, to, set: new Map([['head', '{}'], ['0', text]]), remove: [], ttlMs };
}

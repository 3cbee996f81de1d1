// What SqliteStore makes of a file: the contracts of a store over it, several processes, time that
// passes, and what can be wrong with a file.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync,
  statSync, symlinkSync, truncateSync, writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';

import { noLog } from '../../../src/app/create-app.ts';
import type { Awaitable } from '../../../src/base/awaitable.ts';
import type { PartsChange, PartStore } from '../../../src/conversations/stores/part-store.ts';
import { SharedStore } from '../../../src/conversations/stores/shared-store.ts';
import { loadSqlite, type Database } from '../../../src/conversations/stores/sqlite-library.ts';
import { SqliteStore } from '../../../src/conversations/stores/sqlite-store.ts';
import { openSqliteThread } from '../../../src/conversations/stores/sqlite-thread.ts';
import { StoreError } from '../../../src/conversations/stores/store-error.ts';
import { until } from '../../fixtures/app.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { WITHOUT_SQLITE } from '../../fixtures/sqlite.ts';
import { TYPESCRIPT } from '../../fixtures/typescript.ts';
import { partStoreContract } from './part-store-contract.ts';
import { push, storeContract } from '../store-contract.ts';
import { turnContract } from '../turn-contract.ts';

const HOUR_MS = 3_600_000;
const isRoot = process.geteuid?.() === 0;
const NOBODY = 65_534;

const folder = mkdtempSync(join(tmpdir(), 'layercode-sqlite-'));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
/** A path where no file is. */
function newPath(): string {
  files += 1;
  return join(folder, `${files}.db`);
}

let nowMs = Date.now();

function open(path = newPath(), more = {}): SqliteStore {
  const now = (): number => nowMs;
  return new SqliteStore({ path, synchronous: 'normal', timeoutMs: 250, now, ...more });
}

function opened(t: TestContext, path = newPath(), more = {}): SqliteStore {
  const store = open(path, more);
  t.after(() => store.close());
  return store;
}

function openThread(path = newPath(), more = {}): Promise<PartStore> {
  return openSqliteThread({ path, synchronous: 'normal', timeoutMs: 250, ...more });
}

async function openedThread(t: TestContext, path: string, more = {}): Promise<PartStore> {
  const thread = await openThread(path, more);
  t.after(() => thread.close());
  return thread;
}

function sharing(parts: PartStore): SharedStore {
  const options = { ttlMs: HOUR_MS, maxRemembered: 1_000, timeoutMs: 250, log: noLog() };
  return new SharedStore(parts, options);
}

/** A connection of the test's own. */
function connection(t: TestContext, path: string): Database {
  const database = new (loadSqlite().DatabaseSync)(path);
  t.after(() => database.close());
  return database;
}

function number(database: Database, sql: string): number {
  return Number(Object.values(database.prepare(sql).get() ?? {})[0]);
}

/** A change that begins a conversation, or goes on from a version. */
function change(to: string, { from, text = '"text"', ttlMs = HOUR_MS }: {
  from?: string; text?: string; ttlMs?: number;
} = {}): PartsChange {
  return { from, to, set: new Map([['head', '{}'], ['0', text]]), remove: [], ttlMs };
}

/** Grows the log of a store by 40 MB while another connection reads. Returns that connection. */
function outgrowLog(t: TestContext, store: SqliteStore, path: string): Database {
  store.write('c', change('v0'));
  const reader = connection(t, path);
  reader.exec('BEGIN; SELECT count(*) FROM part');
  // SQLite writes no page that stays the same
  const text = (n: number): string => JSON.stringify(String(n % 10).repeat(1_000_000));
  for (let n = 1; n <= 40; n++)
    store.write('c', change(`v${n}`, { from: `v${n - 1}`, text: text(n) }));
  return reader;
}

/** A thread that has the write lock of a file for a moment, and says so. */
const LOCKS_FOR_100_MS = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { DatabaseSync } = require('node:sqlite');
  const database = new DatabaseSync(workerData);
  database.exec('BEGIN IMMEDIATE');
  parentPort.postMessage('locked');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  database.exec('COMMIT');
  database.close();
`;

const WITHOUT_PRLIMIT = 'needs prlimit, which Linux has';

function limitFiles(bytes: string): void {
  execFileSync('prlimit', [`--fsize=${bytes}:`, '--pid', String(process.pid)]);
}

/** As on a full disk: this process can make no file longer. False where that cannot be arranged. */
async function withFilesUpTo(bytes: number, act: () => Awaitable<void>): Promise<boolean> {
  try {
    limitFiles(String(bytes));
  } catch {
    return false;
  }
  try {
    await act();
  } finally {
    limitFiles('unlimited');
  }
  return true;
}

/** Opens a file that cannot be used; the reason, without what is the same in all. */
function refusal(path: string): string {
  try {
    open(path).close();
  } catch (error) {
    assert.ok(error instanceof StoreError, String(error));
    assert.equal(error.code, 'STORE_UNAVAILABLE');
    const start = `the conversations in ${path} cannot be used: `;
    assert.ok(error.message.startsWith(start), error.message);
    return error.message.slice(start.length);
  }
  return assert.fail('it was opened');
}

describe('on a Node without node:sqlite', { skip: WITHOUT_SQLITE === false }, () => {
  it('SqliteThread says which one it needs', async () => {
    await assert.rejects(openThread(), {
      name: 'StoreError',
      message: `CONVERSATION_STORE=sqlite:… needs Node 22.13 or later, this is ${process.version}`,
    });
  });
});

describe('on this Node', { skip: WITHOUT_SQLITE }, () => {
  partStoreContract('SqliteStore', open, (ms) => {
    nowMs += ms;
  });
  storeContract('SharedStore over SqliteStore', () => sharing(open()));
  turnContract('SharedStore over SqliteStore', () => sharing(open()));

  // A thread has its own clock, so the contract's time is real.
  const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  partStoreContract('SqliteThread', () => openThread(), wait);
  storeContract('SharedStore over SqliteThread', async () => sharing(await openThread()));
});

const DIED = 'the thread of the store died';

/** What is opened, and the thread that was started for it. */
async function withThread<T>(open: () => Promise<T>): Promise<[T, Worker]> {
  const started = once(process, 'worker');
  const result = await open();
  const [worker] = (await started) as [Worker];
  return [result, worker];
}

async function eventually(isTrue: () => Promise<boolean>): Promise<void> {
  const endsAtMs = performance.now() + 5_000;
  while (!(await isTrue())) {
    assert.ok(performance.now() < endsAtMs, 'waited in vain');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function isAnswered(parts: PartStore): Promise<boolean> {
  try {
    await parts.count();
    return true;
  } catch {
    return false;
  }
}

describe('SqliteThread', { skip: WITHOUT_SQLITE, timeout: 30_000 }, () => {
  it('rejects what the store throws, and goes on', async (t) => {
    const path = newPath();
    const thread = await openedThread(t, path, { timeoutMs: 30 });
    const other = connection(t, path);
    other.exec('BEGIN IMMEDIATE');
    await assert.rejects(async () => thread.write('c', change('v1')), {
      name: 'StoreError',
      message: `the conversations in ${path} cannot be used: another process keeps it locked `
        + '(SQLite: database is locked)',
    });
    other.exec('COMMIT');
    assert.equal(await thread.write('c', change('v1')), true);
  });

  it('waits for another process without holding up the event loop', async (t) => {
    const path = newPath();
    const thread = await openedThread(t, path);
    const other = connection(t, path);
    other.exec('BEGIN IMMEDIATE');
    const answer = thread.write('c', change('v1'));
    for (let round = 0; round < 20; round++) await new Promise((resolve) => setImmediate(resolve));
    other.exec('COMMIT');
    assert.equal(await answer, true);
  });

  it('makes the writes of one turn of the event loop in one transaction', async (t) => {
    const path = newPath();
    const thread = await openedThread(t, path);
    const commits = (): number => statSync(`${path}-wal`).size;
    const before = commits();
    await Promise.all(
      Array.from({ length: 50 }, async (_, n) => thread.write(`c${n}`, change('v1'))),
    );
    const together = commits() - before;
    for (let n = 50; n < 100; n++) await thread.write(`c${n}`, change('v1'));
    assert.ok(together < (commits() - before) / 4, `${together} of ${commits() - before} bytes`);
  });

  it('is not taken for slow when it is the event loop that is', async (t) => {
    const store = sharing(await openThread());
    t.after(() => store.close());
    const turn = { id: 't1', state: 'completed', runId: 1, words: 'Hi', reply: null } as const;
    const done = (async () => store.update('c', push({ ...turn })))();
    await new Promise((resolve) => setImmediate(resolve)); // it is on its way
    await new Promise((resolve) => setImmediate(resolve));
    const endsAtMs = performance.now() + 400;
    while (performance.now() < endsAtMs);
    await done;
    assert.deepEqual([store.health().isDegraded, store.health().failures], [false, 0]);
  });

  it('notices a file that was removed', async (t) => {
    const path = newPath();
    const thread = await openedThread(t, path);
    await thread.write('c', change('v1'));
    for (const end of ['', '-wal', '-shm']) rmSync(path + end);
    const until = performance.now() + 5_000;
    await assert.rejects(async () => {
      while (performance.now() < until) await thread.read('c');
    }, /the file was removed or replaced while the server ran/);
    assert.equal(await thread.read('c'), undefined);
  });

  it('answers what was asked before it is closed, and nothing after', async () => {
    const thread = await openThread();
    const answers = [thread.read('c'), thread.count()];
    await thread.close();
    assert.deepEqual(await Promise.all(answers), [undefined, 0]);
    await assert.rejects(async () => thread.read('c'), /the store is closed/);
    await assert.rejects(async () => thread.write('c', change('v1')), /the store is closed/);
  });

  it('is closed though maintenance is due and the file is gone', async () => {
    const path = newPath();
    const thread = await openThread(path);
    for (const end of ['', '-wal', '-shm']) rmSync(path + end);
    const settled = Promise.allSettled(
      Array.from({ length: 2_100 }, async (_, n) => thread.write(`c${n}`, change('v1'))),
    );
    await new Promise((resolve) => setImmediate(resolve)); // they are on their way
    await thread.close();
    await settled;
  });

  it('starts a thread that died again, and fails until it has opened the file', async (t) => {
    const path = newPath();
    const [thread, died] = await withThread(() => openedThread(t, path));
    await thread.write('c', change('v1'));
    const [, next] = await withThread(async () => {
      const asked = thread.read('c');
      await died.terminate();
      await assert.rejects(async () => asked, { name: 'StoreError', message: DIED });
      await assert.rejects(async () => thread.read('c'), { name: 'StoreError', message: DIED });
      await assert.rejects(async () => thread.write('c', change('v2', { from: 'v1' })), {
        message: DIED,
      });
      await eventually(() => isAnswered(thread));
    });
    assert.equal(await thread.read('c', 'v1'), 'unchanged');
    assert.notEqual(next, died);
  });

  it('says why its thread died', async (t) => {
    const [thread, worker] = await withThread(() => openedThread(t, newPath()));
    worker.postMessage(null); // which no thread can read
    const asked = thread.read('c');
    await assert.rejects(async () => asked, ({ message, cause }: Error) => {
      assert.equal(message, DIED);
      assert.match(String(cause), /TypeError/);
      return true;
    });
  });

  it('tries again later when the file cannot be opened again, and says what is wrong', async (t) => {
    const path = newPath();
    const [thread, worker] = await withThread(() => openedThread(t, path));
    await thread.write('c', change('v1'));
    await worker.terminate();
    const hidden = newPath();
    for (const end of ['', '-wal', '-shm'])
      if (existsSync(path + end)) renameSync(path + end, hidden + end);
    mkdirSync(path);
    await eventually(async () => {
      const failure = await Promise.resolve(thread.read('c')).catch(String);
      return String(failure).endsWith('it is a directory; name a file in it');
    });
    rmSync(path, { recursive: true });
    for (const end of ['', '-wal', '-shm'])
      if (existsSync(hidden + end)) renameSync(hidden + end, path + end);
    await eventually(() => isAnswered(thread));
    assert.equal(await thread.read('c', 'v1'), 'unchanged');
  });

  it('starts no thread again that is closed, also while it is down', async () => {
    const [thread, worker] = await withThread(() => openThread());
    await worker.terminate();
    let threads = 0;
    const count = (): void => void (threads += 1);
    process.on('worker', count);
    await thread.close();
    await new Promise((resolve) => setTimeout(resolve, 300)); // three times the first back-off
    process.off('worker', count);
    assert.equal(threads, 0);
    await assert.rejects(async () => thread.read('c'), StoreError);
  });

  it('costs no turn while its thread is down', async (t) => {
    const path = newPath();
    const [thread, worker] = await withThread(() => openThread(path));
    const store = sharing(thread);
    t.after(() => store.close());
    const say = async (id: string): Promise<number> =>
      store.update('c', push({ id, state: 'completed', runId: 1, words: 'Hi', reply: null }));
    await say('t1');
    await worker.terminate();
    assert.equal(await say('t2'), 2);
    assert.equal(store.health().isDegraded, true);
    await until(() => !store.health().isDegraded && store.health().turnsWaiting === 0, 'a thread');
    const kept = await sharing(opened(t, path)).read('c');
    assert.deepEqual(kept?.turns.map(({ id }) => id), ['t1', 't2']);
  });

  it('keeps the process alive until it is closed, and no longer', async () => {
    const child = `
      import { openSqliteThread } from ${JSON.stringify(import.meta.resolve(
        '../../../src/conversations/stores/sqlite-thread.ts'))};
      const options = { path: ${JSON.stringify(newPath())}, synchronous: 'normal', timeoutMs: 250 };
      const one = await openSqliteThread(options);
      await one.close();
      await one.close();
      const two = await openSqliteThread(options);
      console.log(await two.count());`;
    const flags = [...TYPESCRIPT, '--input-type=module', '-e', child];
    const started = spawn(process.execPath, flags);
    let output = '';
    started.stdout.on('data', (chunk) => (output += String(chunk)));
    const [code] = (await once(started, 'close')) as unknown[];
    assert.deepEqual([code, output], [0, '0\n']);
  });

  it('is not opened on a file that cannot be used', async () => {
    const path = newPath();
    mkdirSync(path);
    await assert.rejects(openThread(path), {
      name: 'StoreError',
      message: `the conversations in ${path} cannot be used: it is a directory; name a file in it`,
    });
  });
});

describe('SqliteStore', { skip: WITHOUT_SQLITE, timeout: 30_000 }, () => {
  it('answers at once', (t) => {
    const store = opened(t);
    assert.equal(store.write('c', change('v1')), true);
    assert.equal(store.read('c', 'v1'), 'unchanged');
    assert.equal(store.count(), 1);
  });

  it('keeps conversations for the next process', (t) => {
    const path = newPath();
    const before = open(path);
    before.write('c', change('v1'));
    before.close();
    assert.equal(opened(t, path).read('c', 'v1'), 'unchanged');
  });

  it('keeps what was written by a process that was killed', async (t) => {
    const path = newPath();
    const child = `
      import { SqliteStore } from ${JSON.stringify(import.meta.resolve(
        '../../../src/conversations/stores/sqlite-store.ts'))};
      const path = ${JSON.stringify(path)};
      const store = new SqliteStore({ path, synchronous: 'normal', timeoutMs: 250 });
      const set = new Map([['head', '{}']]);
      store.write('c', { from: undefined, to: 'v1', set, remove: [], ttlMs: 3_600_000 });
      process.kill(process.pid, 'SIGKILL');`;
    const flags = [...TYPESCRIPT, '--input-type=module', '-e', child];
    const [, signal] = (await once(spawn(process.execPath, flags), 'exit')) as unknown[];
    assert.equal(signal, 'SIGKILL');
    assert.equal(opened(t, path, { now: Date.now }).read('c', 'v1'), 'unchanged');
  });

  it('makes all writes of a group, or none, and goes on', (t) => {
    const store = opened(t);
    const unreadable = change('v1', { text: Symbol('no text') as unknown as string });
    assert.throws(() => store.writeAll([['a', change('v1')], ['b', unreadable]]), StoreError);
    assert.equal(store.count(), 0);
    assert.deepEqual(store.writeAll([['a', change('v1')], ['b', change('v1')]]), [true, true]);
    assert.equal(store.count(), 2);
  });

  it('refuses commands once it is closed', (t) => {
    const store = opened(t);
    store.close();
    assert.throws(() => store.read('c'), /the store is closed/);
  });

  for (const synchronous of ['normal', 'full'] as const) {
    it(`syncs ${synchronous === 'full' ? 'every write' : 'at checkpoints only'} with ${
      synchronous}`, (t) => {
      // SQLite tells nobody but the connection itself, so it is asked at the store's own.
      const asked: unknown[] = [];
      const { prototype } = loadSqlite().DatabaseSync as unknown as { prototype: Database };
      const { exec } = prototype;
      t.mock.method(prototype, 'exec', function (this: Database, sql: string) {
        exec.call(this, sql);
        if (sql.includes('synchronous')) asked.push(this.prepare('PRAGMA synchronous').get());
      });
      opened(t, newPath(), { synchronous });
      assert.deepEqual(asked.map((row) => Object.values(row as object)), [
        [synchronous === 'full' ? 2 : 1],
      ]);
    });
  }
});

describe("SqliteStore's files", { skip: WITHOUT_SQLITE }, () => {
  const modes = (path: string): string[] =>
    ['', '-wal', '-shm'].map((end) => (statSync(path + end).mode & 0o777).toString(8));

  it('are closed to other users', (t) => {
    const before = process.umask(0);
    t.after(() => process.umask(before));
    const path = newPath();
    opened(t, path).write('c', change('v1'));
    assert.deepEqual(modes(path), ['600', '600', '600']);
  });

  it('are closed to other users when a copy comes with another mode', (t) => {
    const path = newPath();
    open(path).close();
    chmodSync(path, 0o644);
    opened(t, path).write('c', change('v1'));
    assert.deepEqual(modes(path), ['600', '600', '600']);
  });

  it('hold nothing of what was removed or has expired', () => {
    const path = newPath();
    const store = open(path);
    for (const id of ['removed', 'expired', 'changed', 'kept'])
      store.write(id, change('v1', { text: JSON.stringify(`${id}-words `.repeat(2_000)) }));
    store.write('removed', { ...change('v1'), from: 'v1', to: undefined, set: new Map() });
    store.write('changed', change('v2', { from: 'v1', ttlMs: 3 * HOUR_MS }));
    store.write('kept', { ...change('v2', { from: 'v1', ttlMs: 3 * HOUR_MS }), set: new Map() });
    nowMs += 2 * HOUR_MS;
    store.keepUp();
    store.close();
    const bytes = readFileSync(path, 'latin1');
    const found = ['removed', 'expired', 'changed', 'kept'].filter((id) =>
      bytes.includes(`${id}-words`),
    );
    assert.deepEqual([found, existsSync(`${path}-wal`)], [['kept'], false]);
  });

  it('do not grow with writes', (t) => {
    const path = newPath();
    const store = opened(t, path);
    let from: string | undefined;
    for (let round = 0; round < 40; round++) {
      for (let n = 0; n < 100; n++) {
        const to = `${round}-${n}`;
        store.write('c', change(to, from === undefined ? {} : { from }));
        from = to;
      }
      store.keepUp();
    }
    const sizes = ['', '-wal'].map((end) => statSync(path + end).size);
    assert.ok(sizes.every((size) => size < 2_000_000), String(sizes));
  });

  it('become small again after another process has read for long', (t) => {
    const path = newPath();
    const store = opened(t, path, { timeoutMs: 10_000 });
    const reader = outgrowLog(t, store, path);
    const began = performance.now();
    store.keepUp();
    assert.ok(performance.now() - began < 5_000, 'it waited for the reader');
    assert.ok(statSync(`${path}-wal`).size > 33_600_000);
    reader.exec('COMMIT');
    store.write('c', change('v41', { from: 'v40' }));
    store.keepUp();
    assert.equal(statSync(`${path}-wal`).size, 0);
  });

  it('wait for a lock again after another process has read for long', async (t) => {
    const path = newPath();
    const store = opened(t, path, { timeoutMs: 10_000 });
    const reader = outgrowLog(t, store, path);
    store.keepUp();
    reader.exec('COMMIT');
    const other = new Worker(LOCKS_FOR_100_MS, { eval: true, workerData: path });
    const ended = once(other, 'exit');
    await once(other, 'message');
    assert.equal(store.write('c', change('v41', { from: 'v40' })), true);
    await ended;
  });

  it('lose expired conversations that are stored behind a thousand others', (t) => {
    const path = newPath();
    const store = opened(t, path);
    for (let n = 0; n < 1_100; n++) store.write(`young ${n}`, change('v1', { ttlMs: 3 * HOUR_MS }));
    store.write('old', change('v1'));
    nowMs += 2 * HOUR_MS;
    const database = connection(t, path);
    for (let pieces = 0; pieces < 2; pieces++) store.keepUp();
    assert.equal(number(database, 'SELECT count(*) FROM conversation'), 1_100);
  });

  it('lose expired conversations, whoever wrote them, and give their place back', (t) => {
    const path = newPath();
    const store = opened(t, path);
    const text = JSON.stringify('x'.repeat(20_000));
    for (let n = 0; n < 300; n++) store.write(`old ${n}`, change('v1', { text }));
    store.write('young', change('v1', { ttlMs: 3 * HOUR_MS }));
    const other = opened(t, path);
    const database = connection(t, path);
    const pages = (): number => number(database, 'PRAGMA page_count');
    const before = pages();
    store.close();
    nowMs += 2 * HOUR_MS;
    while (other.keepUp());
    assert.deepEqual(
      [number(database, 'SELECT count(*) FROM conversation'), other.count()],
      [1, 1],
    );
    assert.equal(number(database, 'SELECT count(*) FROM part'), 2);
    assert.ok(pages() < before / 2, `${before} pages before, ${pages()} after`);
  });

  it('that another tool has rewritten are not emptied in vain', (t) => {
    const path = newPath();
    open(path).close();
    const tool = new (loadSqlite().DatabaseSync)(path);
    tool.exec('PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM');
    tool.close();
    const store = opened(t, path);
    const text = JSON.stringify('x'.repeat(20_000));
    for (let n = 0; n < 100; n++) store.write(`c${n}`, change('v1', { text }));
    nowMs += 2 * HOUR_MS;
    let pieces = 0;
    while (store.keepUp() && pieces < 1_000) pieces += 1;
    assert.ok(pieces < 1_000, 'it never ends');
  });

  it('can be copied while they are written', (t) => {
    const path = newPath();
    const store = opened(t, path);
    store.write('c', change('v1'));
    const copy = newPath();
    connection(t, path).exec(`VACUUM INTO '${copy}'`);
    store.write('c', change('v2', { from: 'v1' }));
    assert.equal(opened(t, copy).read('c', 'v1'), 'unchanged');
  });
});

describe('processes that share a file', { skip: WITHOUT_SQLITE, timeout: 60_000 }, () => {
  it('see what the others write', (t) => {
    const path = newPath();
    const [one, two] = [opened(t, path), opened(t, path)];
    one.write('c', change('v1'));
    assert.equal(two.write('c', change('v2', { from: 'v1' })), true);
    assert.equal(one.read('c', 'v2'), 'unchanged');
  });

  it('create it at once, and lose no change', async (t) => {
    const path = newPath();
    const child = `
      import { SharedStore } from ${JSON.stringify(import.meta.resolve(
        '../../../src/conversations/stores/shared-store.ts'))};
      import { SqliteStore } from ${JSON.stringify(import.meta.resolve(
        '../../../src/conversations/stores/sqlite-store.ts'))};
      const path = ${JSON.stringify(path)};
      process.stdin.once('data', async () => {
        const parts = new SqliteStore({ path, synchronous: 'normal', timeoutMs: 10_000 });
        const log = { error: (msg, fields) => console.error(msg, fields), info() {} };
        const store = new SharedStore(parts, {
          ttlMs: 3_600_000, maxRemembered: 10, timeoutMs: 10_000, log,
        });
        for (let n = 0; n < 100; n++) {
          const id = process.pid + '-' + n;
          await store.update('c', (conversation) => {
            const turn = { id, state: 'completed', runId: n, words: id, reply: null };
            conversation.turns.push(turn);
            conversation.touched.add(turn);
          });
          await new Promise(setImmediate);
        }
        await store.close();
        process.exit();
      });
      console.log('ready');`;
    const flags = [...TYPESCRIPT, '--input-type=module', '-e', child];
    const children = Array.from({ length: 3 }, () => spawn(process.execPath, flags));
    let errors = '';
    for (const { stderr } of children) stderr.on('data', (chunk) => (errors += String(chunk)));
    await Promise.all(children.map(({ stdout }) => once(stdout, 'data')));
    const exits = children.map((process) => once(process, 'exit'));
    for (const { stdin } of children) stdin.end('go');
    assert.deepEqual((await Promise.all(exits)).map(([code]) => code as unknown), [0, 0, 0]);
    assert.equal(errors, '');
    const kept = await sharing(opened(t, path, { now: Date.now })).read('c');
    assert.equal(new Set(kept?.turns.map(({ id }) => id)).size, 300);
  });

  it('do not wait for ever', async (t) => {
    const path = newPath();
    const store = opened(t, path, { timeoutMs: 30 });
    const other = connection(t, path);
    other.exec('BEGIN IMMEDIATE');
    assert.throws(() => store.write('c', change('v1')), /another process keeps it locked/);
    assert.equal(store.read('c'), undefined); // nobody waits in order to read
    other.exec('COMMIT');
    assert.equal(store.write('c', change('v1')), true);
  });

  it('sweep later what another one has locked', (t) => {
    const path = newPath();
    const store = opened(t, path, { timeoutMs: 10 });
    store.write('c', change('v1'));
    nowMs += 2 * HOUR_MS;
    const other = connection(t, path);
    other.exec('BEGIN IMMEDIATE');
    store.keepUp();
    other.exec('COMMIT');
    assert.equal(number(other, 'SELECT count(*) FROM conversation'), 1);
    assert.equal(store.read('d'), undefined);
    store.keepUp();
    assert.equal(number(other, 'SELECT count(*) FROM conversation'), 0);
  });
});

describe('a file that cannot be used is refused', { skip: WITHOUT_SQLITE }, () => {
  it('with the folder that is missing', () => {
    const path = join(folder, 'missing', 'calls.db');
    assert.equal(
      refusal(path), `the folder ${join(folder, 'missing')} does not exist; create it`,
    );
  });

  it('when the folder is a file', () => {
    const file = newPath();
    writeFileSync(file, '');
    assert.equal(refusal(join(file, 'calls.db')), `${file} is not a folder`);
  });

  it('when it is a directory', () => {
    const path = newPath();
    mkdirSync(path);
    assert.equal(refusal(path), 'it is a directory; name a file in it');
  });

  it('when it is a link that leads nowhere', () => {
    const path = newPath();
    symlinkSync(newPath(), path);
    assert.equal(refusal(path), 'it is a link that leads nowhere; remove it, or name another file');
  });

  it('when it is a device', () => {
    assert.equal(refusal('/dev/null'), 'it is not a regular file');
  });

  it('when it is no database', () => {
    const path = newPath();
    writeFileSync(path, 'These are my notes.\n'.repeat(1_000));
    const said = '(SQLite: file is not a database)';
    assert.equal(refusal(path), `it is not an SQLite database; name another file ${said}`);
    assert.match(readFileSync(path, 'utf8'), /^These are my notes/);
  });

  it('when it is the database of another program, which stays as it is', (t) => {
    const path = newPath();
    const database = connection(t, path);
    database.exec('CREATE TABLE customers (name TEXT)');
    assert.equal(
      refusal(path), 'it is the database of another program; name another file',
    );
    assert.equal(number(database, 'SELECT count(*) FROM sqlite_schema'), 1);
  });

  it('when a newer version has written it', (t) => {
    const path = newPath();
    open(path).close();
    connection(t, path).exec('PRAGMA user_version = 7');
    assert.equal(
      refusal(path),
      'a newer version has written it (its schema is 7, this version knows 1); run that one',
    );
  });

  it('when it was cut off, and when something was written into it', () => {
    const whole = newPath();
    const store = open(whole);
    for (let n = 0; n < 100; n++)
      store.write(`c${n}`, change('v1', { text: JSON.stringify('x'.repeat(500)) }));
    store.close();
    const cut = newPath();
    copyFileSync(whole, cut);
    truncateSync(cut, statSync(cut).size - 3 * 4_096);
    assert.match(refusal(cut), /^it is damaged; put a backup in its place, or move it away to/);
    const overwritten = newPath();
    const bytes = readFileSync(whole);
    bytes.fill(0x5a, bytes.length - 3 * 4_096, bytes.length - 2 * 4_096);
    writeFileSync(overwritten, bytes);
    assert.match(refusal(overwritten), /^it is damaged; put a backup in its place/);
  });

  it('when another process keeps it locked', (t) => {
    const path = newPath();
    open(path).close();
    connection(t, path).exec('BEGIN IMMEDIATE');
    assert.equal(
      refusal(path), 'another process keeps it locked (SQLite: database is locked)',
    );
  });

  /** Root may write everywhere, so another user tries. */
  const asNobody = <T>(act: () => T): T => {
    if (!isRoot) return act();
    process.seteuid?.(NOBODY);
    try {
      return act();
    } finally {
      process.seteuid?.(0);
    }
  };
  const WINDOWS = process.geteuid === undefined ? 'Windows has no such modes' : false;

  it('when this user may not write it', { skip: WINDOWS }, (t) => {
    chmodSync(folder, 0o755);
    t.after(() => chmodSync(folder, 0o700));
    const path = newPath();
    open(path).close();
    chmodSync(path, 0o444);
    // A file of the user's own is opened to them again.
    if (isRoot)
      assert.equal(
        asNobody(() => refusal(path)),
        'it cannot be written; look at its owner and mode, and those of its folder '
          + '(SQLite: attempt to write a readonly database)',
      );
    else open(path).close();
  });

  it('when this user may not write in its folder', { skip: WINDOWS }, (t) => {
    chmodSync(folder, 0o555);
    t.after(() => chmodSync(folder, 0o700));
    const path = newPath();
    assert.equal(
      asNobody(() => refusal(path)),
      `this user may not create files in ${folder}; change its owner, or name another folder`,
    );
  });

  it('when the disk takes no more', async (t) => {
    const path = newPath();
    let reason = '';
    const isLimited = await withFilesUpTo(20_000, () => {
      reason = refusal(path);
    });
    if (!isLimited) return t.skip(WITHOUT_PRLIMIT);
    assert.equal(reason, 'the disk failed or is full (SQLite: disk I/O error)');
  });

  it('and is let go: another one can be opened', (t) => {
    const path = newPath();
    writeFileSync(path, 'no database');
    refusal(path);
    rmSync(path);
    assert.equal(opened(t, path).count(), 0);
  });
});

describe('in mid-call', { skip: WITHOUT_SQLITE, timeout: 30_000 }, () => {
  it('a file that was removed is reported, and begun anew', (t) => {
    const path = newPath();
    const store = opened(t, path);
    store.write('c', change('v1'));
    for (const end of ['', '-wal', '-shm']) rmSync(path + end);
    store.keepUp();
    assert.throws(() => store.read('c'), {
      message: `the conversations in ${path} cannot be used: `
        + 'the file was removed or replaced while the server ran',
    });
    assert.equal(store.read('c'), undefined);
    assert.equal(store.write('c', change('v2')), true);
    assert.ok(existsSync(path));
  });

  it('a file that was put in its place is reported, and used', (t) => {
    const path = newPath();
    const store = opened(t, path);
    const backup = newPath();
    const other = open(backup);
    other.write('c', change('v7'));
    other.close();
    for (const end of ['-wal', '-shm']) rmSync(path + end);
    renameSync(backup, path);
    store.keepUp();
    assert.throws(() => store.read('c'), /removed or replaced/);
    assert.equal(store.read('c', 'v7'), 'unchanged');
  });

  it('a process adds what it remembers to a file that was begun anew', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const path = newPath();
    const parts = open(path);
    const store = sharing(parts);
    t.after(() => store.close());
    const turn = (id: string): Parameters<typeof push>[0] =>
      ({ id, state: 'completed', runId: 1, words: id, reply: null });
    await store.update('c', push(turn('t1')));
    for (const end of ['', '-wal', '-shm']) rmSync(path + end);
    parts.keepUp();
    await store.update('c', push(turn('t2')));
    assert.equal(store.health().isDegraded, true);
    clock.tick(250);
    await until(() => !store.health().isDegraded && store.health().turnsWaiting === 0, 'the file');
    await store.update('c', push(turn('t3')));
    const kept = await sharing(opened(t, path)).read('c');
    assert.deepEqual(kept?.turns.map(({ id }) => id), ['t1', 't2', 't3']);
  });

  it('a disk that is full costs no turn, and has them all once there is room', async (t) => {
    const path = newPath();
    const store = sharing(open(path));
    t.after(() => store.close());
    const words = 'x'.repeat(10_000);
    const say = async (id: string): Promise<number> =>
      store.update('c', push({ id, state: 'completed', runId: 1, words, reply: null }));
    await say('t0');
    const isLimited = await withFilesUpTo(statSync(`${path}-wal`).size, async () => {
      for (let n = 1; n <= 5; n++) assert.equal(await say(`t${n}`), n + 1);
      assert.deepEqual(
        [store.health().isDegraded, store.health().turnsWaiting], [true, 5],
      );
    });
    if (!isLimited) return t.skip(WITHOUT_PRLIMIT);
    await until(() => store.health().turnsWaiting === 0, 'room', 5_000);
    const kept = await sharing(opened(t, path)).read('c');
    assert.deepEqual(kept?.turns.map(({ id }) => id), ['t0', 't1', 't2', 't3', 't4', 't5']);
  });
});

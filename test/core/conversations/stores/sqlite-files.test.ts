import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync,
  symlinkSync, writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';

import type { Awaitable } from '../../../../src/base/awaitable.ts';
import { loadSqlite } from '../../../../src/core/conversations/stores/sqlite-library.ts';
import { SqliteStore } from '../../../../src/core/conversations/stores/sqlite-store.ts';
import { StoreError } from '../../../../src/core/conversations/stores/store-error.ts';
import { until } from '../../../fixtures/app.ts';
import { jumpingClock } from '../../../fixtures/clock.ts';
import { WITHOUT_SQLITE } from '../../../fixtures/sqlite.ts';
import { push } from '../store-contract.ts';
import {
  change, connection, ENDINGS, folder, HOUR_MS, newPath, number, open, opened, plainTurn, sharing,
  withPath,
} from './sqlite-stage.ts';

const isRoot = process.geteuid?.() === 0;
const NOBODY = 65_534;

/** A thread that holds the write lock of a file for a moment, and says so. */
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

/** A text of this many characters. */
function long(length: number): string {
  return JSON.stringify('x'.repeat(length));
}

/** A clock that the test moves. */
function clock(): { nowMs: number; readonly now: () => number } {
  const moved = { nowMs: Date.now(), now: () => moved.nowMs };
  return moved;
}

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

/** Opens a file that cannot be used. Returns the reason, without what is the same in all. */
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

describe("SqliteStore's files", { skip: WITHOUT_SQLITE }, () => {
  const modes = (path: string): string[] =>
    ENDINGS.map((end) => (statSync(path + end).mode & 0o777).toString(8));

  for (const isCopy of [false, true])
    it(`are closed to other users${isCopy ? ', even if a copy has another mode' : ''}`, (t) => {
      const before = process.umask(0);
      t.after(() => process.umask(before));
      const path = newPath();
      if (isCopy) {
        open(path).close();
        chmodSync(path, 0o644);
      }
      opened(t, path).write('c', change('v1'));
      assert.deepEqual(modes(path), ['600', '600', '600']);
    });

  it('hold nothing of what was removed or has expired', withPath((path) => {
    const time = clock();
    const store = open(path, time);
    const ids = ['removed', 'expired', 'changed', 'kept'];
    for (const id of ids)
      store.write(id, change('v1', { text: JSON.stringify(`${id}-words `.repeat(2_000)) }));
    store.write('removed', { ...change('v1'), from: 'v1', to: undefined, set: new Map() });
    store.write('changed', change('v2', { from: 'v1', ttlMs: 3 * HOUR_MS }));
    store.write('kept', { ...change('v2', { from: 'v1', ttlMs: 3 * HOUR_MS }), set: new Map() });
    time.nowMs += 2 * HOUR_MS;
    store.keepUp();
    store.close();
    const bytes = readFileSync(path, 'latin1');
    const found = ids.filter((id) => bytes.includes(`${id}-words`));
    assert.deepEqual([found, existsSync(`${path}-wal`)], [['kept'], false]);
  }));

  const erasure = { ...change('v2', { from: 'v1' }), set: new Map(), remove: ['0'] };
  const hasWords = (path: string): boolean =>
    ['', '-wal'].some((end) => readFileSync(path + end, 'latin1').includes('secret words'));
  const keepUpAfterAMinute = (t: TestContext, server: SqliteStore): void => {
    jumpingClock(t)(60_000);
    server.keepUp();
  };
  /** A file with secret words, and the server that has written them. */
  const withSecret = (t: TestContext): readonly [path: string, server: SqliteStore] => {
    const path = newPath();
    const server = opened(t, path);
    server.write('c', change('v1', { text: '"secret words"' }));
    return [path, server];
  };
  const erase = (path: string): void => {
    const command = open(path);
    command.write('c', erasure);
    command.close();
  };

  // Previously the log kept words until later writes covered them, which may take long at night.
  it('hold nothing of what a command has erased while a server is running', (t) => {
    const [path] = withSecret(t);
    erase(path);
    assert.equal(hasWords(path), false);
  });

  // Previously the command could not empty the log, and only the process that erased tried again.
  it('hold nothing, a minute later, of what a command has erased during a backup', (t) => {
    const [path, server] = withSecret(t);
    const backup = connection(t, path);
    backup.exec('BEGIN; SELECT count(*) FROM part');
    erase(path);
    backup.exec('COMMIT');
    assert.equal(hasWords(path), true);
    keepUpAfterAMinute(t, server);
    assert.equal(hasWords(path), false);
  });

  // Whether a write erases used to be guessed from its version, which a turn after the erasure has,
  // too.
  it('hold nothing, a minute later, of what was erased together with a new turn', (t) => {
    const [path, server] = withSecret(t);
    server.keepUp();
    server.write('c', { ...erasure, set: new Map([['1', '"later"']]) });
    keepUpAfterAMinute(t, server);
    assert.equal(hasWords(path), false);
  });

  it('keep their length for a minute, so that writes need not extend the log', (t) => {
    const path = newPath();
    const server = opened(t, path);
    server.write('c', change('v1'));
    server.keepUp();
    assert.ok(statSync(`${path}-wal`).size > 0);
  });

  it('do not grow with writes', withPath((path, t) => {
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
  }));

  it('become small again after a long read, and the store waits for locks as before', async (t) => {
    const path = newPath();
    const store = opened(t, path, { timeoutMs: 10_000 });
    store.write('c', change('v0'));
    const reader = connection(t, path);
    reader.exec('BEGIN; SELECT count(*) FROM part');
    // SQLite does not write pages that stay the same
    const text = (n: number): string => JSON.stringify(String(n % 10).repeat(1_000_000));
    for (let n = 1; n <= 40; n++)
      store.write('c', change(`v${n}`, { from: `v${n - 1}`, text: text(n) }));
    const began = performance.now();
    store.keepUp();
    assert.ok(performance.now() - began < 5_000, 'it waited for the reader');
    assert.ok(statSync(`${path}-wal`).size > 33_600_000);
    reader.exec('COMMIT');
    const other = new Worker(LOCKS_FOR_100_MS, { eval: true, workerData: path });
    const ended = once(other, 'exit');
    await once(other, 'message');
    assert.equal(store.write('c', change('v41', { from: 'v40' })), true);
    await ended;
    store.keepUp();
    assert.equal(statSync(`${path}-wal`).size, 0);
  });

  it('lose expired conversations that are stored after a thousand others', withPath((path, t) => {
    const time = clock();
    const store = opened(t, path, time);
    for (let n = 0; n < 1_100; n++) store.write(`young ${n}`, change('v1', { ttlMs: 3 * HOUR_MS }));
    store.write('old', change('v1'));
    time.nowMs += 2 * HOUR_MS;
    const database = connection(t, path);
    for (let pieces = 0; pieces < 2; pieces++) store.keepUp();
    assert.equal(number(database, 'SELECT count(*) FROM conversation'), 1_100);
  }));

  it('lose expired conversations, regardless of who wrote them, and free their space', (t) => {
    const path = newPath();
    const time = clock();
    const store = opened(t, path, time);
    for (let n = 0; n < 300; n++) store.write(`old ${n}`, change('v1', { text: long(20_000) }));
    store.write('young', change('v1', { ttlMs: 3 * HOUR_MS }));
    const other = opened(t, path, time);
    const database = connection(t, path);
    const pages = (): number => number(database, 'PRAGMA page_count');
    const before = pages();
    store.close();
    time.nowMs += 2 * HOUR_MS;
    while (other.keepUp());
    const left = number(database, 'SELECT count(*) FROM conversation');
    assert.deepEqual([left, other.count()], [1, 1]);
    assert.equal(number(database, 'SELECT count(*) FROM part'), 2);
    assert.ok(pages() < before / 2, `${before} pages before, ${pages()} after`);
  });

  it('that another tool has rewritten are not swept forever', withPath((path, t) => {
    open(path).close();
    const tool = new (loadSqlite().DatabaseSync)(path);
    tool.exec('PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM');
    tool.close();
    const time = clock();
    const store = opened(t, path, time);
    for (let n = 0; n < 100; n++) store.write(`c${n}`, change('v1', { text: long(20_000) }));
    time.nowMs += 2 * HOUR_MS;
    let pieces = 0;
    while (store.keepUp() && pieces < 1_000) pieces += 1;
    assert.ok(pieces < 1_000, 'it never ends');
  }));

  it('can be copied while they are being written', withPath((path, t) => {
    const store = opened(t, path);
    store.write('c', change('v1'));
    const copy = newPath();
    connection(t, path).exec(`VACUUM INTO '${copy}'`);
    store.write('c', change('v2', { from: 'v1' }));
    assert.equal(opened(t, copy).read('c', 'v1'), 'unchanged');
  }));
});

describe('a file that cannot be used is refused', { skip: WITHOUT_SQLITE }, () => {
  /** Writes a file of ours with a hundred conversations, and spoils it. */
  const spoilt = (spoil: (bytes: Buffer) => Buffer) => (path: string): void => {
    const store = open(path);
    for (let n = 0; n < 100; n++) store.write(`c${n}`, change('v1', { text: long(500) }));
    store.close();
    writeFileSync(path, spoil(readFileSync(path)));
  };
  const ofOurs = (sql: string) => (path: string, t: TestContext): void => {
    open(path).close();
    connection(t, path).exec(sql);
  };
  const FOREIGN = "when it is another program's database";
  const DAMAGED = /^it is damaged; put a backup in its place, or move it away to/;
  type Spoil = (path: string, t: TestContext) => string | void;

  /** What is there instead of a file of ours, and the path, if it is another one. */
  const refused: readonly (readonly [what: string, spoil: Spoil, reason: RegExp])[] = [
    ['if its folder is missing', () => join(folder, 'missing', 'calls.db'),
      /^the folder \S+\/missing does not exist; create it$/],
    ['when it is a directory', (path) => mkdirSync(path), /^it is a directory; name a file in it$/],
    ['when it is a link that leads nowhere', (path) => symlinkSync(newPath(), path),
      /^it is a link that leads nowhere; remove it, or name another file$/],
    ['when it is a device', () => '/dev/null', /^it is not a regular file$/],
    ['when it is not a database', (path) => writeFileSync(path, 'My notes.\n'.repeat(1_000)),
      /^it is not an SQLite database; name another file \(SQLite: file is not a database\)$/],
    [FOREIGN, (path, t) =>
      connection(t, path).exec('CREATE TABLE customers (name TEXT)'),
    /^it is the database of another program; name another file$/],
    ['when a newer version has written it', ofOurs('PRAGMA user_version = 7'),
      /^a newer version has written it \(its schema is 7, this version knows 1\); run that one$/],
    ['when it has been cut off', spoilt((bytes) => bytes.subarray(0, -3 * 4_096)), DAMAGED],
    ['when something has been written into it', spoilt((bytes) =>
      bytes.fill(0x5a, bytes.length - 3 * 4_096, bytes.length - 2 * 4_096)), DAMAGED],
    ['when another process keeps it locked', ofOurs('BEGIN IMMEDIATE'),
      /^another process keeps it locked \(SQLite: database is locked\)$/],
  ];
  for (const [what, spoil, reason] of refused)
    it(`${what}, and its contents stay`, (t) => {
      const own = newPath();
      const path = spoil(own, t) ?? own;
      const isFile = existsSync(path) && statSync(path).isFile();
      // SQLite itself writes into the header of one of ours.
      const from = what === FOREIGN ? 0 : 100;
      const contents = () => (isFile ? readFileSync(path).subarray(from) : undefined);
      const before = contents();
      assert.match(refusal(path), reason);
      assert.deepEqual(contents(), before);
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

  it('when this user cannot write to it', { skip: WINDOWS }, (t) => {
    chmodSync(folder, 0o755);
    t.after(() => chmodSync(folder, 0o700));
    const path = newPath();
    open(path).close();
    chmodSync(path, 0o444);
    // The user's own file is made writable for them again.
    if (!isRoot) return open(path).close();
    const reason = 'it cannot be written; look at its owner and mode, and those of its folder '
      + '(SQLite: attempt to write a readonly database)';
    assert.equal(asNobody(() => refusal(path)), reason);
  });

  it('when the disk is full', withPath(async (path, t) => {
    let reason = '';
    const isLimited = await withFilesUpTo(20_000, () => {
      reason = refusal(path);
    });
    if (!isLimited) return t.skip(WITHOUT_PRLIMIT);
    assert.equal(reason, 'the disk failed or is full (SQLite: disk I/O error)');
  }));

  it('and released, so that another can be opened', withPath((path, t) => {
    writeFileSync(path, 'no database');
    refusal(path);
    rmSync(path);
    assert.equal(opened(t, path).count(), 0);
  }));
});

describe('an SQLite store in mid-call', { skip: WITHOUT_SQLITE, timeout: 30_000 }, () => {
  it('reports that its file was removed, and begins a new one', withPath((path, t) => {
    const store = opened(t, path);
    store.write('c', change('v1'));
    for (const end of ENDINGS) rmSync(path + end);
    store.keepUp();
    assert.throws(() => store.read('c'), {
      message: `the conversations in ${path} cannot be used: `
        + 'the file was removed or replaced while the server ran',
    });
    assert.equal(store.read('c'), undefined);
    assert.equal(store.write('c', change('v2')), true);
    assert.ok(existsSync(path));
  }));

  it('reports that another file was put in its place, and uses that', withPath((path, t) => {
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
  }));

  it('loses no turn to a full disk, but stores all turns once there is room', async (t) => {
    const path = newPath();
    const store = sharing(open(path));
    t.after(() => store.close());
    const say = async (id: string): Promise<number> =>
      store.update('c', push(plainTurn(id, long(10_000))));
    await say('t0');
    const isLimited = await withFilesUpTo(statSync(`${path}-wal`).size, async () => {
      for (let n = 1; n <= 5; n++) assert.equal(await say(`t${n}`), n + 1);
      const { isDegraded, turnsWaiting } = store.health();
      assert.deepEqual([isDegraded, turnsWaiting], [true, 5]);
    });
    if (!isLimited) return t.skip(WITHOUT_PRLIMIT);
    await until(() => store.health().turnsWaiting === 0, 'room', 5_000);
    const kept = await sharing(opened(t, path)).read('c');
    assert.deepEqual(kept?.turns.map(({ id }) => id), ['t0', 't1', 't2', 't3', 't4', 't5']);
  });
});

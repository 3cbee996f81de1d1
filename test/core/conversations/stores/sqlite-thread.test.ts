import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';

import { soon } from '../../../../src/base/awaitable.ts';
import type { PartStore } from '../../../../src/core/conversations/stores/part-store.ts';
import { StoreError } from '../../../../src/core/conversations/stores/store-error.ts';
import { WITHOUT_SQLITE } from '../../../fixtures/sqlite.ts';
import { push } from '../store-contract.ts';
import {
  change, childFlags, connection, ENDINGS, newPath, openThread, plainTurn, sharing, withPath,
} from './sqlite-stage.ts';

async function openedThread(t: TestContext, path: string, more = {}): Promise<PartStore> {
  const thread = await openThread(path, more);
  t.after(() => thread.close());
  return thread;
}

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
    await soon();
  }
}

async function isAnswered(parts: PartStore): Promise<boolean> {
  const [counted] = await Promise.allSettled([parts.count()]);
  return counted.status === 'fulfilled';
}

describe('SqliteThread', { skip: WITHOUT_SQLITE, timeout: 90_000 }, () => {
  it('rejects with what the store throws, and goes on', withPath(async (path, t) => {
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
  }));

  it('waits for another process without holding up the event loop', withPath(async (path, t) => {
    const thread = await openedThread(t, path);
    const other = connection(t, path);
    other.exec('BEGIN IMMEDIATE');
    const answer = thread.write('c', change('v1'));
    for (let round = 0; round < 20; round++) await soon();
    other.exec('COMMIT');
    assert.equal(await answer, true);
  }));

  it('makes the writes of one round of the event loop in one transaction', async (t) => {
    const path = newPath();
    const thread = await openedThread(t, path);
    const commits = (): number => statSync(`${path}-wal`).size;
    const before = commits();
    await Promise.all(Array.from({ length: 50 }, (_, n) => thread.write(`c${n}`, change('v1'))));
    const together = commits() - before;
    for (let n = 50; n < 100; n++) await thread.write(`c${n}`, change('v1'));
    assert.ok(together < (commits() - before) / 4, `${together} of ${commits() - before} bytes`);
  });

  it('does not count as slow if it is the event loop that is slow', withPath(async (path, t) => {
    const store = sharing(await openThread(path));
    t.after(() => store.close());
    await store.update('c', push(plainTurn('t1')));
    const other = connection(t, path);
    const stored = other.prepare('SELECT version FROM conversation');
    const version = (): unknown => Object.values(stored.get() ?? {})[0];
    const before = version();
    const done = store.update('c', push(plainTurn('t2')));
    await soon(); // it is on its way
    await soon();
    const isOverdueAtMs = performance.now() + 400;
    const endsAtMs = isOverdueAtMs + 5_000;
    while (performance.now() < isOverdueAtMs || version() === before)
      assert.ok(performance.now() < endsAtMs, 'the thread has not written');
    await done;
    assert.deepEqual([store.health().isDegraded, store.health().failures], [false, 0]);
  }));

  it('notices that its file was removed', withPath(async (path, t) => {
    const thread = await openedThread(t, path);
    await thread.write('c', change('v1'));
    for (const end of ENDINGS) rmSync(path + end);
    const until = performance.now() + 5_000;
    await assert.rejects(async () => {
      while (performance.now() < until) await thread.read('c');
    }, /the file was removed or replaced while the server ran/);
    assert.equal(await thread.read('c'), undefined);
  }));

  it('answers what was asked before it is closed, and nothing afterwards', async () => {
    const thread = await openThread();
    const answers = [thread.read('c'), thread.count()];
    await thread.close();
    assert.deepEqual(await Promise.all(answers), [undefined, 0]);
    await assert.rejects(async () => thread.read('c'), /the store is closed/);
    await assert.rejects(async () => thread.write('c', change('v1')), /the store is closed/);
  });

  it('can be closed even if maintenance is due and the file is gone', withPath(async (path) => {
    const thread = await openThread(path);
    for (const end of ENDINGS) rmSync(path + end);
    const writes = Array.from({ length: 2_100 }, (_, n) => thread.write(`c${n}`, change('v1')));
    const settled = Promise.allSettled(writes);
    await soon(); // they are on their way
    await thread.close();
    await settled;
  }));

  it('restarts a thread that died, and fails until it has opened the file', async (t) => {
    const path = newPath();
    const [thread, died] = await withThread(() => openedThread(t, path, { timeoutMs: 100 }));
    await thread.write('c', change('v1'));
    const other = connection(t, path);
    const [, next] = await withThread(async () => {
      other.exec('BEGIN IMMEDIATE');
      // It waits for the lock, so that it is not answered before the thread ends.
      const asked = thread.write('c', change('v2', { from: 'v1' }));
      await died.terminate();
      other.exec('ROLLBACK');
      await assert.rejects(async () => asked, { name: 'StoreError', message: DIED });
      await assert.rejects(async () => thread.read('c'), { name: 'StoreError', message: DIED });
      await assert.rejects(async () => thread.write('c', change('v2')), { message: DIED });
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

  it('tries again later if the file cannot be opened, and says what is wrong', async (t) => {
    const path = newPath();
    const [thread, worker] = await withThread(() => openedThread(t, path));
    await thread.write('c', change('v1'));
    await worker.terminate();
    const hidden = newPath();
    for (const end of ENDINGS)
      if (existsSync(path + end)) renameSync(path + end, hidden + end);
    mkdirSync(path);
    await eventually(async () => {
      const failure = await Promise.resolve(thread.read('c')).catch(String);
      return String(failure).endsWith('it is a directory; name a file in it');
    });
    rmSync(path, { recursive: true });
    for (const end of ENDINGS)
      if (existsSync(hidden + end)) renameSync(hidden + end, path + end);
    await eventually(() => isAnswered(thread));
    assert.equal(await thread.read('c', 'v1'), 'unchanged');
  });

  it('does not restart its thread once it is closed, even if the thread was down', async () => {
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

  it('keeps the process alive until it is closed, and no longer', async () => {
    const flags = childFlags(`
      const { openSqliteThread } = load('sqlite-thread');
      const options = { path: ${JSON.stringify(newPath())}, synchronous: 'normal', timeoutMs: 250 };
      const one = await openSqliteThread(options);
      await one.close();
      await one.close();
      const two = await openSqliteThread(options);
      console.log(await two.count());`);
    const started = spawn(process.execPath, flags);
    let output = '';
    started.stdout.on('data', (chunk) => (output += String(chunk)));
    const [code] = (await once(started, 'close')) as unknown[];
    assert.deepEqual([code, output], [0, '0\n']);
  });

  it('is not opened on a file that cannot be used', withPath(async (path) => {
    mkdirSync(path);
    await assert.rejects(openThread(path), {
      name: 'StoreError',
      message: `the conversations in ${path} cannot be used: it is a directory; name a file in it`,
    });
  }));
});

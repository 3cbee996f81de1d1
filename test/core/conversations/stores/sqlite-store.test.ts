// What SqliteStore makes of a file: the contracts of a store over it, several processes, time that
// passes, and what can be wrong with a file.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';

import {
  loadSqlite, type Database,
} from '../../../../src/core/conversations/stores/sqlite-library.ts';
import { StoreError } from '../../../../src/core/conversations/stores/store-error.ts';
import { WITHOUT_SQLITE } from '../../../fixtures/sqlite.ts';
import { storeContract } from '../store-contract.ts';
import { turnContract } from '../turn-contract.ts';
import { partStoreContract } from './part-store-contract.ts';
import {
  change, childFlags, connection, HOUR_MS, newPath, number, open, opened, openThread, sharing,
  withPath,
} from './sqlite-stage.ts';

describe('SqliteThread on a Node without node:sqlite', { skip: WITHOUT_SQLITE === false }, () => {
  it('says which version it needs', async () => {
    await assert.rejects(openThread(), {
      name: 'StoreError',
      message: `CONVERSATION_STORE=sqlite:… needs Node 22.13 or later, this is ${process.version}`,
    });
  });
});

describe('on this Node', { skip: WITHOUT_SQLITE }, () => {
  let nowMs = Date.now();
  partStoreContract('SqliteStore', () => open(newPath(), { now: () => nowMs }), (ms) => {
    nowMs += ms;
  });
  storeContract('SharedStore over SqliteStore', () => sharing(open()));
  turnContract('SharedStore over SqliteStore', () => sharing(open()));

  // A thread has its own clock, so the contract's time is real.
  const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  partStoreContract('SqliteThread', () => openThread(), wait);
  storeContract('SharedStore over SqliteThread', async () => sharing(await openThread()));
});

describe('SqliteStore', { skip: WITHOUT_SQLITE, timeout: 30_000 }, () => {
  it('waits for the disk only when it writes claims', (t) => {
    const store = opened(t, newPath(), { areClaimsSynced: true });
    const prototype = loadSqlite().DatabaseSync.prototype as Database;
    const exec = t.mock.method(prototype, 'exec');
    store.writeAll([['a', change('v1')]]);
    store.writeAll([['b', change('v1')], ['c', { ...change('v1'), isClaim: true }]]);
    const said = exec.mock.calls.map(({ arguments: [sql] }) => sql);
    assert.deepEqual(said.filter((sql) => sql.includes('synchronous')), [
      'PRAGMA synchronous = full', 'PRAGMA synchronous = normal',
    ]);
  });

  it('keeps what was written by a process that was killed', withPath(async (path, t) => {
    const flags = childFlags(`
      const { SqliteStore } = load('sqlite-store');
      const path = ${JSON.stringify(path)};
      const store = new SqliteStore({ path, synchronous: 'normal', timeoutMs: 250 });
      const set = new Map([['head', '{}']]);
      store.write('c', { from: undefined, to: 'v1', set, remove: [], ttlMs: 3_600_000 });
      process.kill(process.pid, 'SIGKILL');`);
    const [, signal] = (await once(spawn(process.execPath, flags), 'exit')) as unknown[];
    assert.equal(signal, 'SIGKILL');
    assert.equal(opened(t, path).read('c', 'v1'), 'unchanged');
  }));

  it('makes all writes of a group or none, and goes on', (t) => {
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

  for (const [synchronous, level] of [['normal', 1], ['full', 2]] as const)
    it(`syncs at checkpoints, or with every write, as told: ${synchronous}`, (t) => {
      // Only a connection itself can read its level, so the store's own one is asked.
      const asked: number[] = [];
      const { prototype } = loadSqlite().DatabaseSync as unknown as { prototype: Database };
      const { exec } = prototype;
      t.mock.method(prototype, 'exec', function (this: Database, sql: string) {
        exec.call(this, sql);
        if (sql.includes('synchronous')) asked.push(number(this, 'PRAGMA synchronous'));
      });
      opened(t, newPath(), { synchronous });
      assert.deepEqual(asked, [level]);
    });
});

describe('processes that share a file', { skip: WITHOUT_SQLITE, timeout: 60_000 }, () => {
  it('can create it at the same time, and lose no change', withPath(async (path, t) => {
    const flags = childFlags(`
      const { SharedStore } = load('shared-store');
      const { SqliteStore } = load('sqlite-store');
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
      console.log('ready');`);
    const children = Array.from({ length: 3 }, () => spawn(process.execPath, flags));
    let errors = '';
    for (const { stderr } of children) stderr.on('data', (chunk) => (errors += String(chunk)));
    await Promise.all(children.map(({ stdout }) => once(stdout, 'data')));
    const exits = children.map((process) => once(process, 'exit'));
    for (const { stdin } of children) stdin.end('go');
    assert.deepEqual((await Promise.all(exits)).map(([code]) => code as unknown), [0, 0, 0]);
    assert.equal(errors, '');
    const kept = await sharing(opened(t, path)).read('c');
    assert.equal(new Set(kept?.turns.map(({ id }) => id)).size, 300);
  }));

  it('do not wait for a lock forever', withPath(async (path, t) => {
    const store = opened(t, path, { timeoutMs: 30 });
    const other = connection(t, path);
    other.exec('BEGIN IMMEDIATE');
    assert.throws(() => store.write('c', change('v1')), /another process keeps it locked/);
    assert.equal(store.read('c'), undefined); // reads do not wait
    other.exec('COMMIT');
    assert.equal(store.write('c', change('v1')), true);
  }));

  it('later sweep what another process had locked', withPath((path, t) => {
    let nowMs = Date.now();
    const store = opened(t, path, { timeoutMs: 10, now: () => nowMs });
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
  }));
});

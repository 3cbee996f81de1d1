// What SqliteStore makes of a file: the contracts of a store over it, several processes, time that
// passes, and what can be wrong with a file.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe } from 'node:test';

import { SharedStore } from '../../src/conversations/shared-store.ts';
import { SqliteStore } from '../../src/conversations/sqlite-store.ts';
import { noLog } from '../../src/app/app.ts';
import { partStoreContract } from './part-store-contract.ts';
import { storeContract } from './store-contract.ts';
import { turnContract } from './turn-contract.ts';
import { WITHOUT_SQLITE } from '../fixtures/sqlite.ts';

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

function shared(): SharedStore {
  const options = { ttlMs: 3_600_000, maxRemembered: 1_000, timeoutMs: 250, log: noLog() };
  return new SharedStore(open(), options);
}

describe('on this Node', { skip: WITHOUT_SQLITE }, () => {
  partStoreContract('SqliteStore', open, (ms) => {
    nowMs += ms;
  });
  storeContract('SharedStore over SqliteStore', shared);
  turnContract('SharedStore over SqliteStore', shared);
});

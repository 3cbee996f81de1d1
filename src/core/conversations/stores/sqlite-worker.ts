// The thread of `SqliteThread`: runs a `SqliteStore` and its maintenance.

import { parentPort, workerData } from 'node:worker_threads';

import { messageOf } from '../../../base/thrown-values.ts';
import { SqliteStore, type SqliteStoreOptions } from './sqlite-store.ts';
import type { ThreadCall, ThreadReply } from './sqlite-thread.ts';

const UPKEEP_INTERVAL_MS = 1_000;
/** The pause between two pieces of maintenance, if one was not enough. */
const UPKEEP_PAUSE_MS = 10;

function answer(work: () => unknown): void {
  let reply: ThreadReply;
  try {
    reply = { answer: work() };
  } catch (error) {
    reply = { failure: messageOf(error) };
  }
  parentPort?.postMessage(reply);
}

function serve(store: SqliteStore): void {
  let timer = setTimeout(keepUp, UPKEEP_INTERVAL_MS);

  function keepUp(): void {
    clearTimeout(timer);
    const hasMore = store.keepUp();
    timer = setTimeout(keepUp, hasMore ? UPKEEP_PAUSE_MS : UPKEEP_INTERVAL_MS);
  }

  parentPort?.on('message', ({ method, args }: ThreadCall) => {
    if (method === 'close') {
      clearTimeout(timer);
      parentPort?.unref(); // the thread ends once this is answered
    }
    const work = store[method] as (...args: unknown[]) => unknown;
    answer(() => Reflect.apply(work, store, args));
    if (store.isBehind && method !== 'close') keepUp();
  });
}

answer(() => serve(new SqliteStore(workerData as SqliteStoreOptions)));

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { CallArchive } from '../../../src/server/records/call-archive.ts';
import type { CallRecord } from '../../../src/server/records/call-record.ts';
import { callStore } from '../../../src/server/records/call-store.ts';
import {
  PartsInMemory, type SharedParts,
} from '../../core/conversations/stores/parts-in-memory.ts';

function open(shared: SharedParts = new Map()): { store: CallArchive; parts: PartsInMemory } {
  const parts = new PartsInMemory(shared);
  return { store: callStore({ parts, days: 2 }), parts };
}

function recordOf(
  sessionId: string, conversationId = 'c-1', turns = 1, outcome: CallRecord['outcome'] = 'ended',
): CallRecord {
  const turn = { turnId: 't', outcome: 'completed', messages: [] } as const;
  return {
    format: 1, conversationId, sessionId, agent: 'bakery', startedAt: '2026', endedAt: '2026',
    durationMs: 0, outcome, tokens: {}, turns: Array.from({ length: turns }, () => turn),
  };
}

function keyOf({ conversationId, sessionId }: CallRecord, agent = ''): {
  readonly conversationKey: string;
  readonly sessionId: string;
} {
  return { conversationKey: agent + conversationId, sessionId };
}

async function keep(store: CallArchive, ...records: readonly CallRecord[]): Promise<void> {
  for (const record of records) await store.keep(keyOf(record), record);
}

async function sessionsIn(records: AsyncIterable<CallRecord>): Promise<string[]> {
  const ids: string[] = [];
  for await (const { sessionId } of records) ids.push(sessionId);
  return ids.sort();
}

const change = { set: new Map([['head', '{}']]), remove: [], ttlMs: 60_000 };

describe('callStore', () => {
  it('keeps records next to conversations, and lists all records and nothing else', async () => {
    const { store, parts } = open();
    await parts.write('c-1', { from: undefined, to: 'v1', ...change });
    const names = Array.from({ length: 25 }, (_, n) => `s-${n}`);
    await keep(store, ...names.map((name) => recordOf(name)));
    assert.deepEqual(await sessionsIn(store.all()), names.sort());
  });

  it('keeps one record per call, and never replaces it with a smaller one', async () => {
    const { store } = open();
    for (const turns of [1, 3, 0]) await keep(store, recordOf('s-1', 'c-1', turns));
    const found: number[] = [];
    for await (const { turns } of store.all()) found.push(turns.length);
    assert.deepEqual(found, [3]);
  });

  // A server that shuts down does not know whether a call goes on at another one.
  it('keeps the record that says how the call ended, unless a longer one follows', async () => {
    const { store } = open();
    const silent = (turns: number): CallRecord => recordOf('s-1', 'c-1', turns, 'not reported');
    const ended = (turns: number): CallRecord => recordOf('s-1', 'c-1', turns);
    const found: string[] = [];
    const records = [silent(1), silent(2), silent(1), ended(2), silent(2), silent(3), ended(1)];
    for (const record of records) {
      await keep(store, record);
      for await (const { turns, outcome } of store.all()) found.push(`${turns.length} ${outcome}`);
    }
    assert.deepEqual(found, [
      '1 not reported', '2 not reported', '2 not reported', '2 ended', '2 ended', '3 not reported',
      '1 ended',
    ]);
  });

  it('knows whether a record says how its call ended', async () => {
    const { store } = open();
    await keep(store, recordOf('s-1'), recordOf('s-2', 'c-1', 1, 'not reported'));
    const asked = ['s-1', 's-2', 's-3'].map((id) => store.hasEnd(keyOf(recordOf(id))));
    assert.deepEqual(await Promise.all(asked), [true, false, false]);
  });

  it('keeps a record that another process is removing at the same moment', async () => {
    const shared: SharedParts = new Map();
    const other = new PartsInMemory(shared);
    let calls = 0;
    const parts = new PartsInMemory(shared, {
      // The first write finds a smaller record, and the second one none.
      onCall: () => {
        calls += 1;
        if (calls === 2) shared.clear();
      },
    });
    await keep(callStore({ parts: other, days: 2 }), recordOf('s-1', 'c-1', 1));
    const store = callStore({ parts, days: 2 });
    await keep(store, recordOf('s-1', 'c-1', 2));
    assert.deepEqual(await sessionsIn(store.all()), ['s-1']);
  });

  it('gives up if other processes change the record each time', async () => {
    const shared: SharedParts = new Map();
    const other = new PartsInMemory(shared);
    let version = 0;
    const parts = new PartsInMemory(shared, {
      onCall: () => {
        shared.clear();
        void other.write('call\tc-1\ts-1', { from: undefined, to: `v${++version}`, ...change });
      },
    });
    const store = callStore({ parts, days: 2 });
    await assert.rejects(keep(store, recordOf('s-1')), /changed the record 5 times/);
    assert.equal(version, 6);
  });

  it('keeps calls of two agents apart even if they have the same ids', async () => {
    const { store } = open();
    for (const agent of ['sales/', 'support/'])
      await store.keep(keyOf(recordOf('s-1'), agent), recordOf('s-1'));
    assert.deepEqual(await sessionsIn(store.all()), ['s-1', 's-1']);
  });

  it('forgets a record when its time is over', async () => {
    const { store, parts } = open();
    await keep(store, recordOf('s-1'));
    parts.nowMs += 2 * 86_400_000 - 1;
    assert.deepEqual(await sessionsIn(store.all()), ['s-1']);
    parts.nowMs += 1;
    assert.deepEqual(await sessionsIn(store.all()), []);
  });

  for (const id of ['s-1', 'c-1']) {
    it(`erases the records of ${id}, and no others`, async () => {
      const { store } = open();
      await keep(store, recordOf('s-1', 'c-1'), recordOf('s-2', 'c-2'), recordOf('s-11', 'c-11'));
      assert.deepEqual(await sessionsIn(store.erase(id)), ['s-1']);
      assert.deepEqual(await sessionsIn(store.all()), ['s-11', 's-2']);
    });
  }

  it('lists and erases all records but one that cannot be read, and names it', async () => {
    const { store, parts } = open();
    await keep(store, recordOf('s-1'), recordOf('s-2'), recordOf('s-3'));
    parts.cannotUse = 'call\tc-1\ts-2';
    for (const records of [store.all(), store.erase('c-1')]) {
      const found: string[] = [];
      const reading = (async () => {
        for await (const { sessionId } of records) found.push(sessionId);
      })();
      await assert.rejects(reading, {
        name: 'StoreError',
        message: 'what is stored as "call\\tc-1\\ts-2" cannot be used: WRONGTYPE',
      });
      assert.deepEqual(found, ['s-1', 's-3']);
    }
    parts.cannotUse = undefined;
    assert.deepEqual(await sessionsIn(store.all()), ['s-2']);
  });

  it('erases a record that is being written at the same moment', async () => {
    const shared: SharedParts = new Map();
    const other = open(shared).store;
    let calls = 0;
    const parts = new PartsInMemory(shared, {
      onCall: () => {
        calls += 1;
        if (calls !== 4) return; // it has been read, but not removed yet
        for (const [id, stored] of shared) shared.set(id, { ...stored, version: 'newer' });
      },
    });
    await keep(other, recordOf('s-1'));
    const store = callStore({ parts, days: 2 });
    assert.deepEqual(await sessionsIn(store.erase('c-1')), ['s-1']);
    assert.ok(calls > 4, 'nothing was written in between');
    assert.deepEqual(await sessionsIn(other.all()), []);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { eraseStored } from '../../../../src/core/conversations/stores/erase-stored.ts';
import { sharing, turn, two } from './machines.ts';
import { PartsInMemory } from './parts-in-memory.ts';

/** Not an hour, because the mark is kept for an hour longer. */
const TTL_MS = 55 * 60_000;
const HOUR_MS = 3_600_000;

describe('eraseStored', () => {
  it('erases a conversation for every process, even one that remembers it', async (t) => {
    const [a, , shared] = two(t);
    await a.turns('t1');
    const outside = new PartsInMemory(shared);
    assert.equal(await eraseStored(outside, 'c', TTL_MS), 'now');
    assert.equal(await sharing(outside).read('c'), undefined);
    assert.deepEqual(await a.texts(), []);
    assert.equal(await eraseStored(outside, 'c', TTL_MS), 'before');
  });

  it('leaves its mark even if only one process knows the conversation', async (t) => {
    const [a, , shared] = two(t);
    await a.turns('t1');
    shared.clear();
    assert.equal(await eraseStored(new PartsInMemory(shared), 'c', TTL_MS), 'not stored');
    assert.deepEqual(await a.texts(), []);
    const ends = [...shared.values()].map(({ expiresAtMs }) => expiresAtMs);
    assert.deepEqual(ends, [TTL_MS + HOUR_MS]);
  });

  it('erases a conversation that is being written at that moment', async (t) => {
    const [a, , shared] = two(t);
    await a.turns('t1');
    let calls = 0;
    const other = sharing(new PartsInMemory(shared));
    t.after(() => other.close());
    const outside = new PartsInMemory(shared, {
      onCall: () => {
        calls += 1;
        if (calls === 2) void turn(other, 'c', 't2');
      },
    });
    assert.equal(await eraseStored(outside, 'c', TTL_MS), 'now');
    assert.ok(calls > 2, 'nothing was written in between');
    assert.deepEqual(await a.texts(), []);
  });

  it('names what it cannot use', async () => {
    const parts = new PartsInMemory();
    parts.cannotUse = 'c';
    await assert.rejects(eraseStored(parts, 'c', TTL_MS), {
      name: 'StoreError', message: 'what is stored as "c" cannot be used: WRONGTYPE',
    });
  });

  it('gives up if the conversation never stops changing', async () => {
    const shared = new Map();
    const other = new PartsInMemory(shared);
    let version = 0;
    const outside = new PartsInMemory(shared, {
      onCall: () => {
        const from = version === 0 ? undefined : `v${version}`;
        version += 1;
        void other.write('c', {
          from, to: `v${version}`, set: new Map([['head', '{}']]), remove: [], ttlMs: TTL_MS,
        });
      },
    });
    await assert.rejects(eraseStored(outside, 'c', TTL_MS), {
      name: 'StoreError', message: /changed the conversation 20 times/,
    });
  });
});

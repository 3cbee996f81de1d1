import assert from 'node:assert/strict';
import { it } from 'node:test';

import { MemoryStore } from '../../../src/core/conversations/memory-store.ts';
import { watched } from '../../../src/kit/eval/watched-store.ts';

it('a watched store tells the underlying store its address', () => {
  class SharedStore extends MemoryStore {
    readonly isShared = true;
    readonly addresses: string[] = [];
    runsAt(address: string): void {
      this.addresses.push(address);
    }
  }
  const store = new SharedStore({ ttlMs: 1_000, maxConversations: 1 });
  const one = watched(store);
  one.runsAt?.('a');
  assert.deepEqual([one.isShared, store.addresses], [true, ['a']]);
  const alone = new MemoryStore({ ttlMs: 1_000, maxConversations: 1 });
  assert.doesNotThrow(() => watched(alone).runsAt?.('a'));
});

// "store is back" went on while a change still waited, so the other process could not know of it.
it('a watched store is away until everything that waited is written', () => {
  const health = { isDegraded: true, turnsWaiting: 1, failures: 1, conflicts: 0 };
  class FailingStore extends MemoryStore {
    health(): typeof health {
      return health;
    }
  }
  const store = watched(new FailingStore({ ttlMs: 1_000, maxConversations: 1 }));
  const seen = [store.isAway];
  for (const change of [{ isDegraded: false }, { turnsWaiting: 0 }]) {
    Object.assign(health, change);
    seen.push(store.isAway);
  }
  assert.deepEqual(seen, [true, true, false]);
});

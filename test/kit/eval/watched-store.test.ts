import assert from 'node:assert/strict';
import { it } from 'node:test';

import { MemoryStore } from '../../../src/conversations/memory-store.ts';
import { WatchedStore } from '../../../src/kit/eval/watched-store.ts';

it('a watched store tells the store which addresses are its own', () => {
  class SharedStore extends MemoryStore {
    readonly isShared = true;
    readonly addresses: string[] = [];
    runsAt(address: string): void {
      this.addresses.push(address);
    }
  }
  const store = new SharedStore({ ttlMs: 1_000, maxConversations: 1 });
  const watched = new WatchedStore(store);
  watched.runsAt('a');
  assert.deepEqual([watched.isShared, store.addresses], [true, ['a']]);
  const alone = new MemoryStore({ ttlMs: 1_000, maxConversations: 1 });
  assert.doesNotThrow(() => new WatchedStore(alone).runsAt('a'));
});

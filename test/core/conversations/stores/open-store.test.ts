import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';

import { createLogger } from '../../../../src/base/log.ts';
import {
  openStore, type StoreSettings,
} from '../../../../src/core/conversations/stores/open-store.ts';
import { parseSettings } from '../../../../src/server/settings/parse-settings.ts';
import { jumpingClock } from '../../../fixtures/clock.ts';
import { push } from '../store-contract.ts';

const log = createLogger({ level: 'silent', write: () => undefined });

describe('openStore', () => {
  it('refuses a misspelt option, and names the one that was meant', async () => {
    const options = { log, redisSubscriebr: undefined };
    await assert.rejects(openStore(parseSettings({}, []), options), {
      name: 'TypeError',
      message:
        'the options of openStore: unknown field "redisSubscriebr"; '
        + 'did you mean "redisSubscriber"?',
    });
  });
});

const SETTINGS: StoreSettings = {
  conversationStore: 'memory',
  conversationTtlSeconds: 60,
  maxConversations: 2,
  maxHistoryCharacters: 100,
  storeTimeoutMs: 250,
  sqliteSynchronous: 'normal',
};

describe('a memory store from openStore', () => {
  async function kept(
    lengths: readonly number[], ids: readonly string[], more: Partial<StoreSettings> = {},
  ): Promise<string[]> {
    const store = await openStore({ ...SETTINGS, ...more }, { log });
    for (const [index, id] of ids.entries()) {
      const words = 'a'.repeat(lengths[index] ?? 0);
      await store.update(id, push({ id: 't', state: 'completed', runId: 1, words, reply: null }));
    }
    const found: string[] = [];
    for (const id of ids) if ((await store.read(id)) !== undefined) found.push(id);
    await store.close();
    return found;
  }

  it('keeps as many conversations as the settings say', async () => {
    assert.deepEqual(await kept([1, 1, 1], ['a', 'b', 'c']), ['b', 'c']);
  });

  it('keeps as many characters as the settings say', async () => {
    assert.deepEqual(await kept([60, 60], ['a', 'b']), ['b']);
    assert.deepEqual(await kept([60, 60], ['a', 'b'], { maxHistoryCharacters: 120 }), ['a', 'b']);
  });

  it('keeps conversations as long as the settings say', async (t) => {
    const jump = jumpingClock(t);
    const store = await openStore(SETTINGS, { log });
    t.after(() => store.close());
    await store.update('a', push({ id: 't', state: 'completed', runId: 1, words: '', reply: '' }));
    jump(59_000);
    assert.notEqual(await store.read('a'), undefined);
    jump(2_000);
    assert.equal(await store.read('a'), undefined);
  });
});

describe('a store from openStore whose Redis client has no connection', () => {
  it('is degraded before the first call', async (t) => {
    const refuse = (): Promise<never> => Promise.reject(new Error('there is no connection'));
    const redis = { eval: refuse, evalSha: refuse, dbSize: refuse, publish: refuse };
    const store = await openStore(SETTINGS, { log, redis });
    t.after(() => store.close());
    await setImmediate();
    assert.equal(store.health?.().isDegraded, true);
  });
});

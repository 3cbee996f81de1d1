import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import {
  ConversationManager, type ConversationManagerOptions,
} from '../../../src/core/conversations/manager.ts';
import { MemoryStore } from '../../../src/core/conversations/memory-store.ts';
import type { ConversationStore } from '../../../src/core/conversations/store.ts';
import { transcriptOf } from '../../fixtures/transcript.ts';
import { PromisedStore } from './promised-store.ts';
import { setTo } from './state-writes.ts';
import { reply } from './talk.ts';

/** A store that is closed after the test. */
function memory(t: TestContext): MemoryStore {
  const store = new MemoryStore({ ttlMs: 3_600_000, maxConversations: 100 });
  t.after(() => store.close());
  return store;
}

for (const [kind, storeOf] of [
  ['a store that answers at once', memory],
  ['a store that answers later', (t: TestContext) => new PromisedStore(memory(t))],
] as const)
  describe(`ConversationManager with ${kind}`, () => {
    function begin(t: TestContext, options?: ConversationManagerOptions): {
      manager: ConversationManager;
      /** The caller says something. */
      say: (content: string, id?: string) => Promise<void>;
      texts: (id?: string) => Promise<string[]>;
    } {
      const manager = new ConversationManager(storeOf(t), options);
      return {
        manager,
        say: async (content, id = 'c') => manager.addMessage(id, { role: 'user', content }),
        texts: async (id = 'c') => (await manager.getHistory(id)).map(({ content }) => content),
      };
    }

    it('adds messages and gives them back in order', async (t) => {
      const { manager, say } = begin(t);
      await say('Hello');
      await manager.addMessage('c', { role: 'assistant', content: 'Hi.' });
      const [asked, said, ...rest] = await manager.getHistory('c');
      assert.deepEqual([asked?.role, asked?.content, said?.content, rest], [
        'user', 'Hello', 'Hi.', [],
      ]);
      assert.notEqual(asked?.turnId, said?.turnId);
      assert.equal(said?.role === 'assistant' && said.state, 'completed');
    });

    it('keeps the state that a turn saves, even if the turn has been trimmed', async (t) => {
      const { manager } = begin(t, { maxMessages: 2 });
      for (const [runId, turnId] of ['t1', 't2'].entries())
        await manager.openTurn('c', { turnId, runId, text: 'Hello' });
      await manager.saveState('c', 't1', { agentState: setTo('{"n":1}') });
      assert.deepEqual(await manager.getState('c'), { n: 1 });
    });

    it('keeps no state from a turn that the platform has discarded', async (t) => {
      const { manager } = begin(t);
      const transcript = transcriptOf([]);
      await manager.openTurn('c', { turnId: 't1', runId: 1, text: 'Hel', transcript });
      await manager.openTurn('c', { turnId: 't2', runId: 2, text: 'Hello', transcript });
      await manager.saveState('c', 't1', { agentState: setTo('{"n":1}') });
      assert.equal(await manager.getState('c'), undefined);
    });

    it('has an empty history for an unknown id, which creates no conversation', async (t) => {
      const { manager, texts } = begin(t);
      assert.deepEqual(await texts(), []);
      assert.equal(await manager.count(), 0);
    });

    it('keeps conversations apart, counts them, and clears one, which starts again', async (t) => {
      const { manager, say, texts } = begin(t);
      await say('of a', 'a');
      await say('of b', 'b');
      assert.deepEqual(await texts('a'), ['of a']);
      assert.equal(await manager.count(), 2);
      await manager.clear('a');
      assert.deepEqual(await texts('a'), []);
      assert.equal(await manager.count(), 1);
      await say('again', 'a');
      assert.deepEqual(await texts('a'), ['again']);
      await manager.clear('unknown');
    });

    it('opens, settles and cuts a turn', async (t) => {
      const { manager, texts } = begin(t);
      const opened = await manager.openTurn('c', { turnId: 't1', runId: 1, text: 'Hello' });
      assert.equal(opened.kind, 'opened');
      assert.deepEqual(await texts(), ['Hello', '']);
      const end = { turnId: 't1', runId: 1, state: 'completed' } as const;
      const messages = [reply('t1', 'Hi there.')];
      assert.equal(await manager.settleTurn('c', { ...end, messages }), true);
      const cut = await manager.cutTurn('c', { textHeard: 'Hi', turnId: undefined });
      assert.deepEqual(cut, { turnId: 't1', text: 'Hi' });
      assert.deepEqual(await texts(), ['Hello', 'Hi']);
    });

    it('enforces its limits', async (t) => {
      const { say, texts } = begin(t, { maxMessages: 3, maxTextLength: 10 });
      for (let count = 0; count < 5; count++) await say(String(count));
      assert.deepEqual(await texts(), ['2', '3', '4']);
      await say('x'.repeat(9));
      assert.deepEqual(await texts(), ['x'.repeat(9)]);
    });

    it('keeps 200 messages by default, and three quarters of them beyond that', async (t) => {
      const { say, texts } = begin(t);
      for (let count = 0; count < 200; count++) await say(String(count));
      assert.equal((await texts()).length, 200);
      await say('200');
      const left = await texts();
      assert.deepEqual([left.length, left[0]], [150, '51']);
    });
  });

describe('ConversationManager', () => {
  it('answers at once if its store does', (t) => {
    const manager = new ConversationManager(memory(t));
    assert.equal(manager.addMessage('c', { role: 'user', content: 'a' }), undefined);
    assert.ok(Array.isArray(manager.getHistory('c')));
    assert.equal(manager.count(), 1);
    assert.equal(manager.close(), undefined);
  });

  for (const maxMessages of [1, 0, -5, 2.5, Number.NaN])
    it(`refuses ${maxMessages} for maxMessages`, (t) => {
      assert.throws(() => new ConversationManager(memory(t), { maxMessages }), {
        name: 'RangeError',
        message: `maxMessages must be an integer of at least 2, got ${maxMessages}`,
      });
    });

  it('passes on what its store rejects with', async (t) => {
    const failure = new Error('of the store');
    const store = new PromisedStore(memory(t));
    const manager = new ConversationManager(store);
    store.failWith = failure;
    for (const call of [
      async () => manager.addMessage('c', { role: 'user', content: 'a' }),
      async () => manager.getHistory('c'),
      async () => manager.openTurn('c', { turnId: 't', runId: 1 }),
    ])
      await assert.rejects(call, failure);
  });

  // Previously it was always false if agents had names.
  it('reports that its store is away, even for one of several agents', (t) => {
    const store: ConversationStore = memory(t);
    const managers = [{}, { agentName: 'a' }].map((of) => new ConversationManager(store, of));
    for (const isDegraded of [true, false]) {
      store.health = () => ({ isDegraded, turnsWaiting: 0, failures: 0, conflicts: 0 });
      assert.deepEqual(managers.map((each) => each.isStoreAway), [isDegraded, isDegraded]);
    }
  });

  it('closes its store', async (t) => {
    const inner = memory(t);
    const manager = new ConversationManager(new PromisedStore(inner));
    await manager.addMessage('c', { role: 'user', content: 'a' });
    await manager.close();
    assert.equal(inner.count(), 0);
  });
});

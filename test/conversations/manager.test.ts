import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';

import {
  ConversationManager,
  type ConversationManagerOptions,
} from '../../src/conversations/manager.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import type { ConversationStore } from '../../src/conversations/store.ts';
import { transcriptOf } from '../fixtures/transcript.ts';
import { PromisedStore } from './promised-store.ts';
import { setTo } from './state-writes.ts';

const stores: MemoryStore[] = [];

/** Call it in a `describe`, for each of its tests. */
function closeStores(): void {
  afterEach(() => {
    for (const store of stores.splice(0)) store.close();
  });
}

function memory(): MemoryStore {
  const store = new MemoryStore({ ttlMs: 3_600_000, maxConversations: 100 });
  stores.push(store);
  return store;
}

for (const [kind, create] of [
  [
    'a store that answers at once',
    (options?: ConversationManagerOptions) => new ConversationManager(memory(), options),
  ],
  [
    'a store that answers later',
    (options?: ConversationManagerOptions) =>
      new ConversationManager(new PromisedStore(memory()), options),
  ],
] as const) {
  describe(`ConversationManager over ${kind}`, () => {
    closeStores();

    it('adds messages and gives them back in order', async () => {
      const manager = create();
      await manager.addMessage('c', { role: 'user', content: 'Hello' });
      await manager.addMessage('c', { role: 'assistant', content: 'Hi.' });
      const history = await manager.getHistory('c');
      assert.deepEqual(
        history.map(({ role, content }) => [role, content]),
        [
          ['user', 'Hello'],
          ['assistant', 'Hi.'],
        ],
      );
      assert.equal(new Set(history.map(({ turnId }) => turnId)).size, 2);
      assert.equal(history[1]?.role === 'assistant' && history[1].state, 'completed');
    });

    it('keeps the state that a turn saves, unless the conversation was cleared', async () => {
      const manager = create();
      await manager.openTurn('c', { turnId: 't', runId: 1, text: 'Hello' });
      await manager.saveState('c', 't', setTo('{"n":1}'), 0);
      assert.deepEqual(await manager.getState('c'), { n: 1 });
      await manager.clear('c');
      await manager.saveState('c', 't', setTo('{"n":2}'), 0);
      assert.equal(await manager.getState('c'), undefined);
    });

    it('keeps no state of a turn that the platform has discarded', async () => {
      const manager = create();
      const transcript = transcriptOf([]);
      await manager.openTurn('c', { turnId: 't1', runId: 1, text: 'Hel', transcript });
      await manager.openTurn('c', { turnId: 't2', runId: 2, text: 'Hello', transcript });
      await manager.saveState('c', 't1', setTo('{"n":1}'), 0);
      assert.equal(await manager.getState('c'), undefined);
      await manager.saveState('c', 't2', setTo('{"n":2}'), 0);
      assert.deepEqual(await manager.getState('c'), { n: 2 });
    });

    it('keeps the order if nobody waits in between', async () => {
      const manager = create();
      await Promise.all(
        Array.from({ length: 20 }, (_, count) =>
          manager.addMessage('c', { role: 'user', content: String(count) }),
        ),
      );
      assert.deepEqual(
        (await manager.getHistory('c')).map(({ content }) => content),
        Array.from({ length: 20 }, (_, count) => String(count)),
      );
    });

    it('puts the messages of one turn together', async () => {
      const manager = create();
      await manager.addMessage('c', { role: 'user', content: 'a', turnId: 't1' });
      await manager.addMessage('c', { role: 'user', content: 'b', turnId: 't2' });
      await manager.addMessage('c', { role: 'assistant', content: 'c', turnId: 't1' });
      assert.deepEqual(
        (await manager.getHistory('c')).map(({ content }) => content),
        ['a', 'c', 'b'],
      );
    });

    it('has an empty history for an unknown id, which creates no conversation', async () => {
      const manager = create();
      assert.deepEqual(await manager.getHistory('c'), []);
      assert.equal(await manager.count(), 0);
    });

    it('keeps conversations apart and counts them', async () => {
      const manager = create();
      await manager.addMessage('a', { role: 'user', content: 'of a' });
      await manager.addMessage('b', { role: 'user', content: 'of b' });
      assert.deepEqual(
        (await manager.getHistory('a')).map(({ content }) => content),
        ['of a'],
      );
      assert.equal(await manager.count(), 2);
    });

    it('clears one conversation, and starts it again afterwards', async () => {
      const manager = create();
      await manager.addMessage('a', { role: 'user', content: 'of a' });
      await manager.addMessage('b', { role: 'user', content: 'of b' });
      await manager.clear('a');
      assert.deepEqual(await manager.getHistory('a'), []);
      assert.equal(await manager.count(), 1);
      await manager.addMessage('a', { role: 'user', content: 'again' });
      assert.deepEqual(
        (await manager.getHistory('a')).map(({ content }) => content),
        ['again'],
      );
      await manager.clear('unknown');
    });

    it('does not store a turn that was cleared while it ran', async () => {
      const manager = create();
      await manager.openTurn('c', { turnId: 't1', runId: 1, text: 'Hello' });
      await manager.clear('c');
      const settlement = { turnId: 't1', runId: 1, state: 'completed', messages: [] } as const;
      assert.equal(await manager.settleTurn('c', settlement), false);
      assert.deepEqual(await manager.getHistory('c'), []);
    });

    it('opens, settles and cuts a turn', async () => {
      const manager = create();
      const opened = await manager.openTurn('c', { turnId: 't1', runId: 1, text: 'Hello' });
      assert.equal(opened.kind, 'opened');
      assert.deepEqual(
        (await manager.getHistory('c')).map(({ content }) => content),
        ['Hello', ''],
      );
      const messages = [
        { role: 'assistant', content: 'Hi there.', turnId: 't1', state: 'completed' },
      ] as const;
      assert.equal(
        await manager.settleTurn('c', { turnId: 't1', runId: 1, state: 'completed', messages }),
        true,
      );
      assert.deepEqual(await manager.cutTurn('c', { textHeard: 'Hi', turnId: undefined }), {
        turnId: 't1',
        text: 'Hi',
      });
      assert.deepEqual(
        (await manager.getHistory('c')).map(({ content }) => content),
        ['Hello', 'Hi'],
      );
    });

    it('enforces its limits', async () => {
      const manager = create({ maxMessages: 3, maxTextLength: 10 });
      for (let count = 0; count < 5; count++)
        await manager.addMessage('c', { role: 'user', content: String(count) });
      assert.deepEqual(
        (await manager.getHistory('c')).map(({ content }) => content),
        ['2', '3', '4'],
      );
      await manager.addMessage('c', { role: 'user', content: 'x'.repeat(9) });
      assert.deepEqual(
        (await manager.getHistory('c')).map(({ content }) => content),
        ['x'.repeat(9)],
      );
    });

    it('keeps 200 messages by default, and three quarters of them beyond that', async () => {
      const manager = create();
      const add = (content: number) =>
        manager.addMessage('c', { role: 'user', content: String(content) });
      for (let count = 0; count < 200; count++) await add(count);
      assert.equal((await manager.getHistory('c')).length, 200);
      await add(200);
      const history = await manager.getHistory('c');
      assert.deepEqual([history.length, history[0]?.content], [150, '51']);
    });

    it('gives a history that later changes do not affect', async () => {
      const manager = create();
      await manager.addMessage('c', { role: 'user', content: 'a' });
      const before = await manager.getHistory('c');
      await manager.addMessage('c', { role: 'user', content: 'b' });
      assert.equal(before.length, 1);
    });
  });
}

describe('ConversationManager', () => {
  closeStores();

  it('answers at once if its store does', () => {
    const manager = new ConversationManager(memory());
    assert.equal(manager.addMessage('c', { role: 'user', content: 'a' }), undefined);
    assert.ok(Array.isArray(manager.getHistory('c')));
    assert.equal(manager.count(), 1);
    assert.equal(manager.close(), undefined);
  });

  for (const maxMessages of [1, 0, -5, 2.5, Number.NaN]) {
    it(`refuses ${maxMessages} for maxMessages`, () => {
      assert.throws(() => new ConversationManager(memory(), { maxMessages }), {
        name: 'RangeError',
        message: `maxMessages must be an integer of at least 2, got ${maxMessages}`,
      });
    });
  }

  it('passes on what its store rejects with', async () => {
    const failure = new Error('of the store');
    const store = new PromisedStore(memory());
    const manager = new ConversationManager(store);
    store.failWith = failure;
    await assert.rejects(
      async () => manager.addMessage('c', { role: 'user', content: 'a' }),
      failure,
    );
    await assert.rejects(async () => manager.getHistory('c'), failure);
    await assert.rejects(async () => manager.openTurn('c', { turnId: 't', runId: 1 }), failure);
  });

  // Was: false for ever where agents have names.
  it('reports that its store is away, also as one of several agents', () => {
    const store: ConversationStore = memory();
    let isDegraded = true;
    store.health = () => ({ isDegraded, turnsWaiting: 0, failures: 0, conflicts: 0 });
    const managers = [
      new ConversationManager(store), new ConversationManager(store, { agentName: 'a' }),
    ];
    assert.deepEqual(managers.map(({ isStoreAway }) => isStoreAway), [true, true]);
    isDegraded = false;
    assert.deepEqual(managers.map(({ isStoreAway }) => isStoreAway), [false, false]);
  });

  it('closes its store', async () => {
    const inner = memory();
    const manager = new ConversationManager(new PromisedStore(inner));
    await manager.addMessage('c', { role: 'user', content: 'a' });
    await manager.close();
    assert.equal(inner.count(), 0);
  });
});

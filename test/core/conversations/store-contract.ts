import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';

import type { Awaitable } from '../../../src/base/awaitable.ts';
import {
  add, addTurn, clearTurns, emptyConversation, subtract, type Conversation,
} from '../../../src/core/conversations/conversation.ts';
import type { ConversationStore } from '../../../src/core/conversations/store.ts';
import type { TurnRecord } from '../../../src/core/conversations/turn-record.ts';
import { onceCall, onceKey } from './once-calls.ts';
import { toolMessages } from './talk.ts';

/** A turn record with everything that one can hold. */
function fullTurn(id: string): TurnRecord {
  const content = 'Hello "there" \\ 👋🏽\n\u0000\u2028';
  return {
    id, state: 'completed', runId: 2 ** 48 + 1, words: null, reply: null,
    messages: [{ role: 'user', content, turnId: id }, ...toolMessages(id)],
    sent: [
      { type: 'say', text: 'Hm.', isFiller: true }, { type: 'data', json: '{"a":1}' },
      { type: 'say', text: 'It is 42.' }, { type: 'hangup' },
    ],
  };
}

/** A turn about which nothing is known. */
function bareTurn(id: string, runId = 0): TurnRecord {
  return { id, state: 'completed', runId, words: null, reply: null };
}

/** Adds a turn. */
export function push(turn: TurnRecord): (conversation: Conversation) => number {
  return (conversation) => {
    addTurn(conversation, turn);
    add(conversation, turn);
    return conversation.turns.length;
  };
}

function empty(conversation: Conversation): void {
  conversation.turns = [];
}

/** The conversation without what a store may add for itself. */
function plain(conversation: Conversation): Conversation {
  const { touched: _touched, ...kept } = conversation;
  const turns = kept.turns.map(({ addedAt: _addedAt, ...turn }) => turn);
  return { ...kept, turns };
}

function turnIds(conversation: Conversation | undefined): string[] | undefined {
  return conversation?.turns.map(({ id }) => id);
}

/**
 * What every store promises. Each test has a new one from `open`, which keeps 1,000 conversations
 * for an hour. Ids are new in every test, so that stores may share a database. A store that counts
 * keys counts the mark of an erasure, too.
 */
export function storeContract(
  name: string,
  open: () => Awaitable<ConversationStore>,
  { countsKeys = false }: { readonly countsKeys?: boolean } = {},
): void {
  const opened: ConversationStore[] = [];
  let ids = 0;
  const run = Math.random().toString(36).slice(2);

  type Test = (store: ConversationStore, id: string) => Promise<void>;
  const begun = (test: Test) => async (): Promise<void> => {
    const store = await open();
    opened.push(store);
    ids += 1;
    await test(store, `contract-${run}-${ids}`);
  };

  describe(`${name} as a conversation store`, () => {
    afterEach(async () => {
      for (const store of opened.splice(0)) await store.close();
    });

    it('begins a conversation with its id and nothing else', begun(async (store, id) => {
      assert.equal(await store.read(id), undefined);
      await store.update(id, (conversation) => {
        assert.deepEqual(plain(conversation), emptyConversation(id));
      });
    }));

    it('keeps what was changed, to the last character', begun(async (store, id) => {
      const change = (conversation: Conversation): void => {
        push(fullTurn('t1'))(conversation);
        push({ ...fullTurn('t2'), state: 'open' })(conversation);
        conversation.openTurns = 1;
      };
      await store.update(id, change);
      const kept = (await store.read(id)) ?? assert.fail('nothing was kept');
      const expected = emptyConversation(id);
      change(expected);
      assert.deepEqual(plain(kept), { ...expected, updatedAt: kept.updatedAt });
      assert.equal(Number.isFinite(kept.updatedAt), true);
    }));

    it('gives a change what the previous change left', begun(async (store, id) => {
      await store.update(id, push(fullTurn('t1')));
      await store.update(id, (conversation) => {
        assert.deepEqual(plain(conversation).turns, [fullTurn('t1')]);
        const turn = conversation.turns[0] ?? assert.fail('the turn is gone');
        subtract(conversation, turn);
        turn.state = 'interrupted';
        delete turn.sent;
        add(conversation, turn);
      });
      assert.equal((await store.read(id))?.turns[0]?.state, 'interrupted');
      assert.equal((await store.read(id))?.turns[0]?.sent, undefined);
    }));

    it('returns what the change returned', begun(async (store, id) => {
      const value = { kind: 'opened', history: (): string[] => ['a'] };
      for (const result of [value, undefined, null, 0, '', false, [1]]) {
        const returned = await store.update(id, (conversation) => {
          push(fullTurn('t1'))(conversation);
          return result;
        });
        assert.equal(returned, result);
      }
    }));

    it('makes changes to a conversation in the order of the calls', begun(async (store, id) => {
      const ids = Array.from({ length: 50 }, (_, count) => `t${count}`);
      const lengths = await Promise.all(ids.map((turnId, count) =>
        store.update(id, push(bareTurn(turnId, count)))));
      assert.deepEqual(lengths, ids.map((_turnId, count) => count + 1));
      assert.deepEqual(turnIds(await store.read(id)), ids);
    }));

    it('keeps conversations apart', begun(async (store, id) => {
      const endings = ['', ':', ' ', ':é語👋🏽', '%00', "'; --", '*', '/../x'];
      const ids = [
        ...endings.map((ending) => `${id}${ending}`), id.toUpperCase(), id.padEnd(256, 'i'),
      ];
      await Promise.all(
        ids.map((other, index) => store.update(other, push(fullTurn(`t${index}`)))),
      );
      for (const [index, other] of ids.entries())
        assert.deepEqual(turnIds(await store.read(other)), [`t${index}`], other);
    }));

    it("accepts names of an object's members as ids", begun(async (store) => {
      for (const id of ['__proto__', 'constructor', 'toString']) {
        await store.update(id, empty);
        assert.equal(await store.read(id), undefined);
        await store.update(id, push(fullTurn('t1')));
        assert.deepEqual(turnIds(await store.read(id)), ['t1']);
        await store.update(id, empty);
      }
    }));

    it('keeps no conversation without turns, new or known', begun(async (store, id) => {
      const before = await store.count();
      await store.update(id, (conversation) => {
        conversation.messageCount = 5;
      });
      assert.equal(await store.read(id), undefined);
      await store.update(id, push(fullTurn('t1')));
      assert.equal(await store.count(), before + 1);
      await store.update(id, empty);
      assert.equal(await store.read(id), undefined);
      assert.equal(await store.count(), before);
      await store.update(id, (conversation) => assert.equal(conversation.messageCount, 0));
    }));

    it('keeps once calls, even without turns, until they are freed', begun(async (store, id) => {
      const paid = onceCall({ state: 'completed' });
      const paying = onceCall({ runId: 2 ** 48 + 1 });
      await store.update(id, push(fullTurn('t1')));
      for (const onceCalls of [
        { [onceKey(1)]: paid, [onceKey(2)]: paying },
        { [onceKey(1)]: { ...paid, content: '"again"' } },
      ]) {
        await store.update(id, (conversation) => {
          Object.assign(conversation, { turns: [], onceCalls });
        });
        assert.deepEqual((await store.read(id))?.onceCalls, onceCalls);
      }
    }));

    it('counts each conversation once', begun(async (store, id) => {
      const before = await store.count();
      for (let count = 0; count < 5; count++) {
        await store.update(`${id}-a`, push(fullTurn(`t${count}`)));
        await store.update(`${id}-b`, push(fullTurn(`t${count}`)));
      }
      assert.equal(await store.count(), before + 2);
    }));

    it('neither has nor counts a conversation that was cleared', begun(async (store, id) => {
      const before = await store.count();
      await store.update(id, push(fullTurn('t1')));
      await store.update(id, clearTurns);
      assert.equal(await store.read(id), undefined);
      if (!countsKeys) assert.equal(await store.count(), before);
      await store.update(id, push(fullTurn('t2')));
      assert.deepEqual(turnIds(await store.read(id)), ['t2']);
      assert.equal(await store.count(), before + 1);
    }));

    it('throws what a change throws, and writes nothing of it', begun(async (store, id) => {
      const failure = new Error('of the change');
      const change = (_conversation: Conversation): never => {
        throw failure;
      };
      await assert.rejects(async () => store.update(id, change), failure);
      assert.equal(await store.read(id), undefined);
      await store.update(id, push(fullTurn('t1')));
      await assert.rejects(async () => store.update(id, change), failure);
      assert.deepEqual(turnIds(await store.read(id)), ['t1']);
    }));

    it('makes the next change after one that threw', begun(async (store, id) => {
      const failed = (async () => store.update(id, () => assert.fail('of the change')))();
      const then = store.update(id, push(fullTurn('t1')));
      const [first, second] = await Promise.allSettled([failed, then]);
      assert.deepEqual([first.status, second.status], ['rejected', 'fulfilled']);
      assert.deepEqual(turnIds(await store.read(id)), ['t1']);
    }));

    it('can be closed, even twice', begun(async (store, id) => {
      await store.update(id, push(fullTurn('t1')));
      await store.close();
      await store.close();
    }));
  });
}

import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';

import type { Awaitable } from '../../src/base/awaitable.ts';
import type { ConversationBounds } from '../../src/conversations/bounds.ts';
import {
  add,
  addTurn,
  clearTurns,
  emptyConversation,
  historyOf,
  subtract,
  type Conversation,
} from '../../src/conversations/conversation.ts';
import type { ConversationStore } from '../../src/conversations/store.ts';
import { openTurn } from '../../src/conversations/turn-opening.ts';
import type { TurnRecord } from '../../src/conversations/turn-record.ts';
import { settleTurn } from '../../src/conversations/turn-settlement.ts';
import { onceCall, onceKey } from './once-calls.ts';

const BOUNDS: ConversationBounds = { maxMessages: 200, maxTextLength: 1_048_576 };

/** A turn record with everything that one can hold. */
export function fullTurn(id: string): TurnRecord {
  return {
    id,
    state: 'completed',
    runId: 2 ** 48 + 1,
    words: null,
    reply: null,
    messages: [
      { role: 'user', content: 'Hello "there" \\ 👋🏽\n\u0000\u2028', turnId: id },
      {
        role: 'assistant',
        content: '',
        turnId: id,
        state: 'completed',
        toolCalls: [{ id: 'call-1', name: 'look', args: '{"a":' }],
      },
      { role: 'tool', content: '42', turnId: id, toolCallId: 'call-1', state: 'completed' },
      { role: 'assistant', content: 'It is 42.', turnId: id, state: 'completed' },
    ],
    sent: [
      { type: 'say', text: 'Hm.', isFiller: true },
      { type: 'data', json: '{"a":1}' },
      { type: 'say', text: 'It is 42.' },
      { type: 'hangup' },
    ],
  };
}

/** Adds a turn. */
export function push(turn: TurnRecord): (conversation: Conversation) => number {
  return (conversation) => {
    addTurn(conversation, turn);
    add(conversation, turn);
    return conversation.turns.length;
  };
}

/** Without what a store may add for itself. */
function plain(conversation: Conversation): Conversation {
  const { touched: _touched, ...kept } = conversation;
  const turns = kept.turns.map(({ addedAt: _addedAt, ...turn }) => turn);
  return { ...kept, turns };
}

function turnIds(conversation: Conversation | undefined): string[] | undefined {
  return conversation?.turns.map(({ id }) => id);
}

/**
 * What every store promises, each in a new one from `open`, with room for 1,000 conversations and
 * an hour. Ids are new in every test, so that stores may share a database. One that counts keys
 * counts the mark of an erasure, too.
 */
export function storeContract(
  name: string,
  open: () => Awaitable<ConversationStore>,
  { countsKeys = false }: { readonly countsKeys?: boolean } = {},
): void {
  const opened: ConversationStore[] = [];
  let ids = 0;
  const run = Math.random().toString(36).slice(2);

  async function begin(): Promise<{ store: ConversationStore; id: string }> {
    const store = await open();
    opened.push(store);
    ids += 1;
    return { store, id: `contract-${run}-${ids}` };
  }

  describe(`${name} as a conversation store`, () => {
    afterEach(async () => {
      for (const store of opened.splice(0)) await store.close();
    });

    it('knows nothing of a conversation that nobody has changed', async () => {
      const { store, id } = await begin();
      assert.equal(await store.read(id), undefined);
    });

    it('begins a conversation with its id and nothing else', async () => {
      const { store, id } = await begin();
      await store.update(id, (conversation) => {
        assert.deepEqual(plain(conversation), emptyConversation(id));
      });
    });

    it('keeps what was changed, to the last character', async () => {
      const { store, id } = await begin();
      await store.update(id, (conversation) => {
        push(fullTurn('t1'))(conversation);
        push({ ...fullTurn('t2'), state: 'open' })(conversation);
        conversation.openTurns = 1;
      });
      const kept = (await store.read(id)) ?? assert.fail('nothing was kept');
      const expected = emptyConversation(id);
      push(fullTurn('t1'))(expected);
      push({ ...fullTurn('t2'), state: 'open' })(expected);
      expected.openTurns = 1;
      assert.deepEqual(plain(kept), { ...expected, updatedAt: kept.updatedAt });
      assert.equal(Number.isFinite(kept.updatedAt), true);
    });

    it('gives a change what the one before left', async () => {
      const { store, id } = await begin();
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
    });

    it('returns what the change returned', async () => {
      const { store, id } = await begin();
      const value = { kind: 'opened', history: (): string[] => ['a'] };
      for (const result of [value, undefined, null, 0, '', false, [1]]) {
        assert.equal(
          await store.update(id, (conversation) => (push(fullTurn('t1'))(conversation), result)),
          result,
        );
      }
    });

    it('applies the changes of one conversation in the order of the calls', async () => {
      const { store, id } = await begin();
      const lengths = await Promise.all(
        Array.from({ length: 50 }, (_, count) =>
          store.update(
            id,
            push({ id: `t${count}`, state: 'completed', runId: count, words: null, reply: null }),
          ),
        ),
      );
      assert.deepEqual(
        lengths,
        Array.from({ length: 50 }, (_, count) => count + 1),
      );
      assert.deepEqual(
        turnIds(await store.read(id)),
        Array.from({ length: 50 }, (_, count) => `t${count}`),
      );
    });

    it('keeps conversations apart', async () => {
      const { store, id } = await begin();
      const others = [
        `${id}:`,
        `${id} `,
        `${id}:é語👋🏽`,
        `${id.toUpperCase()}`,
        `${id}%00`,
        `${id}'; --`,
        `${id}*`,
        `${id}/../x`,
        `${id}${'i'.repeat(256 - id.length)}`,
      ];
      await Promise.all(
        [id, ...others].map((other, index) => store.update(other, push(fullTurn(`t${index}`)))),
      );
      for (const [index, other] of [id, ...others].entries())
        assert.deepEqual(turnIds(await store.read(other)), [`t${index}`], other);
    });

    it("accepts names of an object's own members as ids", async () => {
      const { store } = await begin();
      for (const id of ['__proto__', 'constructor', 'toString']) {
        await store.update(id, (conversation) => {
          conversation.turns = [];
        });
        assert.equal(await store.read(id), undefined);
        await store.update(id, push(fullTurn('t1')));
        assert.deepEqual(turnIds(await store.read(id)), ['t1']);
        await store.update(id, (conversation) => {
          conversation.turns = [];
        });
      }
    });

    it('does not keep a conversation that is left without turns, new or known', async () => {
      const { store, id } = await begin();
      const before = await store.count();
      await store.update(id, (conversation) => {
        conversation.messageCount = 5;
      });
      assert.equal(await store.read(id), undefined);
      await store.update(id, push(fullTurn('t1')));
      assert.equal(await store.count(), before + 1);
      await store.update(id, (conversation) => {
        conversation.turns = [];
      });
      assert.equal(await store.read(id), undefined);
      assert.equal(await store.count(), before);
      await store.update(id, (conversation) => assert.equal(conversation.messageCount, 0));
    });

    it('keeps once calls, even without turns, until they are freed', async () => {
      const { store, id } = await begin();
      const [paid, paying] = [onceCall({ state: 'completed' }), onceCall({ runId: 2 ** 48 + 1 })];
      await store.update(id, push(fullTurn('t1')));
      await store.update(id, (conversation) => {
        conversation.turns = [];
        conversation.onceCalls = { [onceKey(1)]: paid, [onceKey(2)]: paying };
      });
      assert.deepEqual((await store.read(id))?.onceCalls, {
        [onceKey(1)]: paid, [onceKey(2)]: paying,
      });
      await store.update(id, (conversation) => {
        conversation.onceCalls = { [onceKey(1)]: { ...paid, content: '"again"' } };
      });
      assert.deepEqual((await store.read(id))?.onceCalls, {
        [onceKey(1)]: { ...paid, content: '"again"' },
      });
    });

    it('counts each conversation once', async () => {
      const { store, id } = await begin();
      const before = await store.count();
      for (let count = 0; count < 5; count++) {
        await store.update(`${id}-a`, push(fullTurn(`t${count}`)));
        await store.update(`${id}-b`, push(fullTurn(`t${count}`)));
      }
      assert.equal(await store.count(), before + 2);
    });

    it('is empty, and counts nothing, once a conversation is cleared', async () => {
      const { store, id } = await begin();
      const before = await store.count();
      await store.update(id, push(fullTurn('t1')));
      await store.update(id, clearTurns);
      assert.equal(await store.read(id), undefined);
      if (!countsKeys) assert.equal(await store.count(), before);
      await store.update(id, push(fullTurn('t2')));
      assert.deepEqual(turnIds(await store.read(id)), ['t2']);
      assert.equal(await store.count(), before + 1);
    });

    it('throws what a change throws, and writes nothing of it', async () => {
      const { store, id } = await begin();
      const failure = new Error('of the change');
      const change = (_conversation: Conversation): never => {
        throw failure;
      };
      await assert.rejects(async () => store.update(id, change), failure);
      assert.equal(await store.read(id), undefined);
      await store.update(id, push(fullTurn('t1')));
      await assert.rejects(async () => store.update(id, change), failure);
      assert.deepEqual(turnIds(await store.read(id)), ['t1']);
    });

    it('goes on after a change that threw, with those that were asked for after it', async () => {
      const { store, id } = await begin();
      const failed = (async () => store.update(id, () => assert.fail('of the change')))();
      const [first, second] = await Promise.allSettled([
        failed,
        store.update(id, push(fullTurn('t1'))),
      ]);
      assert.deepEqual([first.status, second.status], ['rejected', 'fulfilled']);
      assert.deepEqual(turnIds(await store.read(id)), ['t1']);
    });

    it('carries a turn from its opening to its end', async () => {
      const { store, id } = await begin();
      const opened = await store.update(id, (conversation) =>
        openTurn(conversation, { turnId: 't1', runId: 7, text: 'Hello' }, BOUNDS),
      );
      assert.ok(opened.kind === 'opened');
      assert.deepEqual(opened.history(), [{ role: 'user', content: 'Hello', turnId: 't1' }]);
      assert.equal((await store.read(id))?.turns[0]?.state, 'open');
      const settle = (runId: number): Awaitable<boolean> =>
        store.update(
          id,
          (conversation) =>
            settleTurn(
              conversation,
              {
                turnId: 't1',
                runId,
                state: 'completed',
                messages: [{ role: 'assistant', content: 'Hi.', turnId: 't1', state: 'completed' }],
              },
              BOUNDS,
            ),
        );
      assert.equal(await settle(8), false);
      assert.equal(await settle(7), true);
      assert.equal(await settle(7), false);
      const kept = (await store.read(id)) ?? assert.fail('nothing was kept');
      assert.deepEqual(
        historyOf(kept).map(({ content }) => content),
        ['Hello', 'Hi.'],
      );
    });

    it('lets go when it is closed, even twice', async () => {
      const { store, id } = await begin();
      await store.update(id, push(fullTurn('t1')));
      await store.close();
      await store.close();
    });
  });
}

// What a call has used is kept by every store, in every failure.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  emptyConversation, type Conversation,
} from '../../../../src/core/conversations/conversation.ts';
import { ConversationManager } from '../../../../src/core/conversations/manager.ts';
import { spend, spentIn, type Spending } from '../../../../src/core/conversations/spending.ts';
import type { ConversationStore } from '../../../../src/core/conversations/store.ts';
import { sharing } from './machines.ts';
import { PartsInMemory } from './parts-in-memory.ts';
import { tell } from './story.ts';

/** A stored turn. */
const TURN = '{"id":"t","state":"completed","runId":1,"words":"Hi","reply":"Hello"}';

function used(tokens: number, process: string): Spending {
  return { sessionId: 's', process, tokens, cost: tokens / 100 };
}

function spends(tokens: number, process: string): (conversation: Conversation) => unknown {
  return (conversation) => spend(conversation, used(tokens, process));
}

async function tokensIn(store: Pick<ConversationStore, 'read'>): Promise<number> {
  return spentIn((await store.read('c')) ?? assert.fail(), 's').tokens;
}

describe('what a call has used', () => {
  tell([
    ['is known after a restart', 'a says t1; a spends 10', 'c finds t1, 10 tokens'],
    ['includes what was used while the store was away, once it is back',
      'a says t1; a spends 10; b reads; a is away; a spends 1; a spends 1; b spends 100; a is back',
      'c finds t1, 112 tokens'],
    ['is put back if the store has lost it',
      'a says t1; a spends 10; the store is copied; a spends 5; the store fails over; a says t2',
      'c finds t1 t2, 15 tokens'],
  ]);

  it('is read next to fields that this version does not know, which stay', async () => {
    const head = JSON.stringify({
      format: 2, updatedAt: Date.now(), revision: 0, spent: [{ ...used(10, 'x'), revision: 3 }],
      later: 'kept',
    });
    const stored = new Map([['head', head], ['0', TURN]]);
    const parts = new PartsInMemory(
      new Map([['c', { version: 'v', parts: stored, expiresAtMs: Infinity }]]));
    const store = sharing(parts);
    assert.equal(await tokensIn(store), 10);
    await store.update('c', spends(1, 'y'));
    assert.match(parts.changes.at(-1)?.set.get('head') ?? '', /"later":"kept"/);
    await store.close();
  });

  it('counts as nothing if something else is stored in its place', async () => {
    const head = JSON.stringify({ format: 2, updatedAt: Date.now(), spent: { __proto__: 5 } });
    const stored = new Map([['head', head], ['0', TURN]]);
    const store = sharing(new PartsInMemory(
      new Map([['c', { version: 'v', parts: stored, expiresAtMs: Infinity }]])));
    assert.equal(await tokensIn(store), 0);
    await store.update('c', spends(1, 'y'));
    assert.equal(await tokensIn(store), 1);
    await store.close();
  });

  it('is kept by a minimal store that writes JSON', async () => {
    const texts = new Map<string, string>();
    const read = (id: string): Conversation | undefined => {
      const text = texts.get(id);
      return text === undefined ? undefined : (JSON.parse(text) as Conversation);
    };
    const store: ConversationStore = {
      read,
      update(id, change) {
        const conversation = read(id) ?? emptyConversation(id);
        const result = change(conversation);
        texts.set(id, JSON.stringify(conversation));
        return result;
      },
      count: () => texts.size,
      close: () => undefined,
    };
    const conversations = new ConversationManager(store);
    await conversations.addMessage('c', { role: 'user', content: 'Hi' });
    await conversations.spend('c', used(10, 'a'));
    const before = await conversations.spend('c', used(5, 'a'), { tokens: 10, cost: undefined });
    assert.deepEqual(before, { tokens: 10, cost: 0.1 });
    assert.equal(await tokensIn(store), 10);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  clearTurns, emptyConversation, type Conversation,
} from '../../../src/core/conversations/conversation.ts';
import { trim } from '../../../src/core/conversations/history-bounds.ts';
import { ConversationManager } from '../../../src/core/conversations/manager.ts';
import { MemoryStore } from '../../../src/core/conversations/memory-store.ts';
import {
  isReached, mergeSpent, spend, spentEntries, spentIn, type Spending,
} from '../../../src/core/conversations/spending.ts';

const NO_LIMITS = { tokens: undefined, cost: undefined };

/** A conversation in which this was used. */
function spentBy(...all: readonly Spending[]): Conversation {
  const conversation = emptyConversation('c');
  for (const one of all) spend(conversation, one);
  return conversation;
}

function used(tokens: number, cost = 0, more: Partial<Spending> = {}): Spending {
  return { sessionId: 's', process: 'a', tokens, cost, ...more };
}

describe('spend', () => {
  it('adds up what the processes of a session use', () => {
    const conversation = spentBy(
      used(10, 0.5), used(5, 0.25), used(1, 0.125, { process: 'b' }),
      used(100, 9, { sessionId: 'other' }),
    );
    assert.deepEqual(spentIn(conversation, 's'), { tokens: 16, cost: 0.875 });
    assert.deepEqual(spentIn(conversation, 'other'), { tokens: 100, cost: 9 });
  });

  it('adds up fractions without rounding errors', () => {
    const all = ['a', 'b', 'c'].map((process) => used(1, 0.1, { process }));
    assert.equal(spentIn(spentBy(...all), 's').cost, 0.3);
  });

  it('returns what was used before', () => {
    const conversation = emptyConversation('c');
    assert.deepEqual(spend(conversation, used(10, 0.5)), { tokens: 0, cost: 0 });
    assert.deepEqual(spend(conversation, used(10, 0.5)), { tokens: 10, cost: 0.5 });
  });

  it('changes nothing once a limit is reached', () => {
    for (const limits of [{ tokens: 10, cost: undefined }, { tokens: undefined, cost: 0.5 }]) {
      const conversation = emptyConversation('c');
      assert.equal(isReached(spend(conversation, used(10, 0.5), limits), limits), false);
      assert.equal(isReached(spend(conversation, used(1, 1), limits), limits), true);
      assert.deepEqual(spentIn(conversation, 's'), { tokens: 10, cost: 0.5 });
    }
    assert.equal(isReached({ tokens: 1e9, cost: 1e9 }, NO_LIMITS), false);
  });

  it('takes back an estimate, but never more than was used', () => {
    const conversation = spentBy(used(10, 0.3), used(-4, -0.1));
    assert.deepEqual(spentIn(conversation, 's'), { tokens: 6, cost: 0.2 });
    spend(conversation, used(-100, -100));
    assert.deepEqual(spentIn(conversation, 's'), { tokens: 0, cost: 0 });
  });

  it('accepts any name for a session, even __proto__', () => {
    const names = ['__proto__', 'constructor', ''];
    const conversation = spentBy(...names.map((sessionId) => used(3, 0, { sessionId })));
    for (const sessionId of names)
      assert.equal(spentIn(conversation, sessionId).tokens, 3);
    assert.equal(spentIn(conversation, 'toString').tokens, 0);
  });

  it('forgets the oldest sessions, but never the one that is spending', () => {
    const conversation = spentBy(used(7));
    for (let n = 0; n < 100; n++) spend(conversation, used(1, 0, { process: `p${n}` }));
    for (let n = 0; n < 100; n++) spend(conversation, used(1, 0, { sessionId: `s${n}` }));
    assert.ok((conversation.spent?.length ?? 0) <= 33);
    assert.equal(spentIn(conversation, 's99').tokens, 1);
    const busy = emptyConversation('c');
    for (let n = 0; n < 100; n++) spend(busy, used(1, 0, { process: `p${n}` }));
    assert.equal(spentIn(busy, 's').tokens, 100);
  });

  it('is undone only by an erasure, not by trimming', async () => {
    const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 10 });
    const conversations = new ConversationManager(store);
    for (let n = 0; n < 5; n++)
      await conversations.addMessage('c', { role: 'user', content: `words ${n}` });
    await conversations.spend('c', used(10, 0.5));
    await store.update('c', (conversation) =>
      trim(conversation, { maxMessages: 2, maxTextLength: 100 }));
    const trimmed = await store.read('c');
    assert.equal(trimmed?.turns.length, 1);
    assert.deepEqual(spentIn(trimmed, 's'), { tokens: 10, cost: 0.5 });
    await store.update('c', (conversation) => clearTurns(conversation));
    assert.equal((await store.read('c'))?.spent, undefined);
    store.close();
  });
});

describe('mergeSpent', () => {
  it('counts an entry known to both copies only once, in its latest form', () => {
    const ours = spentBy(used(10));
    const theirs = structuredClone(ours);
    spend(ours, used(5));
    spend(theirs, used(1, 0, { process: 'b' }));
    mergeSpent(theirs, ours.spent);
    mergeSpent(theirs, ours.spent);
    assert.equal(spentIn(theirs, 's').tokens, 16);
  });

  it('keeps the later entry, even if it is lower', () => {
    const ours = spentBy(used(10));
    const theirs = structuredClone(ours);
    spend(theirs, used(-8));
    mergeSpent(theirs, ours.spent);
    assert.equal(spentIn(theirs, 's').tokens, 2);
  });

  it('adds what the other copy lacks', () => {
    const ours = spentBy(used(10));
    const theirs = emptyConversation('c');
    mergeSpent(theirs, undefined);
    assert.equal(theirs.spent, undefined);
    mergeSpent(theirs, ours.spent);
    assert.equal(spentIn(theirs, 's').tokens, 10);
  });
});

describe('spentEntries', () => {
  it('accepts what is stored, and nothing else', () => {
    const { spent } = spentBy(used(10, 0.5));
    assert.equal(spentEntries.check(JSON.parse(JSON.stringify(spent))), undefined);
    const wrongEntries = [{ revision: '1' }, { tokens: -1 }, { cost: '1' }].map((field) =>
      [{ ...spent?.[0], ...field }]);
    for (const wrong of [undefined, null, {}, 'x', [1], [null], [{}], ...wrongEntries])
      assert.notEqual(spentEntries.check(wrong), undefined, JSON.stringify(wrong));
  });
});

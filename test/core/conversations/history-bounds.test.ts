import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { addMessage } from '../../../src/core/conversations/conversation.ts';
import { trim, type ConversationBounds } from '../../../src/core/conversations/history-bounds.ts';
import { BOUNDS, Talk, toolMessages } from './talk.ts';

/** This many exchanges, each of 13 characters. */
function filled(turns: number, bounds: Partial<ConversationBounds>): Talk {
  const talk = new Talk(bounds);
  for (let count = 1; count <= turns; count++)
    talk.exchange(`t${count}`, `said ${count}`, { text: `asked ${count}` });
  return talk;
}

function ids({ turns }: Talk): string[] {
  return turns.map(({ id }) => id);
}

describe('the limits of a conversation', () => {
  for (const [maxMessages, turns, left] of [
    [4, 2, ['t1', 't2']], // exactly the bound
    [8, 5, ['t3', 't4', 't5']], // three quarters of that are left
    [8, 6, ['t3', 't4', 't5', 't6']], // nothing is removed until it is exceeded again
    [8, 7, ['t5', 't6', 't7']],
    [4, 3, ['t3']], // half a turn is not kept
    [2, 5, ['t5']],
    [2, 1, ['t1']],
  ] as const)
    it(`keep ${left.join(', ')} of ${turns} turns within ${maxMessages} messages`, () => {
      const talk = filled(turns, { maxMessages });
      assert.deepEqual(ids(talk), left);
      assert.ok(talk.conversation.messageCount <= maxMessages);
    });

  for (const [what, turns, maxTextLength, left] of [
    ['texts of exactly the maximum length', 4, 52, ['t1', 't2', 't3', 't4']],
    ['three quarters of the texts once these are too long', 5, 52, ['t3', 't4', 't5']],
    ['only whole turns once the texts are too long', 2, 25, ['t2']],
  ] as const)
    it(`keep ${what}`, () => assert.deepEqual(ids(filled(turns, { maxTextLength })), left));

  for (const [exceeded, bounds, lengths, left] of [
    ['text', { maxMessages: 10, maxTextLength: 149 }, [100, 10, 10, 10, 20], 4],
    ['messages', { maxMessages: 8, maxTextLength: 350 }, [10, 10, 100, 100, 100], 3],
  ] as const)
    it(`trim only what exceeds its limit, to three quarters of that limit: ${exceeded}`, () => {
      const talk = new Talk(bounds);
      for (const [index, length] of lengths.entries())
        talk.exchange(`t${index}`, '.', { text: 'x'.repeat(length) });
      assert.equal(talk.turns.length, left);
    });

  it('keep the newest turn, however large it is', () => {
    const talk = filled(1, { maxMessages: 3, maxTextLength: 10 });
    talk.open('t2', { text: 'x'.repeat(100) });
    assert.deepEqual(ids(talk), ['t2']);
    talk.settle('t2', 'completed', toolMessages('t2'));
    assert.deepEqual(ids(talk), ['t2']);
    talk.exchange('t3', 'b');
    assert.deepEqual(ids(talk), ['t3']);
  });

  it('drop a turn together with its tool calls', () => {
    const talk = new Talk({ maxMessages: 6 });
    talk.exchange('t1', toolMessages('t1'));
    talk.exchange('t2', 'Second.');
    assert.equal(talk.conversation.messageCount, 6);
    talk.open('t3', { text: undefined });
    assert.deepEqual(ids(talk), ['t2', 't3']);
  });

  it('skip an open turn and drop the next one', () => {
    const talk = new Talk({ maxMessages: 4 });
    talk.open('t1');
    for (const turnId of ['n0', 'n1', 'n2', 'n3', 'n4']) {
      addMessage(talk.conversation, { role: 'user', content: 'note', turnId });
      trim(talk.conversation, { ...BOUNDS, maxMessages: 4 });
      talk.check();
    }
    assert.deepEqual(ids(talk), ['t1', 'n4']);
    assert.equal(talk.settle('t1', 'completed', 'First.'), true);
  });

  it('count turns without messages, which take space too', () => {
    const talk = new Talk({ maxMessages: 3 });
    for (let count = 1; count <= 10; count++) talk.exchange(`t${count}`, '', { text: undefined });
    assert.deepEqual(ids(talk), ['t9', 't10']);
  });

  it('hold as soon as a turn opens, if its placeholder is one message too many', () => {
    const talk = filled(4, { maxMessages: 8 });
    const texts = talk.open('t5').history().map(({ content }) => content);
    assert.deepEqual(ids(talk), ['t3', 't4', 't5']);
    assert.deepEqual(texts, ['asked 3', 'said 3', 'asked 4', 'said 4', 't5']);
  });

  it('give a dropped turn no history but its own words', () => {
    const talk = new Talk({ maxMessages: 2 });
    const opened = talk.open('t1');
    talk.settle('t1', 'completed', 'First.');
    talk.exchange('t2', 'Second.');
    assert.deepEqual(opened.history().map(({ content }) => content), ['t1']);
  });
});

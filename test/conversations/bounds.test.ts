import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { trim, type ConversationBounds } from '../../src/conversations/bounds.ts';
import {
  addMessage, emptyConversation, type Conversation,
} from '../../src/conversations/conversation.ts';
import { cutTurn } from '../../src/conversations/heard.ts';
import type { TurnState } from '../../src/conversations/message.ts';
import { openTurn } from '../../src/conversations/turn-opening.ts';
import { BOUNDS, check, exchange, nextRun, open, settle, toolMessages } from './checked-rules.ts';

describe('the limits of a conversation', () => {
  function filled(turns: number, bounds: ConversationBounds): Conversation {
    const conversation = emptyConversation('c');
    for (let count = 1; count <= turns; count++)
      exchange(conversation, `t${count}`, `asked ${count}`, `said ${count}`, bounds);
    return conversation;
  }
  function ids(conversation: Conversation): string[] {
    return conversation.turns.map(({ id }) => id);
  }

  for (const [maxMessages, turns, left] of [
    [4, 2, ['t1', 't2']], // exactly the bound
    [8, 5, ['t3', 't4', 't5']], // three quarters of it are left
    [8, 6, ['t3', 't4', 't5', 't6']], // nothing is removed until it is exceeded again
    [8, 7, ['t5', 't6', 't7']],
    [4, 3, ['t3']], // half a turn is not kept
    [2, 5, ['t5']],
    [2, 1, ['t1']],
  ] as const) {
    it(`keeps ${left.join(', ')} of ${turns} turns within ${maxMessages} messages`, () => {
      const conversation = filled(turns, { ...BOUNDS, maxMessages });
      assert.deepEqual(ids(conversation), left);
      assert.ok(conversation.messageCount <= maxMessages);
    });
  }

  it('keep three quarters of the texts', () => {
    const length = 'asked 1said 1'.length;
    const bounds = { maxMessages: 10, maxTextLength: 4 * length };
    assert.deepEqual(ids(filled(4, bounds)), ['t1', 't2', 't3', 't4']);
    assert.deepEqual(ids(filled(5, bounds)), ['t3', 't4', 't5']);
  });

  for (const [exceeded, bounds, lengths, left] of [
    ['text', { maxMessages: 10, maxTextLength: 149 }, [100, 10, 10, 10, 20], 4],
    ['messages', { maxMessages: 8, maxTextLength: 350 }, [10, 10, 100, 100, 100], 3],
  ] as const) {
    it(`trim only what is exceeded to three quarters of its limit: ${exceeded}`, () => {
      const conversation = emptyConversation('c');
      for (const [index, length] of lengths.entries())
        exchange(conversation, `t${index}`, 'x'.repeat(length), '.', bounds);
      assert.equal(conversation.turns.length, left);
    });
  }

  it('keep exactly the limit of texts, and drop whole turns for one unit more', () => {
    const length = 'asked 1said 1'.length;
    assert.deepEqual(ids(filled(2, { ...BOUNDS, maxTextLength: 2 * length })), ['t1', 't2']);
    assert.deepEqual(ids(filled(2, { ...BOUNDS, maxTextLength: 2 * length - 1 })), ['t2']);
  });

  it('count tool calls, and what was sent beside the messages', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'completed', toolMessages('t1'), [
      { type: 'data', json: '"12345"' },
      { type: 'say', text: 'abc', isFiller: true },
      { type: 'hangup' },
    ]);
    assert.equal(
      conversation.textLength,
      'One'.length +
        'Let me see.'.length +
        'look'.length +
        '{"q":"x"}'.length +
        '42'.length +
        'It is 42.'.length +
        7 +
        3,
    );
  });

  it('keep the newest turn, however large it is', () => {
    const bounds = { maxMessages: 3, maxTextLength: 10 };
    const conversation = filled(1, bounds);
    open(conversation, 't2', 'x'.repeat(100), undefined, bounds);
    assert.deepEqual(ids(conversation), ['t2']);
    settle(conversation, 't2', 'completed', toolMessages('t2'), undefined, bounds);
    assert.deepEqual(ids(conversation), ['t2']);
    exchange(conversation, 't3', 'a', 'b', bounds);
    assert.deepEqual(ids(conversation), ['t3']);
  });

  it('drop a turn together with its tools', () => {
    const bounds = { ...BOUNDS, maxMessages: 6 };
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One', undefined, bounds);
    settle(conversation, 't1', 'completed', toolMessages('t1'), undefined, bounds);
    exchange(conversation, 't2', 'Two', 'Second.', bounds);
    assert.equal(conversation.messageCount, 6);
    open(conversation, 't3', undefined, undefined, bounds);
    assert.deepEqual(ids(conversation), ['t2', 't3']);
  });

  it('skip an open turn and drop the next one', () => {
    const bounds = { ...BOUNDS, maxMessages: 4 };
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One', undefined, bounds);
    for (let count = 0; count < 5; count++) {
      const note = { role: 'user', content: `note ${count}`, turnId: `n${count}` } as const;
      addMessage(conversation, note);
      trim(conversation, bounds);
      check(conversation);
    }
    assert.deepEqual(ids(conversation), ['t1', 'n4']);
    assert.equal(settle(conversation, 't1', 'completed', 'First.', undefined, bounds), true);
  });

  it('count turns without messages, which take space too', () => {
    const bounds = { ...BOUNDS, maxMessages: 3 };
    const conversation = emptyConversation('c');
    for (let count = 1; count <= 10; count++) {
      open(conversation, `t${count}`, undefined, undefined, bounds);
      settle(conversation, `t${count}`, 'completed', '', undefined, bounds);
    }
    assert.deepEqual(ids(conversation), ['t9', 't10']);
  });

  it('hold as soon as a turn opens, if its placeholder is one message too many', () => {
    const bounds = { ...BOUNDS, maxMessages: 8 };
    const conversation = filled(4, bounds);
    const opened = open(conversation, 't5', 'Five', undefined, bounds);
    assert.deepEqual(ids(conversation), ['t3', 't4', 't5']);
    assert.deepEqual(
      opened.history().map(({ content }) => content),
      ['asked 3', 'said 3', 'asked 4', 'said 4', 'Five'],
    );
  });

  it('give a dropped turn no history but its own words', () => {
    const bounds = { ...BOUNDS, maxMessages: 2 };
    const conversation = emptyConversation('c');
    const opened = open(conversation, 't1', 'One', undefined, bounds);
    settle(conversation, 't1', 'completed', 'First.', undefined, bounds);
    exchange(conversation, 't2', 'Two', 'Second.', bounds);
    assert.deepEqual(opened.history().map(({ content }) => content), ['One']);
  });

  it('hold, and the sums stay right, through any order of changes', () => {
    const states: readonly Exclude<TurnState, 'open'>[] = ['completed', 'interrupted', 'failed'];
    let seed = 1;
    const random = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    for (let round = 0; round < 200; round++) {
      const bounds = { maxMessages: 2 + random(8), maxTextLength: 5 + random(60) };
      const conversation = emptyConversation('c');
      for (let step = 0; step < 30; step++) {
        const turnId = `t${random(6)}`;
        const words = 'x'.repeat(random(12));
        switch (random(5)) {
          case 0:
          case 1:
            openTurn(
              conversation,
              {
                turnId,
                runId: nextRun(),
                text: words,
                interruption: random(3) === 0 ? { textHeard: words, turnId: undefined } : undefined,
              },
              bounds,
            );
            break;
          case 2: {
            const state = states[random(3)] ?? 'failed';
            settle(
              conversation,
              turnId,
              state,
              random(3) === 0 ? toolMessages(turnId) : words,
              random(3) === 0 ? [{ type: 'data', json: words }] : undefined,
              bounds,
            );
            break;
          }
          case 3:
            cutTurn(
              conversation,
              { textHeard: random(2) === 0 ? words : undefined, turnId },
              bounds,
            );
            break;
          default:
            addMessage(conversation, { role: 'user', content: words, turnId });
            trim(conversation, bounds);
        }
        check(conversation);
        const newest = conversation.turns.at(-1);
        const isWithin =
          conversation.messageCount <= bounds.maxMessages &&
          conversation.textLength <= bounds.maxTextLength;
        assert.ok(
          isWithin || conversation.turns.every((turn) => turn === newest || turn.state === 'open'),
          `round ${round}, step ${step}`,
        );
      }
    }
  });
});

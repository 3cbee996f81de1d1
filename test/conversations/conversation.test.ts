// What a conversation keeps besides its turns.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  addMessage, addTurn, clearTurns, emptyConversation, findTurn, forgetHead, indexOfDelivered,
  keepCaller, type Conversation,
} from '../../src/conversations/conversation.ts';
import type { Message } from '../../src/conversations/message.ts';
import { OpenedTurn } from '../../src/conversations/opened-turn.ts';
import { openTurn } from '../../src/conversations/turn-opening.ts';
import { newTurn, setPlain } from '../../src/conversations/turn-record.ts';
import { settleTurn, type TurnSettlement } from '../../src/conversations/turn-settlement.ts';
import {
  assertErased,
  BOUNDS,
  check,
  exchange,
  nextRun,
  open,
  runs,
  settle,
  shown,
} from './checked-rules.ts';
import { setTo } from './state-writes.ts';

describe('addMessage', () => {
  it('creates a turn for a message whose turn is not known', () => {
    const conversation = emptyConversation('c');
    addMessage(conversation, { role: 'user', content: 'a', turnId: 'x' });
    check(conversation);
    assert.deepEqual(
      conversation.turns.map(({ id, state }) => [id, state]),
      [['x', 'completed']],
    );
  });

  it('appends to the turn if that is known', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First.');
    exchange(conversation, 't2', 'Two', 'Second.');
    addMessage(conversation, {
      role: 'assistant', content: 'PS', turnId: 't1', state: 'completed',
    });
    check(conversation);
    assert.deepEqual(shown(conversation), [
      'user: One',
      'assistant(completed): First.',
      'assistant(completed): PS',
      'user: Two',
      'assistant(completed): Second.',
    ]);
  });
});

describe('indexOfDelivered', () => {
  /** Turns by id and words. */
  function conversationOf(
    ...turns: readonly (readonly [id: string, words: string])[]
  ): Conversation {
    const conversation = emptyConversation('conv_1');
    for (const [id, words] of turns) {
      const turn = newTurn(id, 'completed', 0);
      setPlain(turn, words, null);
      addTurn(conversation, turn);
    }
    return conversation;
  }
  const conversation = conversationOf(
    ['a', 'Hi'], ['b', 'Yes'], ['b~2', 'No'], ['b~3', 'Yes'], ['b~x', 'No'], ['b~2~2', 'Hm'],
  );
  const cases: readonly (readonly [id: string, words: string, index: number])[] = [
    ['a', 'Hi', 0], ['b', 'Yes', 1], ['b', 'No', 2], ['b', 'Hm', -1], ['b~2', 'No', 2],
    ['b~2', 'Hm', 5], ['b~x', 'No', 4], ['c', 'Hi', -1],
  ];
  for (const [id, words, index] of cases)
    it(`finds ${index} for ${id} with "${words}"`, () => {
      assert.equal(indexOfDelivered(conversation, id, words), index);
    });

  it('leaves each turn to be found by its own id', () => {
    for (const turn of conversation.turns) assert.equal(findTurn(conversation, turn.id), turn);
    assert.equal(findTurn(conversation, 'b~4'), undefined);
  });
});

describe("the agent's state", () => {
  /** Settles a turn with a state. */
  function keep(
    conversation: Conversation, turnId: string, agentState: string, runId = runs, bounds = BOUNDS,
  ): boolean {
    const reply: Message = { role: 'assistant', content: 'Yes.', turnId, state: 'completed' };
    const settlement: TurnSettlement = {
      turnId, runId, state: 'completed', messages: [reply], agentState: setTo(agentState),
    };
    const written = settleTurn(conversation, settlement, bounds);
    check(conversation);
    return written;
  }

  it('does not exist in a new conversation', () => {
    assert.equal(open(emptyConversation('c'), 't1', 'Hi').state, undefined);
  });

  it('is what the last settlement says, for the turns that open then', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hi');
    keep(conversation, 't1', '{"n":1}');
    assert.equal(open(conversation, 't2', 'Hi').state, '{"n":1}');
    keep(conversation, 't2', '{"n":22}');
    assert.equal(conversation.state, '{"n":22}');
  });

  it('stays if a settlement has none', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hi');
    keep(conversation, 't1', '{"n":1}');
    exchange(conversation, 't2', 'Hi', 'Yes.');
    assert.equal(conversation.state, '{"n":1}');
  });

  it('is kept for a turn whose words the platform has decided', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hi');
    const runId = runs;
    open(conversation, 't2', 'Stop', { textHeard: '', turnId: 't1' });
    keep(conversation, 't1', '{"n":1}', runId);
    assert.equal(conversation.state, '{"n":1}');
  });

  it('is kept for an older run of the turn, too: what it has changed has happened', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hi');
    const runId = runs;
    settle(conversation, 't1', 'failed', '');
    open(conversation, 't1', 'Hi');
    assert.equal(keep(conversation, 't1', '{"n":1}', runId), false);
    assert.equal(conversation.state, '{"n":1}');
  });

  it('is cleared with the conversation, and no turn that still runs brings it back', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hi');
    keep(conversation, 't1', '{"n":1}');
    open(conversation, 't2', 'Hi');
    clearTurns(conversation);
    assert.equal(keep(conversation, 't2', '{"n":2}'), false);
    assertErased(conversation);
  });

  it('outlives the turns that are trimmed, and counts as text', () => {
    const bounds = { maxMessages: 200, maxTextLength: 20 };
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hello', undefined, bounds);
    keep(conversation, 't1', '{"n":1}', runs, bounds);
    exchange(conversation, 't2', 'Hello', 'again', bounds);
    assert.deepEqual(shown(conversation), ['user: Hello', 'assistant(completed): again']);
    assert.equal(conversation.state, '{"n":1}');
  });
});

describe('forgetHead', () => {
  it('leaves no trace of the state and the caller in the limit', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hi');
    const { textLength } = conversation;
    conversation.state = '{"n":1}';
    conversation.textLength += conversation.state.length;
    conversation.reports = [{ turnId: 't2' }];
    keepCaller(conversation, { sessionId: 's', from: '+1', to: undefined });
    assert.ok(conversation.textLength > textLength);
    forgetHead(conversation);
    assert.deepEqual([conversation.state, conversation.textLength], [undefined, textLength]);
    assert.equal(conversation.reports, undefined);
    check(conversation);
  });
});

describe('the caller of a conversation', () => {
  const caller = { sessionId: 's-1', from: '+15550100', to: '+15550199' };

  function openAs(conversation: Conversation, turnId: string, by?: typeof caller): OpenedTurn {
    const opening = { turnId, runId: nextRun(), text: 'Hi', caller: by };
    const opened = openTurn(conversation, opening, BOUNDS);
    assert.ok(opened instanceof OpenedTurn);
    check(conversation);
    return opened;
  }

  it('is known to later turns of the session, whose events do not name it', () => {
    const conversation = emptyConversation('c');
    openAs(conversation, 't1', caller);
    const numbers = { from: '+15550100', to: '+15550199' };
    assert.deepEqual(openAs(conversation, 't2').callerIn('s-1'), numbers);
  });

  it('is not that of another session: it may be a browser', () => {
    const conversation = emptyConversation('c');
    openAs(conversation, 't1', caller);
    assert.equal(openAs(conversation, 't2').callerIn('s-2'), undefined);
  });

  it('is the last one that called', () => {
    const conversation = emptyConversation('c');
    openAs(conversation, 't1', caller);
    const opened = openAs(conversation, 't2', { ...caller, sessionId: 's-2', from: '+4420' });
    assert.deepEqual(opened.callerIn('s-2'), { from: '+4420', to: '+15550199' });
  });

  it('is cleared with the conversation', () => {
    const conversation = emptyConversation('c');
    openAs(conversation, 't1', caller);
    clearTurns(conversation);
    assertErased(conversation);
  });
});

describe('the agent that a conversation was handed over to', () => {
  it('outlives the turn that did it, and is gone when the conversation is cleared', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'Hello', 'Hi');
    conversation.agent = 'billing';
    exchange(conversation, 't2', 'And?', 'Yes.');
    assert.equal(conversation.agent, 'billing');
    clearTurns(conversation);
    assertErased(conversation);
  });
});

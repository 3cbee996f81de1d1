// What a conversation keeps besides its turns.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  addTurn, clearTurns, emptyConversation, forgetHead, indexOfDelivered, keepCaller,
  type Conversation,
} from '../../../src/core/conversations/conversation.ts';
import { newTurn, setPlain } from '../../../src/core/conversations/turn-record.ts';
import { setTo } from './state-writes.ts';
import { inTalk, Talk } from './talk.ts';

function assertErased({ conversation }: Talk): void {
  const erasedAt = conversation.erasedAt ?? assert.fail('without a mark');
  assert.deepEqual(conversation, { ...emptyConversation('c'), erasedAt });
}

describe('indexOfDelivered', () => {
  const conversation: Conversation = emptyConversation('conv_1');
  for (const [id, words] of [
    ['a', 'Hi'], ['b', 'Yes'], ['b~2', 'No'], ['b~3', 'Yes'], ['b~x', 'No'], ['b~2~2', 'Hm'],
  ] as const) {
    const turn = newTurn(id, 'completed', 0);
    setPlain(turn, words, null);
    addTurn(conversation, turn);
  }
  for (const [id, words, index] of [
    ['a', 'Hi', 0], ['b', 'Yes', 1], ['b', 'No', 2], ['b', 'Hm', -1], ['b~2', 'No', 2],
    ['b~2', 'Hm', 5], ['b~x', 'No', 4], ['c', 'Hi', -1],
  ] as const)
    it(`finds ${index} for ${id} with "${words}"`, () => {
      assert.equal(indexOfDelivered(conversation, id, words), index);
    });
});

describe("the agent's state", () => {
  /** The newest run of a turn ends, and leaves this state. */
  function keep(talk: Talk, turnId: string, text: string, runId = talk.runOf(turnId)): boolean {
    return talk.settle(turnId, 'completed', 'Yes.', { runId, agentState: setTo(text) });
  }

  it('comes from the last settlement that has one, for all turns opened after it', () => {
    const talk = new Talk();
    talk.open('t1');
    keep(talk, 't1', '{"n":1}');
    assert.equal(talk.open('t2').state, '{"n":1}');
    keep(talk, 't2', '{"n":22}');
    talk.exchange('t3', 'Yes.');
    assert.equal(talk.conversation.state, '{"n":22}');
  });

  it('is cleared with the caller and the agent, and no running turn brings it back', () => {
    const talk = new Talk();
    talk.open('t1', { caller: { sessionId: 's', from: '+1', to: '+2' } });
    keep(talk, 't1', '{"n":1}');
    talk.conversation.agent = 'billing';
    talk.open('t2');
    clearTurns(talk.conversation);
    assert.equal(keep(talk, 't2', '{"n":2}'), false);
    assertErased(talk);
  });
});

describe('forgetHead', () => {
  it('leaves no trace of the state and the caller in the length', inTalk((talk) => {
    talk.open('t1');
    const { conversation } = talk;
    const { textLength } = conversation;
    conversation.state = '{"n":1}';
    conversation.textLength += conversation.state.length;
    conversation.reports = [{ turnId: 't2' }];
    keepCaller(conversation, { sessionId: 's', from: '+1', to: undefined });
    assert.ok(conversation.textLength > textLength);
    forgetHead(conversation);
    assert.deepEqual([conversation.state, conversation.textLength], [undefined, textLength]);
    assert.equal(conversation.reports, undefined);
    talk.check();
  }));
});

describe('the caller of a conversation', () => {
  const caller = { sessionId: 's-1', from: '+15550100', to: '+15550199' };

  for (const [what, sessionId, expected] of [
    ['known to later turns of the session, whose events do not name the caller', 's-1',
      { from: '+15550100', to: '+15550199' }],
    ['not the caller of another session, which may be a browser', 's-2', undefined],
  ] as const)
    it(`is ${what}`, inTalk((talk) => {
      talk.open('t1', { caller });
      assert.deepEqual(talk.open('t2').callerIn(sessionId), expected);
    }));

  it('is whoever called last', inTalk((talk) => {
    talk.open('t1', { caller });
    const opened = talk.open('t2', { caller: { ...caller, sessionId: 's-2', from: '+4420' } });
    assert.deepEqual(opened.callerIn('s-2'), { from: '+4420', to: '+15550199' });
  }));
});

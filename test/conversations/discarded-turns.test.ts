// What a turn finds in its place in the call: the calls and the state of those that it replaces.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  addTurn, emptyConversation, historyOf, type Conversation,
} from '../../src/conversations/conversation.ts';
import { keepAgent, keepState } from '../../src/conversations/agent-state.ts';
import { callsAtPlace, takePlace } from '../../src/conversations/discarded-turns.ts';
import type { Message, ToolMessage } from '../../src/conversations/message.ts';
import { newTurn, type TurnRecord } from '../../src/conversations/turn-record.ts';
import { change } from './state-writes.ts';

/** A round of one call. */
function calling(toolCallId: string, result: Partial<ToolMessage>): Message[] {
  const toolCalls = [{ id: toolCallId, name: 'book', args: '{}' }];
  const about = { content: '{}', turnId: 't', toolCallId, key: 'key', state: 'completed' } as const;
  return [
    { role: 'assistant', content: '', turnId: 't', state: 'interrupted', toolCalls },
    { role: 'tool', ...about, ...result },
  ];
}

/** A call in which the platform has discarded one turn, and another one has its place. */
function replaced(results: readonly Partial<ToolMessage>[]): {
  readonly conversation: Conversation;
  readonly discarded: TurnRecord;
  readonly record: TurnRecord;
} {
  const conversation = emptyConversation('c');
  const discarded: TurnRecord = {
    ...newTurn('t1', 'interrupted', 1), number: 1, isDiscarded: true,
    messages: results.flatMap((result, index) => calling(`call-${index}`, result)),
  };
  const record: TurnRecord = { ...newTurn('t2', 'open', 2), number: 1 };
  for (const turn of [discarded, record]) addTurn(conversation, turn);
  return { conversation, discarded, record };
}

describe('the calls of a turn that was replaced', () => {
  function idsOf(results: readonly Partial<ToolMessage>[], hasGoneBack: boolean): string[] {
    const { conversation, record } = replaced(results);
    const calls = callsAtPlace(conversation, record, { isNew: false, hasGoneBack });
    return calls.map(({ toolCallId }) => toolCallId);
  }

  it('are ordered by what is known: one that waits for an equal one comes first', () => {
    const running = { state: 'running' } as const;
    const results = [{}, running, { ...running, joins: true }] as const;
    assert.deepEqual(idsOf(results, false), ['call-2', 'call-1', 'call-0']);
  });

  for (const [hasGoneBack, ids] of [[true, ['call-1']], [false, ['call-0', 'call-1']]] as const)
    it(`${hasGoneBack ? 'leave out' : 'have'} repeatable ones if the state has \
${hasGoneBack ? '' : 'not '}been restored`, () => {
      assert.deepEqual(idsOf([{ isRepeatable: true }, {}], hasGoneBack), ids);
    });
});

describe('the history of a turn that was replaced', () => {
  it('has the calls that changed something, or may have, and no others', () => {
    const { conversation } = replaced([
      {}, { state: 'unknown' }, { state: 'interrupted' }, { isRepeatable: true }, { joins: true },
    ]);
    const results = historyOf(conversation).filter((message) => message.role === 'tool');
    assert.deepEqual(results.map(({ toolCallId }) => toolCallId), ['call-0', 'call-1']);
  });
});

describe('the state of a turn that was replaced', () => {
  const before = '{"cart":["tea"]}';
  const changed = '{"cart":["tea","cola"]}';

  it('loses what the turn itself changed, and nothing that others changed', () => {
    const { conversation, discarded, record } = replaced([]);
    conversation.state = before;
    keepState(conversation, discarded, change(before, changed));
    keepState(conversation, record, change(changed, '{"cart":["tea","cola"],"paid":true}'));
    takePlace(conversation, record, [discarded], 0);
    assert.equal(conversation.state, '{"cart":["tea"],"paid":true}');
  });

  it('loses the changes that came with the first state, and keeps that state', () => {
    const { conversation, discarded, record } = replaced([]);
    keepState(conversation, discarded, change('{"cart":[]}', '{"cart":["cola"]}'));
    takePlace(conversation, record, [discarded], 0);
    assert.equal(conversation.state, '{"cart":[]}');
  });

  it('loses the changes of several writes, the last one first', () => {
    for (const states of [[[], ['tea'], []], [['tea'], ['cola'], []]]) {
      const { conversation, discarded, record } = replaced([]);
      const texts = states.map((cart) => JSON.stringify({ cart }));
      conversation.state = texts[0] ?? '';
      for (const [index, text] of texts.slice(1).entries())
        keepState(conversation, discarded, change(texts[index] ?? '', text));
      takePlace(conversation, record, [discarded], 0);
      assert.equal(conversation.state, texts[0]);
    }
  });

  it('loses several changes of several turns', () => {
    const { conversation, discarded, record } = replaced([]);
    conversation.state = before;
    keepState(conversation, discarded, change(before, changed));
    keepState(conversation, discarded, change(changed, '{"cart":["cola"]}'));
    keepState(conversation, record, change('{"cart":["cola"]}', '{"cart":[]}'));
    takePlace(conversation, { ...newTurn('t3', 'open', 3), number: 1 }, [discarded, record], 0);
    assert.equal(conversation.state, before);
    takePlace(conversation, { ...newTurn('t4', 'open', 4), number: 1 }, [discarded, record], 0);
    assert.equal(conversation.state, before);
  });

  for (const [what, result, state] of [
    ['loses what a call may do again', { isRepeatable: true }, before],
    ['loses what a call has changed that only waited for another turn', { joins: true }, before],
    ['loses what an interrupted call has changed', { state: 'interrupted' }, before],
    ['keeps what a call has changed whose result stays', {}, changed],
    ['keeps what a call has changed that may have acted', { state: 'unknown' }, changed],
  ] as const)
    it(what, () => {
      const { conversation, discarded, record } = replaced([result]);
      const [, call] = calling('call-0', result);
      assert.ok(call?.role === 'tool');
      conversation.state = before;
      keepState(conversation, discarded, change(before, changed), call);
      takePlace(conversation, record, [discarded], 0);
      assert.equal(conversation.state, state);
    });

  it('keeps what changes while a call whose result is kept runs: it may be its change', () => {
    const { conversation, discarded, record } = replaced([{ state: 'running' }]);
    conversation.state = before;
    conversation.runningCalls = 1;
    keepState(conversation, discarded, change(before, changed));
    takePlace(conversation, record, [discarded], 0);
    assert.equal(conversation.state, changed);
  });
});

describe('a state that tools of other turns change', () => {
  it('keeps what changes while one of them runs: it may be its change', () => {
    const { conversation, discarded, record } = replaced([]);
    addTurn(conversation, { ...newTurn('t0', 'completed', 9), messages: calling('a', {
      state: 'running',
    }) });
    conversation.runningCalls = 1;
    conversation.state = '{"cart":[]}';
    keepState(conversation, discarded, change('{"cart":[]}', '{"cart":["tea"]}'));
    takePlace(conversation, record, [discarded], 0);
    assert.equal(conversation.state, '{"cart":["tea"]}');
  });
});

describe('the agent of a turn that was replaced', () => {
  for (const agent of [undefined, 'sales'])
    it(`is ${agent ?? "the path's own"} again`, () => {
      const { conversation, discarded, record } = replaced([]);
      if (agent !== undefined) conversation.agent = agent;
      keepAgent(conversation, discarded, 'billing');
      keepAgent(conversation, discarded, 'support');
      takePlace(conversation, record, [discarded], 0);
      assert.equal(conversation.agent, agent);
    });
});

describe('the agent that has a conversation', () => {
  const messages = calling('a', { handOver: 'b' });
  const handingOver = { ...newTurn('t2', 'completed', 2), messages };

  it('is that of the last hand-over, in the order of turns', () => {
    const conversation = emptyConversation('c');
    const older = newTurn('t1', 'interrupted', 1);
    for (const turn of [older, handingOver]) addTurn(conversation, turn);
    keepAgent(conversation, handingOver, 'b');
    keepAgent(conversation, older, 'a');
    assert.equal(conversation.agent, 'b');
  });

  it('is the one that an older turn handed over to late, if no later turn has', () => {
    const conversation = emptyConversation('c');
    const older = newTurn('t1', 'interrupted', 1);
    for (const turn of [older, newTurn('t2', 'completed', 2)]) addTurn(conversation, turn);
    keepAgent(conversation, older, 'a');
    assert.equal(conversation.agent, 'a');
  });
});

// What a turn finds in its place in the call: the calls and the state of those that it replaces.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  addTurn, emptyConversation, historyOf, type Conversation,
} from '../../src/conversations/conversation.ts';
import { callsAtPlace, takePlace } from '../../src/conversations/discarded-turns.ts';
import type { Message, ToolMessage } from '../../src/conversations/message.ts';
import { newTurn, type TurnRecord } from '../../src/conversations/turn-record.ts';

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
    it(`${hasGoneBack ? 'leave out' : 'have'} those that may be repeated if the state has \
${hasGoneBack ? '' : 'not '}gone back`, () => {
      assert.deepEqual(idsOf([{ isRepeatable: true }, {}], hasGoneBack), ids);
    });
});

describe('the history of a turn that was replaced', () => {
  it('has the calls that have changed something, or may have, and no others', () => {
    const { conversation } = replaced([
      {}, { state: 'unknown' }, { state: 'interrupted' }, { isRepeatable: true }, { joins: true },
    ]);
    const results = historyOf(conversation).filter((message) => message.role === 'tool');
    assert.deepEqual(results.map(({ toolCallId }) => toolCallId), ['call-0', 'call-1']);
  });
});

describe('the state of a turn that was replaced', () => {
  for (const [what, result, state] of [
    ['is gone if its tool only waited for another turn', { joins: true }, '{"n":1}'],
    ['is gone if its tool never began', { state: 'interrupted' }, '{"n":1}'],
    ['is gone if its tool has handed over', { handOver: 'billing' }, '{"n":1}'],
    ['stays if its tool has changed something', {}, '{"n":2}'],
    ['stays if its tool may have changed something', { state: 'unknown' }, '{"n":2}'],
  ] as const)
    it(what, () => {
      const { conversation, discarded, record } = replaced([result]);
      conversation.before = { turnId: 't1', state: '{"n":1}' };
      conversation.state = '{"n":2}';
      takePlace(conversation, record, [discarded]);
      assert.equal(conversation.state, state);
    });
});

// One turn that two processes run without knowing of each other, because the store failed one of
// them or has forgotten what it had.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  clearTurns, emptyConversation, findTurn, historyOf, type Conversation,
} from '../../src/conversations/conversation.ts';
import type { Message } from '../../src/conversations/message.ts';
import { noteProgress, noteToolResult } from '../../src/conversations/tool-call-rules.ts';
import { openTurn } from '../../src/conversations/turn-opening.ts';
import { settleTurn, type TurnSettlement } from '../../src/conversations/turn-settlement.ts';

const BOUNDS = { maxMessages: 200, maxTextLength: 1_048_576 };

function open(conversation: Conversation, turnId: string, runId: number, process: string): void {
  const [isAlive, isCallRunning] = [() => true, () => true];
  openTurn(conversation, { turnId, runId, text: turnId, process, isAlive, isCallRunning }, BOUNDS);
}

function settle(
  conversation: Conversation,
  runId: number,
  process: string,
  state: TurnSettlement['state'],
  more: Partial<TurnSettlement> = {},
): boolean {
  const content = `by ${process}`;
  const messages: readonly Message[] = [{ role: 'assistant', content, turnId: 't1', state }];
  const settlement = { turnId: 't1', runId, process, state, messages, ...more };
  return settleTurn(conversation, settlement, BOUNDS);
}

function said(conversation: Conversation): readonly (readonly [string, string])[] {
  return historyOf(conversation).flatMap((message) =>
    message.role === 'assistant' ? [[message.content, message.state] as const] : []);
}

/** What run 1 in process a has called before its record was lost, or while its store was away. */
function round(runId: number, process: string): Message[] {
  const key = 'key';
  const content = '{"status":"still running"}';
  return [
    {
      role: 'assistant', content: '', turnId: 't1', state: 'open',
      toolCalls: [{ id: 'x', name: 'book', args: '{}' }],
    },
    { role: 'tool', content, turnId: 't1', toolCallId: 'x', runId, process, key, state: 'running' },
  ];
}

describe('a complete reply, in a turn that another run owns', () => {
  // Seeds 30007306, 30008978 and 60004244 of the fleet: it was heard whole, and in no prompt.
  for (const state of ['interrupted', 'failed'] as const)
    it(`is kept if that run has ${state} and did not know of this one`, () => {
      const conversation = emptyConversation('c');
      open(conversation, 't1', 2, 'b');
      settle(conversation, 2, 'b', state);
      assert.equal(settle(conversation, 1, 'a', 'completed'), true);
      assert.deepEqual(said(conversation), [['by a', 'completed']]);
      assert.equal(conversation.openTurns, 0);
    });

  it('is kept before that run has ended, which then has nothing more to say', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 2, 'b');
    assert.equal(settle(conversation, 1, 'a', 'completed'), true);
    assert.equal(settle(conversation, 2, 'b', 'completed'), false);
    assert.deepEqual(said(conversation), [['by a', 'completed']]);
    assert.equal(conversation.openTurns, 0);
  });

  // Seed 30009892: run 2 had taken the turn over from a run that the store then lost.
  it('is kept if that run knew of others', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 3, 'c');
    open(conversation, 't1', 2, 'b');
    settle(conversation, 2, 'b', 'interrupted');
    assert.equal(settle(conversation, 1, 'a', 'completed'), true);
    assert.deepEqual(said(conversation), [['by a', 'completed']]);
  });

  it('keeps the calls that the other run has made', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 2, 'b');
    const run = { turnId: 't1', runId: 2, process: 'b' };
    noteProgress(conversation, { ...run, messages: round(2, 'b') }, BOUNDS);
    const call = { toolCallId: 'x', state: 'completed', content: '"booked"' } as const;
    noteToolResult(conversation, { ...run, ...call }, BOUNDS);
    settle(conversation, 1, 'a', 'completed');
    assert.deepEqual(
      historyOf(conversation).map(({ role, content }) => `${role} ${content}`),
      ['user t1', 'assistant ', 'tool "booked"', 'assistant by a'],
    );
  });

  it('is not kept if that run took the turn over', () => {
    for (const state of ['interrupted', undefined] as const) {
      const conversation = emptyConversation('c');
      open(conversation, 't1', 1, 'a');
      open(conversation, 't1', 2, 'b');
      open(conversation, 't1', 3, 'c');
      if (state !== undefined) settle(conversation, 3, 'c', state);
      assert.equal(settle(conversation, 1, 'a', 'completed'), false);
    }
  });

  it('is not kept if the platform has discarded the turn', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 2, 'b');
    settle(conversation, 2, 'b', 'interrupted');
    const [record] = conversation.turns;
    assert.ok(record !== undefined);
    record.isDiscarded = true;
    assert.equal(settle(conversation, 1, 'a', 'completed'), false);
  });

  it('is not kept if an older version took over the first run of a turn that came too late', () => {
    const conversation = emptyConversation('c');
    const late = { turnId: 't1', runId: 1, text: 't1', process: 'a', isOver: () => true };
    openTurn(conversation, late, BOUNDS);
    open(conversation, 't1', 2, 'b');
    Object.assign(findTurn(conversation, 't1') ?? assert.fail(), {
      runId: 3, countedRun: 3, runs: 2, process: 'c',
    });
    assert.equal(settle(conversation, 2, 'b', 'completed'), false);
  });

  it('is not kept if the platform has reported what was heard of the other one', () => {
    const opening = {
      turnId: 't2', runId: 3, text: 't2', process: 'c', isAlive: () => true,
      interruption: { turnId: 't1', textHeard: 'by' },
    };
    for (const state of [undefined, 'interrupted'] as const) {
      const conversation = emptyConversation('c');
      open(conversation, 't1', 2, 'b');
      if (state !== undefined) settle(conversation, 2, 'b', state);
      openTurn(conversation, opening, BOUNDS);
      assert.equal(settle(conversation, 1, 'a', 'completed'), false);
      assert.deepEqual(said(conversation)[0], ['by', 'interrupted']);
    }
  });

  it('is not kept if the other one was complete, and then cut', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 2, 'b');
    settle(conversation, 2, 'b', 'completed');
    openTurn(conversation, {
      turnId: 't2', runId: 3, text: 't2', process: 'c', isAlive: () => true,
      interruption: { turnId: 't1', textHeard: undefined },
    }, BOUNDS);
    assert.equal(settle(conversation, 1, 'a', 'completed'), false);
    assert.deepEqual(said(conversation)[0], ['by b', 'interrupted']);
  });

  it('is not kept if it was not complete, or if the conversation was erased meanwhile', () => {
    const conversation = emptyConversation('c');
    clearTurns(conversation);
    open(conversation, 't1', 2, 'b');
    settle(conversation, 2, 'b', 'interrupted');
    const { erasedAt } = conversation;
    assert.equal(settle(conversation, 1, 'a', 'interrupted', { erasedAt }), false);
    assert.equal(settle(conversation, 1, 'a', 'completed'), false);
    assert.equal(settle(conversation, 1, 'a', 'completed', { erasedAt }), true);
  });
});

describe('a run that notes its calls', () => {
  /** Both runs have the turn: the calls of run 1 came when process a could write again. */
  function joined(): Conversation {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 1, 'a');
    const run = { turnId: 't1', runId: 1, process: 'a' };
    noteProgress(conversation, { ...run, messages: round(1, 'a') }, BOUNDS);
    open(conversation, 't1', 2, 'b');
    return conversation;
  }

  // Seeds 50000644, 50002789 and 30006428: the calls were made again.
  it('learns of the calls of other runs of its turn', () => {
    const run = { turnId: 't1', runId: 2, process: 'b' };
    const noted = noteProgress(joined(), { ...run, messages: round(2, 'b') }, BOUNDS);
    assert.deepEqual(noted.earlierCalls.map(({ runId, process, state }) =>
      [runId, process, state]), [[1, 'a', 'running']]);
  });

  it('learns what they called on a wire whose turns replace others', () => {
    const conversation = joined();
    const [record = assert.fail()] = conversation.turns;
    record.number = 1;
    const run = { turnId: 't1', runId: 2, process: 'b' };
    const noted = noteProgress(conversation, { ...run, messages: round(2, 'b') }, BOUNDS);
    assert.deepEqual(noted.earlierCalls.map(({ of }) => of), [
      { call: { id: 'x', name: 'book', args: '{}' }, agent: undefined, isOtherPlace: false },
    ]);
  });

  it('learns of none if no other process shares the conversation', () => {
    const run = { turnId: 't1', runId: 2 };
    const noted = noteProgress(joined(), { ...run, messages: round(2, 'b') }, BOUNDS);
    assert.deepEqual(noted.earlierCalls, []);
  });
});

// A result is worth more than the record of its call: stores lose writes, and tools return late.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  clearTurns, emptyConversation, historyOf, type Conversation,
} from '../../src/conversations/conversation.ts';
import type { Message } from '../../src/conversations/message.ts';
import {
  noteProgress, noteToolResult, type ToolResult,
} from '../../src/conversations/tool-call-rules.ts';
import { claimTurn } from '../../src/conversations/turn-claim.ts';
import { openTurn, type TurnOpening } from '../../src/conversations/turn-opening.ts';
import { settleTurn } from '../../src/conversations/turn-settlement.ts';

const BOUNDS = { maxMessages: 200, maxTextLength: 1_048_576 };
const PAID = { role: 'tool', turnId: 't1', toolCallId: 'a', runId: 1, key: 'key' } as const;

/** What run 1 of turn t1 in process a has called. The store knows nothing of it. */
const CALLED: readonly Message[] = [
  {
    role: 'assistant', content: 'One moment. ', turnId: 't1', state: 'open',
    toolCalls: [{ id: 'a', name: 'pay', args: '{}' }],
  },
  { ...PAID, content: '{"paid":1}', state: 'completed' },
];

function open(
  conversation: Conversation,
  turnId: string,
  runId: number,
  process: string,
  more: Partial<TurnOpening> = {},
): void {
  const isAlive = (): boolean => true;
  openTurn(conversation, { turnId, runId, text: turnId, process, isAlive, ...more }, BOUNDS);
}

function returns(conversation: Conversation, more: Partial<ToolResult> = {}): boolean {
  const call = { turnId: 't1', runId: 1, process: 'a', toolCallId: 'a' };
  const result = { ...call, state: 'completed', content: '{"paid":1}', messages: CALLED } as const;
  return noteToolResult(conversation, { ...result, ...more }, BOUNDS).isKept;
}

function paid(conversation: Conversation): readonly string[] {
  return historyOf(conversation).flatMap(({ role, content }) => (role === 'tool' ? [content] : []));
}

describe('the result of a call that the store has lost', () => {
  // Seed 200345 of the fleet: process a ran the turn and its tool, the store lost that, and another
  // process began the turn anew.
  it('is added to its turn, which another run now owns, after a request without words', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 2, 'b');
    assert.equal(returns(conversation), true);
    assert.deepEqual(historyOf(conversation), [
      { role: 'user', content: 't1', turnId: 't1' },
      { ...CALLED[0], content: '', state: 'interrupted' },
      { ...PAID, content: '{"paid":1}', state: 'completed' },
      { role: 'assistant', content: '', turnId: 't1', state: 'open' },
    ].map((message) => historyForm(message as Message)));
    assert.equal(returns(conversation), true);
    assert.deepEqual(paid(conversation), ['{"paid":1}']); // not twice
  });

  it('is left to the run that owns its turn, which settles it with all its calls', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 1, 'a');
    assert.equal(returns(conversation), false);
    assert.deepEqual(paid(conversation), []);
  });

  it('is not kept for a call that did nothing, or for a turn that no longer exists', () => {
    const conversation = emptyConversation('c');
    assert.equal(returns(conversation), false);
    open(conversation, 't1', 2, 'b');
    assert.equal(returns(conversation, { state: 'interrupted' }), false);
    assert.deepEqual(paid(conversation), []);
  });

  it('does not return to a turn that was erased and delivered again', () => {
    const conversation = emptyConversation('c');
    clearTurns(conversation);
    open(conversation, 't1', 2, 'b');
    assert.equal(returns(conversation, { erasedAt: 0 }), false);
    assert.equal(returns(conversation, { erasedAt: conversation.erasedAt }), true);
    assert.deepEqual(paid(conversation), ['{"paid":1}']);
  });
});

describe('a run that takes its turn back from another process', () => {
  // Seed 540099 of the fleet: its words stood twice.
  it('has its calls once, preceded by those of the other run', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 1, 'a');
    const running = CALLED.map((message): Message =>
      message.role === 'tool' ? { ...message, state: 'running', process: 'a' } : message);
    noteProgress(conversation, { turnId: 't1', runId: 1, process: 'a', messages: running }, BOUNDS);
    const isCallRunning = (): boolean => true;
    open(conversation, 't1', 2, 'b', { isCallRunning });
    const claim = { turnId: 't1', runId: 1, process: 'a', text: 't1' };
    assert.equal(claimTurn(conversation, claim).kind, 'owned');
    const settlement = { turnId: 't1', runId: 1, state: 'completed', messages: CALLED } as const;
    settleTurn(conversation, settlement, BOUNDS);
    assert.deepEqual(paid(conversation), ['{"paid":1}']);
  });

  it('has figures of its own, and not those of the other run', () => {
    const conversation = emptyConversation('c');
    const figures = { sessionId: 's', startedAt: 1 };
    open(conversation, 't1', 1, 'a', { figures });
    open(conversation, 't1', 2, 'b', { figures: { sessionId: 's', startedAt: 2 } });
    const others = { sessionId: 's', startedAt: 2, durationMs: 9, failure: { reason: 'model' } };
    settleTurn(
      conversation,
      { turnId: 't1', runId: 2, state: 'failed', messages: [], figures: others },
      BOUNDS,
    );
    const claim = { turnId: 't1', runId: 1, process: 'a', text: 't1', figures };
    assert.equal(claimTurn(conversation, claim).kind, 'owned');
    assert.deepEqual(conversation.turns.map((turn) => turn.figures), [figures]);
  });
});

/** History does not tell which run made a call. */
function historyForm(message: Message): Message {
  if (message.role !== 'tool') return message;
  const { runId: _runId, ...rest } = message;
  return rest;
}

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { emptyConversation, type Conversation } from '../../src/conversations/conversation.ts';
import type { OnceCall } from '../../src/conversations/once-call.ts';
import {
  claimOnce,
  loseOnce,
  loseOnceCalls,
  MAX_ONCE_CALLS,
  MAX_ONCE_LENGTH,
  settleOnce,
  withdrawOnce,
  type Claimer,
  type ClaimOutcome,
  type OnceClaim,
  type OnceResult,
} from '../../src/conversations/once-rules.ts';

const KEY = 'k'.repeat(64);
const A: Claimer = { turnId: 't1', runId: 1, process: 'a' };
const B: Claimer = { turnId: 't2', runId: 2, process: 'b' };

function claim(
  conversation: Conversation,
  claimer: Claimer,
  more: Partial<OnceClaim> = {},
): ClaimOutcome {
  return claimOnce(conversation, claimer, {
    key: KEY,
    tool: 'pay',
    toolCallId: 'c1',
    isRepeatable: false,
    isRunningHere: () => false,
    isUnconfirmed: () => false,
    ...more,
  });
}

function settle(
  conversation: Conversation,
  claimer: Claimer,
  state: OnceResult['state'],
  { content = '"paid"', toolCallId = 'c1', mayAdd = true } = {},
): void {
  settleOnce(conversation, claimer, toolCallId, { key: KEY, tool: 'pay', state, content }, mayAdd);
}

function stateOf(conversation: Conversation): string | undefined {
  return conversation.onceCalls?.[KEY]?.state;
}

describe('claimOnce', () => {
  it('lets the first call start, and says that it did when the claim is made again', () => {
    const conversation = emptyConversation('c');
    assert.equal(claim(conversation, A).kind, 'claimed');
    assert.equal(claim(conversation, A).kind, 'claimed');
    assert.equal(stateOf(conversation), 'running');
  });

  it('has a call of another process, run or id wait for the one that runs', () => {
    for (const [other, more] of [
      [B, {}],
      [{ ...A, runId: 9 }, { isRunningHere: () => true }],
      [A, { toolCallId: 'c2', isRunningHere: () => true }],
    ] as const) {
      const conversation = emptyConversation('c');
      claim(conversation, A);
      const outcome = claim(conversation, other, more);
      assert.equal(outcome.kind, 'running');
      assert.equal(outcome.kind === 'running' && outcome.call.runId, A.runId);
    }
  });

  it('gives the result of one that has completed, however often it is asked', () => {
    const conversation = emptyConversation('c');
    claim(conversation, A);
    settle(conversation, A, 'completed');
    for (const isRepeatable of [false, true]) {
      const outcome = claim(conversation, B, { isRepeatable });
      assert.equal(outcome.kind === 'ended' && outcome.call.content, '"paid"');
    }
  });

  it('does not repeat one whose outcome is unknown, unless it is repeatable', () => {
    const conversation = emptyConversation('c');
    claim(conversation, A);
    settle(conversation, A, 'unknown');
    const outcome = claim(conversation, B);
    assert.equal(outcome.kind === 'ended' && outcome.call.state, 'unknown');
    assert.equal(claim(conversation, B, { isRepeatable: true }).kind, 'claimed');
    assert.equal(stateOf(conversation), 'running');
  });

  it('gives up a call of this process that does not run, unless it never began', () => {
    const lost = emptyConversation('c');
    claim(lost, A);
    assert.equal(claim(lost, { ...A, runId: 9 }).kind, 'lost');
    assert.equal(stateOf(lost), 'unknown');
    assert.equal(claim(lost, { ...A, runId: 9 }).kind, 'ended');
    const unconfirmed = emptyConversation('c');
    claim(unconfirmed, A);
    const outcome = claim(unconfirmed, { ...A, runId: 9 }, { isUnconfirmed: () => true });
    assert.equal(outcome.kind, 'claimed');
    assert.equal(unconfirmed.onceCalls?.[KEY]?.runId, 9);
  });

  it(`refuses a new key beyond ${MAX_ONCE_CALLS} of them, and forgets none`, () => {
    const conversation = emptyConversation('c');
    for (let count = 0; count < MAX_ONCE_CALLS; count++)
      assert.equal(claim(conversation, A, { key: `k${count}` }).kind, 'claimed');
    assert.equal(claim(conversation, A, { key: 'one more' }).kind, 'refused');
    assert.equal(claim(conversation, A, { key: 'k0' }).kind, 'claimed');
    assert.equal(Object.keys(conversation.onceCalls ?? {}).length, MAX_ONCE_CALLS);
  });

  it('refuses a new key beyond the length that is kept', () => {
    const conversation = emptyConversation('c');
    claim(conversation, A);
    settle(conversation, A, 'completed', { content: 'x'.repeat(MAX_ONCE_LENGTH) });
    assert.equal(claim(conversation, B, { key: 'another' }).kind, 'refused');
    assert.equal(claim(conversation, B).kind, 'ended');
  });
});

describe('settleOnce', () => {
  it('keeps a result for good', () => {
    const conversation = emptyConversation('c');
    claim(conversation, A);
    settle(conversation, A, 'completed');
    for (const state of ['unknown', 'not done', 'completed'] as const)
      settle(conversation, A, state, { content: '"other"' });
    assert.equal(conversation.onceCalls?.[KEY]?.content, '"paid"');
  });

  it('keeps a result that comes after the outcome was unknown', () => {
    const conversation = emptyConversation('c');
    claim(conversation, A);
    settle(conversation, A, 'unknown');
    settle(conversation, A, 'completed');
    assert.equal(stateOf(conversation), 'completed');
  });

  it('frees the key of a call that did nothing, for the call that has it only', () => {
    const conversation = emptyConversation('c');
    claim(conversation, A);
    settle(conversation, B, 'not done');
    settle(conversation, A, 'not done', { toolCallId: 'c2' });
    assert.equal(stateOf(conversation), 'running');
    settle(conversation, A, 'not done');
    assert.equal(stateOf(conversation), undefined);
    assert.equal(claim(conversation, B).kind, 'claimed');
  });

  it('brings nothing back into a conversation that was cleared', () => {
    const conversation = emptyConversation('c');
    settle(conversation, A, 'completed', { mayAdd: false });
    assert.equal(conversation.onceCalls, undefined);
  });
});

describe('withdrawOnce', () => {
  it('takes back a claim, whatever others thought of it, but no result and no other call', () => {
    const conversation = emptyConversation('c');
    claim(conversation, A);
    withdrawOnce(conversation, KEY, { runId: 9, toolCallId: 'c1' });
    assert.equal(stateOf(conversation), 'running');
    settle(conversation, A, 'unknown');
    withdrawOnce(conversation, KEY, { runId: 1, toolCallId: 'c1' });
    assert.equal(stateOf(conversation), undefined);
    claim(conversation, A);
    settle(conversation, A, 'completed');
    withdrawOnce(conversation, KEY, { runId: 1, toolCallId: 'c1' });
    assert.equal(stateOf(conversation), 'completed');
  });
});

describe('loseOnceCalls', () => {
  it('marks those that run nowhere, and names them', () => {
    const conversation = emptyConversation('c');
    claim(conversation, A, { key: 'of a' });
    claim(conversation, B, { key: 'of b' });
    const lost = loseOnceCalls(conversation, (_key, { process }) => process === 'b');
    assert.deepEqual(lost.map(([key]) => key), ['of a']);
    assert.deepEqual(
      Object.values(conversation.onceCalls ?? {}).map(({ state }) => state),
      ['unknown', 'running'],
    );
    assert.deepEqual(loseOnceCalls(emptyConversation('c'), () => false), []);
  });
});

describe('loseOnce', () => {
  it('keeps what only its process knew, so that it is told once and does not act again', () => {
    const conversation = emptyConversation('c');
    const call: OnceCall = {
      turnId: '', runId: 0, toolCallId: '', process: 'a',
      state: 'running', tool: 'pay', claimedAt: 0, content: '',
    };
    assert.ok(loseOnce(conversation, KEY, call));
    assert.ok(!loseOnce(conversation, KEY, call));
    assert.equal(claim(conversation, B).kind, 'ended');
    // Seed 95038416 of the fleet: its process was not gone.
    settle(conversation, B, 'not done');
    assert.equal(stateOf(conversation), 'unknown');
    settle(conversation, A, 'not done');
    assert.equal(stateOf(conversation), undefined);
  });

  it('keeps nothing of a call that was erased, or that did nothing', () => {
    const conversation = emptyConversation('c');
    claim(conversation, A);
    const call = conversation.onceCalls?.[KEY];
    assert.ok(call);
    settle(conversation, A, 'not done');
    loseOnce(conversation, KEY, call);
    assert.equal(claim(conversation, B).kind, 'claimed');
  });
});

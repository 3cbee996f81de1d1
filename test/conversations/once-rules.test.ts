import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  addTurn, emptyConversation, type Conversation,
} from '../../src/conversations/conversation.ts';
import type { OnceCall } from '../../src/conversations/once-call.ts';
import {
  claimOnce,
  loseOnce,
  loseOnceCalls,
  MAX_ONCE_CALLS,
  MAX_ONCE_LENGTH,
  releaseOnce,
  restoreOnce,
  settleOnce,
  type Claimer,
  type ClaimOutcome,
  type OnceClaim,
  type OnceResult,
} from '../../src/conversations/once-rules.ts';
import { newTurn, setMessages } from '../../src/conversations/turn-record.ts';

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
    nth: 1,
    isRepeatable: false,
    isRunningHere: () => false,
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
  it('lets the first call start, and says so again when the claim is repeated', () => {
    const conversation = emptyConversation('c');
    assert.equal(claim(conversation, A).kind, 'claimed');
    assert.equal(claim(conversation, A).kind, 'claimed');
    assert.equal(stateOf(conversation), 'running');
  });

  it('makes a call of another process, run or id wait for the one that runs', () => {
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

  it('gives up a call of this process that is not running', () => {
    const lost = emptyConversation('c');
    claim(lost, A);
    assert.equal(claim(lost, { ...A, runId: 9 }).kind, 'lost');
    assert.equal(stateOf(lost), 'unknown');
    assert.equal(claim(lost, { ...A, runId: 9 }).kind, 'ended');
  });

  it(`refuses a new key beyond ${MAX_ONCE_CALLS}, and forgets none`, () => {
    const conversation = emptyConversation('c');
    for (let count = 0; count < MAX_ONCE_CALLS; count++)
      assert.equal(claim(conversation, A, { key: `k${count}` }).kind, 'claimed');
    assert.equal(claim(conversation, A, { key: 'one more' }).kind, 'refused');
    assert.equal(claim(conversation, A, { key: 'k0' }).kind, 'claimed');
    assert.equal(Object.keys(conversation.onceCalls ?? {}).length, MAX_ONCE_CALLS);
  });

  it('refuses a new key beyond the maximum length', () => {
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

  it('keeps with a result which claim of its call it belongs to', () => {
    const conversation = emptyConversation('c');
    claim(conversation, A, { nth: 2 });
    settle(conversation, A, 'completed');
    assert.equal(conversation.onceCalls?.[KEY]?.nth, 2);
  });

  it('frees the key of a call that did nothing, but only for the call that has it', () => {
    const conversation = emptyConversation('c');
    claim(conversation, A);
    settle(conversation, B, 'not done');
    settle(conversation, A, 'not done', { toolCallId: 'c2' });
    assert.equal(stateOf(conversation), 'running');
    settle(conversation, A, 'not done');
    assert.equal(stateOf(conversation), 'released');
    assert.equal(claim(conversation, B).kind, 'claimed');
  });

  it('counts how often a call did nothing, once for each time it began', () => {
    const conversation = emptyConversation('c');
    const attempt = (claimer: Claimer): number | undefined => {
      const outcome = claim(conversation, claimer);
      return outcome.kind === 'claimed' ? outcome.attempt : undefined;
    };
    assert.equal(attempt(A), 1);
    for (const _again of [1, 2]) settle(conversation, A, 'not done');
    assert.equal(attempt(B), 2);
    settle(conversation, B, 'not begun');
    assert.equal(attempt(A), 2);
    releaseOnce(conversation, KEY, { runId: A.runId, toolCallId: 'c1' });
    assert.equal(attempt(B), 2);
  });

  it('brings nothing back into a cleared conversation', () => {
    const conversation = emptyConversation('c');
    settle(conversation, A, 'completed', { mayAdd: false });
    assert.equal(conversation.onceCalls, undefined);
  });
});

describe('releaseOnce', () => {
  it('takes back a claim, whatever others thought of it, but no result and no other call', () => {
    const conversation = emptyConversation('c');
    claim(conversation, A);
    releaseOnce(conversation, KEY, { runId: 9, toolCallId: 'c1' });
    assert.equal(stateOf(conversation), 'running');
    settle(conversation, A, 'unknown');
    releaseOnce(conversation, KEY, { runId: 1, toolCallId: 'c1' });
    assert.equal(stateOf(conversation), 'released');
    claim(conversation, A);
    settle(conversation, A, 'completed');
    releaseOnce(conversation, KEY, { runId: 1, toolCallId: 'c1' });
    assert.equal(stateOf(conversation), 'completed');
  });
});

describe('loseOnceCalls', () => {
  it('marks those that run nowhere, and lists them', () => {
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
  it('says only once that the outcome is unknown', () => {
    const conversation = emptyConversation('c');
    claim(conversation, A);
    const call = conversation.onceCalls?.[KEY];
    assert.ok(call);
    assert.deepEqual([1, 2].map(() => loseOnce(conversation, KEY, call)), [true, false]);
    assert.equal(claim(conversation, B).kind, 'ended');
  });

  it('keeps nothing of a call that was erased, or that did nothing', () => {
    const conversation = emptyConversation('c');
    claim(conversation, A);
    const call = conversation.onceCalls?.[KEY];
    assert.ok(call);
    assert.equal(loseOnce(emptyConversation('c'), KEY, call), false);
    settle(conversation, A, 'not done');
    assert.equal(loseOnce(conversation, KEY, call), false);
    assert.equal(claim(conversation, B).kind, 'claimed');
  });
});

describe('restoreOnce', () => {
  const called = (state: OnceCall['state'], runId = 1): OnceCall => ({
    state, runId, turnId: 't', toolCallId: 'c1', process: 'a', tool: 'pay', claimedAt: 5,
    content: '',
  });

  for (const [what, ours, theirs, then] of [
    ['a claim that was lost', called('running'), undefined, called('running')],
    ['a claim, over another that did nothing', called('running'), called('released', 2), 'ours'],
    ['a claim, over another that waits', called('running'), called('running', 2), 'ours'],
    ['no claim that did nothing', called('released'), called('running', 2), 'theirs'],
    ['nothing of a claim that did nothing', called('released'), undefined, undefined],
    ['a result over another claim', called('completed'), called('unknown', 2), 'ours'],
    ['no older state of a call', called('running'), called('unknown'), 'theirs'],
    ['what became of a call', called('released'), called('running'), 'ours'],
  ] as const) {
    it(`puts back ${what}`, () => {
      const conversation = emptyConversation('c');
      if (theirs !== undefined) conversation.onceCalls = { [KEY]: theirs };
      restoreOnce(conversation, { [KEY]: ours });
      const wanted = then === 'ours' ? ours : then === 'theirs' ? theirs : then;
      assert.deepEqual(conversation.onceCalls?.[KEY], wanted);
    });
  }

  // Seed 179624207 of the fleet: another call had the key when it ended, and it ran for ever.
  it('puts a claim back as unknown if its turn says that the call has ended', () => {
    const conversation = emptyConversation('c');
    const record = newTurn('t', 'completed', 1);
    setMessages(record, [{
      role: 'tool', content: '{}', turnId: 't', toolCallId: 'c1', runId: 1, state: 'unknown',
    }]);
    addTurn(conversation, record);
    restoreOnce(conversation, { [KEY]: called('running') });
    assert.equal(stateOf(conversation), 'unknown');
  });

  it('puts back no erased result, but a claim that may still act', () => {
    for (const [state, left] of [['completed', undefined], ['running', 'running']] as const) {
      const conversation = emptyConversation('c');
      conversation.erasedAt = 6;
      restoreOnce(conversation, { [KEY]: called(state) });
      assert.equal(stateOf(conversation), left);
    }
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { addTurn, emptyConversation } from '../../../src/core/conversations/conversation.ts';
import type { OnceCall } from '../../../src/core/conversations/once-call.ts';
import {
  claimOnce, loseOnce, loseOnceCalls, MAX_ONCE_CALLS, MAX_ONCE_LENGTH, releaseOnce, restoreOnce,
  settleOnce, type Claimer, type ClaimOutcome, type OnceClaim, type OnceResult,
} from '../../../src/core/conversations/once-rules.ts';
import { newTurn, setMessages } from '../../../src/core/conversations/turn-record.ts';

const KEY = 'k'.repeat(64);
const A: Claimer = { turnId: 't1', runId: 1, process: 'a' };
const B: Claimer = { turnId: 't2', runId: 2, process: 'b' };

/** The claims of a conversation, most of them for one key. */
class Claims {
  readonly conversation = emptyConversation('c');

  /** A has claimed the key, with these outcomes. */
  static of(...ends: readonly OnceResult['state'][]): Claims {
    const claims = new Claims();
    claims.claim(A);
    for (const end of ends) claims.settle(A, end);
    return claims;
  }

  claim(claimer: Claimer, more: Partial<OnceClaim> = {}): ClaimOutcome {
    const call = { key: KEY, tool: 'pay', toolCallId: 'c1', nth: 1, isRepeatable: false };
    return claimOnce(this.conversation, claimer, { ...call, isRunningHere: () => false, ...more });
  }

  settle(
    claimer: Claimer, state: OnceResult['state'],
    { content = '"paid"', toolCallId = 'c1', mayAdd = true } = {},
  ): void {
    const result = { key: KEY, tool: 'pay', state, content };
    settleOnce(this.conversation, claimer, toolCallId, result, mayAdd);
  }

  release(runId: number): void {
    releaseOnce(this.conversation, KEY, { runId, toolCallId: 'c1' });
  }

  get call(): OnceCall | undefined {
    return this.conversation.onceCalls?.[KEY];
  }

  get state(): string | undefined {
    return this.call?.state;
  }
}

describe('claimOnce', () => {
  it('lets the first call start, and says so again when the claim is repeated', () => {
    const claims = new Claims();
    for (const _again of [1, 2]) assert.equal(claims.claim(A).kind, 'claimed');
    assert.equal(claims.state, 'running');
  });

  for (const [what, other, more] of [
    ['from another process', B, {}],
    ['from another run', { ...A, runId: 9 }, { isRunningHere: () => true }],
    ['with another id', A, { toolCallId: 'c2', isRunningHere: () => true }],
  ] as const)
    it(`makes a call ${what} wait for the running one`, () => {
      const outcome = Claims.of().claim(other, more);
      assert.equal(outcome.kind === 'running' && outcome.call.runId, A.runId);
    });

  it('gives the result of a completed call, however often it is asked', () => {
    const claims = Claims.of('completed');
    for (const isRepeatable of [false, true]) {
      const outcome = claims.claim(B, { isRepeatable });
      assert.equal(outcome.kind === 'ended' && outcome.call.content, '"paid"');
    }
  });

  it('does not repeat a call whose outcome is unknown, unless it is repeatable', () => {
    const claims = Claims.of('unknown');
    const outcome = claims.claim(B);
    assert.equal(outcome.kind === 'ended' && outcome.call.state, 'unknown');
    assert.equal(claims.claim(B, { isRepeatable: true }).kind, 'claimed');
    assert.equal(claims.state, 'running');
  });

  it('gives up a call of this process that is not running', () => {
    const claims = Claims.of();
    assert.equal(claims.claim({ ...A, runId: 9 }).kind, 'lost');
    assert.equal(claims.state, 'unknown');
    assert.equal(claims.claim({ ...A, runId: 9 }).kind, 'ended');
  });

  it(`refuses a new key beyond ${MAX_ONCE_CALLS} keys, and forgets none`, () => {
    const claims = new Claims();
    for (let count = 0; count < MAX_ONCE_CALLS; count++)
      assert.equal(claims.claim(A, { key: `k${count}` }).kind, 'claimed');
    assert.equal(claims.claim(A, { key: 'one more' }).kind, 'refused');
    assert.equal(claims.claim(A, { key: 'k0' }).kind, 'claimed');
    assert.equal(Object.keys(claims.conversation.onceCalls ?? {}).length, MAX_ONCE_CALLS);
  });

  it('refuses a new key beyond the maximum length', () => {
    const claims = Claims.of();
    claims.settle(A, 'completed', { content: 'x'.repeat(MAX_ONCE_LENGTH) });
    assert.equal(claims.claim(B, { key: 'another' }).kind, 'refused');
    assert.equal(claims.claim(B).kind, 'ended');
  });
});

describe('settleOnce', () => {
  it('keeps a result for good', () => {
    const claims = Claims.of('completed');
    for (const state of ['unknown', 'not done', 'completed'] as const)
      claims.settle(A, state, { content: '"other"' });
    assert.equal(claims.call?.content, '"paid"');
  });

  it('keeps a result that arrives after the outcome was said to be unknown', () => {
    assert.equal(Claims.of('unknown', 'completed').state, 'completed');
  });

  it('keeps which claim of its call a result belongs to', () => {
    const claims = new Claims();
    claims.claim(A, { nth: 2 });
    claims.settle(A, 'completed');
    assert.equal(claims.call?.nth, 2);
  });

  it('frees the key of a call that did nothing, but only for the call that has it', () => {
    const claims = Claims.of();
    claims.settle(B, 'not done');
    claims.settle(A, 'not done', { toolCallId: 'c2' });
    assert.equal(claims.state, 'running');
    claims.settle(A, 'not done');
    assert.equal(claims.state, 'released');
    assert.equal(claims.claim(B).kind, 'claimed');
  });

  it('counts how often a call did nothing, but only once each time it began', () => {
    const claims = new Claims();
    const attempt = (claimer: Claimer): number | undefined => {
      const outcome = claims.claim(claimer);
      return outcome.kind === 'claimed' ? outcome.attempt : undefined;
    };
    assert.equal(attempt(A), 1);
    for (const _again of [1, 2]) claims.settle(A, 'not done');
    assert.equal(attempt(B), 2);
    claims.settle(B, 'not begun');
    assert.equal(attempt(A), 2);
    claims.release(A.runId);
    assert.equal(attempt(B), 2);
  });

  it('brings nothing back into a cleared conversation', () => {
    const claims = new Claims();
    claims.settle(A, 'completed', { mayAdd: false });
    assert.equal(claims.conversation.onceCalls, undefined);
  });
});

describe('releaseOnce', () => {
  for (const [what, claims, runId, left] of [
    ['nothing that another call has claimed', Claims.of(), 9, 'running'],
    ['a claim, whatever others thought of it', Claims.of('unknown'), 1, 'released'],
    ['nothing that has a result', Claims.of('completed'), 1, 'completed'],
  ] as const)
    it(`takes back ${what}`, () => {
      claims.release(runId);
      assert.equal(claims.state, left);
    });
});

describe('loseOnceCalls', () => {
  it('marks calls that are not running anywhere as unknown, and lists them', () => {
    const claims = new Claims();
    claims.claim(A, { key: 'of a' });
    claims.claim(B, { key: 'of b' });
    const lost = loseOnceCalls(claims.conversation, (_key, { process }) => process === 'b');
    assert.deepEqual(lost.map(([key]) => key), ['of a']);
    const { onceCalls = {} } = claims.conversation;
    assert.deepEqual(Object.values(onceCalls).map(({ state }) => state), ['unknown', 'running']);
    assert.deepEqual(loseOnceCalls(emptyConversation('c'), () => false), []);
  });
});

describe('loseOnce', () => {
  it('says only once that the outcome is unknown', () => {
    const claims = Claims.of();
    const call = claims.call ?? assert.fail();
    assert.deepEqual([1, 2].map(() => loseOnce(claims.conversation, KEY, call)), [true, false]);
    assert.equal(claims.claim(B).kind, 'ended');
  });

  it('keeps nothing of a call that was erased, or that did nothing', () => {
    const claims = Claims.of();
    const call = claims.call ?? assert.fail();
    assert.equal(loseOnce(emptyConversation('c'), KEY, call), false);
    claims.settle(A, 'not done');
    assert.equal(loseOnce(claims.conversation, KEY, call), false);
    assert.equal(claims.claim(B).kind, 'claimed');
  });
});

describe('restoreOnce', () => {
  const called = (state: OnceCall['state'], runId = 1): OnceCall => ({
    state, runId, turnId: 't', toolCallId: 'c1', process: 'a', tool: 'pay', claimedAt: 5,
    content: '',
  });

  for (const [what, ours, theirs, then] of [
    ['a claim that was lost', called('running'), undefined, 'ours'],
    ['a claim, over another that did nothing', called('running'), called('released', 2), 'ours'],
    ['a claim, over another that waits', called('running'), called('running', 2), 'ours'],
    ['nothing over others if ours did nothing', called('released'), called('running', 2), 'theirs'],
    ['nothing of a claim that did nothing', called('released'), undefined, 'theirs'],
    ['a result over another claim', called('completed'), called('unknown', 2), 'ours'],
    ['nothing that is an older state of a call', called('running'), called('unknown'), 'theirs'],
    ['what became of a call', called('released'), called('running'), 'ours'],
  ] as const)
    it(`puts back ${what}`, () => {
      const claims = new Claims();
      if (theirs !== undefined) claims.conversation.onceCalls = { [KEY]: theirs };
      restoreOnce(claims.conversation, { [KEY]: ours });
      assert.deepEqual(claims.call, then === 'ours' ? ours : theirs);
    });

  // Seed 179624207 of the fleet: another call had the key when this one ended, which ran for ever.
  for (const [ended, left] of [
    ['unknown', 'unknown'], ['completed', undefined], ['interrupted', undefined],
  ] as const)
    it(`restores a claim as ${left ?? 'nothing'} if its turn has the call as ${ended}`, () => {
      const claims = new Claims();
      const record = newTurn('t', 'completed', 1);
      setMessages(record, [{
        role: 'tool', content: '{}', turnId: 't', toolCallId: 'c1', runId: 1, state: ended,
      }]);
      addTurn(claims.conversation, record);
      restoreOnce(claims.conversation, { [KEY]: called('running') });
      assert.equal(claims.state, left);
    });

  for (const [what, state, left] of [
    ['nothing of an erased result', 'completed', undefined],
    ['an erased claim that may still act', 'running', 'running'],
  ] as const)
    it(`puts back ${what}`, () => {
      const claims = new Claims();
      claims.conversation.erasedAt = 6;
      restoreOnce(claims.conversation, { [KEY]: called(state) });
      assert.equal(claims.state, left);
    });
});

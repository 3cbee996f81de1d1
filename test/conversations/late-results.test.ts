// A result is worth more than the record of its call: stores lose writes, and tools return late.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { clearTurns, historyOf } from '../../src/conversations/conversation.ts';
import type { ToolResult } from '../../src/conversations/tool-call-rules.ts';
import { claimTurn } from '../../src/conversations/turn-begin.ts';
import { inTalk, reply, round, Talk, yes } from './talk.ts';

const PAID = 'a completed {"paid":1}';
const [A, B] = [{ runId: 1, process: 'a', isAlive: yes }, { runId: 2, process: 'b', isAlive: yes }];
/** What run 1 of turn t1 in process a has called. The store knows nothing of it. */
const CALLED = round('t1', 'a', {
  said: 'One moment. ', saidState: 'open', content: '{"paid":1}', runId: 1,
});

function returns(talk: Talk, more: Partial<ToolResult> = {}): boolean {
  return talk.result('t1', 'a', { runId: 1, process: 'a', messages: CALLED, ...more });
}

describe('the result of a call that the store has lost', () => {
  // Seed 200345 of the fleet: process a ran the turn and its tool, the store lost that, and another
  // process began the turn anew.
  it('is added to its turn, which another run now owns, after a request without words', () => {
    const talk = new Talk();
    talk.open('t1', B);
    assert.equal(returns(talk), true);
    const [asked, { runId: _runId, ...result }] = CALLED; // history does not tell which run
    assert.deepEqual(historyOf(talk.conversation), [
      { role: 'user', content: 't1', turnId: 't1' },
      { ...asked, content: '', state: 'interrupted' }, result, reply('t1', '', 'open'),
    ]);
    assert.equal(returns(talk), true);
    assert.deepEqual(talk.calls, [PAID]); // not twice
  });

  it('is left to the run that owns its turn, which settles it with all its calls', () => {
    const talk = new Talk();
    talk.open('t1', A);
    assert.equal(returns(talk), false);
    assert.deepEqual(talk.calls, []);
  });

  it('is not kept for a call that did nothing, or for a turn that no longer exists', () => {
    const talk = new Talk();
    assert.equal(returns(talk), false);
    talk.open('t1', B);
    assert.equal(returns(talk, { state: 'interrupted' }), false);
    assert.deepEqual(talk.calls, []);
  });

  it('does not return to a turn that was erased and delivered again', inTalk((talk) => {
    clearTurns(talk.conversation);
    talk.open('t1', B);
    assert.equal(returns(talk, { erasedAt: 0 }), false);
    assert.equal(returns(talk, { erasedAt: talk.conversation.erasedAt }), true);
    assert.deepEqual(talk.calls, [PAID]);
  }));
});

describe('a run that takes its turn back from another process', () => {
  const claim = { turnId: 't1', runId: 1, process: 'a', text: 't1' };

  // Seed 540099 of the fleet: its words stood twice.
  it('has its calls once, preceded by those of the other run', inTalk((talk) => {
    talk.open('t1', A);
    talk.progress('t1', round('t1', 'a', { state: 'running', process: 'a' }), { process: 'a' });
    talk.open('t1', { ...B, isCallRunning: yes });
    assert.equal(claimTurn(talk.conversation, claim).kind, 'owned');
    talk.settle('t1', 'completed', CALLED, { runId: 1 });
    assert.deepEqual(talk.calls, [PAID]);
  }));

  it('has figures of its own, and not those of the other run', inTalk((talk) => {
    const [own, others] = [{ sessionId: 's', startedAt: 1 }, { sessionId: 's', startedAt: 2 }];
    talk.open('t1', { ...A, figures: own });
    talk.open('t1', { ...B, figures: others });
    const figures = { ...others, durationMs: 9, failure: { reason: 'model' } };
    talk.settle('t1', 'failed', '', { figures });
    assert.equal(claimTurn(talk.conversation, { ...claim, figures: own }).kind, 'owned');
    assert.deepEqual(talk.turn('t1').figures, own);
  }));
});

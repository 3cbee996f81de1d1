// One turn that two processes run without knowing of each other, because the store failed one of
// them or has forgotten what it had.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { clearTurns } from '../../../src/core/conversations/conversation.ts';
import type { NotedProgress } from '../../../src/core/conversations/tool-call-rules.ts';
import { tellCalls } from './calls.ts';
import { round, Talk, yes } from './talk.ts';

const ALIVE = { isAlive: yes, isCallRunning: yes };
const A = { runId: 1, process: 'a', ...ALIVE };
const B = { runId: 2, process: 'b', ...ALIVE };
type Run = typeof A;
type State = 'completed' | 'interrupted' | 'failed';

/** `t1` runs in these processes, one after the other. */
function ran(...runs: readonly Run[]): Talk {
  const talk = new Talk();
  for (const run of runs) talk.open('t1', run);
  return talk;
}

function end(talk: Talk, { runId, process }: Run, state: State, erasedAt?: number): boolean {
  return talk.settle('t1', state, `by ${process}`, { runId, process, erasedAt });
}

/** The run calls a tool. */
function call(talk: Talk, { runId, process }: Run): NotedProgress {
  const messages = round('t1', 'x', { state: 'running', saidState: 'open', key: 'key', process });
  return talk.progress('t1', messages, { runId, process });
}

/** Run 2 has the turn, and the calls of run 1, which arrived when process a could write again. */
function joined(): Talk {
  const talk = ran(A);
  call(talk, A);
  talk.open('t1', B);
  delete talk.turn('t1').earlierRuns;
  delete talk.turn('t1').runs;
  return talk;
}

describe('a complete reply in a turn that another run owns', () => {
  tellCalls([
    // Seeds 30007306, 30008978 and 60004244 of the fleet: it was heard whole, and in no prompt.
    ['is kept if the other run was interrupted and did not know of this run',
      't1 in b > by b*; end t1 in a > by a', 't1 > by a'],
    ['is kept if the other run has failed and did not know of this run',
      't1 in b > by b!; end t1 in a > by a', 't1 > by a'],
    ['is kept even before the other run has ended, which then adds nothing',
      't1 in b; end t1 in a > by a; end t1 in b > by b', 't1 > by a'],
    // Seed 30009892: run 2 had taken the turn over from a run that the store then lost.
    ['is kept if the other run knew of others', 't1 in c; t1 in b > by b*; end t1 in a > by a',
      't1 > by a'],
    ['is not kept if the other run took the turn over, and goes on',
      't1 in a; t1 in b; t1 in c; end t1 in a > by a', 't1 > …'],
    ['is not kept if the other run took the turn over, and was interrupted',
      't1 in a; t1 in b; t1 in c > by c*; end t1 in a > by a', 't1 > by c*'],
    ['is not kept if the platform said what was heard of the other run while that was going on',
      't1 in b; t2 in c after "by" of t1; end t1 in a > by a', 't1 > by* / t2 > …'],
    ['is not kept if the platform said what was heard of the other run after that was interrupted',
      't1 in b > by b*; t2 in c after "by" of t1; end t1 in a > by a', 't1 > by* / t2 > …'],
    ['is not kept if the other run was complete, and then cut',
      't1 in b > by b; t2 in c after "…" of t1; end t1 in a > by a', 't1 > by b* / t2 > …'],
  ]);

  it('keeps the calls that the other run has made', () => {
    const talk = ran(B);
    call(talk, B);
    talk.result('t1', 'x');
    end(talk, A, 'completed');
    assert.deepEqual(talk.shown, [
      'user: t1', 'assistant(interrupted):  [x]', 'tool: {"paid":1}', 'assistant(completed): by a',
    ]);
  });

  // Seed 540099: they were there twice.
  it('keeps its own calls once, although the other run has them, too', () => {
    const talk = joined();
    const messages = [...round('t1', 'x', { saidState: 'completed', key: 'key', process: 'a' })];
    assert.equal(talk.settle('t1', 'completed', messages, { runId: 1, process: 'a' }), true);
    assert.deepEqual(talk.shown, ['user: t1', 'assistant(completed):  [x]', 'tool: {}']);
  });

  it('has figures of its own', () => {
    const own = { sessionId: 's', startedAt: 1 };
    const talk = new Talk();
    talk.open('t1', { ...B, figures: { sessionId: 's', startedAt: 2 } });
    talk.settle('t1', 'completed', 'by a', { runId: 1, process: 'a', figures: own });
    assert.deepEqual(talk.turn('t1').figures, own);
  });

  it('is not kept if the platform has discarded the turn', () => {
    const talk = ran(B);
    end(talk, B, 'interrupted');
    talk.turn('t1').isDiscarded = true;
    assert.equal(end(talk, A, 'completed'), false);
  });

  it('is kept only if it really is complete, and has not been erased meanwhile', () => {
    const talk = new Talk();
    clearTurns(talk.conversation);
    talk.open('t1', B);
    end(talk, B, 'interrupted');
    const { erasedAt } = talk.conversation;
    assert.equal(end(talk, A, 'interrupted', erasedAt), false);
    assert.equal(end(talk, A, 'completed'), false);
    assert.equal(end(talk, A, 'completed', erasedAt), true);
  });
});

describe('a run that notes its calls', () => {
  // Seeds 50000644, 50002789 and 30006428: the calls were made again.
  it('learns of the calls of other runs of its turn', () => {
    const { earlierCalls } = call(joined(), B);
    const known = earlierCalls.map(({ runId, process, state }) => [runId, process, state]);
    assert.deepEqual(known, [[1, 'a', 'running']]);
  });

  it('learns what other runs called on a wire whose turns replace others', () => {
    const talk = joined();
    talk.turn('t1').number = 1;
    const asked = { id: 'x', name: 'pay', args: '{}' };
    assert.deepEqual(call(talk, B).earlierCalls.map(({ of }) => of), [
      { call: asked, agent: undefined, isOtherPlace: false },
    ]);
  });

  it('learns of no other calls if no other process shares the conversation', () => {
    const { earlierCalls } = joined().progress('t1', round('t1', 'x', { state: 'running' }));
    assert.deepEqual(earlierCalls, []);
  });
});

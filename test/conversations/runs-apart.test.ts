// One turn that two processes run without knowing of each other, because the store failed one of
// them or has forgotten what it had.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { clearTurns } from '../../src/conversations/conversation.ts';
import type { NotedProgress } from '../../src/conversations/tool-call-rules.ts';
import { round, Talk, yes } from './talk.ts';

const ALIVE = { isAlive: yes, isCallRunning: yes };
const A = { runId: 1, process: 'a', ...ALIVE };
const B = { runId: 2, process: 'b', ...ALIVE };
const C = { runId: 3, process: 'c', ...ALIVE };
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

describe('a complete reply, in a turn that another run owns', () => {
  // Seeds 30007306, 30008978 and 60004244 of the fleet: it was heard whole, and in no prompt.
  for (const state of ['interrupted', 'failed'] as const)
    it(`is kept if that run has ${state} and did not know of this one`, () => {
      const talk = ran(B);
      end(talk, B, state);
      assert.equal(end(talk, A, 'completed'), true);
      assert.deepEqual(talk.shown, ['user: t1', 'assistant(completed): by a']);
    });

  it('is kept before that run has ended, which then has nothing more to say', () => {
    const talk = ran(B);
    assert.equal(end(talk, A, 'completed'), true);
    assert.equal(end(talk, B, 'completed'), false);
    assert.deepEqual(talk.replies, ['t1: by a']);
  });

  // Seed 30009892: run 2 had taken the turn over from a run that the store then lost.
  it('is kept if that run knew of others', () => {
    const talk = ran(C, B);
    end(talk, B, 'interrupted');
    assert.equal(end(talk, A, 'completed'), true);
    assert.deepEqual(talk.replies, ['t1: by a']);
  });

  it('keeps the calls that the other run has made', () => {
    const talk = ran(B);
    call(talk, B);
    talk.result('t1', 'x');
    end(talk, A, 'completed');
    assert.deepEqual(talk.shown, [
      'user: t1', 'assistant(interrupted):  [x]', 'tool: {"paid":1}', 'assistant(completed): by a',
    ]);
  });

  for (const state of ['interrupted', undefined] as const)
    it(`is not kept if that run took the turn over, and ${state ?? 'goes on'}`, () => {
      const talk = ran(A, B, C);
      if (state !== undefined) end(talk, C, state);
      assert.equal(end(talk, A, 'completed'), false);
    });

  it('is not kept if the platform has discarded the turn', () => {
    const talk = ran(B);
    end(talk, B, 'interrupted');
    talk.turn('t1').isDiscarded = true;
    assert.equal(end(talk, A, 'completed'), false);
  });

  it('is not kept if an older version took over the first run of a turn that came too late', () => {
    const talk = new Talk();
    talk.ask('t1', { ...A, isOver: yes });
    talk.open('t1', B);
    Object.assign(talk.turn('t1'), { runId: 3, countedRun: 3, runs: 2, process: 'c' });
    assert.equal(end(talk, B, 'completed'), false);
  });

  for (const state of [undefined, 'interrupted'] as const)
    it(`is not kept if the platform has told what was heard of one that ${state ?? 'runs'}`, () => {
      const talk = ran(B);
      if (state !== undefined) end(talk, B, state);
      talk.open('t2', { ...C, interruption: { turnId: 't1', textHeard: 'by' } });
      assert.equal(end(talk, A, 'completed'), false);
      assert.deepEqual(talk.replies, ['t1: by *']);
    });

  it('is not kept if the other one was complete, and then cut', () => {
    const talk = ran(B);
    end(talk, B, 'completed');
    talk.open('t2', { ...C, interruption: { turnId: 't1', textHeard: undefined } });
    assert.equal(end(talk, A, 'completed'), false);
    assert.deepEqual(talk.replies, ['t1: by b *']);
  });

  it('is not kept if it was not complete, or if the conversation was erased meanwhile', () => {
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
  /** Both runs have the turn: the calls of run 1 came when process a could write again. */
  function joined(): Talk {
    const talk = ran(A);
    call(talk, A);
    talk.open('t1', B);
    return talk;
  }

  // Seeds 50000644, 50002789 and 30006428: the calls were made again.
  it('learns of the calls of other runs of its turn', () => {
    const { earlierCalls } = call(joined(), B);
    const known = earlierCalls.map(({ runId, process, state }) => [runId, process, state]);
    assert.deepEqual(known, [[1, 'a', 'running']]);
  });

  it('learns what they called on a wire whose turns replace others', () => {
    const talk = joined();
    talk.turn('t1').number = 1;
    const asked = { id: 'x', name: 'pay', args: '{}' };
    assert.deepEqual(call(talk, B).earlierCalls.map(({ of }) => of), [
      { call: asked, agent: undefined, isOtherPlace: false },
    ]);
  });

  it('learns of none if no other process shares the conversation', () => {
    const { earlierCalls } = joined().progress('t1', round('t1', 'x', { state: 'running' }));
    assert.deepEqual(earlierCalls, []);
  });
});

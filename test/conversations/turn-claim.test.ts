// Whether a run may go on for another delivery of its turn, in processes that share a conversation.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { clearTurns } from '../../src/conversations/conversation.ts';
import { claimTurn, type TurnClaim } from '../../src/conversations/turn-begin.ts';
import { round, Talk, yes } from './talk.ts';

const A = { runId: 1, process: 'a', isAlive: yes } as const;
const B = { runId: 2, process: 'b', isAlive: yes } as const;
type Run = typeof A | typeof B;

/** Turn `t`, begun by the first run and taken over by the others. */
function taken(...runs: readonly Run[]): Talk {
  const talk = new Talk();
  for (const run of runs) talk.open('t', run);
  return talk;
}

/** Run A claims the turn. `waited`: how long ago the delivery arrived that it is claimed for. */
function claim(talk: Talk, waited = 0): TurnClaim {
  const delivery = { turnId: 't', runId: 1, process: 'a', text: 't', waitedMs: () => waited };
  const result = claimTurn(talk.conversation, delivery);
  talk.check();
  return result;
}

/** The run has called a tool, which has returned. */
function call(talk: Talk, { runId }: Run): void {
  talk.progress('t', round('t', 'x', { state: 'running', key: `key of ${runId}` }), { runId });
  talk.result('t', 'x', { runId });
}

describe('a turn that is claimed for another delivery', () => {
  it('is owned by its run while it is open', () => {
    assert.equal(claim(taken(A)).kind, 'owned');
  });

  it('is owned by its run while its last events leave', () => {
    const talk = taken(A);
    talk.settle('t', 'completed', 'Hi.', { isLeaving: true });
    assert.equal(claim(talk).kind, 'owned');
  });

  it('is closed once its run has settled it, or a newer turn has ended it', () => {
    const [settled, ended] = [taken(A), taken(A)];
    settled.settle('t', 'completed', 'Hi.');
    ended.open('newer', { ...B, runId: 3 });
    assert.deepEqual([claim(settled).kind, claim(ended).kind], ['closed', 'closed']);
  });

  it('is taken back from another run that goes on', () => {
    const talk = taken(A, B);
    assert.deepEqual(claim(talk), { kind: 'owned', earlierCalls: [] });
    assert.equal(talk.turn('t').process, 'a');
  });

  it('is not taken back from another run that has said everything', () => {
    const talk = taken(A, B);
    talk.settle('t', 'completed', 'Hi.');
    assert.equal(claim(talk).kind, 'taken');
    assert.equal(talk.turn('t').process, 'b');
  });

  it('is taken back with the calls of the other run, and not those that it has made itself', () => {
    const talk = taken(A);
    call(talk, A);
    talk.open('t', B);
    call(talk, B);
    const result = claim(talk);
    assert.ok(result.kind === 'owned');
    assert.deepEqual(result.earlierCalls.map(({ key }) => key), ['key of 2']);
  });

  it('is written anew', () => {
    const talk = taken(A);
    const touched = (talk.conversation.touched = new Set());
    claim(talk);
    assert.deepEqual([...touched], talk.turns);
  });

  it('goes on unrecorded if its conversation was erased', () => {
    const talk = taken(A);
    clearTurns(talk.conversation);
    assert.deepEqual(claim(talk), { kind: 'owned', earlierCalls: [] });
    assert.deepEqual(talk.turns, []);
  });
});

/**
 * What comes of the last of some steps. `+200` lets so many milliseconds pass. Run A has begun the
 * turn: `A claims 300` is for a delivery that arrived 300 ms ago, `B asks 200` such a delivery in
 * another process, and `u asks 200` one of another turn. `B stops` after it was interrupted.
 */
function resultOf(t: TestContext, steps: string): string {
  t.mock.timers.enable({ apis: ['Date'] });
  const talk = taken(A);
  let result = '';
  for (const step of steps.split('; ')) {
    const [who = '', what, ms = '0'] = step.split(' ');
    const delivery = { ...B, waitedMs: () => Number(ms) };
    if (what === undefined) t.mock.timers.tick(Number(who));
    else if (what === 'claims') result = claim(talk, Number(ms)).kind;
    else if (what === 'stops') talk.settle('t', 'interrupted', 'Hi.');
    else if (who === 'u') result = talk.ask('u', { ...delivery, runId: 3 }).kind;
    else result = talk.ask('t', delivery).kind;
  }
  return result;
}

describe('the time of a claim', () => {
  for (const [what, steps, result] of [
    ['leaves nothing to an earlier delivery that still waits in another process',
      '+200; A claims; +100; B asks 200', 'stale'],
    // The time of the claim counted, so that the last delivery of all was stale.
    ['leaves the turn to a delivery that arrived after its own, however long the claim waited',
      '+400; A claims 300; +50; B asks 200', 'opened'],
    ['is too late if a later delivery has begun another run meanwhile',
      '+400; B asks; +100; A claims 200', 'taken'],
    ['is not too late if that run was over before it', '+400; B asks; B stops; +100; A claims 200',
      'owned'],
    ['is that of the last delivery, even if the claim of an earlier one is stored later',
      '+400; A claims; A claims 300; +100; B asks 200', 'stale'],
    ['leaves the turn in its place, in front of turns that arrived after its first delivery',
      '+200; A claims; +200; A claims; +100; u asks 400', 'opened'],
  ] as const)
    it(what, (t) => assert.equal(resultOf(t, steps), result));
});

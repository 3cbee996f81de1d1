// Whether a run may go on for another delivery of its turn, in processes that share a conversation.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { clearTurns } from '../../src/conversations/conversation.ts';
import { claimTurn, type TurnClaim } from '../../src/conversations/turn-claim.ts';
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

/** A clock of the test's own. Returns what lets its time pass. */
function clock(t: TestContext): (ms: number) => void {
  t.mock.timers.enable({ apis: ['Date'] });
  return (ms) => t.mock.timers.tick(ms);
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

  it('leaves nothing to an earlier delivery that still waits in another process', (t) => {
    const pass = clock(t);
    const talk = taken(A);
    pass(200);
    claim(talk);
    pass(100);
    assert.equal(talk.ask('t', { ...B, waitedMs: () => 200 }).kind, 'stale');
  });

  // The time of the claim counted, so that the last delivery of all was stale.
  it('is left to a delivery that arrived after its own, however long the claim waited', (t) => {
    const pass = clock(t);
    const talk = taken(A);
    pass(400);
    claim(talk, 300);
    pass(50);
    assert.equal(talk.ask('t', { ...B, waitedMs: () => 200 }).kind, 'opened');
  });

  it('is not taken back from a run that a later delivery has begun meanwhile', (t) => {
    const pass = clock(t);
    const talk = taken(A);
    pass(400);
    talk.open('t', B);
    pass(100);
    assert.equal(claim(talk, 200).kind, 'taken');
    assert.equal(talk.turn('t').process, 'b');
  });

  it('is written anew, and stays where it first arrived, however often that happens', (t) => {
    const pass = clock(t);
    const talk = taken(A);
    const touched = (talk.conversation.touched = new Set());
    pass(200);
    claim(talk);
    assert.deepEqual([...touched], talk.turns);
    pass(200);
    claim(talk);
    pass(100);
    const later = { ...B, runId: 3, waitedMs: () => 400 };
    assert.equal(talk.ask('u', later).kind, 'opened');
  });

  it('belongs to the last delivery, even if the claim of an earlier one is stored later', (t) => {
    const pass = clock(t);
    const talk = taken(A);
    pass(400);
    claim(talk);
    claim(talk, 300);
    pass(100);
    assert.equal(talk.ask('t', { ...B, waitedMs: () => 200 }).kind, 'stale');
  });

  it('is taken back from a run that was over before it, even if that one arrived later', (t) => {
    const pass = clock(t);
    const talk = taken(A);
    pass(400);
    talk.open('t', B);
    talk.settle('t', 'interrupted', 'Hi.');
    pass(100);
    assert.equal(claim(talk, 200).kind, 'owned');
  });

  it('goes on unrecorded if its conversation was erased', () => {
    const talk = taken(A);
    clearTurns(talk.conversation);
    assert.deepEqual(claim(talk), { kind: 'owned', earlierCalls: [] });
    assert.deepEqual(talk.turns, []);
  });
});

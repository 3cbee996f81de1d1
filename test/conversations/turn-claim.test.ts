// Whether a run may go on for another delivery of its turn, in processes that share a conversation.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { clearTurns, emptyConversation } from '../../src/conversations/conversation.ts';
import type { Message } from '../../src/conversations/message.ts';
import { noteProgress, noteToolResult } from '../../src/conversations/tool-call-rules.ts';
import { claimTurn } from '../../src/conversations/turn-claim.ts';
import { openTurn } from '../../src/conversations/turn-opening.ts';
import { settleTurn } from '../../src/conversations/turn-settlement.ts';
import { BOUNDS, check } from './checked-rules.ts';

const A = { turnId: 't', runId: 1, process: 'a' } as const;
const B = { turnId: 't', runId: 2, process: 'b' } as const;
type Run = typeof A | typeof B;

/** Turn `t`, begun by the first run and taken over by the others. */
class Talk {
  readonly conversation = emptyConversation('c');

  constructor(...runs: readonly Run[]) {
    for (const run of runs) this.take(run);
  }

  /** The run takes the turn over. */
  take(run: Run): void {
    openTurn(this.conversation, { ...run, text: 'Hello', isAlive: () => true }, BOUNDS);
  }

  settle(run: Run, state: 'completed' | 'interrupted', isLeaving?: true): void {
    const messages: Message[] = [{ role: 'assistant', content: 'Hi.', turnId: 't', state }];
    settleTurn(this.conversation, { ...run, state, messages, isLeaving }, BOUNDS);
  }

  /** The run has called a tool, which has returned. */
  call({ runId, ...run }: Run): void {
    const key = `key of ${runId}`;
    const toolCalls = [{ id: 'x', name: 'pay', args: '{}' }];
    const messages: Message[] = [
      { role: 'assistant', content: '', turnId: 't', state: 'open', toolCalls },
      { role: 'tool', content: '', turnId: 't', toolCallId: 'x', state: 'running', key, runId },
    ];
    noteProgress(this.conversation, { ...run, runId, messages }, BOUNDS);
    const result = { toolCallId: 'x', state: 'completed', content: '"paid"' } as const;
    noteToolResult(this.conversation, { ...run, runId, ...result }, BOUNDS);
  }

  /** `waited`: how long ago the delivery arrived that the turn is claimed for. */
  claim(run: Run, waited = 0): ReturnType<typeof claimTurn> {
    const claim = claimTurn(this.conversation, { ...run, text: 'Hello', waitedMs: () => waited });
    check(this.conversation);
    return claim;
  }
}

describe('a turn that is claimed for another delivery', () => {
  it('is owned by its run while it is open', () => {
    assert.equal(new Talk(A).claim(A).kind, 'owned');
  });

  it('is owned by its run while its last events leave', () => {
    const talk = new Talk(A);
    talk.settle(A, 'completed', true);
    assert.equal(talk.claim(A).kind, 'owned');
  });

  it('is closed once its run has settled it, or a newer turn has ended it', () => {
    const [settled, ended] = [new Talk(A), new Talk(A)];
    settled.settle(A, 'completed');
    const newer = { turnId: 'newer', runId: 3, process: 'b', isAlive: () => true };
    openTurn(ended.conversation, newer, BOUNDS);
    assert.deepEqual([settled.claim(A).kind, ended.claim(A).kind], ['closed', 'closed']);
  });

  it('is taken back from another run that goes on', () => {
    const talk = new Talk(A, B);
    assert.deepEqual(talk.claim(A), { kind: 'owned', earlierCalls: [] });
    assert.equal(talk.conversation.turns[0]?.process, 'a');
  });

  it('is not taken back from another run that has said everything', () => {
    const talk = new Talk(A, B);
    talk.settle(B, 'completed');
    assert.equal(talk.claim(A).kind, 'taken');
    assert.equal(talk.conversation.turns[0]?.process, 'b');
  });

  it('is taken back with the calls of the other run, and not those that it has made itself', () => {
    const talk = new Talk(A);
    talk.call(A);
    talk.take(B);
    talk.call(B);
    const claim = talk.claim(A);
    assert.ok(claim.kind === 'owned');
    assert.deepEqual(claim.earlierCalls.map(({ key }) => key), ['key of 2']);
  });

  it('leaves nothing to an earlier delivery that still waits in another process', (t) => {
    t.mock.timers.enable({ apis: ['Date'] });
    const talk = new Talk(A);
    t.mock.timers.tick(200);
    talk.claim(A);
    t.mock.timers.tick(100);
    const waiting = { ...B, text: 'Hello', isAlive: () => true, waitedMs: () => 200 };
    assert.equal(openTurn(talk.conversation, waiting, BOUNDS).kind, 'stale');
  });

  // The time of the claim counted, so that the last delivery of all was stale.
  it('is left to a delivery that arrived after its own, however long the claim waited', (t) => {
    t.mock.timers.enable({ apis: ['Date'] });
    const talk = new Talk(A);
    t.mock.timers.tick(400);
    talk.claim(A, 300);
    t.mock.timers.tick(50);
    const later = { ...B, text: 'Hello', isAlive: () => true, waitedMs: () => 200 };
    assert.equal(openTurn(talk.conversation, later, BOUNDS).kind, 'opened');
  });

  it('is not taken back from a run that a later delivery has begun meanwhile', (t) => {
    t.mock.timers.enable({ apis: ['Date'] });
    const talk = new Talk(A);
    t.mock.timers.tick(400);
    talk.take(B);
    t.mock.timers.tick(100);
    assert.equal(talk.claim(A, 200).kind, 'taken');
    assert.equal(talk.conversation.turns[0]?.process, 'b');
  });

  it('stays after turns that arrived after its first delivery, and is written anew', (t) => {
    t.mock.timers.enable({ apis: ['Date'] });
    const talk = new Talk(A);
    const touched = (talk.conversation.touched = new Set());
    t.mock.timers.tick(200);
    claimTurn(talk.conversation, { ...A, text: 'Hello' });
    assert.deepEqual([...touched], talk.conversation.turns);
    t.mock.timers.tick(100);
    const later = { turnId: 'u', runId: 3, process: 'b', text: 'Well?', isAlive: () => true };
    const opened = openTurn(talk.conversation, { ...later, waitedMs: () => 200 }, BOUNDS);
    assert.equal(opened.kind, 'opened');
  });

  it('stays where it first arrived, however often it is delivered again', (t) => {
    t.mock.timers.enable({ apis: ['Date'] });
    const talk = new Talk(A);
    t.mock.timers.tick(200);
    talk.claim(A);
    t.mock.timers.tick(200);
    talk.claim(A);
    t.mock.timers.tick(100);
    const later = { turnId: 'u', runId: 3, process: 'b', text: 'Well?', isAlive: () => true };
    const opened = openTurn(talk.conversation, { ...later, waitedMs: () => 400 }, BOUNDS);
    assert.equal(opened.kind, 'opened');
  });

  it('belongs to the last delivery, even if the claim of an earlier one is stored later', (t) => {
    t.mock.timers.enable({ apis: ['Date'] });
    const talk = new Talk(A);
    t.mock.timers.tick(400);
    talk.claim(A);
    talk.claim(A, 300);
    t.mock.timers.tick(100);
    const waiting = { ...B, text: 'Hello', isAlive: () => true, waitedMs: () => 200 };
    assert.equal(openTurn(talk.conversation, waiting, BOUNDS).kind, 'stale');
  });

  it('is taken back from a run that was over before it, even if that one arrived later', (t) => {
    t.mock.timers.enable({ apis: ['Date'] });
    const talk = new Talk(A);
    t.mock.timers.tick(400);
    talk.take(B);
    talk.settle(B, 'interrupted');
    t.mock.timers.tick(100);
    assert.equal(talk.claim(A, 200).kind, 'owned');
  });

  it('goes on unrecorded if its conversation was erased', () => {
    const talk = new Talk(A);
    clearTurns(talk.conversation);
    assert.deepEqual(talk.claim(A), {
      kind: 'owned', earlierCalls: [],
    });
    assert.deepEqual(talk.conversation.turns, []);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { emptyConversation, type Conversation } from '../../src/conversations/conversation.ts';
import type { RunLinks } from '../../src/conversations/run-links.ts';
import type { TracedRun, TracePlace } from '../../src/conversations/trace-place.ts';
import { claimTurn } from '../../src/conversations/turn-claim.ts';
import { openTurn, type TurnOpening } from '../../src/conversations/turn-opening.ts';
import { settleTurn } from '../../src/conversations/turn-settlement.ts';

const BOUNDS = { maxMessages: 200, maxTextLength: 100_000 };

function placeOf(n: number): TracePlace {
  const id = String(n).padStart(32, '0');
  return { traceId: id, spanId: id.slice(16), traceFlags: 1 };
}

function tracedRun(n: number, sessionId = 's'): TracedRun {
  return { ...placeOf(n), sessionId };
}

/** Opens a turn as the nth run, and returns its links. */
function open(
  conversation: Conversation, turnId: string, n: number, more: Partial<TurnOpening> = {},
): RunLinks | undefined {
  const opening = { turnId, runId: n, text: 'Hi', trace: tracedRun(n), ...more };
  const opened = openTurn(conversation, opening, BOUNDS);
  assert.ok('links' in opened, opened.kind);
  return opened.links;
}

function settle(
  conversation: Conversation, turnId: string, runId: number,
  state: 'completed' | 'interrupted' | 'failed' = 'completed',
): void {
  const messages = [{ role: 'assistant', content: 'Hello', turnId, state }] as const;
  settleTurn(conversation, { turnId, runId, state, messages }, BOUNDS);
}

describe('the links of a run', () => {
  for (const state of ['completed', 'failed'] as const)
    it(`are none if the turn before has ${state}`, () => {
      const conversation = emptyConversation('c');
      assert.deepEqual(open(conversation, 't-1', 1), {});
      settle(conversation, 't-1', 1, state);
      assert.deepEqual(open(conversation, 't-2', 2), {});
    });

  it('lead to a turn that still runs, perhaps in another process', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't-1', 1);
    assert.deepEqual(open(conversation, 't-2', 2), { interrupts: placeOf(1) });
  });

  it('lead to a turn that was interrupted before it came', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't-1', 1);
    settle(conversation, 't-1', 1, 'interrupted');
    assert.deepEqual(open(conversation, 't-2', 2), { interrupts: placeOf(1) });
  });

  it('lead to a complete turn if the platform says that the caller spoke over it', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't-1', 1);
    settle(conversation, 't-1', 1);
    const interruption = { turnId: 't-1', textHeard: 'Hel' };
    assert.deepEqual(open(conversation, 't-2', 2, { interruption }), { interrupts: placeOf(1) });
  });

  it('lead to the previous run, whether it has completed or not', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't-1', 1);
    settle(conversation, 't-1', 1, 'interrupted');
    assert.deepEqual(open(conversation, 't-1', 2), { repeats: placeOf(1) });
    settle(conversation, 't-1', 2);
    assert.deepEqual(open(conversation, 't-1', 3), { repeats: placeOf(2) });
  });

  it('lead to a run that has taken its turn back from another process', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't-1', 1, { process: 'a' });
    open(conversation, 't-1', 2, { process: 'b', isAlive: () => true });
    const claim = { turnId: 't-1', runId: 1, process: 'a', text: 'Hi', trace: tracedRun(1) };
    assert.equal(claimTurn(conversation, claim).kind, 'owned');
    const again = open(conversation, 't-1', 3, { process: 'b', isAlive: () => true });
    assert.deepEqual(again, { repeats: placeOf(1) });
  });

  it('lead to a run that took its turn back with its reply, from one it did not know of', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't-1', 2, { process: 'b' });
    const reply = { role: 'assistant', content: 'Hi', turnId: 't-1', state: 'completed' } as const;
    const run = { turnId: 't-1', runId: 1, process: 'a', trace: tracedRun(1) };
    const settlement = { ...run, state: 'completed', messages: [reply] } as const;
    assert.equal(settleTurn(conversation, settlement, BOUNDS), true);
    assert.deepEqual(open(conversation, 't-1', 3), { repeats: placeOf(1) });
  });

  it('lead from a new session only to what it ended itself', () => {
    const ofSession = (n: number, sessionId: string): Partial<TurnOpening> =>
      ({ trace: tracedRun(n, sessionId) });
    const conversation = emptyConversation('c');
    open(conversation, 't-1', 1, ofSession(1, 'yesterday'));
    settle(conversation, 't-1', 1, 'interrupted');
    assert.deepEqual(open(conversation, 't-2', 2, ofSession(2, 'today')), {});
    const other = open(conversation, 't-3', 3, ofSession(3, 'another'));
    assert.deepEqual(other, { interrupts: placeOf(2) });
    settle(conversation, 't-3', 3, 'interrupted');
    const same = open(conversation, 't-4', 4, ofSession(4, 'another'));
    assert.deepEqual(same, { interrupts: placeOf(3) });
  });

  it('lead to no run that nobody has traced', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't-1', 1, { trace: undefined });
    assert.deepEqual(open(conversation, 't-2', 2), { interrupts: undefined });
  });

  it('are neither looked for nor stored if a run is not traced', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't-1', 1);
    assert.equal(open(conversation, 't-1', 2, { trace: undefined }), undefined);
    assert.doesNotMatch(JSON.stringify(conversation), /trace/);
  });
});

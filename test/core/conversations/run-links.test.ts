import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type {
  RunLinks, TracedRun, TracePlace,
} from '../../../src/core/conversations/trace-place.ts';
import type { TurnOpening } from '../../../src/core/conversations/turn-opening.ts';
import { inTalk, Talk } from './talk.ts';

function placeOf(n: number): TracePlace {
  const id = String(n).padStart(32, '0');
  return { traceId: id, spanId: id.slice(16), traceFlags: 1 };
}

function tracedRun(n: number, sessionId = 's'): TracedRun {
  return { ...placeOf(n), sessionId };
}

/** Opens a turn as the nth run, and returns its links. */
function links(
  talk: Talk, turnId: string, n: number, more: Partial<TurnOpening> = {},
): RunLinks | undefined {
  const opened = talk.ask(turnId, { runId: n, trace: tracedRun(n), ...more });
  assert.ok('links' in opened, opened.kind);
  return opened.links;
}

/** The first run of `t-1`, which has ended in this state. */
function after(state?: 'completed' | 'interrupted' | 'failed'): Talk {
  const talk = new Talk();
  assert.deepEqual(links(talk, 't-1', 1), {});
  if (state !== undefined) talk.settle('t-1', state, 'Hello');
  return talk;
}

describe('the links of a run', () => {
  for (const [where, state, expected] of [
    ['are empty if the previous turn has completed', 'completed', {}],
    ['are empty if the previous turn has failed', 'failed', {}],
    ['lead to a turn that is still running, perhaps in another process', undefined,
      { interrupts: placeOf(1) }],
    ['lead to a turn that was interrupted before the run began', 'interrupted',
      { interrupts: placeOf(1) }],
  ] as const)
    it(where, () => assert.deepEqual(links(after(state), 't-2', 2), expected));

  it('lead to a complete turn if the platform says that the caller spoke over it', () => {
    const interruption = { turnId: 't-1', textHeard: 'Hel' };
    const found = links(after('completed'), 't-2', 2, { interruption });
    assert.deepEqual(found, { interrupts: placeOf(1) });
  });

  it('lead to the previous run, whether it has completed or not', () => {
    const talk = after('interrupted');
    assert.deepEqual(links(talk, 't-1', 2), { repeats: placeOf(1) });
    talk.settle('t-1', 'completed', 'Hello');
    assert.deepEqual(links(talk, 't-1', 3), { repeats: placeOf(2) });
  });

  it('lead to a run whose reply took its turn back from a run that it did not know of', () => {
    const talk = new Talk();
    links(talk, 't-1', 2, { process: 'b' });
    const run = { runId: 1, process: 'a', trace: tracedRun(1) };
    assert.equal(talk.settle('t-1', 'completed', 'Hi', run), true);
    assert.deepEqual(links(talk, 't-1', 3), { repeats: placeOf(1) });
  });

  it('lead from a new session only to turns that it ended itself', inTalk((talk) => {
    const of = (n: number, sessionId: string): RunLinks | undefined =>
      links(talk, `t-${n}`, n, { trace: tracedRun(n, sessionId) });
    of(1, 'yesterday');
    talk.settle('t-1', 'interrupted', 'Hello');
    assert.deepEqual(of(2, 'today'), {});
    assert.deepEqual(of(3, 'another'), { interrupts: placeOf(2) });
    talk.settle('t-3', 'interrupted', 'Hello');
    assert.deepEqual(of(4, 'another'), { interrupts: placeOf(3) });
  }));

  it('do not lead to a run that was not traced', inTalk((talk) => {
    links(talk, 't-1', 1, { trace: undefined });
    assert.deepEqual(links(talk, 't-2', 2), { interrupts: undefined });
  }));

  it('are neither looked for nor stored if a run is not traced', () => {
    const talk = after();
    assert.equal(links(talk, 't-1', 2, { trace: undefined }), undefined);
    assert.doesNotMatch(JSON.stringify(talk.conversation), /trace/);
  });
});

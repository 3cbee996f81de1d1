import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Conversation } from '../../../src/core/conversations/conversation.ts';
import {
  beforeChange, mergeAltered, mergeTurns, placeOf, turnsLostBy,
} from '../../../src/core/conversations/merge-turns.ts';
import type { Message, ToolMessage } from '../../../src/core/conversations/message.ts';
import { isTurnRecord } from '../../../src/core/conversations/stored-turn.ts';
import type { TurnRecord } from '../../../src/core/conversations/turn-record.ts';
import { holding, reply, round } from './talk.ts';

function record(id: string, more: Partial<TurnRecord> = {}): TurnRecord {
  return { id, state: 'completed', runId: 1, words: `words of ${id}`, reply: `of ${id}`, ...more };
}

const open = record('t', { state: 'open', reply: '' });
const settled = record('t');
const closed = record('t', { state: 'interrupted', reply: null, said: 'nothing' });
const cut = record('t', { state: 'interrupted', reply: 'of' });
const heard = record('t', { ...cut, heard: { runId: 1 } });
const heardOf2 = record('t', { ...cut, runId: 2, heard: { runId: 2 } });
/** A report of what was heard, before its run is known to have said anything. */
const guessed = record('t', { ...cut, said: 'nothing', heard: { runId: 1, text: 'of' } });

/** What is there, what is remembered, and what is there afterwards: one of them, or a mixture. */
type Case = readonly [string, TurnRecord, TurnRecord, 'theirs' | 'ours' | TurnRecord];

/** Run 2, which as `after1` has taken its turn over from run 1. */
const cut2 = { ...cut, runId: 2 };
const after1 = { runId: 2, runs: 2, earlierRuns: [1] };
const [inP, inQ] = [{ process: 'p' }, { process: 'q' }];

const CASES: readonly Case[] = [
  ['an open turn takes the end of its run', open, settled, 'ours'],
  ['an end stays even if this process knows the turn as open', settled, open, 'theirs'],
  ['an open turn takes what its run has noted since', open, { ...open, reply: 'a' }, 'ours'],
  ['a turn closed by another process takes what its run had said', closed, settled, 'ours'],
  ['a turn closed by another process is not opened again', closed, open, 'theirs'],
  ['a cut to what was heard stays', cut, settled, 'theirs'],
  ['an open turn takes what was reported on it', open, heard, 'ours'],
  ['a complete turn takes what was reported on it', settled, heard, 'ours'],
  ['what was reported first stays', heard, { ...heard, reply: 'o' }, 'theirs'],
  ['an open turn is not replaced by one that was closed for its process', open, closed, 'theirs'],
  ['a turn that this process has closed brings its report along', open, guessed, 'ours'],
  ['the end of a run is cut to what was reported on it before', guessed, settled, heard],
  ['the end of a run is cut to the report of another process', settled, guessed, heard],
  ['a reply that may not have left is cut to a report, too, and goes on leaving',
    { ...settled, said: 'leaving' }, guessed, { ...guessed, said: 'leaving' }],
  ['a run that says it is complete, but was cut, counts as interrupted',
    { ...closed, heard: { runId: 1 } }, settled, { ...heard, reply: 'of t' }],
  ['a run that was over before it could open does not replace one that ran',
    { ...open, ...inP }, { ...closed, runId: 2, ...inP, runs: 0 }, 'theirs'],
  ['a turn stays discarded', settled, { ...settled, isDiscarded: true }, 'ours'],
  ["a reply is cut to what the platform said of it before its run's end arrived",
    { ...closed, heard: { runId: 1, lines: ['of'], isHeard: true } }, settled, heard],
  ['what the platform said of another run does not apply to this one',
    { ...closed, runId: 2, heard: { runId: 3, lines: ['of'], isHeard: true } }, settled, 'ours'],
  ['a completed run wins over an interrupted one', cut2, settled, 'ours'],
  ['a completed run stays', settled, cut2, 'theirs'],
  ['a completed run that may not have left gives way to one that has',
    { ...settled, runId: 2, said: 'leaving' }, settled, 'ours'],
  ['a completed run that has left stays', settled, { ...settled, runId: 2, said: 'leaving' },
    'theirs'],
  // As when the store answers: see `hasSaidMore` in turn-settlement.ts.
  ['a completed run does not replace one that the platform has reported on',
    heardOf2, settled, 'theirs'],
  ['a run that the platform has reported on wins over a completed one',
    settled, heardOf2, 'ours'],
  ['a completed run wins over one that it followed, even if that was reported on',
    heard, { ...settled, ...after1 }, 'ours'],
  ['a completed run does not replace one that took its turn over and goes on',
    { ...open, ...after1 }, settled, 'theirs'],
  ['a completed run does not replace one that took its turn over and is over',
    { ...cut, ...after1 }, settled, 'theirs'],
  // Seed 85201039 of the fleet: its process had no store, and remembered the first run as open.
  ['a run that took over from one that had completed by then does not replace it',
    settled, { ...cut, ...after1 }, 'theirs'],
  ['of two unfinished runs, the stored one stays', { ...open, runId: 2 }, cut, 'theirs'],
  // The store has the first run, though its answer got lost: the process has gone on without it.
  ['of two unfinished runs of one process, the later one wins', { ...open, ...inP },
    { ...cut2, ...inP }, 'ours'],
  ['of two unfinished runs of one process, the earlier one loses',
    { ...open, runId: 2, ...inP }, { ...cut, ...inP }, 'theirs'],
  // Seeds 511498 and 5003524 of the fleet: the words had ended elsewhere before a slow store took
  // them, and both processes got them in the same millisecond.
  ...[1, 2, 3].map((arrivedAt): Case => [
    `a run that goes on wins over an ended one of a process with its clock at ${arrivedAt}`,
    { ...closed, runId: 2, ...inP, arrivedAt, addedAt: 1 },
    { ...open, ...inQ, arrivedAt: 2, addedAt: 2 }, { ...open, ...inQ, arrivedAt: 2, addedAt: 1 },
  ]),
  // Seeds 30007306, 30008978 and 30017158: both went on, and only one of them had a caller.
  ['of two runs that go on, the one whose delivery arrived later wins',
    { ...open, runId: 2, ...inP, arrivedAt: 1 }, { ...open, ...inQ, arrivedAt: 2 }, 'ours'],
  ['of two runs that go on, the one whose delivery arrived earlier loses',
    { ...open, runId: 2, ...inP, arrivedAt: 2 }, { ...open, ...inQ, arrivedAt: 1 }, 'theirs'],
  ['of two runs that go on, the one with a time in the future loses',
    { ...open, runId: 2, ...inP, arrivedAt: 8e15 }, { ...open, ...inQ, arrivedAt: 1 }, 'ours'],
  // Seed 60004244: a store that fails does not know what the others have run.
  ['a run that goes on wins over several that did not know of it',
    { ...cut, runId: 3, ...inP, runs: 2, earlierRuns: [2] }, { ...open, ...inQ }, 'ours'],
  ['a run that goes on does not replace several if one of them took its turn over',
    { ...cut, runId: 3, ...inP, runs: 3, earlierRuns: [1, 2] }, { ...open, ...inQ }, 'theirs'],
  ['a turn that never ran gives way to one that was cut off',
    { ...closed, runId: 2, ...inP, runs: 0 }, { ...cut, ...inQ }, 'ours'],
  // The clock of the other process may be an hour fast or slow.
  ...[1, 2, 3].map((arrivedAt): Case => [
    `a run that goes on with its clock at ${arrivedAt} loses to one that took its turn over`,
    { ...cut2, ...inP, arrivedAt: 2, runs: 2 }, { ...open, ...inQ, arrivedAt }, 'theirs',
  ]),
  ['a run that took its turn over wins', { ...open, ...inP }, { ...cut2, ...inQ, runs: 2 }, 'ours'],
  ['of two completed runs, the later one wins', settled,
    { ...settled, reply: 'b', runId: 2, runs: 2 }, 'ours'],
  ['of two completed runs, the earlier one loses', { ...settled, runs: 2 },
    { ...settled, reply: 'b', runId: 2 }, 'theirs'],
  ['a completed run brings its process along', { ...cut, ...inP, arrivedAt: 1 },
    { ...settled, runId: 2, ...inQ, arrivedAt: 2 }, 'ours'],
];

const ASKED: Message = { role: 'user', content: 'a', turnId: 't' };
const SAID = reply('t', 'b');

/** One call of a run. Every run of these tests gives it the same id. */
function call(runId: number, more: Partial<ToolMessage> = {}): Message[] {
  return round('t', 'x', { content: 'paid 10', key: 'k', runId, ...more });
}

/** A run of the turn `t`, after what earlier runs called. */
function run(
  runId: number, state: TurnRecord['state'], own: readonly Message[],
  earlier: readonly Message[] = [],
): TurnRecord {
  return record('t', {
    state, runId, words: null, reply: null, messages: [ASKED, ...earlier, ...own],
    kept: 1 + earlier.length,
  });
}

const pays10 = call(1);
const pays20 = call(2, { content: 'paid 20' });
const paying10 = call(1, { state: 'running' });
const paying20 = call(2, { state: 'running', content: 'wait' });
const lost10 = call(1, { state: 'unknown' });
const broken10 = call(1, { state: 'interrupted' });
const said2 = run(2, 'completed', [SAID]);

const CALLS: readonly Case[] = [
  ['a result does not belong to another run, even with the same id',
    run(2, 'interrupted', paying20), run(1, 'interrupted', pays10),
    run(2, 'interrupted', paying20, pays10)],
  ['a result is kept before a run that completed elsewhere',
    run(2, 'interrupted', pays20), run(1, 'completed', [...pays10, SAID]),
    run(1, 'completed', [...pays10, SAID], pays20)],
  ['a run whose call is running is not forgotten',
    said2, run(1, 'interrupted', paying10), run(2, 'completed', [SAID], paying10)],
  // Seed 10002632 of the fleet: an interrupted call came back from a third process, as running.
  ['a call that a later run has forgotten counts as interrupted',
    { ...said2, runs: 2 }, run(1, 'interrupted', paying10), 'theirs'],
  ['a result is kept even if a later run did not know the call',
    { ...said2, runs: 2 }, run(1, 'interrupted', pays10),
    { ...run(2, 'completed', [SAID], pays10), runs: 2 }],
  ['an interrupted call need not be kept', said2, run(1, 'interrupted', broken10), 'theirs'],
  ['an earlier call gets its result, wherever that is',
    run(2, 'completed', [SAID], lost10), run(1, 'open', pays10),
    run(2, 'completed', [SAID], pays10)],
  ['the run itself knows best that a call was interrupted',
    run(1, 'interrupted', lost10), run(1, 'interrupted', broken10), 'ours'],
];

describe('a merge of remembered turns', () => {
  for (const [name, theirs, ours, expected] of [...CASES, ...CALLS])
    it(`knows that ${name}, even the second time`, () => {
      const conversation = holding(theirs);
      const merged = expected === 'theirs' ? theirs : expected === 'ours' ? ours : expected;
      for (let time = 1; time <= 2; time++) {
        mergeTurns(conversation, structuredClone([ours]));
        assert.deepEqual(conversation, holding(merged), `merged ${time} times`);
      }
    });

  const [WAITS, DONE] = [
    { state: 'running', content: 'wait', key: 'k', runId: 1 },
    { state: 'completed', content: '42', key: 'k', runId: 1 },
  ] as const;

  function withCall(result: Partial<ToolMessage>): Message[] {
    return [ASKED, ...round('t', 'x', result)];
  }

  it('adds missing turns in their places', () => {
    const turns = [1, 2, 3, 4, 5, 6].map((n) => record(`t${n}`, { addedAt: n }));
    const isThere = ({ id }: TurnRecord): boolean => id === 't2' || id === 't5';
    const conversation = holding(...turns.filter(isThere));
    mergeTurns(conversation, structuredClone(turns.filter((turn) => !isThere(turn))));
    assert.deepEqual(conversation, holding(...turns));
  });

  it('brings a result to a call that was kept', () => {
    const there = record('t', { ...cut, words: null, reply: null });
    const conversation = holding({ ...there, messages: withCall(WAITS) });
    mergeTurns(conversation, [{ ...there, messages: withCall(DONE) }]);
    assert.deepEqual(conversation, holding({ ...there, messages: withCall(DONE) }));
  });

  // Seed 520181 of the fleet: the run's own words were there twice.
  it('puts a lost call of the run that owns the turn where the run replaces it', () => {
    const there = record('t', { ...closed, words: 'a', reply: null });
    const conversation = holding(there);
    const known = { ...there, state: 'open', words: null, reply: null } as const;
    const said = [ASKED, ...round('t', 'x', { ...DONE, said: 'One moment.' })];
    mergeAltered(conversation, [{ ...known, messages: said }]);
    const [merged] = conversation.turns;
    assert.deepEqual(merged?.messages, withCall(DONE));
    assert.equal(merged?.kept, 1);
  });

  it('takes from an open turn what the same run has said since', () => {
    const said = withCall(WAITS);
    const more = { ...open, words: null, reply: null, messages: said };
    const conversation = holding(open);
    mergeAltered(conversation, structuredClone([more]));
    assert.deepEqual(conversation.turns[0]?.messages, said);
    mergeAltered(conversation, structuredClone([open])); // an older copy
    assert.deepEqual(conversation.turns[0]?.messages, said);
  });

  // Seed 7000232 of the fleet: the run that a store had lost no longer had the turn.
  it('recognises a later run that goes on, unless a failed change began it', () => {
    const later = { ...open, runId: 2, runs: 2 };
    for (const [runId, expected] of [[2, later], [1, open]] as const) {
      const conversation = holding(open);
      const was = { ...later, runId };
      mergeAltered(conversation, [beforeChange(later, new Map([[later, was]]))]);
      assert.deepEqual(conversation, holding(expected));
    }
  });

  const ofQ = { ...open, ...inQ };
  const closed2 = { ...closed, ...after1 };
  for (const [name, theirs, ours, own, expected] of [
    // Seed 10007382 of the fleet: a third process reopened a turn that nobody was running.
    ['reopens a turn for a run of this process', { ...closed, runId: 2, ...inP }, ofQ, 'q', 'ours'],
    ['does not reopen a turn for a run of another process, which may be over',
      { ...closed, runId: 2, ...inP }, ofQ, 'r', 'theirs'],
    // Seed 3004716 of the fleet: a store lost everything, and a process that knew the turn as open
    // was the first to put it back.
    ['takes the end of a run whose turn others have closed', closed, settled, 'r', 'ours'],
    ['takes a later run that others have closed', closed, closed2, 'r', 'ours'],
    ['takes what was reported on a run that had ended before, in whichever process',
      { ...closed, ...inP }, { ...heardOf2, ...inQ }, 'r', 'ours'],
    ['does not change a turn that was cut', cut, settled, 'r', 'theirs'],
    ['does not change a turn that another process has closed', closed, open, 'r', 'theirs'],
    // The report may come from the change, which then found another turn.
    ['does not change a turn that its run has ended', settled, heard, 'r', 'theirs'],
  ] as const)
    it(`with turns that a change has altered ${name}`, () => {
      const conversation = holding(theirs);
      mergeAltered(conversation, structuredClone([ours]), new Set([own]));
      assert.deepEqual(conversation, holding(expected === 'ours' ? ours : theirs));
    });

  it('keeps the time of the first delivery of a turn if a later run replaces its run', () => {
    const conversation = holding({ ...run(1, 'interrupted', [SAID]), arrivedAt: 10 });
    const again = { arrivedAt: 30, firstArrivedAt: 10, earlierRuns: [1], runs: 2 };
    mergeTurns(conversation, [{ ...run(2, 'completed', [SAID]), ...again }]);
    assert.equal(conversation.turns[0]?.firstArrivedAt, 10);
  });

  // Previously a payment that began while the store was away was made again by the next turn.
  it('adds an earlier call that is still running in this process, and no other call', () => {
    const paying = (more: Partial<ToolMessage> = {}): TurnRecord =>
      run(1, 'interrupted', call(1, { state: 'running', process: 'q', ...more }));
    const theirs = { ...said2, runs: 2 };
    const [, ...ofRun1] = paying().messages ?? [];
    const both = { ...run(2, 'completed', [SAID], ofRun1), runs: 2 };
    for (const [ours, own, expected] of [
      [paying(), ['q'], both],
      [paying(), ['r'], theirs],
      [paying(), [], theirs],
      [paying({ joins: true }), ['q'], theirs],
      [paying({ state: 'unknown' }), ['q'], theirs],
    ] as const) {
      const conversation = holding(theirs);
      mergeTurns(conversation, structuredClone([ours]), new Set(own));
      mergeTurns(conversation, structuredClone([ours]), new Set(own));
      assert.deepEqual(conversation, holding(expected));
    }
  });

  it('does not touch what stays as it is', () => {
    const calling = run(1, 'interrupted', [...pays10, ...pays20]);
    for (const records of [[settled, record('t2')], [calling]]) {
      const conversation = holding(...records);
      conversation.touched = new Set();
      mergeTurns(conversation, structuredClone(records));
      assert.equal(conversation.touched.size, 0);
    }
  });
});

describe('a stored turn', () => {
  it('is invalid unless its number of runs, if it has one, is a whole number', () => {
    for (const runs of [undefined, 0, 1, 2]) assert.equal(isTurnRecord({ ...open, runs }), true);
    for (const runs of ['2', {}, null, -1, 0.5, NaN, 1e300])
      assert.equal(isTurnRecord({ ...open, runs }), false, String(runs));
  });

  it('is invalid unless its earlier runs, if it has any, are a list', () => {
    for (const earlierRuns of [undefined, [], [1]])
      assert.equal(isTurnRecord({ ...open, earlierRuns }), true);
    for (const earlierRuns of [null, 1, '1', {}])
      assert.equal(isTurnRecord({ ...open, earlierRuns }), false, String(earlierRuns));
  });
});

describe('the place of a turn', () => {
  /** When the turns that are there were added, when this one was, and how many it comes after. */
  const places = [
    [[], 5, 0], [[1, 3], 5, 2], [[1, 7], 5, 1], [[7, 8], 5, 0], [[1, 5], 5, 2],
  ] as const;
  for (const [there, added, place] of places)
    it(`is ${place} if it is added at ${added} to turns from ${JSON.stringify(there)}`, () => {
      const at = (addedAt: number): TurnRecord => record('t', { addedAt });
      assert.equal(placeOf(at(added), there.map(at)), place);
    });
});

describe('the turns that a store has lost', () => {
  const at = (addedAt: number): TurnRecord => record(`t${addedAt}`, { addedAt });
  const [t1, t2, t3] = [at(1), at(2), at(3)];
  const running = record('t4', { state: 'open', reply: '', addedAt: 4 });

  // Previously a turn that one process had last seen running, and another had trimmed, never ended.
  it('do not include trimmed turns, even if they were running when last seen', () => {
    const open = { ...t2, state: 'open' } as const;
    const conversation = holding(at(4));
    conversation.trimmedTo = 2;
    const remembered = [t1, open, t3, at(4), at(5)];
    assert.deepEqual(turnsLostBy(conversation, remembered, new Set()), [t3, at(4), at(5)]);
  });

  for (const [what, there, remembered, touched, lost] of [
    ['are all of them if the store has started again', [record('x')], [t1, t2], [], [t1, t2]],
    ['may include a running turn', [t1], [t1, running], [], [t1, running]],
    ['do not include those that a failed change has touched, unless they are gone',
      [t1, t2], [t1, t2, t3], [t2, t3], [t1, t3]],
    ['do not include running turns that are still there, which may have gone on elsewhere',
      [t1, running], [t1, running], [], [t1]],
  ] as const)
    it(what, () => {
      assert.deepEqual(turnsLostBy(holding(...there), remembered, new Set(touched)), lost);
    });
});

describe('an open turn of another process', () => {
  // The clock of process q is an hour ahead, or that of p an hour behind.
  const open = record('a', { state: 'open', reply: '', process: 'p', arrivedAt: 1, addedAt: 1 });
  const ahead = record('b', { process: 'q', arrivedAt: 3_600_000, addedAt: 3_600_000 });

  for (const [there, put] of [[open, ahead], [ahead, open]] as const)
    it(`stays open in a merge that adds "${put.id}", because it may be the newer turn`, () => {
      const conversation = holding(there);
      mergeTurns(conversation, [structuredClone(put)], new Set(['q']));
      assert.deepEqual(conversation.turns.map(({ id, state }) => [id, state]),
        [['a', 'open'], ['b', 'completed']]);
      assert.equal(conversation.openTurns, 1);
    });
});

describe('a turn before a change that the store did not take', () => {
  // Seed 63000925 of the fleet: the change was refused when it was made again.
  it('is still at its earlier run', () => {
    const again = record('t', {
      state: 'open', reply: '', runId: 3, runs: 2, earlierRuns: [2], process: 'p',
      arrivedAt: 5, trace: { traceId: 'a', spanId: 'b', traceFlags: 1, sessionId: 's' },
    });
    const { state, runId, said, process, reply, trace } = beforeChange(again, new Map());
    assert.deepEqual({ state, runId, said, process, reply, trace }, {
      state: 'interrupted', runId: 2, said: 'nothing', process: undefined, reply: null,
      trace: undefined,
    });
    const conversation = holding(beforeChange(again, new Map()));
    mergeTurns(conversation, [record('t', { runId: 2, state: 'failed', reply: 'Sorry.' })]);
    assert.equal(conversation.turns[0]?.reply, 'Sorry.'); // its own run knows what it said
  });

  for (const [title, was] of [
    ['open if the change has closed it', open],
    ['owned by the run from which the change has taken it',
      { ...open, runId: 2, process: 'p', arrivedAt: 1, reply: 'a' }],
    ['closed by others, even if the change has said what was heard of it', closed],
  ] as const)
    it(`was ${title}`, () => {
      const turn = structuredClone(heard);
      assert.equal(beforeChange(turn, new Map([[turn, was]])), was);
    });

  it('is left alone if the change was not about it', () => {
    for (const kept of [settled, cut])
      assert.equal(beforeChange(kept, new Map([[open, open]])), kept);
  });
});

describe('a call of which one process knows only the transcript', () => {
  const own = [
    record('a', { words: 'Note milk.', reply: 'Milk is noted.' }),
    record('b', { words: 'A story.', reply: 'Once upon a time.' }),
  ];
  const told = [
    record('told-1', { runId: 0, words: 'note milk', reply: 'Milk is noted.' }),
    record('told-2', { runId: 0, words: 'A story.', reply: 'Once upon' }),
  ];
  const next = record('c', { words: 'Stop.', reply: 'Yes.' });

  const once = [
    ['a', 'Milk is noted.', 'completed'], ['b', 'Once upon', 'interrupted'],
    ['c', 'Yes.', 'completed'],
  ];
  const shown = ({ turns }: Conversation): unknown[] => turns
    .filter(({ isDiscarded }) => isDiscarded !== true)
    .map(({ id, reply, state }) => [id, reply, state]);

  it('is in history once, cut to what was heard', () => {
    const conversation = holding(...own);
    mergeTurns(conversation, structuredClone([...told, next]));
    assert.deepEqual(shown(conversation), once);
    assert.equal(conversation.turns.length, 3);
  });

  it("is in history once if the store had that process's copy first", () => {
    const conversation = holding(...told, { ...next, addedAt: 9 });
    mergeTurns(conversation, structuredClone(own));
    assert.deepEqual(shown(conversation), once);
  });

  it('has what was heard of a turn whose process is gone, or has not said what it sent', () => {
    for (const [more, reply] of [
      [{ state: 'interrupted', reply: null, said: 'nothing' }, 'Once upon'],
      [{ state: 'open', reply: '' }, ''],
    ] as const) {
      const [first = assert.fail(), second = assert.fail()] = own;
      const conversation = holding(first, { ...second, ...more });
      mergeTurns(conversation, structuredClone(told));
      const [, turn] = conversation.turns;
      assert.deepEqual([turn?.reply, turn?.heard?.lines], [reply, ['Once upon']]);
    }
  });

  it('keeps words that only the platform has heard, even if they were said before', () => {
    const conversation = holding(...structuredClone(own));
    const again = record('told-3', { runId: 0, words: 'Note milk.', reply: 'Again?' });
    mergeTurns(conversation, [again], undefined, [...structuredClone(own), again]);
    assert.equal(conversation.turns.length, 3);
  });
});

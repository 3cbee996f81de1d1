import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  add,
  addTurn,
  emptyConversation,
  tally,
  type Conversation,
} from '../../src/conversations/conversation.ts';
import {
  beforeChange,
  mergeAltered,
  mergeTurns,
  placeOf,
  turnsLostBy,
} from '../../src/conversations/merge-turns.ts';
import type { Message, ToolCallState, ToolMessage } from '../../src/conversations/message.ts';
import { isTurnRecord, type TurnRecord } from '../../src/conversations/turn-record.ts';

function record(id: string, more: Partial<TurnRecord> = {}): TurnRecord {
  return { id, state: 'completed', runId: 1, words: `words of ${id}`, reply: `of ${id}`, ...more };
}

function holding(...records: readonly TurnRecord[]): Conversation {
  const conversation = emptyConversation('c');
  for (const turn of structuredClone(records)) {
    addTurn(conversation, turn);
    add(conversation, turn);
  }
  tally(conversation);
  return conversation;
}

function withCall(state: 'running' | 'completed', content: string): Message[] {
  return [
    { role: 'user', content: 'a', turnId: 't' },
    {
      role: 'assistant', content: '', turnId: 't', state: 'interrupted',
      toolCalls: [{ id: 'x', name: 'pay', args: '{}' }],
    },
    { role: 'tool', content, turnId: 't', toolCallId: 'x', state, key: 'k', runId: 1 },
  ];
}

const open = record('t', { state: 'open', reply: '' });
const settled = record('t');
const closed = record('t', { state: 'interrupted', reply: null, said: 'nothing' });
const cut = record('t', { state: 'interrupted', reply: 'of' });
const heard = record('t', { ...cut, heard: { runId: 1 } });
const heardOf2 = record('t', { ...cut, runId: 2, heard: { runId: 2 } });
/** What was heard of a run that has not said anything yet. */
const guessed = record('t', { ...cut, said: 'nothing', heard: { runId: 1, text: 'of' } });

/** What is there, what is remembered, and what is there afterwards. */
type Case = readonly [string, TurnRecord, TurnRecord, TurnRecord];

const CASES: readonly Case[] = [
  ['an open turn takes its end', open, settled, settled],
  ['an end stays though this process knows the turn open', settled, open, settled],
  ['an open turn takes what its run noted since', open, { ...open, reply: 'a' },
    { ...open, reply: 'a' }],
  ['a turn closed by another process takes what its run had said', closed, settled, settled],
  ['a turn closed by another process is not opened again', closed, open, closed],
  ['what was heard stays decided', cut, settled, cut],
  ['an open turn takes what was reported of it', open, heard, heard],
  ['a complete turn takes what was reported of it', settled, heard, heard],
  ['what was reported stays', heard, settled, heard],
  ['what was reported first stays', heard, { ...heard, reply: 'o' }, heard],
  ['what this process closed for another is no news of it', open, closed, open],
  ['a turn that this process has closed takes its report along', open, guessed, guessed],
  ['a turn that both have closed takes the report', closed, guessed, guessed],
  ['the end of a run is cut to what was reported of it before', guessed, settled, heard],
  ['the end of a run is cut to the report of another process', settled, guessed, heard],
  ['what may not have left is cut to it, too, and goes on leaving',
    { ...settled, said: 'leaving' }, guessed, { ...guessed, said: 'leaving' }],
  ['a run that says that it was complete, when it was cut, was interrupted',
    { ...closed, heard: { runId: 1 } }, settled, { ...heard, reply: 'of t' }],
  ['a run that was over before it could open is no news of one that ran',
    { ...open, process: 'p' }, { ...closed, runId: 2, process: 'p', runs: 0 },
    { ...open, process: 'p' }],
  ['a turn stays discarded', settled, { ...settled, isDiscarded: true },
    { ...settled, isDiscarded: true }],
  ["a reply is cut to what the platform had said of it before its run's end was there",
    { ...closed, heard: { runId: 1, lines: ['of'], isHeard: true } }, settled, heard],
  ['what the platform said of another run is no news of this one',
    { ...closed, runId: 2, heard: { runId: 3, lines: ['of'], isHeard: true } }, settled, settled],
  ['a completed run wins over one that was not', { ...cut, runId: 2 }, settled, settled],
  ['a completed run stays', settled, { ...cut, runId: 2 }, settled],
  // As where the store answers: see `hasSaidMore` in turn-settlement.ts.
  ['a completed run is no news of one that the platform has reported of',
    heardOf2, settled, heardOf2],
  ['a run that the platform has reported of wins over one that completed',
    settled, heardOf2, heardOf2],
  ['a completed run wins over one that it followed, though that was reported',
    heard, { ...settled, runId: 2, runs: 2, earlierRuns: [1] },
    { ...settled, runId: 2, runs: 2, earlierRuns: [1] }],
  ...[{ ...open, runId: 2 }, { ...cut, runId: 2 }].map((later): Case => {
    const followed = { ...later, runs: 2, earlierRuns: [1] };
    const was = later.state === 'open' ? 'goes on' : 'is over';
    return [
      `a completed run is no news of one that took its turn over and ${was}`,
      followed, settled, followed,
    ];
  }),
  // Seed 85201039 of the fleet: its process had no store, and remembered the first one as open.
  ['a run that took over one which had completed by then is no news of it',
    settled, { ...cut, runId: 2, runs: 2, earlierRuns: [1] }, settled],
  ['of two unfinished runs the one that is there stays', { ...open, runId: 2 }, cut,
    { ...open, runId: 2 }],
  // The store has the first run, though its answer got lost: the process has gone on without it.
  ['of two unfinished runs of one process the later one wins', { ...open, process: 'p' },
    { ...cut, runId: 2, process: 'p' }, { ...cut, runId: 2, process: 'p' }],
  ['of two unfinished runs of one process the earlier one is no news',
    { ...open, runId: 2, process: 'p' }, { ...cut, process: 'p' },
    { ...open, runId: 2, process: 'p' }],
  ['of two unfinished runs of two processes the one that is there stays',
    { ...open, process: 'p' }, { ...cut, runId: 2, process: 'q' }, { ...open, process: 'p' }],
  // Seeds 511498 and 5003524 of the fleet: the words had ended elsewhere before a slow store took
  // them, and both processes got them in the same millisecond.
  ...[1, 2, 3].map((arrivedAt): Case => [
    `a run that goes on wins over one of another process that is over, its clock at ${arrivedAt}`,
    { ...closed, runId: 2, process: 'p', arrivedAt, addedAt: 1 },
    { ...open, process: 'q', arrivedAt: 2, addedAt: 2 },
    { ...open, process: 'q', arrivedAt: 2, addedAt: 1 },
  ]),
  // Seeds 30007306, 30008978 and 30017158: both went on, and only one of them had a caller.
  ['of two runs that go on the one whose delivery arrived later wins',
    { ...open, runId: 2, process: 'p', arrivedAt: 1 }, { ...open, process: 'q', arrivedAt: 2 },
    { ...open, process: 'q', arrivedAt: 2 }],
  ['of two runs that go on the one whose delivery arrived before is no news',
    { ...open, runId: 2, process: 'p', arrivedAt: 2 }, { ...open, process: 'q', arrivedAt: 1 },
    { ...open, runId: 2, process: 'p', arrivedAt: 2 }],
  ['of two runs that go on one with a time in the future stays behind',
    { ...open, runId: 2, process: 'p', arrivedAt: 8e15 }, { ...open, process: 'q', arrivedAt: 1 },
    { ...open, process: 'q', arrivedAt: 1 }],
  // Seed 60004244: a store that fails does not know what the others have run.
  ['a run that goes on wins over several that did not know of it',
    { ...cut, runId: 3, process: 'p', runs: 2, earlierRuns: [2] }, { ...open, process: 'q' },
    { ...open, process: 'q' }],
  ['a run that goes on is no news of several of which one took its turn over',
    { ...cut, runId: 3, process: 'p', runs: 3, earlierRuns: [1, 2] }, { ...open, process: 'q' },
    { ...cut, runId: 3, process: 'p', runs: 3, earlierRuns: [1, 2] }],
  // Seed 62002113: run 1 was taken over by run 2, and then took its turn back.
  ['a run that has taken its turn back wins over the one that had it meanwhile',
    { ...cut, runId: 2, runs: 2, earlierRuns: [1] }, { ...cut, runs: 3, earlierRuns: [1, 2] },
    { ...cut, runs: 3, earlierRuns: [1, 2] }],
  ['a run from which its turn was taken back is no news',
    { ...cut, runs: 3, earlierRuns: [1, 2] }, { ...cut, runId: 2, runs: 2, earlierRuns: [1] },
    { ...cut, runs: 3, earlierRuns: [1, 2] }],
  ['a turn that never ran is no news of one that was cut off',
    { ...closed, runId: 2, process: 'p', runs: 0 }, { ...cut, process: 'q' },
    { ...cut, process: 'q' }],
  // The clock of the other process may be an hour fast or slow.
  ...[1, 2, 3].map((arrivedAt): Case => [
    `a run that goes on is no news of one that took its turn over, its clock at ${arrivedAt}`,
    { ...cut, runId: 2, process: 'p', arrivedAt: 2, runs: 2 },
    { ...open, process: 'q', arrivedAt },
    { ...cut, runId: 2, process: 'p', arrivedAt: 2, runs: 2 },
  ]),
  ['a run that took its turn over wins', { ...open, process: 'p' },
    { ...cut, runId: 2, process: 'q', runs: 2 }, { ...cut, runId: 2, process: 'q', runs: 2 }],
  ['of two runs that were completed the later one wins', settled,
    { ...settled, reply: 'b', runId: 2, runs: 2 }, { ...settled, reply: 'b', runId: 2, runs: 2 }],
  ['of two runs that were completed the earlier one is no news', { ...settled, runs: 2 },
    { ...settled, reply: 'b', runId: 2 }, { ...settled, runs: 2 }],
  ['a completed run brings its process', { ...cut, process: 'p', arrivedAt: 1 },
    { ...settled, runId: 2, process: 'q', arrivedAt: 2 },
    { ...settled, runId: 2, process: 'q', arrivedAt: 2 }],
];

/** One call, which every run of these tests gives the same id. */
interface Paid {
  readonly runId?: number;
  readonly state?: ToolCallState;
  readonly content?: string;
  readonly key?: string;
}

function round({ runId, state = 'completed', content = 'paid 10', key = 'k' }: Paid): Message[] {
  return [
    {
      role: 'assistant', content: '', turnId: 't', state: 'interrupted',
      toolCalls: [{ id: 'x', name: 'pay', args: '{}' }],
    },
    {
      role: 'tool', content, turnId: 't', toolCallId: 'x', state, key,
      ...(runId === undefined ? {} : { runId }),
    },
  ];
}

const ASKED: Message = { role: 'user', content: 'a', turnId: 't' };
const SAID: Message = { role: 'assistant', content: 'b', turnId: 't', state: 'completed' };

/** A run of the turn `t`, behind what earlier runs called. */
function run(
  runId: number,
  state: TurnRecord['state'],
  own: readonly Message[],
  earlier: readonly Message[] = [],
): TurnRecord {
  return record('t', {
    state, runId, words: null, reply: null, messages: [ASKED, ...earlier, ...own],
    kept: 1 + earlier.length,
  });
}

const pays10 = round({ runId: 1, content: 'paid 10' });
const pays20 = round({ runId: 2, content: 'paid 20' });
const paying20 = round({ runId: 2, state: 'running', content: 'wait' });

/** What is there, what is remembered, and what is there afterwards. */
const CALLS: readonly (readonly [string, TurnRecord, TurnRecord, TurnRecord])[] = [
  [
    'a result is not that of another run, though it has the same id',
    run(2, 'interrupted', paying20), run(1, 'interrupted', pays10),
    run(2, 'interrupted', paying20, pays10),
  ],
  [
    'a result stays in front of a run that completed elsewhere',
    run(2, 'interrupted', pays20), run(1, 'completed', [...pays10, SAID]),
    run(1, 'completed', [...pays10, SAID], pays20),
  ],
  [
    'a run that still calls is not forgotten',
    run(2, 'completed', [SAID]), run(1, 'interrupted', round({ runId: 1, state: 'running' })),
    run(2, 'completed', [SAID], round({ runId: 1, state: 'running' })),
  ],
  // Seed 10002632 of the fleet: an interrupted call came back from a third process, as running.
  [
    'a call that a later run has forgotten was interrupted',
    { ...run(2, 'completed', [SAID]), runs: 2 },
    run(1, 'interrupted', round({ runId: 1, state: 'running' })),
    { ...run(2, 'completed', [SAID]), runs: 2 },
  ],
  [
    'a result is kept, though a later run did not know the call',
    { ...run(2, 'completed', [SAID]), runs: 2 }, run(1, 'interrupted', pays10),
    { ...run(2, 'completed', [SAID], pays10), runs: 2 },
  ],
  [
    'what was interrupted need not be kept',
    run(2, 'completed', [SAID]), run(1, 'interrupted', round({ runId: 1, state: 'interrupted' })),
    run(2, 'completed', [SAID]),
  ],
  [
    'an earlier call finds its result, wherever it stands',
    run(2, 'completed', [SAID], round({ runId: 1, state: 'unknown' })), run(1, 'open', pays10),
    run(2, 'completed', [SAID], pays10),
  ],
  [
    'the run itself knows best that a call was interrupted',
    run(1, 'interrupted', round({ runId: 1, state: 'unknown' })),
    run(1, 'interrupted', round({ runId: 1, state: 'interrupted' })),
    run(1, 'interrupted', round({ runId: 1, state: 'interrupted' })),
  ],
];

describe('a merge of remembered turns', () => {
  for (const [name, theirs, ours, expected] of CASES) {
    it(`knows that ${name}`, () => {
      const conversation = holding(theirs);
      mergeTurns(conversation, structuredClone([ours]));
      assert.deepEqual(conversation, holding(expected));
    });

    it(`changes nothing when it is repeated: ${name}`, () => {
      const conversation = holding(theirs);
      mergeTurns(conversation, structuredClone([ours]));
      const once = structuredClone(conversation);
      mergeTurns(conversation, structuredClone([ours]));
      assert.deepEqual(conversation, once);
    });
  }

  it('adds missing turns in their places', () => {
    const turns = [1, 2, 3, 4, 5, 6].map((n) => record(`t${n}`, { addedAt: n }));
    const isThere = ({ id }: TurnRecord): boolean => id === 't2' || id === 't5';
    const conversation = holding(...turns.filter(isThere));
    mergeTurns(conversation, structuredClone(turns.filter((turn) => !isThere(turn))));
    assert.deepEqual(conversation, holding(...turns));
  });

  it('brings a result to a call that stayed', () => {
    const there = record('t', { ...cut, words: null, reply: null });
    const conversation = holding({ ...there, messages: withCall('running', 'wait') });
    mergeTurns(conversation, [{ ...there, messages: withCall('completed', '42') }]);
    assert.deepEqual(conversation, holding({ ...there, messages: withCall('completed', '42') }));
  });

  // Seed 520181 of the fleet: what the run says itself stood twice.
  it('puts a lost call of the run that owns the turn where the run replaces it', () => {
    const there = record('t', { ...closed, words: 'a', reply: null });
    const conversation = holding(there);
    const known = { ...there, state: 'open', words: null, reply: null } as const;
    const said = withCall('completed', '42').map((message) =>
      message.role === 'assistant' ? { ...message, content: 'One moment.' } : message);
    mergeAltered(conversation, [{ ...known, messages: said }]);
    const [merged] = conversation.turns;
    assert.deepEqual(merged?.messages, withCall('completed', '42'));
    assert.equal(merged?.kept, 1);
  });

  it('takes from an open turn what the same run has said since', () => {
    const said = withCall('running', 'wait');
    const more = { ...open, words: null, reply: null, messages: said };
    const conversation = holding(open);
    mergeAltered(conversation, structuredClone([more]));
    assert.deepEqual(conversation.turns[0]?.messages, said);
    mergeAltered(conversation, structuredClone([open])); // an older copy
    assert.deepEqual(conversation.turns[0]?.messages, said);
  });

  // Seed 7000232 of the fleet: the run that a store had lost was not the turn's any more.
  it('recognises a later run that goes on, unless a failed change began it', () => {
    const later = { ...open, runId: 2, runs: 2 };
    for (const [runId, expected] of [[2, later], [1, open]] as const) {
      const conversation = holding(open);
      const was = { ...later, runId };
      mergeAltered(conversation, [beforeChange(later, new Map([[later, was]]))]);
      assert.deepEqual(conversation, holding(expected));
    }
  });

  // Seed 10007382 of the fleet: a third process opened a turn again that nobody ran.
  it('does not reopen a turn for a run of another process, which may be over', () => {
    const theirs = { ...closed, runId: 2, process: 'p' };
    const ours = { ...open, process: 'q' };
    for (const [own, expected] of [['q', ours], ['r', theirs]] as const) {
      const conversation = holding(theirs);
      mergeAltered(conversation, [ours], new Set([own]));
      assert.deepEqual(conversation, holding(expected));
    }
  });

  // Seed 3004716 of the fleet: a store lost everything, and a process that knew the turn as open
  // was the first to put it back.
  it('takes the end of a run whose turn others have closed meanwhile', () => {
    const conversation = holding(closed);
    mergeAltered(conversation, structuredClone([settled]));
    assert.deepEqual(conversation, holding(settled));
  });

  it('knows a later run that others closed', () => {
    const was = { ...closed, runId: 2, runs: 2, earlierRuns: [1] };
    const conversation = holding(closed);
    mergeAltered(conversation, [was]);
    assert.deepEqual(conversation, holding(was));
  });

  it('knows what was reported of a run that was over before, whosever process that is', () => {
    const was = { ...heardOf2, process: 'q' };
    const conversation = holding({ ...closed, process: 'p' });
    mergeAltered(conversation, [was], new Set(['r']));
    assert.deepEqual(conversation, holding(was));
  });

  it('leaves a turn that its run has ended, or that another process has closed', () => {
    // The report may come from the change, which then found another turn.
    for (const [theirs, ours] of [[cut, settled], [closed, open], [settled, heard]] as const) {
      const conversation = holding(theirs);
      mergeAltered(conversation, [ours]);
      assert.deepEqual(conversation, holding(theirs));
    }
  });

  it('keeps when the first delivery of a turn arrived if a later run replaces its run', () => {
    const conversation = holding({ ...run(1, 'interrupted', [SAID]), arrivedAt: 10 });
    const again = { arrivedAt: 30, firstArrivedAt: 10, earlierRuns: [1], runs: 2 };
    mergeTurns(conversation, [{ ...run(2, 'completed', [SAID]), ...again }]);
    assert.equal(conversation.turns[0]?.firstArrivedAt, 10);
  });

  it('leaves a result with a turn that is replaced', () => {
    const there = record('t', { ...open, words: null, reply: null });
    const conversation = holding({ ...there, messages: withCall('completed', '42') });
    mergeTurns(conversation, [{ ...there, ...cut, messages: withCall('running', 'wait') }]);
    assert.deepEqual(conversation.turns[0]?.messages, withCall('completed', '42'));
  });

  for (const [name, theirs, ours, expected] of CALLS) {
    it(`of tool calls knows that ${name}`, () => {
      const conversation = holding(theirs);
      mergeTurns(conversation, structuredClone([ours]));
      assert.deepEqual(conversation, holding(expected));
      mergeTurns(conversation, structuredClone([ours]));
      assert.deepEqual(conversation, holding(expected), 'the second time');
    });
  }

  // Was: a payment that began while the store was away was made again by the next turn.
  it('adds a call of an earlier run that still runs in this process, and no other', () => {
    const paying = (more: Partial<ToolMessage>): TurnRecord => ({
      ...run(1, 'interrupted', []),
      messages: [ASKED, ...round({ runId: 1, state: 'running' }).map((message): Message =>
        message.role === 'tool' ? { ...message, process: 'q', ...more } : message)],
    });
    const theirs = { ...run(2, 'completed', [SAID]), runs: 2 };
    const [, ...call] = paying({}).messages ?? [];
    const both = { ...run(2, 'completed', [SAID], call), runs: 2 };
    for (const [ours, own, expected] of [
      [paying({}), ['q'], both],
      [paying({}), ['r'], theirs],
      [paying({}), [], theirs],
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
    const conversation = holding(settled, record('t2'));
    conversation.touched = new Set();
    mergeTurns(conversation, structuredClone([settled, record('t2')]));
    assert.equal(conversation.touched.size, 0);
    const calling = run(1, 'interrupted', [...pays10, ...pays20]);
    const other = holding(calling);
    other.touched = new Set();
    mergeTurns(other, structuredClone([calling]));
    assert.equal(other.touched.size, 0);
  });
});

describe('a stored turn', () => {
  it('is invalid unless its number of runs is a whole number', () => {
    for (const runs of [undefined, 0, 1, 2]) assert.equal(isTurnRecord({ ...open, runs }), true);
    for (const runs of ['2', {}, null, -1, 0.5, NaN, 1e300])
      assert.equal(isTurnRecord({ ...open, runs }), false, String(runs));
  });

  it('is invalid unless its earlier runs are a list', () => {
    for (const earlierRuns of [undefined, [], [1]])
      assert.equal(isTurnRecord({ ...open, earlierRuns }), true);
    for (const earlierRuns of [null, 1, '1', {}])
      assert.equal(isTurnRecord({ ...open, earlierRuns }), false, String(earlierRuns));
  });
});

describe('the place of a turn', () => {
  /** When the turns that are there were added, when this one was, and how many it stands behind. */
  const places = [
    [[], 5, 0],
    [[1, 3], 5, 2],
    [[1, 7], 5, 1],
    [[7, 8], 5, 0],
    [[1, 5], 5, 2],
  ] as const;
  for (const [there, added, place] of places) {
    it(`is ${place} for one added at ${added} among ${JSON.stringify(there)}`, () => {
      const at = (addedAt: number): TurnRecord => record('t', { addedAt });
      assert.equal(placeOf(at(added), there.map(at)), place);
    });
  }
});

const NONE: ReadonlySet<TurnRecord> = new Set();

describe('the turns that a store has lost', () => {
  const at = (addedAt: number): TurnRecord => record(`t${addedAt}`, { addedAt });
  const [t1, t2, t3] = [at(1), at(2), at(3)];
  const running = record('t4', { state: 'open', reply: '', addedAt: 4 });

  it('are not those that were trimmed, unless they run', () => {
    const open = { ...t2, state: 'open' } as const;
    const conversation = holding(at(4));
    conversation.trimmedTo = 2;
    const remembered = [t1, open, t3, at(4), at(5)];
    assert.deepEqual(turnsLostBy(conversation, remembered, NONE), [open, t3, at(4), at(5)]);
  });

  it('are all of them if the store has started again', () => {
    assert.deepEqual(turnsLostBy(holding(record('x')), [t1, t2], NONE), [t1, t2]);
  });

  it('may be running', () => {
    assert.deepEqual(turnsLostBy(holding(t1), [t1, running], NONE), [t1, running]);
  });

  it('are not those that a failed change has touched, unless they are gone', () => {
    assert.deepEqual(turnsLostBy(holding(t1, t2), [t1, t2, t3], new Set([t2, t3])), [t1, t3]);
  });

  it('are not those that run and are known: they may have gone on elsewhere', () => {
    assert.deepEqual(turnsLostBy(holding(t1, running), [t1, running], NONE), [t1]);
  });
});

describe('turns that meet in a merge', () => {
  // The clock of process q is an hour ahead, or that of p an hour behind.
  const open = record('a', { state: 'open', reply: '', process: 'p', arrivedAt: 1, addedAt: 1 });
  const ahead = record('b', { process: 'q', arrivedAt: 3_600_000, addedAt: 3_600_000 });

  for (const [there, put] of [[open, ahead], [ahead, open]] as const)
    it(`leave an open one to its process, perhaps for a newer one, if "${put.id}" is new`, () => {
      const conversation = holding(there);
      mergeTurns(conversation, [structuredClone(put)], new Set(['q']));
      assert.deepEqual(conversation.turns.map(({ id, state }) => [id, state]),
        [['a', 'open'], ['b', 'completed']]);
      assert.equal(conversation.openTurns, 1);
    });
});

describe('a turn before a change that the store did not take', () => {
  // Seed 63000925 of the fleet: the change was refused when it was made again.
  it('had not run again', () => {
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
    ['that of the run from which the change has taken it',
      { ...open, runId: 2, process: 'p', arrivedAt: 1, reply: 'a' }],
    ['closed by others, though the change has said what was heard of it', closed],
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

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { SentEvent } from '../../src/calls/reply-event.ts';
import {
  addMessage,
  emptyConversation,
  findTurn,
  historyOf,
  type Conversation,
} from '../../src/conversations/conversation.ts';
import type { AssistantMessage } from '../../src/conversations/message.ts';
import { noteProgress } from '../../src/conversations/tool-call-rules.ts';
import { openTurn } from '../../src/conversations/turn-opening.ts';
import { settleTurn, type TurnSettlement } from '../../src/conversations/turn-settlement.ts';
import {
  BOUNDS,
  check,
  cut,
  exchange,
  nextRun,
  open,
  runs,
  settle,
  shown,
  toolMessages,
} from './checked-rules.ts';
import { change } from './state-writes.ts';

describe('openTurn', () => {
  it("stores the caller's words and a placeholder", () => {
    const conversation = emptyConversation('c');
    const opened = open(conversation, 't1', 'Hello');
    assert.deepEqual(historyOf(conversation), [
      { role: 'user', content: 'Hello', turnId: 't1' },
      { role: 'assistant', content: '', turnId: 't1', state: 'open' },
    ]);
    assert.deepEqual([opened.isResumed, opened.cut], [false, undefined]);
  });

  it('stores only a placeholder for a turn that the caller did not begin', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1');
    assert.deepEqual(shown(conversation), ['assistant(open): ']);
  });

  it('stores empty words: the caller did begin the turn', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', '');
    assert.deepEqual(shown(conversation), ['user: ', 'assistant(open): ']);
  });

  it("gives the history up to the caller's words, without the placeholder", () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First.');
    const opened = open(conversation, 't2', 'Two');
    assert.deepEqual(
      opened.history().map(({ content }) => content),
      ['One', 'First.', 'Two'],
    );
  });

  it('gives the history as it is when it is asked for, and up to its own turn', () => {
    const conversation = emptyConversation('c');
    const first = open(conversation, 't1', 'One');
    settle(conversation, 't1', 'completed', 'First.');
    exchange(conversation, 't2', 'Two', 'Second.');
    assert.deepEqual(
      first.history().map(({ content }) => content),
      ['One'],
    );
  });

  it("gives a history that does not change while it is read", () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First.');
    const opened = open(conversation, 't2', 'Two');
    const before = opened.history();
    const copy = structuredClone(before);
    settle(conversation, 't2', 'completed', 'Second.');
    cut(conversation, 'Se');
    exchange(conversation, 't3', 'Three', 'Third.');
    assert.deepEqual(before, copy);
  });

  it('says whether the conversation was known', () => {
    const conversation = emptyConversation('c');
    assert.equal(open(conversation, 't1').isResumed, false);
    settle(conversation, 't1', 'failed', '');
    // the same turn delivered again
    assert.equal(open(conversation, 't1').isResumed, false);
    settle(conversation, 't1', 'completed', 'Hi.');
    assert.equal(open(conversation, 't2').isResumed, true);
  });

  it("closes a turn whose run is gone, and keeps the caller's words", () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    open(conversation, 't2', 'Two');
    assert.deepEqual(shown(conversation), ['user: One', 'user: Two', 'assistant(open): ']);
    assert.equal(findTurn(conversation, 't1')?.state, 'interrupted');
  });

  it('leaves a completed turn alone and says what it sent', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First.');
    const before = structuredClone(conversation);
    const again = openTurn(
      conversation,
      { turnId: 't1', runId: 99, text: 'One', interruption: { textHeard: 'F', turnId: 't1' } },
      BOUNDS,
    );
    assert.deepEqual(again, { kind: 'completed before', sent: [{ type: 'say', text: 'First.' }] });
    assert.deepEqual(conversation, before);
  });

  it('returns everything that a completed turn sent, including data and hang-up', () => {
    const conversation = emptyConversation('c');
    const sent: SentEvent[] = [
      { type: 'data', json: '{"a":1}' },
      { type: 'say', text: 'Bye.' },
      { type: 'hangup' },
    ];
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'completed', 'Bye.', sent);
    assert.deepEqual(openTurn(conversation, { turnId: 't1', runId: 99, text: 'One' }, BOUNDS), {
      kind: 'completed before',
      sent,
    });
  });

  it('says that a completed turn sent nothing', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'completed', '');
    assert.deepEqual(openTurn(conversation, { turnId: 't1', runId: 99, text: 'One' }, BOUNDS), {
      kind: 'completed before',
      sent: [],
    });
  });

  for (const state of ['interrupted', 'failed'] as const) {
    it(`runs a turn that was ${state} again, in its old place`, () => {
      const conversation = emptyConversation('c');
      open(conversation, 't1', 'One');
      settle(conversation, 't1', state, 'Fir');
      exchange(conversation, 't2', 'Two', 'Second.');
      const opened = open(conversation, 't1', 'One');
      assert.deepEqual(shown(conversation), [
        'user: One',
        'assistant(open): ',
        'user: Two',
        'assistant(completed): Second.',
      ]);
      assert.deepEqual(
        opened.history().map(({ content }) => content),
        ['One'],
      );
      assert.equal(settle(conversation, 't1', 'completed', 'First.'), true);
      assert.deepEqual(shown(conversation), [
        'user: One',
        'assistant(completed): First.',
        'user: Two',
        'assistant(completed): Second.',
      ]);
    });
  }

  it('cuts the turn before to what was heard, and says which', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First of many.');
    const opened = open(conversation, 't2', 'Two', { textHeard: 'First', turnId: 't1' });
    assert.deepEqual(opened.cut, { turnId: 't1', text: 'First' });
    assert.deepEqual(
      opened.history().map(({ content }) => content),
      ['One', 'First', 'Two'],
    );
    assert.deepEqual(shown(conversation), [
      'user: One',
      'assistant(interrupted): First',
      'user: Two',
      'assistant(open): ',
    ]);
  });

  it('never cuts the turn that it opens', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First.');
    const { cut: told } = open(conversation, 't2', 'Two', { textHeard: 'Fi', turnId: 't2' });
    assert.deepEqual(told, { turnId: 't1', text: 'Fi' });
  });

  // Seed 200426 of the fleet: the reply of the new run was cut to what was heard of the old one.
  it('cuts a turn that has run again to nothing that was heard before', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't0', 'Zero', 'Zeroth.');
    const report = { textHeard: 'Zer', turnId: 't0' };
    open(conversation, 't1', 'One', report);
    settle(conversation, 't1', 'failed', 'Sorry.');
    exchange(conversation, 't0', 'Zero', 'Again.');
    assert.equal(open(conversation, 't1', 'One', report).cut, undefined);
    assert.deepEqual(shown(conversation), [
      'user: Zero', 'assistant(completed): Again.', 'user: One', 'assistant(open): ',
    ]);
  });

  it('finds turns by any id, even by names of Object.prototype', () => {
    const conversation = emptyConversation('c');
    const ids = ['__proto__', 'constructor', ' ', 'é語'];
    for (const id of ids) exchange(conversation, id, 'Asked', `Said by ${id}`);
    for (const id of ids) assert.equal(findTurn(conversation, id)?.reply, `Said by ${id}`);
    assert.equal(findTurn(conversation, 'toString'), undefined);
  });
});

describe('openTurn of a turn that was interrupted, with another one after it', () => {
  /** t1, interrupted, and t2, whose run is the one returned. */
  function begin(): { conversation: Conversation; newer: TurnSettlement } {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'interrupted', 'Fir');
    open(conversation, 't2', 'Two');
    const newer = { turnId: 't2', runId: runs, state: 'interrupted', messages: [] } as const;
    return { conversation, newer };
  }

  it('does nothing while that one runs', () => {
    const { conversation, newer } = begin();
    const before = structuredClone(conversation);
    const again = { turnId: 't1', runId: nextRun(), text: 'One', running: [newer] };
    assert.deepEqual(openTurn(conversation, again, BOUNDS), { kind: 'stale' });
    assert.deepEqual(conversation, before);
  });

  it('runs it again if no live process runs that one', () => {
    const { conversation } = begin();
    open(conversation, 't1', 'One');
    assert.deepEqual(shown(conversation), ['user: One', 'assistant(open): ', 'user: Two']);
  });

  it('runs it again if that one has ended', () => {
    const { conversation, newer } = begin();
    settle(conversation, 't2', 'completed', 'Second.');
    const again = { turnId: 't1', runId: nextRun(), text: 'One', running: [newer] };
    assert.equal(openTurn(conversation, again, BOUNDS).kind, 'opened');
  });

  it('runs it again if it is the later one that is still running', () => {
    const { conversation, newer } = begin();
    const again = { turnId: 't2', runId: nextRun(), text: 'Two', running: [newer] };
    assert.equal(openTurn(conversation, again, BOUNDS).kind, 'opened');
  });
});

describe('openTurn of a turn that runs elsewhere', () => {
  for (const [why, isOver] of [['', false], [', though it is over by now', true]] as const)
    it(`leaves it to that run while a newer turn waits to be opened here${why}`, () => {
      const conversation = emptyConversation('c');
      const first = { turnId: 't1', runId: nextRun(), text: 'One', process: 'a' };
      openTurn(conversation, first, BOUNDS);
      const before = structuredClone(conversation);
      const waiting = [{ turnId: 't2', runId: nextRun(), text: 'Two', process: 'b' }];
      const there = { process: 'b', isAlive: () => true, isOver: () => isOver };
      const again = { ...first, ...there, runId: nextRun(), waiting };
      assert.deepEqual(openTurn(conversation, again, BOUNDS), { kind: 'stale' });
      assert.deepEqual(conversation, before);
    });
});

describe('a turn', () => {
  it('is kept as words and a reply if it is no more than that', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'Asked', 'Said.');
    assert.deepEqual(
      conversation.turns.map(({ words, reply, messages }) => [words, reply, messages]),
      [['Asked', 'Said.', undefined]],
    );
  });

  it('is kept as messages if a second reply was added, in their order', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'Asked', 'Said.');
    addMessage(conversation, {
      role: 'assistant', content: 'And more.', turnId: 't1', state: 'completed',
    });
    assert.deepEqual(shown(conversation), [
      'user: Asked',
      'assistant(completed): Said.',
      'assistant(completed): And more.',
    ]);
    assert.deepEqual([conversation.turns[0]?.words, conversation.turns[0]?.reply], [null, null]);
    check(conversation);
  });

  it("is kept as messages if the caller's words came after the reply", () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1');
    settle(conversation, 't1', 'completed', 'Welcome.');
    addMessage(conversation, { role: 'user', content: 'Hello', turnId: 't1' });
    assert.deepEqual(shown(conversation), ['assistant(completed): Welcome.', 'user: Hello']);
    check(conversation);
  });
});

describe('settleTurn', () => {
  for (const state of ['completed', 'interrupted', 'failed'] as const) {
    it(`replaces the placeholder of a turn that is ${state}`, () => {
      const conversation = emptyConversation('c');
      open(conversation, 't1', 'One');
      assert.equal(settle(conversation, 't1', state, 'First.'), true);
      assert.deepEqual(shown(conversation), ['user: One', `assistant(${state}): First.`]);
      assert.equal(findTurn(conversation, 't1')?.state, state);
    });

    it(`leaves no placeholder of a turn that is ${state} without a word`, () => {
      const conversation = emptyConversation('c');
      open(conversation, 't1', 'One');
      settle(conversation, 't1', state, '');
      assert.deepEqual(shown(conversation), ['user: One']);
    });

    it(`settles a turn that is ${state} once`, () => {
      const conversation = emptyConversation('c');
      open(conversation, 't1', 'One');
      settle(conversation, 't1', state, 'First.');
      const before = structuredClone(conversation);
      for (const other of ['completed', 'interrupted', 'failed'] as const)
        assert.equal(settle(conversation, 't1', other, 'Late.'), false);
      assert.deepEqual(conversation, before);
    });
  }

  it('keeps tool calls and their results in order', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'completed', toolMessages('t1'));
    assert.deepEqual(shown(conversation), [
      'user: One',
      'assistant(completed): Let me see. [look]',
      'tool: 42',
      'assistant(completed): It is 42.',
    ]);
  });

  it('does nothing for an unknown turn', () => {
    const conversation = emptyConversation('c');
    assert.equal(settle(conversation, 't1', 'completed', 'First.'), false);
    assert.deepEqual(conversation, emptyConversation('c'));
  });

  it('does nothing for an older run of a turn that runs again', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One', undefined, BOUNDS, 1_001);
    open(conversation, 't1', 'One', undefined, BOUNDS, 1_002);
    assert.equal(
      settle(conversation, 't1', 'completed', 'Of the old run.', undefined, BOUNDS, 1_001),
      false,
    );
    assert.deepEqual(shown(conversation), ['user: One', 'assistant(open): ']);
    assert.equal(
      settle(conversation, 't1', 'completed', 'Of the new run.', undefined, BOUNDS, 1_002),
      true,
    );
    assert.deepEqual(shown(conversation), ['user: One', 'assistant(completed): Of the new run.']);
  });

  it('is accepted once for a turn that a newer one has closed: its run knows what was sent', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One', undefined, BOUNDS, 1_001);
    open(conversation, 't2', 'Two', undefined, BOUNDS, 1_002);
    assert.equal(settle(conversation, 't1', 'interrupted', 'Fir', undefined, BOUNDS, 1_001), true);
    assert.deepEqual(shown(conversation), [
      'user: One',
      'assistant(interrupted): Fir',
      'user: Two',
      'assistant(open): ',
    ]);
    assert.equal(
      settle(conversation, 't1', 'interrupted', 'Other.', undefined, BOUNDS, 1_001),
      false,
    );
  });

  it('does not undo a cut that came before it', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First of many.');
    const runId = runs;
    cut(conversation, 'First');
    assert.equal(
      settle(conversation, 't1', 'interrupted', 'First of many.', undefined, BOUNDS, runId),
      false,
    );
    assert.deepEqual(shown(conversation), ['user: One', 'assistant(interrupted): First']);
  });

  it('leaves a turn that ends late in its place', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    addMessage(conversation, { role: 'user', content: 'Note', turnId: 'note' });
    settle(conversation, 't1', 'completed', 'First.');
    assert.deepEqual(shown(conversation), [
      'user: One',
      'assistant(completed): First.',
      'user: Note',
    ]);
  });
});

describe('a turn that was stored before its last events left', () => {
  it('stays complete once it was delivered again: the newer delivery has all of it', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    const end = { turnId: 't1', runId: runs, messages: [said('t1', 'completed')] } as const;
    settleTurn(conversation, { ...end, state: 'completed', isLeaving: true }, BOUNDS);
    const again = openTurn(conversation, { turnId: 't1', runId: nextRun(), text: 'One' }, BOUNDS);
    assert.equal(again.kind, 'completed before');
    const cutShort = { ...end, state: 'interrupted', messages: [] } as const;
    assert.equal(settleTurn(conversation, cutShort, BOUNDS), false);
    assert.deepEqual(shown(conversation), ['user: One', 'assistant(completed): Said.']);
  });
});

describe('a turn of a conversation that several processes share', () => {
  const b = { process: 'b', isAlive: () => true } as const;

  it('is not opened before it is known whether a process that runs a call is alive', () => {
    const conversation = emptyConversation('c');
    openTurn(conversation, { turnId: 't1', runId: 1, text: 'One', ...b }, BOUNDS);
    const call = { id: 'x', name: 'pay', args: '{}' };
    const result = { content: '{}', toolCallId: 'x', key: 'key', state: 'running' } as const;
    noteProgress(conversation, {
      turnId: 't1', runId: 1, process: 'b',
      messages: [
        { ...said('t1', 'open'), toolCalls: [call] }, { role: 'tool', turnId: 't1', ...result },
      ],
    }, BOUNDS);
    const before = structuredClone(conversation);
    const opening = { turnId: 't2', runId: 2, text: 'Two', process: 'a' };
    const asks = openTurn(conversation, opening, BOUNDS);
    assert.deepEqual(asks, {
      kind: 'elsewhere', processes: new Set(['b']), callers: new Set(), erasedAt: 0,
    });
    assert.deepEqual(conversation, before);
  });

  it('is not opened before it is known whether a process that claimed a call is alive', () => {
    const conversation = emptyConversation('c');
    const claim = { turnId: 'gone', runId: 1, toolCallId: 'x', tool: 'pay', claimedAt: 0 };
    const running = { ...claim, state: 'running', content: '{}' } as const;
    conversation.onceCalls = {
      theirs: { ...running, process: 'b' }, ours: { ...running, process: 'a' },
    };
    const opening = { turnId: 't2', runId: 2, text: 'Two', process: 'a' };
    const asks = openTurn(conversation, opening, BOUNDS);
    assert.deepEqual(asks, {
      kind: 'elsewhere', processes: new Set(['b']), callers: new Set(), erasedAt: 0,
    });
  });

  for (const [isAlive, kind, what] of [
    [true, 'stale', 'lives'], [false, 'opened', 'is gone'],
  ] as const)
    it(`is ${kind} for a late delivery if the process of a newer one ${what}`, () => {
      const conversation = emptyConversation('c');
      for (const [turnId, runId] of [['t1', 1], ['t2', 2]] as const)
        openTurn(conversation, { turnId, runId, text: turnId, ...b }, BOUNDS);
      const late = { turnId: 't1', runId: 3, text: 't1', process: 'a', isAlive: () => isAlive };
      assert.equal(openTurn(conversation, late, BOUNDS).kind, kind);
    });

  it('ends the runs of other processes, but not those of its own', () => {
    const conversation = emptyConversation('c');
    for (const [turnId, runId, process] of [['t1', 1, 'a'], ['t2', 2, 'b']] as const)
      openTurn(conversation, { ...b, turnId, runId, text: turnId, process }, BOUNDS);
    const [first, second] = conversation.turns;
    assert.ok(first !== undefined && second !== undefined);
    first.state = 'open'; // two processes of which one had no store
    conversation.openTurns = 2;
    const opened = openTurn(conversation, { ...b, turnId: 't3', runId: 3, process: 'a' }, BOUNDS);
    assert.ok(opened.kind === 'opened');
    assert.deepEqual(opened.endedElsewhere, [{ process: 'b', runId: 2 }]);
  });

  it('leaves the state to whoever changes it: both changes count', () => {
    const conversation = emptyConversation('c');
    const a = { process: 'a', isAlive: () => true } as const;
    openTurn(conversation, { turnId: 't1', runId: 1, text: 'One', ...a }, BOUNDS);
    openTurn(conversation, { turnId: 't2', runId: 2, text: 'Two', ...b }, BOUNDS);
    for (const [turnId, runId, process] of [['t1', 1, 'a'], ['t2', 2, 'b']] as const) {
      const end = { turnId, runId, process, state: 'completed', messages: [] } as const;
      const agentState = change('{}', `{"${process}":1}`);
      settleTurn(conversation, { ...end, agentState }, BOUNDS);
    }
    assert.equal(conversation.state, '{"a":1,"b":1}');
  });

  it('counts its runs', () => {
    const conversation = emptyConversation('c');
    for (const [runId, runs] of [[1, undefined], [2, 2], [3, 3]] as const) {
      openTurn(conversation, { turnId: 't1', runId, text: 'One', ...b }, BOUNDS);
      assert.equal(conversation.turns[0]?.runs, runs);
    }
  });
});

function said(turnId: string, state: 'completed' | 'open'): AssistantMessage {
  return { role: 'assistant', content: 'Said.', turnId, state };
}

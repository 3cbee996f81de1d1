import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { SentEvent } from '../../../src/core/calls/reply-event.ts';
import { addMessage, findTurn } from '../../../src/core/conversations/conversation.ts';
import { tellCalls } from './calls.ts';
import { change } from './state-writes.ts';
import { inTalk, no, reply, round, Talk, yes } from './talk.ts';

describe('openTurn', () => {
  for (const [what, text, shown] of [
    ["the caller's words and a placeholder", 'Hello', ['user: Hello', 'assistant(open): ']],
    ['empty words, too: the caller did begin the turn', '', ['user: ', 'assistant(open): ']],
    ['only a placeholder for a turn that the caller did not begin', undefined,
      ['assistant(open): ']],
  ] as const)
    it(`stores ${what}`, inTalk((talk) => {
      const opened = talk.open('t1', { text });
      assert.deepEqual(talk.shown, shown);
      assert.deepEqual([opened.isResumed, opened.cut], [false, undefined]);
    }));

  it('gives a history that does not change while it is read', inTalk((talk) => {
    talk.exchange('t1', 'First.');
    const before = talk.open('t2').history();
    const copy = structuredClone(before);
    talk.settle('t2', 'completed', 'Second.');
    talk.cut('Se');
    talk.exchange('t3', 'Third.');
    assert.deepEqual(before, copy);
  }));

  it('says whether the conversation was known', inTalk((talk) => {
    assert.equal(talk.open('t1').isResumed, false);
    talk.settle('t1', 'failed');
    assert.equal(talk.open('t1').isResumed, false); // the same turn delivered again
    talk.settle('t1', 'completed', 'Hi.');
    assert.equal(talk.open('t2').isResumed, true);
  }));

  tellCalls([
    ["closes a turn whose run is gone, and keeps the caller's words", 't1; t2', 't1 / t2 > …'],
    ['runs a failed turn again, in its old place', 't1 > Sorry.!; t2 > Second.; t1 > First.',
      't1 > First. / t2 > Second.'],
    ['never cuts the turn that it opens', 't1 > First.; t2 after "Fi" of t2', 't1 > Fi* / t2 > …'],
    // Seed 200426 of the fleet: the reply of the new run was cut to what was heard of the old one.
    ['does not cut a turn that has run again to what was heard of an earlier run',
      't0 > Zeroth.; t1 after "Zer" of t0 > Sorry.!; t0 > Again.; t1 after "Zer" of t0',
      't0 > Again. / t1 > …'],
  ]);

  it('leaves a completed turn alone, whatever was heard of it', inTalk((talk) => {
    talk.exchange('t1', 'First.');
    const before = structuredClone(talk.conversation);
    talk.ask('t1', { interruption: { textHeard: 'F', turnId: 't1' } });
    assert.deepEqual(talk.conversation, before);
  }));

  const beside: SentEvent[] = [
    { type: 'data', json: '{"a":1}' }, { type: 'say', text: 'Bye.' }, { type: 'hangup' },
  ];
  for (const [what, said, sent, again] of [
    ['sent', 'Bye.', undefined, [{ type: 'say', text: 'Bye.' }]],
    ['sent, including data and hang-up', 'Bye.', beside, beside],
    ['sent, even if that was nothing', '', undefined, []],
  ] as const)
    it(`returns what a completed turn ${what}`, inTalk((talk) => {
      talk.open('t1');
      talk.settle('t1', 'completed', said, { sent });
      assert.deepEqual(talk.ask('t1'), { kind: 'completed before', sent: again });
    }));

  it('says what it has cut, and gives the history up to its own words', inTalk((talk) => {
    talk.exchange('t1', 'First of many.');
    const opened = talk.open('t2', { interruption: { textHeard: 'First', turnId: 't1' } });
    assert.deepEqual(opened.cut, { turnId: 't1', text: 'First' });
    assert.deepEqual(opened.history().map(({ content }) => content), ['t1', 'First', 't2']);
  }));

  it('finds turns by any id, even by names from Object.prototype', inTalk((talk) => {
    const ids = ['__proto__', 'constructor', ' ', 'é語'];
    for (const id of ids) talk.exchange(id, `Said by ${id}`);
    for (const id of ids) assert.equal(talk.turn(id).reply, `Said by ${id}`);
    assert.equal(findTurn(talk.conversation, 'toString'), undefined);
  }));
});

describe('openTurn for an interrupted turn', () => {
  it('does nothing while a later turn is running here', inTalk((talk) => {
    talk.open('t1');
    talk.settle('t1', 'interrupted', 'Fir');
    talk.open('t2');
    const running = [talk.soFar('t2', 'interrupted')];
    const before = structuredClone(talk.conversation);
    assert.deepEqual(talk.ask('t1', { running }), { kind: 'stale' });
    assert.deepEqual(talk.conversation, before);
  }));
});

describe('openTurn for a turn that is running elsewhere', () => {
  for (const [why, isOver] of [['', no], [', though it is over by now', yes]] as const)
    it(`leaves it to that run while a newer turn is waiting to open here${why}`, inTalk((talk) => {
      talk.open('t1', { process: 'a' });
      const before = structuredClone(talk.conversation);
      const waiting = [{ turnId: 't2', runId: 3, text: 't2', process: 'b' }];
      const again = { process: 'b', isAlive: yes, isOver, waiting };
      assert.deepEqual(talk.ask('t1', again), { kind: 'stale' });
      assert.deepEqual(talk.conversation, before);
    }));
});

describe('a turn', () => {
  it('is kept as words and a reply if it has nothing more', inTalk((talk) => {
    talk.exchange('t1', 'Said.');
    const { words, reply, messages } = talk.turn('t1');
    assert.deepEqual([words, reply, messages], ['t1', 'Said.', undefined]);
  }));

  it('is kept as messages if a second reply was added, in their order', inTalk((talk) => {
    talk.exchange('t1', 'Said.');
    addMessage(talk.conversation, reply('t1', 'And more.'));
    const said = ['assistant(completed): Said.', 'assistant(completed): And more.'];
    assert.deepEqual(talk.shown, ['user: t1', ...said]);
    assert.deepEqual([talk.turn('t1').words, talk.turn('t1').reply], [null, null]);
    talk.check();
  }));

  it("is kept as messages if the caller's words came after the reply", inTalk((talk) => {
    talk.exchange('t1', 'Welcome.', { text: undefined });
    addMessage(talk.conversation, { role: 'user', content: 'Hello', turnId: 't1' });
    assert.deepEqual(talk.shown, ['assistant(completed): Welcome.', 'user: Hello']);
    talk.check();
  }));
});

describe('settleTurn', () => {
  for (const state of ['completed', 'interrupted', 'failed'] as const) {
    it(`replaces the placeholder of a turn that is ${state}, and only once`, inTalk((talk) => {
      talk.open('t1');
      assert.equal(talk.settle('t1', state, 'First.'), true);
      assert.deepEqual(talk.shown, ['user: t1', `assistant(${state}): First.`]);
      assert.equal(talk.turn('t1').state, state);
      const before = structuredClone(talk.conversation);
      for (const other of ['completed', 'interrupted', 'failed'] as const)
        assert.equal(talk.settle('t1', other, 'Late.'), false);
      assert.deepEqual(talk.conversation, before);
    }));

  }

  tellCalls([
    ['leaves no placeholder in a turn that is completed without a word', 't1 > ', 't1'],
    ['leaves no placeholder in a turn that is interrupted without a word', 't1 > *', 't1'],
  ]);

  it('does nothing for an unknown turn', inTalk((talk) => {
    assert.equal(talk.settle('t1', 'completed', 'First.'), false);
    assert.deepEqual(talk.conversation, new Talk().conversation);
  }));

  it('does nothing for an older run of a turn that is running again', inTalk((talk) => {
    talk.open('t1');
    const { runId } = talk.turn('t1');
    talk.open('t1');
    assert.equal(talk.settle('t1', 'completed', 'Of the old run.', { runId }), false);
    assert.deepEqual(talk.shown, ['user: t1', 'assistant(open): ']);
    assert.equal(talk.settle('t1', 'completed', 'Of the new run.'), true);
    assert.deepEqual(talk.shown, ['user: t1', 'assistant(completed): Of the new run.']);
  }));

  it('keeps the place of a turn that ends late', inTalk((talk) => {
    talk.open('t1');
    addMessage(talk.conversation, { role: 'user', content: 'Note', turnId: 'note' });
    talk.settle('t1', 'completed', 'First.');
    assert.deepEqual(talk.shown, ['user: t1', 'assistant(completed): First.', 'user: Note']);
  }));
});

describe('a turn of a conversation that several processes share', () => {
  const b = { process: 'b', isAlive: yes } as const;
  const asksOfB = {
    kind: 'elsewhere', processes: new Set(['b']), ofSameTurn: new Set(), newest: undefined,
  };

  it('is not opened before it is known whether a process running a call is alive', () => {
    const talk = new Talk();
    talk.open('t1', b);
    talk.progress('t1', round('t1', 'x', { state: 'running' }), { process: 'b' });
    const before = structuredClone(talk.conversation);
    assert.deepEqual(talk.ask('t2', { process: 'a' }), asksOfB);
    assert.deepEqual(talk.conversation, before);
  });

  it('is not opened before it is known whether a process that claimed a call is alive', () => {
    const talk = new Talk();
    const claim = { turnId: 'gone', runId: 1, toolCallId: 'x', tool: 'pay', claimedAt: 0 };
    const running = { ...claim, state: 'running', content: '{}' } as const;
    talk.conversation.onceCalls = {
      theirs: { ...running, process: 'b' }, ours: { ...running, process: 'a' },
    };
    assert.deepEqual(talk.ask('t2', { process: 'a' }), asksOfB);
  });

  for (const [isAlive, kind, what] of [
    [yes, 'stale', 'is alive'], [no, 'opened', 'is gone'],
  ] as const)
    it(`is ${kind} for a late delivery if the process of a newer turn ${what}`, inTalk((talk) => {
      for (const turnId of ['t1', 't2']) talk.open(turnId, b);
      assert.equal(talk.ask('t1', { process: 'a', isAlive }).kind, kind);
    }));

  it('ends the runs of other processes, but not those of its own process', inTalk((talk) => {
    talk.open('t1', { ...b, process: 'a' });
    talk.open('t2', b);
    talk.turn('t1').state = 'open'; // as if one of the two processes had no store
    talk.conversation.openTurns = 2;
    const { endedElsewhere } = talk.open('t3', { ...b, process: 'a' });
    assert.deepEqual(endedElsewhere, [{ process: 'b', runId: 2 }]);
  }));

  it("keeps both processes' changes to the state", inTalk((talk) => {
    talk.open('t1', { ...b, process: 'a' });
    talk.open('t2', b);
    for (const [turnId, process] of [['t1', 'a'], ['t2', 'b']] as const)
      talk.settle(turnId, 'completed', '', { agentState: change('{}', `{"${process}":1}`) });
    assert.equal(talk.conversation.state, '{"a":1,"b":1}');
  }));

  it('counts its runs', inTalk((talk) => {
    for (const runs of [undefined, 2, 3]) {
      talk.open('t1', b);
      assert.equal(talk.turn('t1').runs, runs);
    }
  }));
});

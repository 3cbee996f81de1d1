// A turn that is added late, after others have changed its conversation.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { addTurn, emptyConversation } from '../../../src/core/conversations/conversation.ts';
import { PartedConversation } from '../../../src/core/conversations/stores/parted-conversation.ts';
import { openTurn, type TurnOpening } from '../../../src/core/conversations/turn-opening.ts';
import { newerThan } from '../../../src/core/conversations/turn-order.ts';
import { newTurn, type TurnRecord } from '../../../src/core/conversations/turn-record.ts';
import { transcriptOf } from '../../fixtures/transcript.ts';
import { onceCall, onceKey } from './once-calls.ts';
import { BOUNDS, inTalk, no, Talk, yes } from './talk.ts';

const HOUR_MS = 3_600_000;

/**
 * Opens turns at times on their processes' clocks. Returns what becomes of each, and what all turns
 * are like then.
 */
function clocked(t: TestContext, talk = new Talk()): (
  at: number, turnId: string, process?: string, more?: Partial<TurnOpening>,
) => string {
  let nowMs = 0;
  t.mock.method(Date, 'now', () => 1_000_000 + nowMs);
  return (at, turnId, process = turnId, more = {}) => {
    nowMs = at;
    const { kind } = talk.ask(turnId, { process, waitedMs: () => 0, ...more });
    return `${kind} ${talk.turns.map(({ id, state }) => `${id}:${state}`).join(' ')}`;
  };
}

function waited(ms: number): Partial<TurnOpening> {
  return { waitedMs: () => ms, isAlive: yes };
}

const OVER = { isOver: yes };

describe('an opening that waited for the store', () => {
  it('yields to a turn that another process opened meanwhile, and is placed before it', (t) => {
    const open = clocked(t);
    open(0, 'first', 'a');
    open(200, 'b');
    const order = 'first:interrupted a:interrupted b:open';
    assert.equal(open(300, 'a', 'a', waited(250)), `stale ${order}`);
  });

  // The newer request has brought the whole call, with these words or with others in their place.
  for (const [what, lines, order] of [
    ['follows it', ['user: a'], ['a', 'b']], ['replaces it', [], ['b']],
  ] as const)
    it(`adds no words if the whole call came with a newer request, which ${what}`, (t) => {
      const talk = new Talk();
      const open = clocked(t, talk);
      open(200, 'b', 'b', { transcript: transcriptOf(lines) });
      open(300, 'a', 'a', { ...waited(250), transcript: transcriptOf([]) });
      assert.deepEqual(talk.words, order);
    });

  // Two callers' words reach two processes, and each has to ask a third one, which is gone.
  for (const [waitedMs, outcome] of [[200, 'opened b:interrupted a:open'],
    [300, 'stale a:interrupted b:open']] as const)
    it(`for ${waitedMs} ms gives "${outcome}" after one that waited for 250 ms`, (t) => {
      const open = clocked(t);
      open(500, 'b', 'b', waited(250));
      assert.equal(open(500, 'a', 'a', waited(waitedMs)), outcome);
    });

  it('knows which turns of its own process are newer, however briefly it waited', (t) => {
    const open = clocked(t);
    open(0, 'a2', 'a', { runId: 2 });
    assert.equal(open(1, 'a1', 'a', { ...waited(1), runId: 1 }), 'stale a1:interrupted a2:open');
    assert.match(open(1, 'a3', 'a', { ...waited(250), runId: 3 }), /^opened/);
  });

  it('does not yield to an older turn that another process has run again meanwhile', (t) => {
    const talk = new Talk();
    const open = clocked(t, talk);
    for (const turnId of ['old', 'newer']) open(1_000, turnId, 'b');
    for (const turn of talk.turns) turn.addedAt = 1_000_000;
    open(1_000, 'old', 'b'); // run again, because it was interrupted
    const order = 'old:interrupted newer:interrupted newest:open';
    assert.equal(open(1_000, 'newest', 'a', waited(250)), `opened ${order}`);
  });

  it('does not open if its turn is over, and ends no other turn', (t) => {
    const open = clocked(t);
    open(0, 'b');
    assert.equal(open(0, 'a', 'a', OVER), 'over b:open a:interrupted');
  });

  // Seed 540764 of the fleet: neither of two such turns knew when the other one had arrived.
  for (const [waitedMs, order] of [[200, 'b:interrupted a:interrupted'],
    [300, 'a:interrupted b:interrupted']] as const)
    it(`for ${waitedMs} ms, but could not open, gives the order "${order}"`, (t) => {
      const open = clocked(t);
      open(500, 'b', 'b', { ...waited(250), ...OVER });
      assert.equal(open(500, 'a', 'a', { ...waited(waitedMs), ...OVER }), `over ${order}`);
    });
});

describe('a turn that another process received', () => {
  for (const isNew of [true, false])
    for (const [laterMs, outcome] of [[0, 'stale'], [200, 'stale'], [350, 'opened']] as const)
      it(`${laterMs} ms ago is ${outcome} here after a wait of 300 ms (new: ${isNew})`, (t) => {
        const talk = new Talk();
        const open = clocked(t, talk);
        if (!isNew) open(1_000, 'it', 'c', waited(1_000));
        for (const turn of talk.turns) turn.addedAt = 1_000_000;
        open(1_000, 'it', 'b', waited(laterMs));
        assert.equal(open(1_000, 'it', 'a', waited(300)), `${outcome} it:open`);
        assert.equal(talk.turn('it').process, outcome === 'stale' ? 'b' : 'a');
      });

  it('runs here if it was over in that process before it could open', (t) => {
    const open = clocked(t);
    open(0, 'it', 'b', OVER);
    assert.equal(open(300, 'it', 'a', waited(300)), 'opened it:open');
  });
});

describe('a turn that was interrupted and is delivered again', () => {
  for (const [text, ms, outcome] of [
    ['new words', 250, /^stale/], ['newer', 250, /^stale/],
    ['older', 250, /^opened/], ['words before it', 350, /^opened/],
  ] as const)
    it(`is ${outcome.source.slice(1)} while "${text}" waits in its process`, (t) => {
      const talk = new Talk();
      const open = clocked(t, talk);
      for (const turnId of ['older', 'it', 'newer']) open(1_000, turnId, 'b', waited(300));
      talk.turn('newer').state = 'interrupted';
      talk.conversation.openTurns = 0;
      const waiting = [{ turnId: text, text, runId: 0, process: 'a', waitedMs: () => ms }];
      assert.match(open(1_000, 'it', 'a', { waiting, isAlive: yes }), outcome);
    });
});

describe('a turn that is over before it can be added', () => {
  // Seed 401212 of the fleet: the words waited for a store, and returned to what was erased
  // meanwhile.
  for (const [what, erasedAt, turns] of [
    ['was erased since the turn arrived', 999_990, 0],
    ['was erased before the turn arrived', 900_000, 1],
    ['was erased in the same millisecond', 940_000, 1],
    ['was erased at a time in the future', 1_000_001, 1],
  ] as const)
    it(`is ${turns === 0 ? 'not added' : 'added'} if its conversation ${what}`, inTalk((talk, t) => {
      t.mock.method(Date, 'now', () => 1_000_000);
      talk.conversation.erasedAt = erasedAt;
      const over = { process: 'a', isOver: yes, waitedMs: () => 60_000.5 };
      assert.equal(talk.ask('t', over).kind, 'over');
      assert.equal(talk.turns.length, turns);
    }));
});

describe('a turn that has waited', () => {
  // Seed 81011473 of the fleet: five turns asked a process that was gone, and the first one was
  // delivered again before the last ones had their answers.
  for (const again of ['a', 'b'])
    it(`is placed after an older turn that has also waited and has run again in ${again}`, () => {
      const talk = new Talk();
      talk.open('first', { process: 'a', waitedMs: () => 450 });
      talk.turn('first').state = 'interrupted';
      talk.conversation.openTurns = 0;
      talk.open('first', { runId: 3, process: again, waitedMs: () => 0 });
      talk.open('second', { runId: 2, process: 'a', waitedMs: () => 400 });
      const shown = talk.turns.map(({ id, state }) => `${id} ${state}`);
      assert.deepEqual(shown, ['first interrupted', 'second open']);
    });
});

describe('a turn that waits for the store', () => {
  const late = { runId: 1, process: 'a', waitedMs: () => 500, isAlive: yes };

  it('runs, and is placed, before a newer one that was over before it could open', () => {
    const talk = new Talk();
    assert.equal(talk.ask('over', { runId: 2, process: 'a', isOver: yes }).kind, 'over');
    talk.open('late', late); // the ended one silences nobody
    assert.deepEqual(talk.turns.map(({ id }) => id), ['late', 'over']);
  });

  /** How many newer turns it sees if only `other` is there, and time stands still. */
  function newerCount(t: TestContext, other: Partial<TurnRecord>, waitedMs: number): number {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const conversation = emptyConversation('c');
    addTurn(conversation, { ...newTurn('b', 'open', other.runId ?? 7), ...other });
    return newerThan(conversation, { process: 'a', runId: 1, waitedMs: () => waitedMs }).length;
  }

  for (const [waitedMs, count] of [[99, 0], [100, 1]] as const)
    it(`for ${waitedMs} ms sees this many newer turns, by their process's clock: ${count}`, (t) => {
      const other = { process: 'b', arrivedAt: Date.now() - 50 };
      assert.equal(newerCount(t, other, waitedMs), count);
    });

  it('does not see a turn from the future, whose clock must be wrong, as newer', (t) => {
    assert.equal(newerCount(t, { process: 'b', arrivedAt: Date.now() + HOUR_MS }, 500), 0);
  });

  it('sees a newer turn from the same millisecond, however the times were rounded', (t) => {
    const other = { runId: 2, process: 'a', addedAt: Date.now() - 1 };
    assert.equal(newerCount(t, other, 0), 1);
  });

  it('asks nobody if it is over: its place in history needs no answer', inTalk((talk) => {
    talk.open('b', { runId: 2, process: 'b' });
    talk.conversation.onceCalls = { [onceKey(1)]: onceCall({ process: 'b' }) };
    assert.equal(talk.ask('late', { ...late, isAlive: undefined, isOver: yes }).kind, 'over');
  }));

  it('asks whether all processes with open turns are alive if it asks one about its calls', () => {
    const talk = new Talk();
    talk.open('b', { process: 'b' });
    talk.conversation.onceCalls = { [onceKey(1)]: onceCall({ process: 'c' }) };
    const asked = talk.ask('a', { process: 'a', waitedMs: () => 0 });
    assert.ok(asked.kind === 'elsewhere');
    assert.deepEqual([...asked.processes], ['c', 'b']);
  });

  it('is stale if it is over and a newer turn is running, which it must not cut', inTalk((talk) => {
    const a = { process: 'a', isAlive: yes };
    for (const turnId of ['t1', 't2']) talk.open(turnId, a);
    const running = [talk.soFar('t2', 'interrupted')];
    assert.equal(talk.ask('t1', { ...a, isOver: yes, running }).kind, 'stale');
    assert.equal(talk.ask('t1', { ...a, isOver: yes }).kind, 'over');
  }));
});

describe('a turn about which other processes were asked', () => {
  it('runs for a later delivery if the process of the first, whose clock was fast, is gone',
    (t) => {
      const open = clocked(t);
      open(20, 't', 'b');
      const again = { waitedMs: () => 460 };
      assert.match(open(465, 't', 'a', again), /^elsewhere/);
      assert.equal(open(465, 't', 'a', { ...again, isAlive: yes }), 'stale t:open');
      assert.equal(open(465, 't', 'a', { ...again, isAlive: no }), 'opened t:open');
    });

  it('is not newer than itself, even if a fast clock says that it ran before it arrived', (t) => {
    const open = clocked(t);
    open(20, 't', 'b');
    open(30, 'next', 'b');
    const again = { waitedMs: () => 460, isAlive: no };
    assert.equal(open(465, 't', 'a', again), 'opened t:open next:interrupted');
  });

  it('does not yield to an open turn of a dead process, and is placed before it', (t) => {
    const open = clocked(t);
    open(0, 'newer', 'b');
    const late = { waitedMs: () => 460 };
    assert.match(open(440, 'older', 'a', late), /^elsewhere/);
    const opened = open(440, 'older', 'a', { ...late, isAlive: no });
    assert.equal(opened, 'opened older:open newer:interrupted');
  });

  it('yields to a newer turn of its own process that has run again since', (t) => {
    const open = clocked(t);
    open(10, 'newer', 'a', { runId: 8 });
    open(60, 'newer', 'a', { runId: 9 });
    const older = { runId: 7, waitedMs: () => 90, isAlive: yes };
    assert.equal(open(90, 'older', 'a', older), 'stale older:interrupted newer:open');
  });
});

describe('turns that waited after one whose clock is an hour fast', () => {
  it('keep their order when they are read again', () => {
    const kept = new PartedConversation('c');
    const open = (turnId: string, runId: number, process: string, waited: number): void =>
      kept.apply((conversation) => {
        const opening = { turnId, text: turnId, runId, process, isAlive: yes };
        openTurn(conversation, { ...opening, waitedMs: () => waited }, BOUNDS);
      });
    open('fast', 1, 'b', 0);
    const [fast] = kept.conversation.turns;
    assert.ok(fast);
    fast.addedAt = fast.arrivedAt = Date.now() + HOUR_MS;
    open('three', 4, 'a', 0);
    open('two', 3, 'a', 20);
    open('one', 2, 'a', 40);
    const { to: version = '', set: parts } = kept.change(1_000) ?? assert.fail();
    const again = new PartedConversation('c', { version, parts });
    for (const { conversation: { turns } } of [kept, again])
      assert.deepEqual(turns.map(({ id }) => id), ['fast', 'one', 'two', 'three']);
  });
});

describe('the place of a turn', () => {
  it('is that of its first delivery, even if the turn was over before it could open', (t) => {
    t.mock.method(Date, 'now', () => 1_000_000);
    const kept = new PartedConversation('c');
    kept.apply((conversation) => {
      const over = { turnId: 't', text: 'Hi', runId: 1, process: 'a', isOver: yes };
      openTurn(conversation, { ...over, waitedMs: () => 60 }, BOUNDS);
    });
    assert.equal(kept.conversation.turns[0]?.addedAt, 999_940);
  });
});

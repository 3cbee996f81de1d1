// A turn that is added late, while others have changed its conversation.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import {
  addTurn, emptyConversation, type Conversation,
} from '../../src/conversations/conversation.ts';
import type { OnceCall } from '../../src/conversations/once-call.ts';
import { PartedConversation } from '../../src/conversations/stores/parted-conversation.ts';
import { openTurn, type TurnOpening } from '../../src/conversations/turn-opening.ts';
import { newerThan } from '../../src/conversations/turn-order.ts';
import { newTurn } from '../../src/conversations/turn-record.ts';
import { UNFINISHED_RESULTS } from '../../src/conversations/unfinished-tool-results.ts';

const BOUNDS = { maxMessages: 200, maxTextLength: 1_048_576 };
const HOUR_MS = 3_600_000;
const ONCE_KEY = 'k'.repeat(64);

function onceCallOf(process: string): OnceCall {
  const { running: content } = UNFINISHED_RESULTS;
  const call = { turnId: 'b', runId: 2, toolCallId: 'x', process };
  return { ...call, state: 'running', tool: 'pay', claimedAt: 0, content };
}

describe('a turn that is over before it can be added', () => {
  // Seed 65005645 of the fleet: it had asked other processes meanwhile.
  const CASES = [
    ['was erased since it was read, by a clock an hour fast', HOUR_MS, 0, 0],
    ['was erased since it was read, by a clock an hour slow', -HOUR_MS, 0, 0],
    ['was erased since the turn arrived, and not read before', -10, undefined, 0],
    ['was erased before it was read, by a clock an hour fast', HOUR_MS, Infinity, 1],
    ['was erased before the turn arrived', -HOUR_MS, undefined, 1],
    ['was erased by a clock in the future, and not read before', HOUR_MS, undefined, 1],
  ] as const;

  for (const [what, agoMs, readAs, turns] of CASES)
    it(`is ${turns === 0 ? 'not added' : 'added'} if its conversation ${what}`, () => {
      const conversation = emptyConversation('c');
      conversation.erasedAt = Date.now() + agoMs;
      const result = openTurn(conversation, {
        turnId: 't', runId: 1, text: 'Hello', process: 'a', isOver: () => true,
        waitedMs: () => 60_000, erasedAt: readAs === Infinity ? conversation.erasedAt : readAs,
      }, BOUNDS);
      assert.equal(result.kind, 'over');
      assert.equal(conversation.turns.length, turns);
    });
});

describe('a turn that has waited', () => {
  // Seed 81011473 of the fleet: five turns asked a process that was gone, and the first one was
  // delivered again before the last ones had their answers.
  for (const again of ['a', 'b'])
    it(`is placed after an older one that has waited, too, and has run again in ${again}`, () => {
      const conversation = emptyConversation('c');
      const open = (text: string, runId: number, process: string, waited: number): void => {
        const opening = { turnId: text, text, runId, process, waitedMs: () => waited };
        assert.equal(openTurn(conversation, opening, BOUNDS).kind, 'opened');
      };
      open('first', 1, 'a', 450);
      const [first] = conversation.turns;
      assert.ok(first !== undefined);
      first.state = 'interrupted';
      conversation.openTurns = 0;
      open('first', 3, again, 0);
      open('second', 2, 'a', 400);
      assert.deepEqual(conversation.turns.map(({ words }) => words), ['first', 'second']);
      assert.deepEqual(conversation.turns.map(({ state }) => state), ['interrupted', 'open']);
    });
});

describe('a turn that waits for the store', () => {
  const late: TurnOpening = {
    turnId: 'late', runId: 1, text: 'late', process: 'a', waitedMs: () => 500,
    isAlive: () => true,
  };

  /** A turn that another one has overtaken, and that never ran. */
  function withOvertaken(): Conversation {
    const conversation = emptyConversation('c');
    const overtaken = { turnId: 'over', text: 'over', runId: 2, process: 'a', isOver: () => true };
    assert.equal(openTurn(conversation, overtaken, BOUNDS).kind, 'over');
    return conversation;
  }

  it('runs even if a newer one was over before it could open: that one silences nobody', () => {
    assert.equal(openTurn(withOvertaken(), late, BOUNDS).kind, 'opened');
  });

  it('is placed before a newer one that was over before it could open', () => {
    const conversation = withOvertaken();
    openTurn(conversation, late, BOUNDS);
    assert.deepEqual(conversation.turns.map(({ id }) => id), ['late', 'over']);
  });

  for (const [waited, count] of [[99, 0], [100, 1]] as const)
    it(`of ${waited} ms sees ${count} newer turns of another process, by its clock`, (t) => {
      t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
      const conversation = emptyConversation('c');
      const other = { ...newTurn('b', 'open', 7), process: 'b', arrivedAt: Date.now() - 50 };
      addTurn(conversation, other);
      const newer = newerThan(conversation, { process: 'a', runId: 1, waitedMs: () => waited });
      assert.equal(newer.length, count);
    });

  it('sees no newer turn in one whose time is in the future: its clock is wrong', () => {
    const conversation = emptyConversation('c');
    const other = { ...newTurn('b', 'open', 7), process: 'b', arrivedAt: Date.now() + HOUR_MS };
    addTurn(conversation, other);
    const newer = newerThan(conversation, { process: 'a', runId: 1, waitedMs: () => 500 });
    assert.deepEqual(newer, []);
  });

  it('sees no newer turn in one that older versions ran again, as it was there before', () => {
    const conversation = emptyConversation('c');
    const again = { ...newTurn('t', 'open', 2), process: 'a', addedAt: Date.now() - 60_000 };
    addTurn(conversation, again);
    const newer = newerThan(conversation, { process: 'a', runId: 1, waitedMs: () => 500 });
    assert.deepEqual(newer, []);
  });

  it('sees a newer one of the same millisecond, whichever way both were rounded', (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const conversation = emptyConversation('c');
    const now = Date.now();
    addTurn(conversation, { ...newTurn('b', 'open', 2), process: 'a', addedAt: now - 1 });
    const newer = newerThan(conversation, { process: 'a', runId: 1, waitedMs: () => 0 });
    assert.equal(newer.length, 1);
  });

  it('asks nobody if it is over: its place in history waits for no answer', () => {
    const conversation = emptyConversation('c');
    openTurn(conversation, { turnId: 'b', runId: 2, text: 'b', process: 'b' }, BOUNDS);
    conversation.onceCalls = { [ONCE_KEY]: onceCallOf('b') };
    const over = { ...late, isAlive: undefined, isOver: () => true };
    assert.equal(openTurn(conversation, over, BOUNDS).kind, 'over');
  });

  it('asks if all processes with an open turn are alive if it asks any about its calls', () => {
    const conversation = emptyConversation('c');
    openTurn(conversation, { turnId: 'b', runId: 2, text: 'b', process: 'b' }, BOUNDS);
    conversation.onceCalls = { [ONCE_KEY]: onceCallOf('c') };
    const asking = { turnId: 'a', runId: 3, text: 'a', process: 'a', waitedMs: () => 0 };
    const asked = openTurn(conversation, asking, BOUNDS);
    assert.ok(asked.kind === 'elsewhere');
    assert.deepEqual([...asked.processes], ['c', 'b']);
  });

  it('is stale if it is over and a newer turn runs: it must not cut that one', () => {
    const conversation = emptyConversation('c');
    const opening = { text: 'Hello', process: 'a', isAlive: () => true };
    openTurn(conversation, { turnId: 't1', runId: 1, ...opening }, BOUNDS);
    openTurn(conversation, { turnId: 't2', runId: 2, ...opening }, BOUNDS);
    const again = { turnId: 't1', runId: 3, ...opening, isOver: () => true };
    const running = [{ turnId: 't2', runId: 2, state: 'interrupted', messages: [] }] as const;
    assert.equal(openTurn(conversation, { ...again, running }, BOUNDS).kind, 'stale');
    assert.equal(openTurn(conversation, again, BOUNDS).kind, 'over');
  });
});

describe('a turn that other processes were asked for', () => {
  const T0 = 1_000_000;

  /** Opens turns at the times of the clocks of their processes. */
  function clocked(t: TestContext): (
    at: number, turnId: string, process: string, more?: Partial<TurnOpening>,
  ) => string {
    let nowMs = T0;
    let runId = 0;
    t.mock.method(Date, 'now', () => nowMs);
    const conversation = emptyConversation('c');
    return (at, turnId, process, more = {}) => {
      nowMs = T0 + at;
      runId += 1;
      const opening = { turnId, text: turnId, runId, process, waitedMs: () => 0, ...more };
      const { kind } = openTurn(conversation, opening, BOUNDS);
      return `${kind} ${conversation.turns.map(({ id, state }) => `${id}:${state}`).join(' ')}`;
    };
  }

  it('runs for a later delivery if the first one\'s process is gone, whose clock was fast',
    (t) => {
      const open = clocked(t);
      open(20, 't', 'b');
      const again = { waitedMs: () => 460 };
      assert.match(open(465, 't', 'a', again), /^elsewhere/);
      assert.equal(open(465, 't', 'a', { ...again, isAlive: () => true }), 'stale t:open');
      assert.equal(open(465, 't', 'a', { ...again, isAlive: () => false }), 'opened t:open');
    });

  it('is not newer than itself, even if a fast clock says that it ran before it arrived', (t) => {
    const open = clocked(t);
    open(20, 't', 'b');
    open(30, 'next', 'b');
    const again = { waitedMs: () => 460, isAlive: () => false };
    assert.equal(open(465, 't', 'a', again), 'opened t:open next:interrupted');
  });

  it('does not yield to an open turn of a dead process, and is placed before it', (t) => {
    const open = clocked(t);
    open(0, 'newer', 'b');
    const late = { waitedMs: () => 460 };
    assert.match(open(440, 'older', 'a', late), /^elsewhere/);
    assert.equal(
      open(440, 'older', 'a', { ...late, isAlive: () => false }),
      'opened older:open newer:interrupted',
    );
  });

  it('counts as delivered with its last delivery, and has the place of its first', (t) => {
    const open = clocked(t);
    const late = { waitedMs: () => 300, isAlive: () => true };
    assert.equal(open(300, 't', 'a', { ...late, redeliveredMs: () => 100 }), 'opened t:open');
    assert.equal(open(400, 't', 'b', late), 'stale t:open');
    assert.equal(open(400, 'newer', 'b', late), 'opened t:interrupted newer:open');
  });

  it('yields to a newer one of its own process that has run again since', (t) => {
    const open = clocked(t);
    open(10, 'newer', 'a', { runId: 8 });
    open(60, 'newer', 'a', { runId: 9 });
    const older = { runId: 7, waitedMs: () => 90, isAlive: () => true };
    assert.equal(open(90, 'older', 'a', older), 'stale older:interrupted newer:open');
  });
});

describe('turns that waited after one of a clock that is an hour fast', () => {
  it('keep their order when they are read again', () => {
    const kept = new PartedConversation('c');
    const open = (turnId: string, runId: number, process: string, waited: number): void =>
      kept.apply((conversation) => {
        const opening = { turnId, text: turnId, runId, process, isAlive: () => true };
        openTurn(conversation, { ...opening, waitedMs: () => waited }, BOUNDS);
      });
    open('fast', 1, 'b', 0);
    const [fast] = kept.conversation.turns;
    assert.ok(fast);
    fast.addedAt = fast.arrivedAt = Date.now() + HOUR_MS;
    const late = [['three', 4, 0], ['two', 3, 20], ['one', 2, 40]] as const;
    for (const [turnId, runId, waited] of late)
      open(turnId, runId, 'a', waited);
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
      const over = { turnId: 't', text: 'Hi', runId: 1, process: 'a', isOver: () => true };
      openTurn(conversation, { ...over, waitedMs: () => 60 }, BOUNDS);
    });
    assert.equal(kept.conversation.turns[0]?.addedAt, 999_940);
  });
});

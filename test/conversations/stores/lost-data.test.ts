// What a store has lost is put back from memory, and what was erased is not.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { keepState, setState } from '../../../src/conversations/agent-state.ts';
import {
  addTurn, clearTurns, findTurn, historyOf, keepCaller, type Conversation,
} from '../../../src/conversations/conversation.ts';
import { takePlace } from '../../../src/conversations/discarded-turns.ts';
import { noteHeard } from '../../../src/conversations/heard.ts';
import type { Message } from '../../../src/conversations/message.ts';
import type { OnceCalls } from '../../../src/conversations/once-call.ts';
import { noteProgress, noteToolResult } from '../../../src/conversations/tool-call-rules.ts';
import { openTurn, type TurnOpeningResult } from '../../../src/conversations/turn-opening.ts';
import { newTurn } from '../../../src/conversations/turn-record.ts';
import { settleTurn } from '../../../src/conversations/turn-settlement.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { freeKey, onceCall, onceKey } from '../once-calls.ts';
import { change } from '../state-writes.ts';
import {
  BOUNDS, machine, machines, said, sharing, texts, turn, written, type Machine,
} from './machines.ts';
import { PartsInMemory, type SharedParts } from './parts-in-memory.ts';

/** Not an hour, which is how much longer an open turn or an erasure is kept. */
const TTL_MS = 55 * 60_000;
const HOUR_MS = 3_600_000;
const down = new Error('connection refused');

/** Two processes, and the database that they share. */
function two(t: TestContext, more = {}): readonly [Machine, Machine, SharedParts] {
  const shared: SharedParts = new Map();
  const [a, b] = machines(t, 2, { ttlMs: TTL_MS, ...more }, shared);
  assert.ok(a && b);
  return [a, b, shared];
}

function restore(shared: SharedParts, replica: SharedParts): void {
  shared.clear();
  for (const [id, stored] of replica) shared.set(id, stored);
}

/** Moves the clocks of the processes and of the database. */
function clock(t: TestContext, ...all: readonly Machine[]): (ms: number) => void {
  let passed = 0;
  const [wall, monotonic] = [Date.now(), performance.now()];
  t.mock.method(Date, 'now', () => wall + passed);
  t.mock.method(performance, 'now', () => monotonic + passed);
  return (ms) => {
    passed += ms;
    for (const { parts } of all) parts.nowMs += ms;
  };
}

async function ids({ parts }: Machine): Promise<string[] | undefined> {
  return (await sharing(parts).read('c'))?.turns.map(({ id }) => id);
}

type Timers = ReturnType<typeof mockTimers>;

async function back(timers: Timers, { parts, store }: Machine): Promise<void> {
  parts.failWith = undefined;
  timers.tick(2_000);
  await written(store);
}

function setOnce(onceCalls: OnceCalls): (conversation: Conversation) => void {
  return (conversation) => void Object.assign(conversation, { onceCalls });
}

function open(turnId: string, runId: number): (conversation: Conversation) => unknown {
  return (conversation) =>
    openTurn(conversation, { turnId, runId, text: `words of ${turnId}` }, BOUNDS);
}

/** Calls that run, with the ids as their keys. */
function calls(turnId: string, ...toolCallIds: readonly string[]): Message[] {
  const toolCalls = toolCallIds.map((id) => ({ id, name: 'pay', args: '{}' }));
  return [
    { role: 'assistant', content: '', turnId, state: 'open', toolCalls },
    ...toolCallIds.map((toolCallId): Message => ({
      role: 'tool', content: '{}', turnId, toolCallId, key: toolCallId, runId: 1, state: 'running',
    })),
  ];
}

async function toolStates(store: Machine['store']): Promise<string[]> {
  const history = historyOf((await store.read('c')) ?? assert.fail());
  return history.flatMap((message) =>
    message.role === 'tool' ? [`${message.toolCallId} ${message.state}`] : []);
}

function calling(...toolCallIds: readonly string[]): (conversation: Conversation) => unknown {
  const progress = { turnId: 't1', runId: 1, messages: calls('t1', ...toolCallIds) };
  return (conversation) => noteProgress(conversation, progress, BOUNDS);
}

function returned(toolCallId: string): (conversation: Conversation) => unknown {
  const result = {
    turnId: 't1', runId: 1, toolCallId, state: 'completed', content: `"${toolCallId}"`,
  } as const;
  return (conversation) => noteToolResult(conversation, result, BOUNDS);
}

describe('a conversation that the store has lost', () => {
  it('is put back whole by the next change, even if no command ever failed', async (t) => {
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    await a.store.update('c', (conversation) => {
      setState(conversation, '{"n":1}');
      conversation.agent = 'billing';
      keepCaller(conversation, { sessionId: 's', from: '+1', to: '+2' });
      conversation.onceCalls = { [onceKey(1)]: onceCall() };
    });
    shared.clear();
    await turn(a.store, 'c', 't2');
    const kept = await b.store.read('c');
    assert.deepEqual(await texts(b.store, 'c'), said('t1', 't2'));
    assert.deepEqual(
      [kept?.state, kept?.agent, kept?.caller?.from, kept?.onceCalls],
      ['{"n":1}', 'billing', '+1', { [onceKey(1)]: onceCall() }],
    );
  });

  it('is put back by a mere read', async (t) => {
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    shared.clear();
    assert.deepEqual(await texts(a.store, 'c'), said('t1'));
    assert.deepEqual(await texts(b.store, 'c'), said('t1'));
  });

  it('is put back by a change that changes nothing', async (t) => {
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    shared.clear();
    assert.equal(await a.store.update('c', ({ turns }) => turns.length), 1);
    assert.deepEqual(await texts(b.store, 'c'), said('t1'));
  });

  it('is put back if only its shard came back empty', async (t) => {
    const [a, , shared] = two(t);
    await turn(a.store, 'c', 't1');
    await turn(a.store, 'd', 't1');
    shared.delete('c');
    await turn(a.store, 'd', 't2');
    await turn(a.store, 'c', 't2');
    assert.deepEqual(await ids(a), ['t1', 't2']);
  });

  // Another process had meanwhile taken the first call for lost.
  it('keeps what a tool returned if the next change is another result', async (t) => {
    const [a, b, shared] = two(t);
    await a.store.update('c', open('t1', 1));
    await a.store.update('c', calling('x', 'y'));
    const replica = new Map(shared);
    await a.store.update('c', returned('x'));
    restore(shared, replica);
    await b.store.update('c', open('t2', 2));
    assert.deepEqual(await toolStates(b.store), ['x unknown', 'y unknown']);
    await a.store.update('c', returned('y'));
    assert.deepEqual(await toolStates(b.store), ['x completed', 'y completed']);
  });

  it('keeps how a turn ended if the next change is a late result of it', async (t) => {
    const [a, b, shared] = two(t);
    await a.store.update('c', open('t1', 1));
    await a.store.update('c', calling('x'));
    const replica = new Map(shared);
    const state = 'interrupted';
    const spoken = { role: 'assistant', content: 'Wait.', turnId: 't1', state } as const;
    const messages = [...calls('t1', 'x'), spoken];
    const ended = { turnId: 't1', runId: 1, state, messages } as const;
    await a.store.update('c', (conversation) => settleTurn(conversation, ended, BOUNDS));
    restore(shared, replica);
    await a.store.update('c', returned('x'));
    assert.deepEqual(await texts(b.store, 'c'), ['words of t1', '', '"x"', 'Wait.']);
    assert.equal((await b.store.read('c'))?.openTurns, 0);
  });

  it('keeps the last run of a turn if the next change is a late result of it', async (t) => {
    const [a, b, shared] = two(t);
    await a.store.update('c', open('t1', 1));
    await a.store.update('c', calling('x'));
    await a.store.update('c', open('t2', 2));
    const replica = new Map(shared);
    await turn(a.store, 'c', 't1');
    restore(shared, replica);
    await a.store.update('c', returned('x'));
    const spoken = ['words of t1', '', '"x"', 'reply to t1', 'words of t2'];
    assert.deepEqual((await texts(b.store, 'c')).slice(0, 5), spoken);
  });

  it('says who owned a turn that another process takes over', async (t) => {
    const [a, b, shared] = two(t);
    const opened = (
      { store }: Machine, runId: number, process: string,
    ): Promise<TurnOpeningResult> => Promise.resolve(store.update('c', (conversation) =>
      openTurn(conversation, { turnId: 't2', runId, text: 'x', process }, BOUNDS)));
    await turn(a.store, 'c', 't1');
    const replica = new Map(shared);
    await opened(a, 2, 'a');
    await b.store.read('c');
    restore(shared, replica);
    const result = await opened(b, 3, 'b');
    assert.ok(result.kind === 'opened');
    assert.deepEqual(result.endedElsewhere, [{ process: 'a', runId: 2 }]);
  });

  it('is joined with what another process has started again', async (t) => {
    const [a, b, shared] = two(t);
    const pass = clock(t, a, b);
    await turn(a.store, 'c', 't1');
    shared.clear();
    pass(1_000);
    await turn(b.store, 'c', 't2');
    await turn(a.store, 'c', 't3');
    assert.deepEqual(await texts(b.store, 'c'), said('t1', 't2', 't3'));
  });

  it('is put back once by two that remember it', async (t) => {
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    await turn(b.store, 'c', 't2');
    shared.clear();
    await Promise.all([turn(a.store, 'c', 't3'), turn(b.store, 'c', 't4')]);
    assert.deepEqual((await ids(a))?.toSorted(), ['t1', 't2', 't3', 't4']);
  });

  it('accepts the end of its turn as if nothing had happened', async (t) => {
    const [a, , shared] = two(t);
    await turn(a.store, 'c', 't1');
    await a.store.update('c', open('t2', 902));
    shared.clear();
    const settled = await a.store.update('c', (conversation) =>
      settleTurn(
        conversation, { turnId: 't2', runId: 902, state: 'completed', messages: [] }, BOUNDS,
      ));
    assert.equal(settled, true);
    assert.deepEqual(await ids(a), ['t1', 't2']);
  });

  it('gets its last writes back after a failover, even through a read', async (t) => {
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    const replica = new Map(shared);
    await turn(a.store, 'c', 't2');
    await a.store.update('c', (conversation) => {
      setState(conversation, '{"n":2}');
      conversation.agent = 'billing';
      keepCaller(conversation, { sessionId: 's', from: '+1', to: '+2' });
      conversation.onceCalls = { [onceKey(1)]: onceCall() };
    });
    restore(shared, replica);
    await a.store.read('c');
    const kept = await b.store.read('c');
    assert.deepEqual(await texts(b.store, 'c'), said('t1', 't2'));
    assert.deepEqual(
      [kept?.state, kept?.agent, kept?.caller?.from, kept?.onceCalls],
      ['{"n":2}', 'billing', '+1', { [onceKey(1)]: onceCall() }],
    );
  });

  it('gets a missing state back, regardless of who wrote it', async (t) => {
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    const replica = new Map(shared);
    await a.store.update('c', (conversation) => {
      setState(conversation, '{"n":1}');
      conversation.agent = 'billing';
      keepCaller(conversation, { sessionId: 's', from: '+1', to: '+2' });
    });
    restore(shared, replica);
    for (const agent of ['x', 'y'])
      await b.store.update('c', (conversation) => void (conversation.agent = agent));
    await a.store.read('c');
    const kept = await b.store.read('c');
    assert.deepEqual(
      [kept?.state, kept?.agent, kept?.caller?.from], ['{"n":1}', 'y', '+1'],
    );
  });

  it('gets a state back that another process knows', async (t) => {
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    const replica = new Map(shared);
    await b.store.update('c', (conversation) =>
      openTurn(conversation, { turnId: 't2', runId: 902, text: 'x', process: 'b' }, BOUNDS));
    await b.store.update('c', (conversation) => setState(conversation, '{"n":1}'));
    restore(shared, replica);
    await a.store.update('c', (conversation) =>
      openTurn(conversation, { turnId: 't3', runId: 903, text: 'x', process: 'a' }, BOUNDS));
    await b.store.read('c');
    const kept = await a.store.read('c');
    assert.equal(kept?.state, '{"n":1}');
  });

  // Seed 179611911 of the fleet: the report waited, and the turn came back as if nobody had told.
  it('gets a turn back as it was heard, if its report came while the store lacked it', async (t) => {
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    await turn(b.store, 'c', 't2');
    const replica = new Map(shared);
    await turn(a.store, 'c', 't3');
    restore(shared, replica);
    await b.store.update('c', (conversation) => {
      conversation.reports = [{ turnId: 't3', textHeard: 'reply' }];
    });
    await a.store.read('c');
    assert.equal((await b.store.read('c'))?.turns.at(-1)?.reply, 'reply');
  });

  // Seed 179611561 of the fleet.
  it('gets a report back that waits for its turn', async (t) => {
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    const replica = new Map(shared);
    await a.store.update('c', (conversation) => {
      conversation.reports = [{ turnId: 't2', textHeard: '' }];
    });
    restore(shared, replica);
    await a.store.read('c');
    assert.deepEqual((await b.store.read('c'))?.reports, [{ turnId: 't2', textHeard: '' }]);
  });

  // Seed 179611717 of the fleet.
  it('gets what was heard of a turn back even if another process is faster', async (t) => {
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    await turn(b.store, 'c', 't2');
    const replica = new Map(shared);
    await b.store.update('c', (conversation) => noteHeard(conversation, {
      turnId: 't1', textHeard: 'reply',
    }));
    restore(shared, replica);
    await turn(a.store, 'c', 't3');
    let others = 0;
    b.parts.write = async (id, change) => {
      others += 1;
      if (others < 3) await turn(a.store, id, `other ${others}`);
      return PartsInMemory.prototype.write.call(b.parts, id, change);
    };
    await turn(b.store, 'c', 't4');
    assert.equal((await a.store.read('c'))?.turns[0]?.reply, 'reply');
  });

  it('gets a state back even if another process is faster twice', async (t) => {
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    await turn(b.store, 'c', 't2');
    const replica = new Map(shared);
    await a.store.update('c', (conversation) => setState(conversation, '{"n":1}'));
    restore(shared, replica);
    await turn(b.store, 'c', 't3');
    let others = 0;
    a.parts.write = async (id, change) => {
      others += 1;
      if (others < 3) await turn(b.store, id, `other ${others}`);
      return PartsInMemory.prototype.write.call(a.parts, id, change);
    };
    await turn(a.store, 'c', 't4');
    assert.equal((await b.store.read('c'))?.state, '{"n":1}');
  });

  it('keeps the state that another process has written since', async (t) => {
    const [a, b] = two(t);
    await turn(a.store, 'c', 't1');
    await a.store.update('c', (conversation) => setState(conversation, '{"n":1}'));
    await b.store.update('c', (conversation) => setState(conversation, '{"n":2}'));
    await turn(a.store, 'c', 't2');
    assert.equal((await b.store.read('c'))?.state, '{"n":2}');
  });

  it('does not get back an agent that was reset to none since', async (t) => {
    const [a, b] = two(t);
    await turn(a.store, 'c', 't1');
    await a.store.update('c', (conversation) => {
      setState(conversation, '{"n":1}');
      conversation.agent = 'billing';
    });
    // As for a turn that replaces t1: the platform has discarded it.
    await b.store.update('c', (conversation) => {
      delete conversation.agent;
    });
    await turn(a.store, 'c', 't2');
    const kept = await b.store.read('c');
    assert.deepEqual([kept?.state, kept?.agent], ['{"n":1}', undefined]);
  });

  it('is not put back once it has expired, counted from its own last change', async (t) => {
    const [a, b] = two(t);
    const pass = clock(t, a, b);
    await turn(a.store, 'c', 't1');
    pass(TTL_MS + 1);
    await turn(a.store, 'c', 't2');
    assert.deepEqual(await ids(a), ['t2']);
  });

  it('is not put back once it has expired, an hour later, with a turn open', async (t) => {
    const [a, b] = two(t);
    const pass = clock(t, a, b);
    await a.store.update('c', open('t1', 901));
    pass(TTL_MS + HOUR_MS - 1);
    assert.deepEqual(await texts(a.store, 'c'), ['words of t1', '']);
    pass(2);
    assert.deepEqual(await texts(a.store, 'c'), []);
  });

  it('expires even if the clock on the wall is set back', async (t) => {
    const [a, b] = two(t);
    const pass = clock(t, a, b);
    await turn(a.store, 'c', 't1');
    pass(TTL_MS + 1);
    t.mock.method(Date, 'now', () => 0);
    assert.deepEqual(await texts(a.store, 'c'), []);
  });

  it('has not lost what was trimmed elsewhere', async (t) => {
    const [a, b] = two(t);
    for (let n = 1; n <= 90; n++) await turn(a.store, 'c', `t${n}`);
    for (let n = 91; n <= 220; n++) await turn(b.store, 'c', `t${n}`);
    const left = (await ids(b))?.length;
    await turn(a.store, 'c', 'last');
    assert.equal((await ids(a))?.length, (left ?? 0) + 1);
  });
});

describe('a conversation that was erased', () => {
  it('stays erased for a process that remembers it', async (t) => {
    const [a, b] = two(t);
    await turn(a.store, 'c', 't1');
    await b.store.update('c', clearTurns);
    await turn(b.store, 'c', 't2');
    await turn(a.store, 'c', 't3');
    assert.deepEqual(await texts(b.store, 'c'), said('t2', 't3'));
  });

  it('stays erased even if a command timed out before', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b] = two(t);
    await turn(a.store, 'c', 't1');
    a.parts.failWith = down;
    a.parts.failsAfterWriting = true;
    await turn(a.store, 'c', 't2');
    await b.store.update('c', clearTurns);
    await back(timers, a);
    assert.deepEqual(await texts(a.store, 'c'), []);
    await turn(a.store, 'c', 't3');
    assert.deepEqual(await ids(b), ['t3']);
  });

  it('accepts nothing of what was waiting, not even the state', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b] = two(t);
    await turn(a.store, 'c', 't1');
    a.parts.failWith = down;
    await turn(a.store, 'c', 't2');
    await a.store.update('c', (conversation) => {
      setState(conversation, '{"n":1}');
      keepCaller(conversation, { sessionId: 's', from: '+1', to: '+2' });
    });
    await b.store.update('c', clearTurns);
    await turn(b.store, 'c', 't3');
    await back(timers, a);
    const kept = await b.store.read('c');
    assert.deepEqual(
      [kept?.turns.map(({ id }) => id), kept?.state, kept?.caller],
      [['t3'], undefined, undefined],
    );
  });

  it('is erased again in a store that has lost the erasure', async (t) => {
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    const replica = new Map(shared);
    await a.store.update('c', clearTurns);
    restore(shared, replica);
    assert.equal(await a.store.read('c'), undefined);
    assert.equal(await b.store.read('c'), undefined);
  });

  it('is erased again if another process put it back meanwhile', async (t) => {
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    await turn(b.store, 'c', 't2');
    await a.store.update('c', clearTurns);
    await turn(a.store, 'c', 't3');
    shared.clear();
    await turn(b.store, 'c', 't4');
    await turn(a.store, 'c', 't5');
    assert.deepEqual(await ids(b), ['t3', 't5']);
  });

  it('keeps what has been said since if the store has lost the erasure', async (t) => {
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    await a.store.update('c', (conversation) => setState(conversation, '{"n":1}'));
    const replica = new Map(shared);
    await a.store.update('c', clearTurns);
    await turn(a.store, 'c', 't2');
    await a.store.update('c', (conversation) => setState(conversation, '{"n":2}'));
    restore(shared, replica);
    await a.store.read('c');
    assert.deepEqual(await texts(b.store, 'c'), said('t2'));
    assert.equal((await b.store.read('c'))?.state, '{"n":2}');
  });

  it('does not get its earlier state back if it was erased in an outage', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    const replica = new Map(shared);
    await a.store.update('c', (conversation) => setState(conversation, '{"n":1}'));
    a.parts.failWith = down;
    await a.store.update('c', clearTurns);
    await turn(a.store, 'c', 't2');
    restore(shared, replica);
    await back(timers, a);
    const kept = await b.store.read('c');
    assert.deepEqual([kept?.turns.map(({ id }) => id), kept?.state], [['t2'], undefined]);
  });

  it('leaves a mark for as long as anybody may remember it', async (t) => {
    const [a, b] = two(t);
    await turn(a.store, 'c', 't1');
    const turns = a.parts.changes.length;
    await a.store.update('c', clearTurns);
    await turn(a.store, 'c', 't2');
    const lives = a.parts.changes.slice(turns).map(({ ttlMs }) => ttlMs);
    assert.deepEqual(lives, [TTL_MS + HOUR_MS, TTL_MS + HOUR_MS, TTL_MS + HOUR_MS]);
    await turn(b.store, 'd', 't1');
    assert.deepEqual(b.parts.changes.map(({ ttlMs }) => ttlMs), [TTL_MS + HOUR_MS, TTL_MS]);
  });

  it('keeps a conversation for longer while a once call runs', async (t) => {
    const [a] = two(t);
    for (const state of ['running', 'completed'] as const) {
      const call = onceCall({ state, claimedAt: Date.now() });
      await a.store.update('c', (conversation) => {
        conversation.onceCalls = { [onceKey(1)]: call };
      });
    }
    const lives = a.parts.changes.map(({ ttlMs }) => ttlMs);
    assert.deepEqual(lives, [TTL_MS + HOUR_MS, TTL_MS]);
  });

  it('has a later mark each time, whatever the clock says', async (t) => {
    const [a, b] = two(t);
    let now = 1_764_000_000_000;
    t.mock.method(Date, 'now', () => now);
    await turn(a.store, 'c', 't1');
    await a.store.update('c', clearTurns);
    await turn(a.store, 'c', 't2');
    now -= 1_000;
    await b.store.update('c', clearTurns);
    await turn(a.store, 'c', 't3');
    assert.deepEqual(await ids(b), ['t3']);
  });

  it('stays erased even if a process was cut off for longer than the mark is kept', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b] = two(t);
    const pass = clock(t, a, b);
    await turn(a.store, 'c', 't1');
    await a.store.update('c', (conversation) => setState(conversation, '{"n":1}'));
    a.parts.failWith = down;
    await turn(a.store, 'c', 't2');
    await b.store.update('c', clearTurns);
    for (let minutes = 0; minutes < 150; minutes += 50) {
      pass(50 * 60_000);
      await turn(a.store, 'c', `after ${minutes}`); // somebody is on the line
    }
    await back(timers, a);
    const kept = await b.store.read('c');
    assert.deepEqual(kept?.turns.map(({ id }) => id), ['after 0', 'after 50', 'after 100']);
    assert.equal(kept?.state, undefined);
  });

  it('keeps only which once calls may act, and none of their words', async (t) => {
    const [a, b] = two(t);
    await turn(a.store, 'c', 't1');
    await a.store.update('c', (conversation) => {
      conversation.onceCalls = {
        [onceKey(1)]: onceCall({ content: '"words"' }),
        [onceKey(2)]: onceCall({ state: 'unknown', content: '"words"' }),
        [onceKey(3)]: onceCall({ state: 'completed', content: '"words"' }),
      };
    });
    await a.store.update('c', (conversation) => freeKey(conversation, onceKey(3)));
    await a.store.update('c', clearTurns);
    const kept = await b.store.read('c');
    assert.deepEqual(kept?.onceCalls, {
      [onceKey(1)]: onceCall(),
      [onceKey(2)]: onceCall({ state: 'unknown', content: '{"error":"outcome unknown"}' }),
    });
    const left = await b.parts.read('c');
    assert.ok(typeof left === 'object');
    assert.deepEqual([...left.parts.keys()].toSorted(), [
      'head', `once-${onceKey(1)}`, `once-${onceKey(2)}`,
    ]);
  });

  it('keeps which once calls may act, even if only one process knows', async (t) => {
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    const replica = new Map(shared);
    await a.store.update('c', (conversation) => {
      conversation.onceCalls = {
        [onceKey(1)]: onceCall({ content: '"words"' }),
        [onceKey(2)]: onceCall({ toolCallId: 'b', state: 'completed', content: '"words"' }),
      };
    });
    restore(shared, replica);
    await b.store.update('c', clearTurns);
    await turn(a.store, 'c', 't2');
    assert.deepEqual((await b.store.read('c'))?.onceCalls, { [onceKey(1)]: onceCall() });
  });

  // Seed 81001743 of the fleet: a payment that was made meanwhile was made again.
  it('keeps that calls have acted, if an erasure that waited did not know of them', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b] = two(t);
    const before = onceCall({ state: 'completed', content: '"before"' });
    await a.store.update('c', setOnce({ [onceKey(1)]: before }));
    a.parts.failWith = down;
    await a.store.update('c', clearTurns);
    const since = onceCall({ toolCallId: 'b', state: 'completed', content: '"since"' });
    await b.store.update('c', setOnce({ [onceKey(1)]: before, [onceKey(2)]: since }));
    await back(timers, a);
    const kept = await b.store.read('c');
    assert.deepEqual(kept?.onceCalls, { [onceKey(2)]: { ...since, content: 'null' } });
  });

  it('remembers that a call which it left as running has acted', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b] = two(t);
    await a.store.update('c', setOnce({ [onceKey(1)]: onceCall() }));
    a.parts.failWith = down;
    await a.store.update('c', setOnce({ [onceKey(1)]: onceCall({ state: 'completed' }) }));
    await b.store.update('c', clearTurns);
    await back(timers, a);
    assert.deepEqual((await b.store.read('c'))?.onceCalls, {
      [onceKey(1)]: onceCall({ state: 'completed', content: 'null' }),
    });
  });

  it('remembers that a call has acted which was claimed later and lost by the store', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b, shared] = two(t);
    await turn(a.store, 'c', 't1');
    a.parts.failWith = down;
    await a.store.update('c', clearTurns);
    const { erasedAt = 0 } = a.store.remembered('c') ?? {};
    const since = onceCall({ state: 'completed', claimedAt: erasedAt + 1 });
    await b.store.update('c', setOnce({ [onceKey(1)]: since }));
    shared.clear();
    await back(timers, a);
    await turn(b.store, 'c', 't2');
    const kept = await a.store.read('c');
    assert.deepEqual(kept?.onceCalls, { [onceKey(1)]: { ...since, content: 'null' } });
  });

  it('leaves nothing of what a later version wrote', async (t) => {
    const { parts, store } = machine(t);
    const set = new Map([
      ['head', '{"format":1,"mood":"good"}'],
      ['3', '{"id":"t1","state":"completed","runId":1,"words":"a","reply":"b"}'],
      ['notes', 'words'],
    ]);
    await parts.write('c', { from: undefined, to: 'v', set, remove: [], ttlMs: 60_000 });
    await store.update('c', clearTurns);
    const left = await parts.read('c');
    assert.ok(typeof left === 'object');
    assert.deepEqual([...left.parts.keys()], ['head']);
    assert.doesNotMatch(left.parts.get('head') ?? '', /mood/);
  });

  it('is not forgotten while it waits, as long as anything else can be forgotten', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const shared: SharedParts = new Map();
    const [a] = machines(t, 1, { maxTurnsWaiting: 3 }, shared);
    assert.ok(a);
    await turn(a.store, 'c', 't1');
    a.parts.failWith = down;
    await a.store.update('c', clearTurns);
    for (let n = 1; n <= 5; n++) await turn(a.store, `d${n}`, 't1');
    await back(timers, a);
    assert.equal(await sharing(new PartsInMemory(shared)).read('c'), undefined);
  });
});

describe('a change of the state that waited for the store', () => {
  const [tea, both] = ['{"cart":["tea"]}', '{"cart":["tea","cola"]}'];
  const discard = (conversation: Conversation): void => {
    const discarded = findTurn(conversation, 't1') ?? assert.fail();
    Object.assign(discarded, { isDiscarded: true, state: 'interrupted' });
    conversation.touched?.add(discarded);
    const record = { ...newTurn('t2', 'open', 2), number: 1 };
    addTurn(conversation, record);
    takePlace(conversation, record, [discarded], 0);
  };

  for (const [when, isLate] of [['afterwards', false], ['meanwhile', true]] as const) {
    it(`is taken back with its turn, which another process discards ${when}`, async (t) => {
      const timers = mockTimers(t, ['setTimeout']);
      const [a, b] = two(t);
      await a.store.update('c', (conversation) => {
        conversation.state = tea;
        addTurn(conversation, { ...newTurn('t1', 'open', 1), number: 1 });
      });
      await b.store.read('c');
      a.parts.failWith = down;
      await a.store.update('c', (conversation) =>
        keepState(conversation, findTurn(conversation, 't1') ?? assert.fail(), change(tea, both)));
      await b.store.update('c', isLate ? discard : (conversation) => void addTurn(
        conversation, newTurn('t3', 'completed', 3)));
      await back(timers, a);
      if (!isLate) await b.store.update('c', discard);
      assert.equal((await b.store.read('c'))?.state, tea);
    });
  }
});

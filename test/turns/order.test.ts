// The order of turns is that of their arrival, on every machine: not that in which stores answer.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { describe, it } from 'node:test';

import { soon } from '../../src/base/awaitable.ts';
import {
  clearTurns, emptyConversation, historyOf, type Conversation,
} from '../../src/conversations/conversation.ts';
import { SharedStore } from '../../src/conversations/stores/shared-store.ts';
import { openTurn, type TurnOpening } from '../../src/conversations/turn-opening.ts';
import { PROMPT_MS } from '../../src/conversations/turn-order.ts';
import { createLogger } from '../../src/log.ts';
import { askingBack, hold, HeldReply, type AskingBack } from '../conversations/asking-back.ts';
import { machines as stores } from '../conversations/stores/machines.ts';
import { PartsInMemory, type SharedParts } from '../conversations/stores/parts-in-memory.ts';
import { deferred, messageEvent, rawRequest, until } from '../fixtures/app.ts';
import { jumpingClock } from '../fixtures/clock.ts';
import { ID, machines, says } from './machines.ts';

const BOUNDS = { maxMessages: 200, maxTextLength: 1_048_576 };
const HOUR = 3_600_000;

function open(
  conversation: Conversation,
  turnId: string,
  process: string,
  more: Partial<TurnOpening> = {},
): string {
  const isAlive = (): boolean => true;
  const opening = { turnId, text: turnId, runId: ++runs, process, isAlive, ...more };
  return openTurn(conversation, opening, BOUNDS).kind;
}

let runs = 0;

const RUNNING = {
  state: 'running', tool: 'pay', runId: 1, turnId: 't', toolCallId: 'x', claimedAt: 0, content: '',
} as const;

function outline(conversation: Conversation): string[] {
  return conversation.turns.map(({ id, state }) => `${id} ${state}`);
}

describe('an opening that waited for the store', () => {
  it(`is the newest if it waited for less than ${PROMPT_MS} ms, whatever the clocks say`, () => {
    for (const skewMs of [-HOUR, 0, HOUR]) {
      const conversation = emptyConversation('c');
      open(conversation, 'b', 'b');
      const [other] = conversation.turns;
      if (other !== undefined) other.arrivedAt = Date.now() + skewMs;
      assert.equal(open(conversation, 'a', 'a', { waitedMs: () => PROMPT_MS - 1 }), 'opened');
      assert.deepEqual(outline(conversation), ['b interrupted', 'a open']);
    }
  });

  it('yields to a turn that another process opened meanwhile, and is placed before it', () => {
    const conversation = emptyConversation('c');
    open(conversation, 'first', 'a');
    open(conversation, 'b', 'b');
    assert.equal(open(conversation, 'a', 'a', { waitedMs: () => 250 }), 'stale');
    assert.deepEqual(outline(conversation), ['first interrupted', 'a interrupted', 'b open']);
    assert.deepEqual(
      historyOf(conversation).filter(({ role }) => role === 'user').map(({ content }) => content),
      ['first', 'a', 'b'],
    );
  });

  it('does not yield to earlier turns, nor to those of a clock that is an hour off', () => {
    for (const openedMs of [-1_000, -HOUR, HOUR]) {
      const conversation = emptyConversation('c');
      open(conversation, 'b', 'b');
      const [other] = conversation.turns;
      if (other !== undefined) other.arrivedAt = Date.now() + openedMs;
      assert.equal(open(conversation, 'a', 'a', { waitedMs: () => 250 }), 'opened');
    }
  });

  // Two callers' words reach two processes, and each has to ask a third one, which is gone.
  it('yields only to turns that arrived later if those waited too', (t) => {
    const now = Date.now();
    t.mock.method(Date, 'now', () => now);
    for (const [waitedMs, outcome] of [[200, 'opened'], [300, 'stale']] as const) {
      const conversation = emptyConversation('c');
      open(conversation, 'b', 'b', { waitedMs: () => 250 });
      assert.equal(open(conversation, 'a', 'a', { waitedMs: () => waitedMs }), outcome);
    }
  });

  it('knows which turns of its own process are newer, however briefly it waited', () => {
    const conversation = emptyConversation('c');
    const runId = (runs += 1);
    open(conversation, 'a2', 'a', { waitedMs: () => 0 });
    assert.equal(open(conversation, 'a1', 'a', { runId, waitedMs: () => 1 }), 'stale');
    assert.deepEqual(outline(conversation), ['a1 interrupted', 'a2 open']);
    assert.equal(open(conversation, 'a3', 'a', { waitedMs: () => 250 }), 'opened');
  });

  it('does not yield to an older turn that another process has run again meanwhile', () => {
    const conversation = emptyConversation('c');
    open(conversation, 'old', 'b');
    open(conversation, 'newer', 'b');
    for (const turn of conversation.turns) turn.addedAt = Date.now() - 1_000;
    open(conversation, 'old', 'b'); // run again, as it was interrupted
    assert.equal(open(conversation, 'newest', 'a', { waitedMs: () => 250 }), 'opened');
    assert.deepEqual(
      outline(conversation), ['old interrupted', 'newer interrupted', 'newest open'],
    );
  });

  it('does not open if its turn is over, and ends no other turn', () => {
    const conversation = emptyConversation('c');
    open(conversation, 'b', 'b');
    assert.equal(open(conversation, 'a', 'a', { isOver: () => true }), 'over');
    assert.deepEqual(outline(conversation), ['b open', 'a interrupted']);
    assert.equal(conversation.openTurns, 1);
  });

  // Seed 540764 of the fleet: neither of two such turns knew when the other one had arrived.
  it('is placed before a later one of another process if neither could open', (t) => {
    const now = Date.now();
    t.mock.method(Date, 'now', () => now);
    const isOver = (): boolean => true;
    for (const [waitedMs, order] of [[200, ['b', 'a']], [300, ['a', 'b']]] as const) {
      const conversation = emptyConversation('c');
      open(conversation, 'b', 'b', { isOver, waitedMs: () => 250 });
      open(conversation, 'a', 'a', { isOver, waitedMs: () => waitedMs });
      assert.deepEqual(conversation.turns.map(({ id }) => id), order);
    }
  });

  it('opens in its place before a newer turn that ended before it could open', (t) => {
    const now = Date.now();
    t.mock.method(Date, 'now', () => now);
    for (const process of ['a', 'b']) {
      const conversation = emptyConversation('c');
      const runId = (runs += 1);
      open(conversation, 'newer', process, { isOver: () => true, waitedMs: () => 250 });
      assert.equal(open(conversation, 'a', 'a', { runId, waitedMs: () => 300 }), 'opened');
      assert.deepEqual(outline(conversation), ['a open', 'newer interrupted']);
    }
  });

  // During a rolling deploy: older versions run a turn again without counting its runs, and think
  // that a turn with `arrivedAt` has run.
  it('yields to a newer turn that was over, but that an older version has run since', (t) => {
    const now = Date.now();
    t.mock.method(Date, 'now', () => now);
    const conversation = emptyConversation('c');
    open(conversation, 'newer', 'b', { isOver: () => true, waitedMs: () => 250 });
    const [newer = assert.fail()] = conversation.turns;
    assert.equal(newer.arrivedAt, undefined);
    Object.assign(newer, { state: 'open', runId: ++runs, process: 'old', arrivedAt: now - 200 });
    conversation.openTurns += 1;
    assert.equal(open(conversation, 'a', 'a', { waitedMs: () => 300 }), 'stale');
    assert.deepEqual(outline(conversation), ['a interrupted', 'newer open']);
  });

  // Seed 5005994 of the fleet: the caller of a late delivery left, and the newer turn was ended.
  it('is stale as a late delivery, even if it is over, and ends no turn of its process', () => {
    for (const [isRunning, outcome] of [[true, 'stale'], [false, 'over']] as const) {
      const conversation = emptyConversation('c');
      open(conversation, 'old', 'a');
      open(conversation, 'new', 'a');
      const ended = { turnId: 'new', runId: runs, state: 'interrupted', messages: [] } as const;
      const running = isRunning ? [ended] : [];
      assert.equal(open(conversation, 'old', 'a', { isOver: () => true, running }), outcome);
      assert.deepEqual(outline(conversation), ['old interrupted', 'new open']);
    }
  });

  // Seed 401212 of the fleet: the words waited for a store, and stood in what was erased meanwhile.
  it('adds no words to a conversation that was erased after they arrived', (t) => {
    const now = Date.now();
    t.mock.method(Date, 'now', () => now);
    const isOver = (): boolean => true;
    for (const [waitedMs, left] of [[250, []], [0.5, ['a interrupted']]] as const) {
      const conversation = emptyConversation('c');
      clearTurns(conversation);
      assert.equal(open(conversation, 'a', 'a', { isOver, waitedMs: () => waitedMs }), 'over');
      assert.deepEqual(outline(conversation), left);
    }
    const ahead = emptyConversation('c'); // erased by a process whose clock is an hour ahead
    clearTurns(ahead, now + HOUR);
    open(ahead, 'a', 'a', { isOver, waitedMs: () => 250 });
    assert.deepEqual(outline(ahead), ['a interrupted']);
  });
});

describe('a turn that another process received later', () => {
  it('is left to that one by a delivery that waited', (t) => {
    const now = Date.now();
    t.mock.method(Date, 'now', () => now);
    for (const isNew of [true, false])
      for (const [laterMs, outcome] of [[0, 'stale'], [200, 'stale'], [350, 'opened']] as const) {
        const conversation = emptyConversation('c');
        if (!isNew) open(conversation, 'it', 'c', { waitedMs: () => 1_000 });
        for (const turn of conversation.turns) turn.addedAt = now - 1_000;
        open(conversation, 'it', 'b', { waitedMs: () => laterMs });
        assert.equal(open(conversation, 'it', 'a', { waitedMs: () => 300 }), outcome);
        const [record] = conversation.turns;
        assert.equal(record?.process, outcome === 'stale' ? 'b' : 'a');
      }
  });

  it('runs here if it was over there before it could open', () => {
    const conversation = emptyConversation('c');
    open(conversation, 'it', 'b', { isOver: () => true, waitedMs: () => 0 });
    assert.equal(open(conversation, 'it', 'a', { waitedMs: () => 300 }), 'opened');
  });
});

describe('a turn that was interrupted and is delivered again', () => {
  it('is stale while a newer turn runs in another live process', () => {
    for (const isAlive of [true, false]) {
      const conversation = emptyConversation('c');
      open(conversation, 'old', 'a');
      open(conversation, 'new', 'b');
      const outcome = open(conversation, 'old', 'a', { isAlive: () => isAlive });
      assert.equal(outcome, isAlive ? 'stale' : 'opened');
    }
  });

  it('leaves a newer turn alone that runs elsewhere', async (t) => {
    const { a, b } = machines(t);
    const old = await hold(a, 'hold old', 'hold old', ID);
    const held = await hold(b, 'hold new', 'hold new', ID);
    await old.rest();
    const again = new HeldReply(await a.client.say('hold old', { turn_id: 'hold old', ...ID }));
    assert.deepEqual(await again.rest(), ['response.end']);
    b.go('hold new');
    assert.deepEqual(await held.rest(), [' Done.', 'response.end']);
    assert.deepEqual([a.outcomes()['stale'], b.aborted], [1, []]);
  });

  it('is stale after waiting turns of its process only if they are newer', (t) => {
    const now = Date.now();
    t.mock.method(Date, 'now', () => now);
    const waiting = (text: string, waitedMs: number): Partial<TurnOpening> => ({
      waiting: [{ turnId: text, text, runId: 0, process: 'a', waitedMs: () => waitedMs }],
    });
    const cases = [
      [waiting('new words', 250), 'stale'], [waiting('newer', 250), 'stale'],
      [waiting('older', 250), 'opened'], [waiting('words before it', 350), 'opened'],
    ] as const;
    for (const [more, outcome] of cases) {
      const conversation = emptyConversation('c');
      for (const turn of ['older', 'it', 'newer'])
        open(conversation, turn, 'b', { waitedMs: () => 300 });
      const [, , newer = assert.fail()] = conversation.turns;
      Object.assign(newer, { state: 'interrupted', isUnknown: true });
      conversation.openTurns = 0;
      assert.equal(open(conversation, 'it', 'a', more), outcome);
    }
  });

  // Seed 123012020 of the fleet: it ended the newer turn, whose caller heard nothing.
  it('is left to the process that runs it only if newer turns wait here', (t) => {
    const now = Date.now();
    t.mock.method(Date, 'now', () => now);
    for (const [waited, outcome] of [[250, 'stale'], [350, 'opened']] as const) {
      const conversation = emptyConversation('c');
      open(conversation, 'it', 'b', { waitedMs: () => 300 });
      const text = 'other words';
      const waiting = [{ turnId: text, text, runId: 0, process: 'a', waitedMs: () => waited }];
      assert.equal(open(conversation, 'it', 'a', { waiting }), outcome);
    }
  });
});

describe('a turn that its own slow store holds up', () => {
  it('neither cuts the newer reply of another process nor lands after it', async (t) => {
    const jump = jumpingClock(t);
    const { a, b } = machines(t);
    await says(a, 'Hello');
    await says(b, 'Hi');
    a.parts.hold();
    const slow = says(a, 'slow');
    await until(() => a.parts.calls.filter((name) => name === 'write').length === 3, 'the write');
    jump(2 * PROMPT_MS);
    const now = Date.now.bind(Date);
    t.mock.method(Date, 'now', () => now() + 2 * PROMPT_MS);
    const held = await hold(b, 'hold new', 'hold new', ID);
    a.parts.release();
    assert.equal(await slow, '');
    b.go('hold new');
    assert.deepEqual(await held.rest(), [' Done.', 'response.end']);
    const users = (await b.history('c')).filter(([role]) => role === 'user');
    const words = users.map(([, text]) => text);
    assert.deepEqual(words, ['Hello', 'Hi', 'slow', 'hold new']);
    assert.deepEqual((await b.history('c')).at(-1), ['assistant', 'hold new? Done.', 'completed']);
  });

  it('keeps the place of its arrival even if the store did not answer at all', async (t) => {
    const now = Date.now();
    t.mock.method(Date, 'now', () => now);
    for (const [waitedMs, order] of [[0, ['a', 'c', 'b']], [450, ['b', 'a', 'c']]] as const) {
      const [a, b] = stores(t, 2);
      assert.ok(a && b);
      a.parts.failWith = new Error('the store does not answer');
      const arrives = ({ store }: typeof a, id: string, ms: number): unknown =>
        store.update('c', (conversation) => open(conversation, id, id, { waitedMs: () => ms }));
      await arrives(b, 'c', 200); // newer than b where that has waited for longer
      await arrives(b, 'b', waitedMs);
      await arrives(a, 'a', 250);
      a.parts.failWith = undefined;
      await until(() => a.store.health().turnsWaiting === 0, 'the writes');
      const { turns = [] } = (await b.store.read('c')) ?? {};
      assert.deepEqual(turns.map(({ id }) => id), order);
    }
  });

  it('does not open if its caller has left meanwhile', async (t) => {
    const { a, b } = machines(t);
    await says(a, 'Hello');
    await says(b, 'Hi');
    a.parts.hold();
    const slow = await a.raw();
    slow.write(rawRequest(messageEvent({ text: 'slow', turn_id: 'slow', ...ID })));
    await until(() => a.app.runningTurns === 1, 'the turn');
    slow.socket.destroy();
    await until(() => a.outcomes()['interrupted'] === 1, 'the drop');
    const held = await hold(b, 'hold new', 'hold new', ID);
    a.parts.release();
    await a.history('c'); // the opening is written, or not
    await soon(); // a message has arrived, if any was sent
    b.go('hold new');
    assert.deepEqual(await held.rest(), [' Done.', 'response.end']);
    assert.deepEqual([a.runs, b.aborted], [['Hello'], []]);
  });
});

describe('a complete reply', () => {
  it('is in the history of another process before its last event leaves', async (t) => {
    const { a, b } = machines(t);
    await says(a, 'Hello');
    const held = await hold(a, 'hold', 'hold', ID);
    a.parts.hold();
    a.go('hold');
    assert.equal(await held.next(), ' Done.'); // words are not held back
    const rest = held.rest();
    let hasEnded = false;
    void rest.then(() => {
      hasEnded = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(hasEnded, false);
    a.parts.release();
    assert.deepEqual(await rest, ['response.end']);
    assert.deepEqual((await b.history('c')).at(-1), ['assistant', 'hold? Done.', 'completed']);
  });

  // Seed 5003328 of the fleet: history had all of it, as interrupted.
  it('stays complete if the next turn opens while it leaves', async (t) => {
    const { a } = machines(t, {}, { STORE_TIMEOUT_MS: '5000' });
    await says(a, 'Hello');
    const held = await hold(a, 'hold', 'hold', ID);
    await a.store.update('c', (conversation) => {
      conversation.onceCalls = { k: { ...RUNNING, process: 'gone' } };
    });
    const { mock: updates } = t.mock.method(a.store, 'update');
    const next = says(a, 'next');
    await until(() => updates.callCount() === 1, 'the question to the other process');
    a.parts.hold();
    a.go('hold');
    assert.equal(await held.next(), ' Done.');
    await until(() => updates.callCount() === 3, 'the end of the first, the opening of the next');
    a.parts.release();
    assert.deepEqual(await held.rest(), ['response.end']);
    await next;
    const replies = (await a.history('c')).filter(([role]) => role === 'assistant');
    assert.deepEqual(replies[1], ['assistant', 'hold? Done.', 'completed']);
  });

  it('stays complete even if the next turn, whose opening failed at first, saw it speak',
    async (t) => {
      const { a } = machines(t, {}, { STORE_TIMEOUT_MS: '5000' });
      await says(a, 'Hello');
      const held = await hold(a, 'hold', 'hold', ID);
      const failing = deferred();
      const { mock: updates } = t.mock.method(a.store, 'update');
      updates.mockImplementationOnce(async () => {
        await failing.promise;
        throw new Error('too many conflicts');
      });
      const next = says(a, 'next');
      await until(() => updates.callCount() === 1, 'the opening of the next');
      a.parts.hold();
      a.go('hold');
      assert.equal(await held.next(), ' Done.');
      await until(() => updates.callCount() === 2, 'the end of the first');
      failing.resolve();
      await until(() => updates.callCount() === 3, 'the opening of the next again');
      a.parts.release();
      assert.deepEqual(await held.rest(), ['response.end']);
      await next;
      const replies = (await a.history('c')).filter(([role]) => role === 'assistant');
      assert.deepEqual(replies[1], ['assistant', 'hold? Done.', 'completed']);
    });

  it('ends after STORE_TIMEOUT_MS even if the store does not answer', async (t) => {
    const { a } = machines(t, {}, { STORE_TIMEOUT_MS: '50' });
    await says(a, 'Hello');
    const held = await hold(a, 'hold', 'hold', ID);
    a.parts.hold();
    a.go('hold');
    assert.deepEqual(await held.rest(), [' Done.', 'response.end']);
    a.parts.release();
  });

  it('is kept as interrupted if its connection breaks before the end', async (t) => {
    const { a, b } = machines(t);
    await says(a, 'Hello');
    const held = await hold(a, 'hold', 'hold', ID);
    a.parts.hold();
    a.go('hold');
    await held.next();
    held.drop();
    await until(() => a.outcomes()['interrupted'] === 1, 'the drop');
    a.parts.release();
    await until(() => a.app.runningTurns === 0, 'the end');
    await a.app.conversations.getHistory('c');
    assert.deepEqual((await b.history('c')).at(-1), ['assistant', 'hold? Done.', 'interrupted']);
  });
});

describe('a reply that the store loses while it is being spoken', () => {
  it('is put back over a finished run elsewhere, without messages', async (t) => {
    const shared: SharedParts = new Map();
    const log = createLogger({ level: 'silent', write: () => undefined });
    const serveOne = (): AskingBack => {
      const parts = new PartsInMemory(shared, { isSlow: true });
      const options = { ttlMs: HOUR, maxRemembered: 100, timeoutMs: 5_000, log };
      return askingBack(t, new SharedStore(parts, options));
    };
    const [a, b] = [serveOne(), serveOne()];
    const held = await hold(a, 'hold', 'hold', ID);
    shared.clear();
    const again = await hold(b, 'hold', 'hold', ID);
    again.drop();
    await until(() => b.outcomes()['interrupted'] === 1, 'the drop');
    await until(() => b.app.runningTurns === 0, 'its end');
    a.go('hold');
    assert.deepEqual(await held.rest(), [' Done.', 'response.end']);
    assert.deepEqual(
      await b.history('c'), [['user', 'hold'], ['assistant', 'hold? Done.', 'completed']],
    );
  });
});

describe('a turn that goes on for another delivery', () => {
  it('takes its record back from a process that took it over without a message', async (t) => {
    const gate = new EventEmitter();
    const { a, b, post } = machines(t, {
      async *onMessage({ text }) {
        yield `${text}?`;
        await once(gate, text);
        yield ' Done.';
      },
    });
    post.loses = () => true;
    const first = new HeldReply(await a.client.say('x', { turn_id: 'x', ...ID }));
    await first.next();
    const moved = new HeldReply(await b.client.say('x', { turn_id: 'x', ...ID }));
    await moved.next();
    const back = new HeldReply(await a.client.say('x', { turn_id: 'x', ...ID }));
    assert.equal(await back.next(), 'x?');
    assert.deepEqual(await first.rest(), ['response.end']);
    gate.emit('x');
    assert.deepEqual(await back.rest(), [' Done.', 'response.end']);
    await moved.rest();
    assert.deepEqual(await a.history('c'), [['user', 'x'], ['assistant', 'x? Done.', 'completed']]);
  });
});

// Tool calls with stores that answer late, fail, or are shared by two processes.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Conversation } from '../../../src/core/conversations/conversation.ts';
import { deferred, until } from '../../fixtures/app.ts';
import { jumpingClock, mockTimers } from '../../fixtures/clock.ts';
import { PromisedStore } from '../conversations/promised-store.ts';
import { BOOK, Booking, CONVERSATION, idle, memory, Process } from './plain-deliveries.ts';

const AWAY = new Error('the store is away');
const FINISH = { whenInterrupted: 'finish' } as const;

describe('a tool call', () => {
  it('counts as running until its result is stored, however late that is', async (t) => {
    const [store, booking] = [new PromisedStore(memory()), new Booking()];
    const seen = deferred<readonly string[]>();
    const process = new Process(t, {
      onMessage: (turn, reply) => {
        if (turn.text === 'Book') return booking.onMessage(FINISH)(turn, reply);
        seen.resolve(turn.history.flatMap(({ role, content }) => (role === 'tool' ? content : [])));
        return undefined;
      },
    }, { store });
    process.deliver('Book');
    const work = await booking.begun();
    store.hold();
    process.deliver('t2');
    work.resolve('"booked"');
    await new Promise((resolve) => setImmediate(resolve));
    store.release();
    assert.deepEqual(await seen.promise, ['{"status":"still running"}']);
    await process.turns.settled();
    assert.deepEqual(await process.results(), ['Book completed "booked"']);
  });

  // A worker that was killed used to take the result with it: callers had heard "booked" by then.
  it('tells the model its result once the store has it', async (t) => {
    const [store, booking] = [new PromisedStore(memory()), new Booking()];
    const process = new Process(t, { onMessage: booking.onMessage() }, { store });
    process.deliver('Book');
    const work = await booking.begun();
    const { length } = store.calls;
    store.hold();
    work.resolve('"booked"');
    await store.called(length + 1);
    await idle();
    assert.deepEqual(process.said, []);
    store.release();
    await process.over(1);
    assert.deepEqual(process.said, ['"booked"']);
  });

  it('tells the model its result after a second if the store does not answer', async (t) => {
    const [store, booking] = [new PromisedStore(memory()), new Booking()];
    const process = new Process(t, { onMessage: booking.onMessage() }, { store });
    process.deliver('Book');
    const work = await booking.begun();
    const { length } = store.calls;
    const clock = mockTimers(t, ['setTimeout']);
    store.hold();
    work.resolve('"booked"');
    await store.called(length + 1);
    await idle();
    clock.tick(999);
    await idle();
    assert.deepEqual(process.said, []);
    clock.tick(1);
    await until(() => process.said.length === 1, 'the result');
    store.release();
    await process.over(1);
  });

  it("is joined by the turn's next run even if it could not be stored", async (t) => {
    const [store, booking, gate] = [new PromisedStore(memory()), new Booking(), deferred()];
    let runs = 0;
    const process = new Process(t, {
      onMessage: async (turn, reply) => {
        runs += 1;
        await gate.promise;
        await booking.onMessage(FINISH)(turn, reply);
      },
    }, { store });
    const client = process.deliver('Book');
    await until(() => runs === 1, 'the first run');
    store.failWith = AWAY;
    gate.resolve();
    const work = await booking.begun();
    const clock = mockTimers(t, ['setTimeout']);
    client.turn?.dropped();
    const isLost = (): boolean => (clock.tick(1_000), process.logged.length === 2);
    await until(isLost, 'the store to be given up');
    assert.deepEqual(process.logged, [
      'tool calls could not be stored; they run unprotected', 'history not written',
    ]);
    store.failWith = undefined;
    process.deliver('Book');
    await until(() => runs === 2, 'the second run');
    await new Promise((resolve) => setImmediate(resolve));
    await store.count(); // resolves after the write of the calls
    work.resolve('"booked"');
    await until(() => process.turns.count === 0, 'the end');
    await process.turns.settled();
    assert.equal(booking.works.length, 1);
    assert.ok((await process.results()).includes('Book completed "booked"'));
  });

  it('that an agent runs by hand counts as running until it ends', async (t) => {
    const hanging = deferred();
    t.after(() => hanging.resolve());
    let runs = 0;
    const process = new Process(t, {
      onMessage: async ({ text, journal }) => {
        if (text !== 'Book') return;
        await journal.noteToolCalls([BOOK]);
        if (++runs === 1) await hanging.promise;
        journal.noteToolResult(BOOK.id, `"run ${runs}"`);
      },
    });
    process.deliver('Book').turn?.dropped();
    process.deliver('Book');
    await process.over(2);
    process.deliver('t2');
    assert.deepEqual(await process.results(), [
      'Book running {"status":"still running"}', 'Book completed "run 2"',
    ]);
  });
});

describe('a store that fails', () => {
  it("is asked again to store a call's result", async (t) => {
    const [store, booking] = [new PromisedStore(memory()), new Booking()];
    const process = new Process(t, { onMessage: booking.onMessage(FINISH) }, { store });
    const client = process.deliver('Book');
    const work = await booking.begun();
    client.turn?.dropped();
    await until(() => process.turns.count === 0, 'the drop');
    store.failWith = AWAY;
    const { length } = store.calls;
    work.resolve('"booked"');
    await store.called(length + 1);
    await assert.rejects(store.count()); // rejects after the write, which has failed
    store.failWith = undefined;
    await process.turns.settled();
    assert.deepEqual(await process.results(), ['Book completed "booked"']);
    assert.deepEqual(process.logged, []);
  });

  it('loses the result if it fails for good, and the log says so', async (t) => {
    const [store, booking] = [new PromisedStore(memory()), new Booking()];
    const process = new Process(t, { onMessage: booking.onMessage(FINISH) }, { store });
    process.deliver('Book');
    const work = await booking.begun();
    store.failWith = AWAY;
    work.resolve('"booked"');
    await process.over(1);
    await process.turns.settled();
    assert.deepEqual(process.logged.sort(), ['history not written', 'tool result lost']);
  });
});

/** A process with a turn that may take 3 s, and the signal of its tool. */
async function booking(
  t: TestContext, whenInterrupted: 'abort' | 'finish',
): Promise<{ readonly process: Process; readonly signal: AbortSignal }> {
  const tool = new Booking();
  const onMessage = tool.onMessage({ whenInterrupted });
  const process = new Process(t, { onMessage }, {
    process: 'a', settings: { turnTimeoutSeconds: 3 },
  });
  process.deliver('t1', 'Book');
  const { context: { signal }, resolve } = await tool.begun();
  t.after(() => resolve('"ended"'));
  return { process, signal };
}

describe('a tool of a turn that another process takes over', () => {
  it('goes on, so that the other run gets its result', async (t) => {
    const { process: { turns, store }, signal } = await booking(t, 'abort');
    const conversation = (await store.read(CONVERSATION)) as Conversation;
    const [record = assert.fail()] = conversation.turns;
    const turn = { ...record, runId: (record.runId ?? 0) + 1 };
    turns.compare(CONVERSATION, { ...conversation, turns: [turn] });
    assert.equal(signal.aborted, false);
  });

  it('is aborted if the turn is interrupted instead', async (t) => {
    const { process, signal } = await booking(t, 'abort');
    process.turns.interruptOwn(CONVERSATION, 'a newer turn began');
    assert.equal(signal.aborted, true);
  });
});

describe('a tool that finishes after its turn', () => {
  it("has the rest of the turn's time, and no more", async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const jump = jumpingClock(t);
    const { process, signal } = await booking(t, 'finish');
    jump(2_000);
    process.turns.interruptOwn(CONVERSATION, 'a newer turn began');
    clock.tick(900);
    assert.equal(signal.aborted, false);
    clock.tick(100);
    assert.equal(signal.aborted, true);
  });
});

describe('a tool call of another process', () => {
  it('is not treated as lost if the store cannot tell which processes are alive', async (t) => {
    const [store, booking] = [memory(), new Booking()];
    const onMessage = booking.onMessage(FINISH);
    const a = new Process(t, { onMessage }, { store, process: 'a' });
    const b = new Process(t, { onMessage }, { store, process: 'b' });
    a.deliver('t1', 'Book');
    const work = await booking.begun();
    assert.equal(await b.deliver('t2').outcome, 'completed');
    assert.deepEqual(await b.results(), ['t1 running {"status":"still running"}']);
    work.resolve('"booked"');
    await a.turns.settled();
  });
});

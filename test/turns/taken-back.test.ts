// A turn that runs in two processes which do not know of each other.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { SharedStore } from '../../src/conversations/stores/shared-store.ts';
import type { TestReply } from '../../src/kit/test-client.ts';
import type { TurnFollower } from '../../src/turns/report/turn-trace.ts';
import { sharing } from '../conversations/stores/machines.ts';
import { PartsInMemory, type SharedParts } from '../conversations/stores/parts-in-memory.ts';
import { deferred, serve, Told, until, type Deferred, type Served } from '../fixtures/app.ts';
import { BOOK, CONVERSATION, memory, Process } from './plain-deliveries.ts';

/** A process whose agent says a word, and books when the test lets it. It ends on `end`. */
interface Machine extends Served {
  readonly parts: PartsInMemory;
  readonly store: SharedStore;
  readonly booked: string[];
  readonly mayBook: Deferred<void>;
  readonly end: Deferred<void>;
  /** What the agent has been told of its booking. */
  readonly results: Told<string>;
  /** Delivers the turn. */
  asks(): Promise<TestReply>;
}

/** Processes that use one database. No messages go between them. */
function machines(t: TestContext): readonly [Machine, Machine] {
  const shared: SharedParts = new Map();
  const machine = (name: string): Machine => {
    const results = new Told<string>();
    const [mayBook, end] = [deferred(), deferred()];
    const booked: string[] = [];
    const run = (): string => {
      booked.push(name);
      return JSON.stringify(`booked by ${name}`);
    };
    const parts = new PartsInMemory(shared, { isSlow: true });
    const store = sharing(parts);
    const served = serve(t, {
      async *onMessage({ journal }) {
        yield 'Let me see. ';
        await mayBook.promise;
        const [outcome] = await journal.runTools([BOOK], () => ({ run }));
        results.tell(outcome?.content ?? '');
        await end.promise;
        yield 'Done.';
      },
    }, { store });
    const asks = (): Promise<TestReply> =>
      served.client.say('Book', { turn_id: 't1', conversation_id: 'c' });
    return { ...served, parts, store, booked, results, mayBook, end, asks };
  };
  return [machine('a'), machine('b')];
}

/** The agents go on to the end, and all replies are read. */
async function finish(all: readonly Machine[], replies: readonly TestReply[]): Promise<string[]> {
  for (const { mayBook, end } of all) for (const gate of [mayBook, end]) gate.resolve();
  return Promise.all(replies.map((reply) => reply.text()));
}

describe('a turn that comes back to a process that has not heard of the other run', () => {
  it('ends there with the next tool call, which does not act', async (t) => {
    const [a, b] = machines(t);
    const replies = [await a.asks(), await b.asks(), await a.asks()];
    a.mayBook.resolve();
    assert.equal(await replies[2]?.text(), 'Let me see. ');
    assert.equal((await finish([a, b], replies.slice(0, 2)))[1], 'Let me see. Done.');
    assert.deepEqual([a.booked, b.booked], [[], ['b']]);
    assert.equal((await a.messages('c')).at(-1)?.content, 'Done.');
  });
});

describe('a run that takes its turn back with its reply', () => {
  it('gives up its place in the traces', async (t) => {
    const place = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
    const follower: TurnFollower = {
      place, link: () => undefined, note: () => undefined,
      run: (step) => step(), runRequest: (_request, step) => step(),
      runTool: (_toolCallId, step) => step(),
    };
    const tracer = { start: () => follower, flush: () => Promise.resolve() };
    const [begun, end] = [deferred(), deferred()];
    const store = memory();
    const process = new Process(t, {
      async onMessage() {
        begun.resolve();
        await end.promise;
        return 'Done.';
      },
    }, { store, process: 'a', tracing: { tracer, hasWords: false }, storeTimeoutMs: 3_000 });
    const client = process.deliver('t1');
    await begun.promise;
    // As another process stores it that does not know of this run.
    store.update(CONVERSATION, ({ turns: [record = assert.fail()] }) => {
      Object.assign(record, { runId: 0, process: 'b' });
      delete record.trace;
    });
    end.resolve();
    await client.outcome;
    const [record = assert.fail()] = store.read(CONVERSATION)?.turns ?? [];
    assert.deepEqual([record.reply, record.trace], ['Done.', { ...place, sessionId: 's-1' }]);
  });
});

describe('a turn that began while the store did not answer', () => {
  // Seeds 50000644, 50002789 and 30006428 of the fleet: the calls were made again.
  it("has the results of the other process's calls, once the store answers", async (t) => {
    const [a, b] = machines(t);
    const first = await a.asks();
    a.mayBook.resolve();
    assert.equal(await a.results.next('the booking'), '"booked by a"');
    b.parts.failWith = new Error('the store does not answer');
    const second = await b.asks();
    b.parts.failWith = undefined;
    await until(() => b.store.health().turnsWaiting === 0, 'the writes');
    b.mayBook.resolve();
    assert.equal(await b.results.next('the booking'), '"booked by a"');
    assert.deepEqual(b.booked, []);
    await finish([a, b], [first, second]);
  });
});

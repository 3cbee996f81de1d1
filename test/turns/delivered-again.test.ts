// A turn that is delivered again while it runs, in processes that share its conversation.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../src/agents/define-agent.ts';
import { deferred, type Deferred } from '../fixtures/app.ts';
import { Client, CONVERSATION, idle, memory, Process } from './plain-deliveries.ts';

/** A process whose agent says "Well, ", and "done." once it may. */
class Slow extends Process {
  readonly mayEnd: Deferred<void>;

  constructor(t: TestContext, name: string, store = memory()) {
    const mayEnd = deferred();
    super(t, {
      async *onMessage() {
        yield 'Well, ';
        await mayEnd.promise;
        yield 'done.';
      },
    }, { process: name, storeTimeoutMs: 3_000, store });
    this.mayEnd = mayEnd;
    t.after(() => this.turns.close(0));
  }
}

/** Records of turns that begin are opened when the test lets them. */
function holdsOpening(t: TestContext, { conversations }: Process): Deferred<void> {
  const mayOpen = deferred();
  const open = conversations.openTurn.bind(conversations);
  t.mock.method(conversations, 'openTurn', async (...given: Parameters<typeof open>) => {
    await mayOpen.promise;
    return open(...given);
  });
  return mayOpen;
}

/** Time passes only when the test says so. */
function stoppedClock(t: TestContext): (ms: number) => void {
  let [monotonic, wall] = [performance.now(), Date.now()];
  t.mock.method(performance, 'now', () => monotonic);
  t.mock.method(Date, 'now', () => wall);
  return (ms) => {
    monotonic += ms;
    wall += ms;
  };
}

/** Waits for the end of the delivery. */
async function end(client: Client, outcome: string, said?: string): Promise<void> {
  assert.equal(await client.outcome, outcome);
  if (said !== undefined) assert.equal(client.said, said);
}

describe('a turn that is delivered again to the process that runs it', () => {
  it('goes on for the older delivery if the newer one is gone already', async (t) => {
    const a = new Slow(t, 'a');
    const [older, newer] = [a.deliver('t1'), new Client('t1')];
    newer.isOpen = false;
    a.start(newer);
    await end(newer, 'interrupted', '');
    a.mayEnd.resolve();
    await end(older, 'completed', 'Well, done.');
  });

  it('ends the older delivery without a word if the store fails before it follows', async (t) => {
    const gate = deferred();
    const process = new Process(t, { onMessage: () => gate.promise.then(() => 'One.') });
    const [older, newer] = [process.deliver('t1'), process.deliver('t1')];
    t.mock.method(process.conversations, 'read', () => Promise.reject(new Error('it is away')));
    const { mock: ends } = t.mock.method(older, 'end');
    gate.resolve();
    await end(newer, 'completed', 'One.');
    await idle();
    assert.deepEqual([older.said, ends.calls.at(-1)?.arguments], ['', ['cut short']]);
  });
});

describe('a turn that is delivered again while it waits for the store', () => {
  it('gets the reply of another process that has run it meanwhile', async (t) => {
    const store = memory();
    const [a, b] = [new Slow(t, 'a', store), new Slow(t, 'b', store)];
    const pass = stoppedClock(t);
    const mayOpen = holdsOpening(t, a);
    const first = a.deliver('t1');
    pass(100);
    const elsewhere = b.deliver('t1');
    await idle();
    pass(100);
    const last = a.deliver('t1');
    pass(100);
    mayOpen.resolve();
    await idle();
    b.mayEnd.resolve();
    await end(elsewhere, 'completed', 'Well, done.');
    for (const client of [first, last]) await client.outcome;
    assert.equal(last.said, 'Well, done.');
  });
});

// Else it could not be told from one that was erased while the turn ran.
describe('a turn of a conversation that had been erased before', () => {
  it('says which erasure it has seen when it stores its reply', async (t) => {
    const a = new Slow(t, 'a');
    await a.conversations.addMessage(CONVERSATION, { role: 'user', content: 'A note.' });
    await a.store.update(CONVERSATION, (conversation) => {
      conversation.erasedAt = 7;
    });
    const settled = t.mock.method(a.conversations, 'settleTurn');
    const client = a.deliver('t1');
    a.mayEnd.resolve();
    await end(client, 'completed');
    assert.deepEqual(settled.mock.calls.map(({ arguments: [, { erasedAt }] }) => erasedAt), [7]);
  });
});

// Where processes share conversations, a failure is stored before the stream ends.
describe('a failed turn that is delivered again while its end is stored', () => {
  it('tells the newer stream that it has failed, like the older one', async (t) => {
    const [store, gate] = [memory(), deferred()];
    const agent = defineAgent({
      name: 'failing',
      onMessage(_turn, { say }) {
        void say('One.');
        const update = store.update.bind(store);
        t.mock.method(store, 'update').mock.mockImplementationOnce((async (id, change) => {
          await gate.promise; // only the next write is slow
          return update(id, change);
        }) as typeof store.update);
        throw new Error('no more');
      },
      apology: 'Sorry.',
    });
    const process = new Process(t, agent, { store, process: 'a', storeTimeoutMs: 3_000 });
    const [older, newer] = [process.deliver('t1'), process.deliver('t1')];
    await end(older, 'taken over');
    gate.resolve();
    await end(newer, 'failed', 'One. Sorry.');
    assert.deepEqual(older.sent.at(-1), { type: 'error' });
    assert.deepEqual(newer.sent, older.sent);
  });
});

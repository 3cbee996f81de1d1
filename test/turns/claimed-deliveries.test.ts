// A turn that is delivered again while it runs, in processes that share its conversation: the run
// claims the record before it goes on for the newer delivery.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../src/agents/define-agent.ts';
import type { ConversationManager } from '../../src/conversations/manager.ts';
import { createLogger } from '../../src/log.ts';
import { OtherProcesses } from '../../src/turns/other-processes.ts';
import { deferred, type Deferred } from '../fixtures/app.ts';
import { mockTimers, type Clock } from '../fixtures/clock.ts';
import { Post } from '../fixtures/post.ts';
import {
  Client, CONVERSATION, idle, memory, Process, type ProcessOptions,
} from './plain-deliveries.ts';

/** A process whose agent says "Well, ", and "done." once it may. */
class Slow extends Process {
  readonly mayEnd: Deferred<void>;
  readonly interrupted: string[];

  constructor(t: TestContext, name: string, options: ProcessOptions = {}) {
    const [mayEnd, interrupted] = [deferred(), [] as string[]];
    super(t, {
      async *onMessage() {
        yield 'Well, ';
        await mayEnd.promise;
        yield 'done.';
      },
      onInterrupted: ({ text }) => void interrupted.push(text),
    }, { process: name, storeTimeoutMs: 3_000, ...options });
    this.mayEnd = mayEnd;
    this.interrupted = interrupted;
    t.after(() => this.turns.close(0));
  }
}

function two(t: TestContext): readonly [Slow, Slow] {
  const store = memory();
  return [new Slow(t, 'a', { store }), new Slow(t, 'b', { store })];
}

/** Claims of turns, or records of those that begin, get their answer when the test lets them. */
function holds(
  t: TestContext, { conversations }: Process, what: 'claimTurn' | 'openTurn',
): Deferred<void> {
  const mayAnswer = deferred();
  const call = conversations[what].bind(conversations) as (...given: unknown[]) => unknown;
  t.mock.method(conversations, what, async (...given: unknown[]) => {
    await mayAnswer.promise;
    return call(...given);
  });
  return mayAnswer;
}

interface Outage {
  /** Resolves when the store was asked three times. */
  over(): Promise<void>;
}

/** The store fails for claims. */
function failsToClaim(t: TestContext, { conversations }: Process): Outage {
  const clock: Clock = mockTimers(t, ['setTimeout']);
  const claims = t.mock.method(conversations, 'claimTurn', () => {
    throw new Error('the store is down');
  });
  return {
    async over() {
      while (claims.mock.callCount() < 3) {
        await idle();
        clock.tick(250);
      }
      await idle();
    },
  };
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
  it('goes on for the newer delivery even if the store fails, and the log says so', async (t) => {
    const [a] = two(t);
    const outage = failsToClaim(t, a);
    const [older, newer] = [a.deliver('t1'), a.deliver('t1')];
    await outage.over();
    await end(older, 'taken over');
    a.mayEnd.resolve();
    await end(newer, 'completed', 'Well, done.');
    assert.match(older.logged.join(), /continues for another delivery, but could not be claimed/);
  });

  it('is sent again from the store if another process has completed it', async (t) => {
    const [a, b] = two(t);
    const older = a.deliver('t1');
    await idle();
    const elsewhere = b.deliver('t1');
    b.mayEnd.resolve();
    await end(elsewhere, 'completed');
    await end(a.deliver('t1'), 'replayed', 'Well, done.');
    await end(older, 'taken over');
    assert.deepEqual(a.interrupted, []); // the caller has spoken over nothing
  });

  it('is interrupted if another process has begun a newer one', async (t) => {
    const [a, b] = two(t);
    const older = a.deliver('t1');
    await idle();
    b.deliver('t2');
    await idle();
    a.deliver('t1');
    await end(older, 'interrupted');
    assert.deepEqual(a.interrupted, ['Well, ']);
  });

  it('goes on for the older delivery if the newer one is gone before the claim', async (t) => {
    const [a] = two(t);
    const mayClaim = holds(t, a, 'claimTurn');
    const [older, newer] = [a.deliver('t1'), a.deliver('t1')];
    newer.isOpen = false;
    mayClaim.resolve();
    await end(newer, 'interrupted');
    a.mayEnd.resolve();
    await end(older, 'completed', 'Well, done.');
  });

  it('is sent again from the store if it has ended before the claim', async (t) => {
    const [a] = two(t);
    const mayClaim = holds(t, a, 'claimTurn');
    const [older, newer] = [a.deliver('t1'), a.deliver('t1')];
    a.mayEnd.resolve();
    await end(older, 'completed');
    mayClaim.resolve();
    await end(newer, 'replayed', 'Well, done.');
  });

  it('is sent again from the store if it has ended before the claim has failed', async (t) => {
    const [a] = two(t);
    const outage = failsToClaim(t, a);
    const [older, newer] = [a.deliver('t1'), a.deliver('t1')];
    a.mayEnd.resolve();
    await end(older, 'completed');
    await outage.over();
    await end(newer, 'replayed', 'Well, done.');
  });

  it('does not begin again for a delivery that is gone before the claim is refused', async (t) => {
    const [a, b] = two(t);
    const mayClaim = holds(t, a, 'claimTurn');
    a.deliver('t1');
    await idle();
    const [elsewhere, newer] = [b.deliver('t1'), a.deliver('t1')];
    b.mayEnd.resolve();
    await end(elsewhere, 'completed');
    newer.isOpen = false;
    mayClaim.resolve();
    await end(newer, 'interrupted', '');
  });

  it('goes on for that delivery even while a newer turn waits for the store', async (t) => {
    const [a] = two(t);
    const older = a.deliver('t1');
    await idle();
    holds(t, a, 'openTurn');
    a.deliver('t2');
    const again = a.deliver('t1');
    await end(older, 'taken over');
    assert.equal(again.said, 'Well, ');
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

// The order of deliveries is that of their arrival, and not that in which the store answers.
describe('a turn that is delivered several times goes to the last delivery', () => {
  it('even if the claim of the one before is stored later', async (t) => {
    const [a, b] = two(t);
    const pass = stoppedClock(t);
    const first = a.deliver('t1');
    await idle();
    const mayClaim = holds(t, a, 'claimTurn');
    const second = a.deliver('t1');
    pass(100);
    const last = b.deliver('t1');
    await idle();
    pass(100);
    mayClaim.resolve();
    await idle();
    b.mayEnd.resolve();
    await end(first, 'taken over');
    await end(second, 'stale');
    await end(last, 'completed', 'Well, done.');
  });

  it('even if that one waits longer for the store', async (t) => {
    const [a, b] = two(t);
    const pass = stoppedClock(t);
    a.deliver('t1');
    await idle();
    const [mayClaim, mayOpen] = [holds(t, a, 'claimTurn'), holds(t, b, 'openTurn')];
    a.deliver('t1');
    pass(100);
    const last = b.deliver('t1');
    pass(100);
    mayClaim.resolve();
    await idle();
    mayOpen.resolve();
    b.mayEnd.resolve();
    await end(last, 'completed', 'Well, done.');
  });

  it('even if the one before it comes afterwards', async (t) => {
    const [a, b] = two(t);
    const pass = stoppedClock(t);
    a.deliver('t1');
    await idle();
    pass(100);
    const arrivedAtMs = performance.now();
    pass(100);
    const last = b.deliver('t1');
    await idle();
    pass(100);
    const before = a.start(new Client('t1'), arrivedAtMs);
    b.mayEnd.resolve();
    await end(before, 'stale');
    await end(last, 'completed');
  });

  // The time at which the claims had failed counted, so that the last delivery of all was stale.
  it('even if the turn has ended when the claims fail', async (t) => {
    const [a, b] = two(t);
    const pass = stoppedClock(t);
    const first = a.deliver('t1');
    await idle();
    const outage = failsToClaim(t, a);
    const mayOpen = holds(t, b, 'openTurn');
    a.deliver('t1');
    pass(100);
    const last = b.deliver('t1');
    pass(100);
    first.turn?.dropped();
    await outage.over();
    pass(100);
    mayOpen.resolve();
    b.mayEnd.resolve();
    await end(last, 'completed', 'Well, done.');
  });

  // The store fails for the claim of one delivery, and not for that of the next one.
  it('even if the claim of the one before succeeds later', async (t) => {
    const [a] = two(t);
    const pass = stoppedClock(t);
    const clock = mockTimers(t, ['setTimeout']);
    const first = a.deliver('t1');
    await idle();
    t.mock.method(a.conversations, 'claimTurn').mock.mockImplementationOnce(() => {
      throw new Error('the store is down');
    });
    const second = a.deliver('t1');
    pass(10);
    const last = a.deliver('t1');
    await idle();
    clock.tick(50);
    await idle();
    a.mayEnd.resolve();
    for (const client of [first, second]) await end(client, 'taken over');
    await end(last, 'completed', 'Well, done.');
  });

  // Seed 100048200 of the fleet: the first of its own deliveries counted, and the last was stale.
  it('even if it waits for the store here, and another process has run it meanwhile', async (t) => {
    const [a, b] = two(t);
    const pass = stoppedClock(t);
    const mayOpen = holds(t, a, 'openTurn');
    const first = a.deliver('t1');
    pass(100);
    const elsewhere = b.deliver('t1');
    await idle();
    pass(100);
    const last = a.deliver('t1');
    pass(100);
    mayOpen.resolve();
    a.mayEnd.resolve();
    await end(first, 'taken over');
    await end(last, 'completed');
    assert.equal(elsewhere.said, 'Well, ');
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

  it('says which erasure it has seen if it opens before it knows who is alive', async (t) => {
    const log = createLogger({ level: 'silent', write: () => undefined });
    const channel = new Post().channel('a');
    const a = new Slow(t, 'a', { others: (own) => new OtherProcesses(channel, own, log) });
    const { mock: openings } = t.mock.method(a.conversations, 'openTurn');
    const none = new Set<string>();
    const elsewhere =
      { kind: 'elsewhere', processes: none, ofSameTurn: none, erasedAt: 7 } as const;
    openings.mockImplementationOnce((() => elsewhere) as ConversationManager['openTurn']);
    const client = a.deliver('t1');
    a.mayEnd.resolve();
    await end(client, 'completed');
    const seen = openings.calls.map(({ arguments: [, { erasedAt }] }) => erasedAt);
    assert.deepEqual(seen, [undefined, 7]);
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

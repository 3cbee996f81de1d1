// A turn that is delivered again while it runs, in processes that share its conversation: the run
// claims the record before it goes on for the newer delivery.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Agent } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import type { Channel } from '../../src/base/channel.ts';
import { ConversationManager } from '../../src/conversations/manager.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import { createLogger } from '../../src/log.ts';
import * as agentWork from '../../src/turns/agent-work.ts';
import type { Delivery } from '../../src/turns/delivery.ts';
import { OtherProcesses } from '../../src/turns/other-processes.ts';
import { Turns } from '../../src/turns/turns.ts';
import { deferred, Told, type Deferred } from '../fixtures/app.ts';
import { mockTimers } from '../fixtures/clock.ts';
import { Post } from '../fixtures/post.ts';
import { callerMessage } from '../fixtures/turns.ts';

/** A delivery whose client takes everything at once. */
class Client {
  isOpen = true;
  hasEnded = false;
  said = '';
  readonly outcome = deferred<string>();
  readonly delivery: Delivery;
  readonly lines: string[] = [];

  constructor(turnId: string) {
    const client = this;
    this.delivery = {
      event: callerMessage(turnId, `words of ${turnId}`),
      headers: {}, unsent: 0, turn: undefined,
      log: createLogger({ level: 'warn', write: (line) => void this.lines.push(line) }),
      get isOpen() {
        return client.isOpen;
      },
      send(event) {
        if (event.type === 'say') client.said += event.text;
        return true;
      },
      end: () => (this.hasEnded = true),
      onOutcome: ({ outcome }) => this.outcome.resolve(outcome),
    };
  }
}

/** A process whose agent says "Well, ", and "done." once it may. */
interface Process {
  readonly turns: Turns;
  readonly conversations: ConversationManager;
  readonly mayEnd: Deferred<void>;
  readonly interrupted: Told<string>;
  /** Delivers a turn, and returns what its client hears of it. */
  deliver(turnId: string): Client;
}

function processOf(
  t: TestContext,
  name: string,
  store: MemoryStore,
  channel?: Channel,
): Process {
  const mayEnd = deferred();
  const interrupted = new Told<string>();
  const onMessage: Agent['onMessage'] = async function* () {
    yield 'Well, ';
    await mayEnd.promise;
    yield 'done.';
  };
  const conversations = new ConversationManager(store);
  const turns = new Turns({
    agentWork,
    agent: defineAgent({
      name: 'slow', onMessage, onInterrupted: ({ text }) => interrupted.tell(text),
    }),
    conversations, process: name,
    others: channel && ((own) => new OtherProcesses(
      channel, own, createLogger({ level: 'silent', write: () => undefined }),
    )),
    turnTimeoutMs: 3_000, firstWordTimeoutMs: 3_000, storeTimeoutMs: 3_000,
  });
  t.after(() => turns.close(0));
  return {
    turns, conversations, mayEnd, interrupted,
    deliver: (turnId) => {
      const client = new Client(turnId);
      turns.start(client.delivery);
      return client;
    },
  };
}

function two(t: TestContext): readonly [Process, Process] {
  const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 1 });
  t.after(() => store.close());
  return [processOf(t, 'a', store), processOf(t, 'b', store)];
}

/** What is due happens: nothing waits for a clock. */
async function rounds(): Promise<void> {
  for (let count = 0; count < 5; count += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Claims get their answer when the test lets them. */
function holdClaims(t: TestContext, { conversations }: Process): Deferred<void> {
  const mayAnswer = deferred();
  const claim = conversations.claimTurn.bind(conversations);
  t.mock.method(conversations, 'claimTurn', async (...given: Parameters<typeof claim>) => {
    await mayAnswer.promise;
    return claim(...given);
  });
  return mayAnswer;
}

/** The same for the records of turns that begin. */
function holdOpenings(t: TestContext, { conversations }: Process): Deferred<void> {
  const mayAnswer = deferred();
  const open = conversations.openTurn.bind(conversations);
  t.mock.method(conversations, 'openTurn', async (...given: Parameters<typeof open>) => {
    await mayAnswer.promise;
    return open(...given);
  });
  return mayAnswer;
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

describe('a turn that is delivered again to the process that runs it', () => {
  it('goes on for the newer delivery even if the store fails, and the log says so', async (t) => {
    const [a] = two(t);
    const clock = mockTimers(t, ['setTimeout']); // three tries
    const claims = t.mock.method(a.conversations, 'claimTurn', () => {
      throw new Error('the store is down');
    });
    const [older, newer] = [a.deliver('t1'), a.deliver('t1')];
    while (claims.mock.callCount() < 3) {
      await rounds();
      clock.tick(250);
    }
    assert.equal(await older.outcome.promise, 'taken over');
    a.mayEnd.resolve();
    assert.equal(await newer.outcome.promise, 'completed');
    assert.equal(newer.said, 'Well, done.');
    assert.match(older.lines.join(''), /continues for another delivery, but could not be claimed/);
  });

  it('is sent again from the store if another process has completed it', async (t) => {
    const [a, b] = two(t);
    const older = a.deliver('t1');
    await rounds();
    const elsewhere = b.deliver('t1');
    b.mayEnd.resolve();
    assert.equal(await elsewhere.outcome.promise, 'completed');
    const newer = a.deliver('t1');
    assert.equal(await newer.outcome.promise, 'replayed');
    assert.equal(newer.said, 'Well, done.');
    assert.equal(await older.outcome.promise, 'taken over');
    assert.deepEqual(a.interrupted.all, []); // the caller has spoken over nothing
  });

  it('is interrupted if another process has begun a newer one', async (t) => {
    const [a, b] = two(t);
    const older = a.deliver('t1');
    await rounds();
    b.deliver('t2');
    await rounds();
    a.deliver('t1');
    assert.equal(await older.outcome.promise, 'interrupted');
    assert.deepEqual(a.interrupted.all, ['Well, ']);
  });

  it('goes on for the older delivery if the newer one is gone before the claim', async (t) => {
    const [a] = two(t);
    const mayAnswer = holdClaims(t, a);
    const [older, newer] = [a.deliver('t1'), a.deliver('t1')];
    newer.isOpen = false;
    mayAnswer.resolve();
    assert.equal(await newer.outcome.promise, 'interrupted');
    a.mayEnd.resolve();
    assert.equal(await older.outcome.promise, 'completed');
    assert.equal(older.said, 'Well, done.');
  });

  it('is sent again from the store if it has ended before the claim', async (t) => {
    const [a] = two(t);
    const mayAnswer = holdClaims(t, a);
    const [older, newer] = [a.deliver('t1'), a.deliver('t1')];
    a.mayEnd.resolve();
    assert.equal(await older.outcome.promise, 'completed');
    mayAnswer.resolve();
    assert.equal(await newer.outcome.promise, 'replayed');
    assert.equal(newer.said, 'Well, done.');
  });

  it('is sent again from the store if it has ended before the claim has failed', async (t) => {
    const [a] = two(t);
    const clock = mockTimers(t, ['setTimeout']);
    const claims = t.mock.method(a.conversations, 'claimTurn', () => {
      throw new Error('the store is down');
    });
    const [older, newer] = [a.deliver('t1'), a.deliver('t1')];
    a.mayEnd.resolve();
    assert.equal(await older.outcome.promise, 'completed');
    while (claims.mock.callCount() < 3) {
      clock.tick(250);
      await rounds();
    }
    assert.equal(await newer.outcome.promise, 'replayed');
    assert.equal(newer.said, 'Well, done.');
  });

  it('does not begin again for a delivery that is gone before the claim is refused', async (t) => {
    const [a, b] = two(t);
    const mayAnswer = holdClaims(t, a);
    a.deliver('t1');
    await rounds();
    const elsewhere = b.deliver('t1');
    const newer = a.deliver('t1');
    b.mayEnd.resolve();
    await elsewhere.outcome.promise;
    newer.isOpen = false;
    mayAnswer.resolve();
    assert.equal(await newer.outcome.promise, 'interrupted');
    assert.equal(newer.said, '');
  });
});

// The order of deliveries is that of their arrival, and not that in which the store answers.
describe('a turn that is delivered again here, and then elsewhere', () => {
  it('goes to the last delivery, even if the claim before it is stored later', async (t) => {
    const [a, b] = two(t);
    const pass = stoppedClock(t);
    const first = a.deliver('t1');
    await rounds();
    const mayClaim = holdClaims(t, a);
    const second = a.deliver('t1');
    pass(100);
    const last = b.deliver('t1');
    await rounds();
    pass(100);
    mayClaim.resolve();
    await rounds();
    b.mayEnd.resolve();
    assert.deepEqual(
      await Promise.all([first, second, last].map(({ outcome }) => outcome.promise)),
      ['taken over', 'stale', 'completed'],
    );
    assert.equal(last.said, 'Well, done.');
  });

  it('goes to the last delivery, even if that one waits longer for the store', async (t) => {
    const [a, b] = two(t);
    const pass = stoppedClock(t);
    a.deliver('t1');
    await rounds();
    const [mayClaim, mayOpen] = [holdClaims(t, a), holdOpenings(t, b)];
    a.deliver('t1');
    pass(100);
    const last = b.deliver('t1');
    pass(100);
    mayClaim.resolve();
    await rounds();
    mayOpen.resolve();
    b.mayEnd.resolve();
    assert.equal(await last.outcome.promise, 'completed');
    assert.equal(last.said, 'Well, done.');
  });

  it('goes to the last delivery, even if the one before it comes here afterwards', async (t) => {
    const [a, b] = two(t);
    const pass = stoppedClock(t);
    a.deliver('t1');
    await rounds();
    pass(100);
    const before = new Client('t1');
    const arrivedAtMs = performance.now();
    pass(100);
    const last = b.deliver('t1');
    await rounds();
    pass(100);
    a.turns.start(before.delivery, arrivedAtMs);
    b.mayEnd.resolve();
    assert.deepEqual(
      await Promise.all([before, last].map(({ outcome }) => outcome.promise)),
      ['stale', 'completed'],
    );
  });

  // The time at which the claims had failed counted, so that the last delivery of all was stale.
  it('goes to the last delivery, even if the turn has ended when the claims fail', async (t) => {
    const [a, b] = two(t);
    const pass = stoppedClock(t);
    const clock = mockTimers(t, ['setTimeout']);
    const first = a.deliver('t1');
    await rounds();
    const claims = t.mock.method(a.conversations, 'claimTurn', () => {
      throw new Error('the store is down');
    });
    const mayOpen = holdOpenings(t, b);
    a.deliver('t1');
    pass(100);
    const last = b.deliver('t1');
    pass(100);
    first.delivery.turn?.dropped();
    while (claims.mock.callCount() < 3) {
      await rounds();
      clock.tick(250);
    }
    await rounds();
    pass(100);
    mayOpen.resolve();
    b.mayEnd.resolve();
    assert.equal(await last.outcome.promise, 'completed');
    assert.equal(last.said, 'Well, done.');
  });
});

// The store fails for the claim of one delivery, and not for that of the next one.
describe('a turn that is delivered again twice while it runs', () => {
  it('goes to the last delivery, even if the claim of the one before succeeds later', async (t) => {
    const [a] = two(t);
    const pass = stoppedClock(t);
    const clock = mockTimers(t, ['setTimeout']);
    const first = a.deliver('t1');
    await rounds();
    const claim = a.conversations.claimTurn.bind(a.conversations);
    let claims = 0;
    t.mock.method(a.conversations, 'claimTurn', (...given: Parameters<typeof claim>) => {
      claims += 1;
      if (claims === 1) throw new Error('the store is down');
      return claim(...given);
    });
    const second = a.deliver('t1');
    pass(10);
    const last = a.deliver('t1');
    await rounds();
    clock.tick(50);
    await rounds();
    a.mayEnd.resolve();
    assert.deepEqual(
      await Promise.all([first, second, last].map(({ outcome }) => outcome.promise)),
      ['taken over', 'taken over', 'completed'],
    );
    assert.deepEqual([second.hasEnded, last.said], [true, 'Well, done.']);
  });
});

// Seed 100048200 of the fleet: the first of its own deliveries counted, and the last one was stale.
describe('a turn that waits for the store when it is delivered again', () => {
  it('goes to that delivery, even if another process has run it meanwhile', async (t) => {
    const [a, b] = two(t);
    const pass = stoppedClock(t);
    const mayOpen = holdOpenings(t, a);
    const first = a.deliver('t1');
    pass(100);
    const elsewhere = b.deliver('t1');
    await rounds();
    pass(100);
    const last = a.deliver('t1');
    pass(100);
    mayOpen.resolve();
    a.mayEnd.resolve();
    assert.deepEqual(
      await Promise.all([first, last].map(({ outcome }) => outcome.promise)),
      ['taken over', 'completed'],
    );
    assert.equal(elsewhere.said, 'Well, ');
  });
});

// Else it could not be told from one that was erased while the turn ran.
describe('a turn of a conversation that had been erased before', () => {
  it('says which erasure it has seen when it stores its reply', async (t) => {
    const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 1 });
    t.after(() => store.close());
    const a = processOf(t, 'a', store);
    await a.conversations.addMessage('c-1', { role: 'user', content: 'A note.' });
    store.update('c-1', (conversation) => {
      conversation.erasedAt = 7;
    });
    const settled = t.mock.method(a.conversations, 'settleTurn');
    const client = a.deliver('t1');
    a.mayEnd.resolve();
    assert.equal(await client.outcome.promise, 'completed');
    assert.deepEqual(settled.mock.calls.map(({ arguments: [, { erasedAt }] }) => erasedAt), [7]);
  });

  it('says which erasure it has seen if it opens before it knows who is alive', async (t) => {
    const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 1 });
    t.after(() => store.close());
    const a = processOf(t, 'a', store, new Post().channel('a'));
    const open = a.conversations.openTurn.bind(a.conversations);
    const seen: unknown[] = [];
    t.mock.method(a.conversations, 'openTurn', (...given: Parameters<typeof open>) => {
      seen.push(given[1].erasedAt);
      const isFirst = seen.length === 1;
      const asking = { processes: new Set<string>(), callers: new Set<string>(), erasedAt: 7 };
      return isFirst ? { kind: 'elsewhere', ...asking } : open(...given);
    });
    const client = a.deliver('t1');
    a.mayEnd.resolve();
    assert.equal(await client.outcome.promise, 'completed');
    assert.deepEqual(seen, [undefined, 7]);
  });
});

describe('a turn that is delivered again while a newer one waits for the store', () => {
  it('goes on for that delivery: its run is found after the newer one', async (t) => {
    const [a] = two(t);
    const older = a.deliver('t1');
    await rounds();
    t.mock.method(a.conversations, 'openTurn', () => new Promise(() => undefined));
    a.deliver('t2');
    const again = a.deliver('t1');
    assert.equal(await older.outcome.promise, 'taken over');
    assert.equal(again.said, 'Well, ');
  });
});

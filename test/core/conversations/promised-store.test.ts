// Stores that answer with promises, as a database does, or with thenables, as some clients do:
// turns work with them as with the one in memory. What can happen while they are asked is below.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { MemoryStore } from '../../../src/core/conversations/memory-store.ts';
import type { ConversationStore } from '../../../src/core/conversations/store.ts';
import {
  messageEvent, rawRequest, until, type RawConnection, type Served,
} from '../../fixtures/app.ts';
import { askingBack, cut, hold, HeldReply, spoken, type AskingBack } from './asking-back.ts';
import { PromisedStore } from './promised-store.ts';
import { storeContract } from './store-contract.ts';
import { turnContract } from './turn-contract.ts';

function memory(): MemoryStore {
  return new MemoryStore({ ttlMs: 3_600_000, maxConversations: 1_000 });
}

/** The same answers, as objects that have nothing but `then`. */
function thenable(store: PromisedStore): ConversationStore {
  const bare = <T>(promise: Promise<T>): Promise<T> => {
    const answer: PromiseLike<T> = { then: promise.then.bind(promise) };
    return answer as Promise<T>; // a store in JavaScript may answer with it
  };
  return {
    read: (id) => bare(store.read(id)),
    update: (id, change) => bare(store.update(id, change)),
    count: () => bare(store.count()),
    close: () => bare(store.close()),
  };
}

storeContract('PromisedStore', () => new PromisedStore(memory()));

turnContract('a store that answers at once', memory);
turnContract('a store that answers with promises', () => new PromisedStore(memory()));
turnContract('a store that answers with thenables', () => thenable(new PromisedStore(memory())));

function begin(t: TestContext): AskingBack & { readonly store: PromisedStore } {
  const store = new PromisedStore(memory());
  return { ...askingBack(t, store), store };
}

type Test = (served: ReturnType<typeof begin>, t: TestContext) => Promise<void>;
const inTurns = (test: Test) => (t: TestContext) => test(begin(t), t);

/** A delivery whose connection the test may cut before it is answered. */
async function post(
  served: Served,
  fields: Readonly<Record<string, unknown>>,
): Promise<RawConnection> {
  const connection = await served.raw();
  const conversation_id = served.client.conversationId;
  connection.write(rawRequest(messageEvent({ conversation_id, ...fields })));
  return connection;
}

/** Resolves when that many messages have reached the server. */
async function arrived({ metric }: Served, count: number): Promise<void> {
  await until(() => metric('layercode_events_total{event="message"}') === count, 'the message');
}

describe('turns while the store is being asked', { timeout: 60_000 }, () => {
  it('do not ask the agent before the caller\'s words are stored', async (t) => {
    const { client, store, runs } = begin(t);
    store.hold();
    const reply = client.say('One');
    await store.called(1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(runs, []);
    store.release();
    assert.equal(await spoken(reply), 'One?');
  });

  it('are handed over to a newer delivery, and both deliveries get the reply', async (t) => {
    const { client, store, runs, told } = begin(t);
    store.hold();
    const older = spoken(client.say('One', { turn_id: 't1' }));
    await store.called(1);
    const newer = spoken(client.say('One', { turn_id: 't1' }));
    store.release();
    assert.equal(await newer, 'One?');
    assert.equal(await older, 'One?');
    assert.deepEqual(runs, ['One']);
    assert.equal(await told(), 'One > One?');
  });

  it('are given up when the caller leaves, and the agent is told', inTurns(async (served) => {
    const { store } = served;
    store.hold();
    const dropped = await post(served, { turn_id: 't1', text: 'One' });
    await store.called(1);
    await cut(dropped, served);
    assert.deepEqual(served.interrupted.all, []);
    store.release();
    const { conversationId } = served.client;
    assert.deepEqual(await served.interrupted.next(), { conversationId, turnId: 't1', text: '' });
    await store.called(2); // for its settlement
    assert.equal(await served.told(), 'One');
    assert.deepEqual(served.runs, []);
    assert.deepEqual(served.outcomes(), { interrupted: 1 });
  }));

  // Previously both began, and the older one went on unnoticed, out of reach of every later
  // interruption.
  it('end a turn that began a moment earlier: two barge-ins', inTurns(async (served) => {
    const { client, store } = served;
    await hold(served, 'hold 1');
    const calls = store.calls.length;
    store.hold();
    const second = client.say('hold 2');
    await store.called(calls + 1);
    const third = client.say('hold 3');
    await store.called(calls + 2);
    store.release();
    const held = new HeldReply(await third);
    assert.equal(await held.next(), 'hold 3?');
    assert.equal(served.app.runningTurns, 1);
    assert.match(await spoken(second), /^(hold 2\?)?$/);
    served.go('hold 3');
    assert.deepEqual(await held.rest(), [' Done.', 'response.end']);
    assert.match(await served.told(), /^hold 1 .*\/ hold 2 .*\/ hold 3 > hold 3\? Done\.$/);
  }));

  it('let an older turn, delivered again meanwhile, take over its own stream', async (t) => {
    const served = begin(t);
    const { client, store } = served;
    const first = await hold(served, 'hold 1');
    const calls = store.calls.length;
    store.hold();
    const second = spoken(client.say('Two'));
    await store.called(calls + 1);
    const again = await hold(served, 'hold 1');
    assert.deepEqual(await first.rest(), ['response.end']);
    store.release();
    assert.deepEqual(await again.rest(), ['response.end']);
    assert.equal(await second, 'Two?');
    assert.deepEqual(served.runs, ['hold 1', 'Two']);
    assert.deepEqual(served.outcomes(), { taken_over: 1, interrupted: 1, completed: 1 });
  });

  it('ask the agent once for a barge-in that is delivered twice', inTurns(async (served) => {
    const { client, store } = served;
    await hold(served, 'hold 1');
    const calls = store.calls.length;
    store.hold();
    const older = client.say('Two', { turn_id: 't2' });
    await store.called(calls + 1);
    const newer = client.say('Two', { turn_id: 't2' });
    await arrived(served, 3);
    store.release();
    await spoken(older);
    assert.equal(await spoken(newer), 'Two?');
    assert.deepEqual(served.runs, ['hold 1', 'Two']);
  }));

  it('are counted once per delivery, even if the session ends before a replay', async (t) => {
    const served = begin(t);
    const { client, store } = served;
    await spoken(client.say('One', { turn_id: 't1' }));
    await served.history(); // after its settlement
    const calls = store.calls.length;
    store.hold();
    const again = client.say('One', { turn_id: 't1' });
    await store.called(calls + 1);
    await client.post({
      type: 'session.end', session_id: 'test-session', conversation_id: client.conversationId,
    });
    store.release();
    await spoken(again);
    assert.equal(await served.told(), 'One > One?');
    const counted = Object.values(served.outcomes()).reduce((sum, count) => sum + count, 0);
    assert.equal(counted, 2, JSON.stringify(served.outcomes()));
    assert.deepEqual(served.interrupted.all, []); // it had completed, and nobody cut it
  });

  // Previously the turn began, with nobody to tell it that its caller had gone.
  it('do not begin for a caller who left while an older turn was still speaking', async (t) => {
    const served = begin(t);
    const { store } = served;
    const first = await hold(served, 'hold 1');
    const calls = store.calls.length;
    store.hold();
    const left = await post(served, { turn_id: 't2', text: 'hold 2' });
    await store.called(calls + 1);
    await cut(left, served);
    store.failWith = new Error('connection refused');
    store.release();
    await first.rest();
    store.failWith = undefined;
    await served.history(); // after everything asked of the store
    await served.history();
    assert.deepEqual(served.runs, ['hold 1']);
    assert.equal(served.app.runningTurns, 0);
  });
});

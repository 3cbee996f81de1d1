import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { isThenable, type Awaitable } from '../../../src/base/awaitable.ts';
import { DEFAULT_APOLOGY } from '../../../src/core/agents/phrases.ts';
import type { Conversation } from '../../../src/core/conversations/conversation.ts';
import type { ConversationStore } from '../../../src/core/conversations/store.ts';
import {
  errorsIn, messageEvent, rawRequest, typesOf, until, type TestAgent,
} from '../../fixtures/app.ts';
import { mockTimers, type Clock } from '../../fixtures/clock.ts';
import { askingBack, cut, hold, spoken, type AskingBack } from './asking-back.ts';

/** A store around another, which counts its calls and can be made to fail as that one would. */
class FailingStore implements ConversationStore {
  /** Calls fail with it while it is set, and do nothing. */
  failWith: Error | undefined;
  readonly calls: string[] = [];
  readonly #inner: ConversationStore;

  constructor(inner: ConversationStore) {
    this.#inner = inner;
  }

  read(id: string): Awaitable<Conversation | undefined> {
    return this.#call('read', () => this.#inner.read(id));
  }

  update<T>(id: string, change: (conversation: Conversation) => T): Awaitable<T> {
    return this.#call('update', () => this.#inner.update(id, change));
  }

  count(): Awaitable<number> {
    return this.#inner.count();
  }

  close(): Awaitable<void> {
    this.calls.push('close');
    return this.#inner.close();
  }

  #call<T>(name: string, call: () => Awaitable<T>): Awaitable<T> {
    this.calls.push(name);
    if (this.failWith === undefined) return call();
    const answered = this.#inner.read('');
    if (!isThenable(answered)) throw this.failWith;
    const failed = Promise.reject<T>(this.failWith);
    if (answered instanceof Promise) return failed;
    const thenable: PromiseLike<T> = { then: failed.then.bind(failed) };
    return thenable as Promise<T>; // as a store in JavaScript may answer
  }
}

/** Milliseconds after which no write is tried again. */
const TRIES_MS = 1_400;

/** Lets the time between attempts at a failed write pass, and no more. */
async function passTries(clock: Clock): Promise<void> {
  for (let ms = 0; ms < TRIES_MS; ms += 10) {
    clock.tick(10);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The turn's whole life over any store. Each test has a new one from `open`. */
export function turnContract(name: string, open: () => ConversationStore): void {
  const begin = (t: TestContext, agent?: TestAgent): AskingBack & { store: FailingStore } => {
    const store = new FailingStore(open());
    return { ...askingBack(t, store, agent), store };
  };

  type Test<T> = (served: T, t: TestContext) => Promise<void>;
  const inTurns = (test: Test<ReturnType<typeof begin>>) => (t: TestContext) => test(begin(t), t);

  describe(`turns with ${name}`, { timeout: 60_000 }, () => {
    it('answer and remember', async (t) => {
      const { client, told } = begin(t, {
        onMessage: (turn) => `${turn.history.length}: ${turn.text}`,
      });
      assert.equal(await spoken(client.start()), 'Welcome.');
      assert.equal(await spoken(client.say('One')), '2: One');
      assert.equal(await spoken(client.say('Two')), '4: Two');
      assert.equal(await spoken(client.start()), 'Welcome back.');
      const talk = 'Welcome. / One > 2: One / Two > 4: Two > Welcome back.';
      assert.equal(await told(), talk);
    });

    it('take two calls to the store each', inTurns(async ({ client, store }) => {
      await spoken(client.say('One'));
      await spoken(client.say('Two'));
      assert.deepEqual(store.calls, ['update', 'update', 'update', 'update']);
    }));

    it('show the words and a placeholder while running', inTurns(async (served) => {
      await hold(served);
      assert.equal(await served.told(), 'hold > …');
    }));

    it('keep what was sent when the caller leaves', inTurns(async (served) => {
      (await hold(served)).drop();
      assert.equal((await served.interrupted.next()).text, 'hold?');
      assert.deepEqual(served.aborted, ['hold']);
      assert.equal(await served.told(), 'hold > hold?*');
    }));

    it('end the running turn when a newer one begins, and stay in order', async (t) => {
      const served = begin(t);
      const first = await hold(served, 'hold 1');
      const second = spoken(served.client.say('Two'));
      assert.deepEqual(await first.rest(), ['response.end']);
      assert.equal(await second, 'Two?');
      assert.deepEqual(served.aborted, ['hold 1']);
      assert.equal(await served.told(), 'hold 1 > hold 1?* / Two > Two?');
      assert.deepEqual(served.outcomes(), { interrupted: 1, completed: 1 });
    });

    it('cut the previous turn to what was heard', inTurns(async ({ client, told, interrupted }) => {
      assert.equal(await spoken(client.say('One')), 'One?');
      await spoken(client.say('Two', {
        interruption_context: { previous_turn_interrupted: true, words_heard: 1, text_heard: 'On' },
      }));
      assert.equal(await told(), 'One > On* / Two > Two?');
      assert.deepEqual(interrupted.all.map(({ text }) => text), ['On']);
    }));

    it('repeat a completed reply without asking the agent', inTurns(async (served) => {
      assert.equal(await spoken(served.client.say('One', { turn_id: 't1' })), 'One?');
      assert.equal(await spoken(served.client.say('One', { turn_id: 't1' })), 'One?');
      assert.deepEqual(served.runs, ['One']);
      assert.equal(await served.told(), 'One > One?');
      assert.deepEqual(served.outcomes(), { completed: 1, replayed: 1 });
    }));

    it('run again if they were interrupted', inTurns(async (served) => {
      (await hold(served)).drop();
      await served.interrupted.next();
      const again = await hold(served);
      served.go('hold');
      assert.deepEqual(await again.rest(), [' Done.', 'response.end']);
      assert.equal(await served.told(), 'hold > hold? Done.');
    }));

    it('hand the stream over to a newer delivery', inTurns(async (served) => {
      const older = await hold(served);
      const newer = await hold(served); // it gets what has been said so far
      assert.deepEqual(await older.rest(), ['response.end']);
      served.go('hold');
      assert.deepEqual(await newer.rest(), [' Done.', 'response.end']);
      assert.deepEqual(served.runs, ['hold']);
      assert.deepEqual(served.outcomes(), { taken_over: 1, completed: 1 });
    }));

    it('repeat a completed turn during a newer one, but not an unfinished turn', async (t) => {
      const served = begin(t);
      const { client } = served;
      await spoken(client.say('One', { turn_id: 't1' }));
      (await hold(served, 'hold 2')).drop();
      await served.interrupted.next();
      const third = await hold(served, 'hold 3');
      assert.equal(await spoken(client.say('One', { turn_id: 't1' })), 'One?');
      assert.equal(await spoken(client.say('hold 2', { turn_id: 'hold 2' })), '');
      served.go('hold 3');
      assert.deepEqual(await third.rest(), [' Done.', 'response.end']);
      assert.deepEqual(served.runs, ['One', 'hold 2', 'hold 3']);
      assert.deepEqual(served.outcomes(), { completed: 2, interrupted: 1, replayed: 1, stale: 1 });
    });

    it('end with their session', inTurns(async (served) => {
      const { client } = served;
      const held = await hold(served);
      const ended = await client.post({
        type: 'session.end', session_id: 'test-session', conversation_id: client.conversationId,
      });
      assert.deepEqual(await ended.json(), { status: 'ok' });
      assert.deepEqual(await held.rest(), ['response.end']);
      assert.equal(await served.told(), 'hold > hold?*');
    }));

    it('are marked if the call dialect says that a completed turn was spoken over', async (t) => {
      const { client, told, interrupted } = begin(t);
      const call = { call_id: client.conversationId };
      const reply = await client.post({ type: 'transcript', transcript: 'One', ...call });
      assert.equal(await reply.text(), 'One?');
      await (await client.post({ type: 'user_interrupted', ...call })).events();
      assert.equal(await told(), 'One > One?*');
      assert.deepEqual(interrupted.all.map(({ text }) => text), ['One?']);
    });

    it('are stored before the store is closed', inTurns(async (served) => {
      const held = await hold(served);
      await served.app.close();
      assert.deepEqual(await held.rest(), ['response.end']);
      assert.deepEqual(served.store.calls, ['update', 'update', 'close']);
      assert.deepEqual(errorsIn(served.logLines), []);
    }));
  });

  describe(`turns while ${name} fails`, { timeout: 60_000 }, () => {
    const gone = new Error('connection refused');

    interface Failing extends AskingBack {
      readonly store: FailingStore;
      /** The store fails from now on, and time passes only as the test says. */
      fail(): void;
      /** Resolves when the store has been asked since then. */
      asked(): Promise<void>;
      /** Lets the time pass in which a write is tried again. */
      pass(): Promise<void>;
    }

    function beginFailing(t: TestContext): Failing {
      const served = begin(t);
      const { store } = served;
      let clock: Clock | undefined;
      let before = 0;
      return {
        ...served,
        fail() {
          clock ??= mockTimers(t, ['setTimeout']);
          before = store.calls.length;
          store.failWith = gone;
        },
        asked: () => until(() => store.calls.length > before, 'the store to be asked'),
        pass: () => passTries(clock ?? assert.fail()),
      };
    }

    const inOutage = (test: Test<Failing>) => (t: TestContext) => test(beginFailing(t), t);

    it('end with the apology, and the next turn works once the store does', async (t) => {
      const served = beginFailing(t);
      const { client, store } = served;
      served.fail();
      const reply = client.say('One');
      await served.asked();
      await served.pass();
      assert.equal(await spoken(reply), DEFAULT_APOLOGY);
      assert.deepEqual(served.runs, []);
      assert.equal(served.app.runningTurns, 0);
      assert.deepEqual(errorsIn(served.logLines), ['turn failed']);
      store.failWith = undefined;
      assert.equal(await spoken(client.say('Two')), 'Two?');
      assert.equal(await served.told(), 'Two > Two?');
      assert.deepEqual(served.outcomes(), { failed: 1, completed: 1 });
    });

    it('are opened all the same if the store comes back in between', inOutage(async (served) => {
      served.fail();
      const reply = served.client.say('One');
      await served.asked();
      served.store.failWith = undefined;
      await served.pass();
      assert.equal(await spoken(reply), 'One?');
    }));

    it('end with the apology and an error event in the call dialect', inOutage(async (served) => {
      served.fail();
      const reply = served.client.post({ type: 'transcript', transcript: 'One', call_id: 'k' });
      await served.asked();
      await served.pass();
      assert.deepEqual(typesOf(await (await reply).events()), ['message', 'error', 'done']);
    }));

    it('are not ended by a session.start from a second sender', inTurns(async (served) => {
      const { client, store } = served;
      const held = await hold(served);
      store.failWith = gone;
      assert.equal(await spoken(client.start({ turn_id: null })), DEFAULT_APOLOGY);
      store.failWith = undefined;
      served.go('hold');
      assert.deepEqual(await held.rest(), [' Done.', 'response.end']);
    }));

    it('leave user_interrupted to be answered with an error', inTurns(async ({ client, store }) => {
      store.failWith = gone;
      const reply = await client.post({ type: 'user_interrupted', call_id: 'k' });
      assert.deepEqual(typesOf(await reply.events()), ['error', 'done']);
    }));

    for (const [what, isBack, errors] of [
      ['are spoken to the end if only their history cannot be written', false,
        ['history not written']],
      ['write their history if the store comes back in between', true, []],
    ] as const)
      it(what, inOutage(async (served) => {
        const held = await hold(served);
        served.fail();
        served.go('hold');
        assert.deepEqual(await held.rest(), [' Done.', 'response.end']);
        if (isBack) served.store.failWith = undefined;
        await served.pass();
        assert.deepEqual(errorsIn(served.logLines), errors);
        if (isBack) assert.equal(await served.told(), 'hold > hold? Done.');
        else assert.equal(served.store.calls.length, 5); // the opening, and four attempts
      }));

    it('end an older turn even if the newer one cannot be opened', inOutage(async (served) => {
      const { client, store } = served;
      const first = await hold(served, 'hold 1');
      served.fail();
      const second = client.say('Two');
      await served.asked();
      await served.pass();
      assert.equal(await spoken(second), DEFAULT_APOLOGY);
      assert.deepEqual(await first.rest(), ['response.end']);
      assert.deepEqual(served.aborted, ['hold 1']);
      assert.equal(served.app.runningTurns, 0);
      await served.pass(); // the older one is written in vain
      store.failWith = undefined;
      assert.equal(await spoken(client.say('Three')), 'Three?');
    }));

    it('do not begin for a caller who left while they could not be opened', async (t) => {
      const served = beginFailing(t);
      const connection = await served.raw();
      served.fail();
      const { conversationId } = served.client;
      connection.write(rawRequest(messageEvent({ conversation_id: conversationId })));
      await served.asked();
      await cut(connection, served);
      await served.pass();
      served.store.failWith = undefined;
      assert.deepEqual([served.runs, served.app.runningTurns], [[], 0]);
    });
  });
}

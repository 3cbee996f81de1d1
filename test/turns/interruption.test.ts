// The caller speaks over the agent, which is the normal case. The server learns it from a dropped
// request, a newer turn, or an event of the platform.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import {
  deferred,
  errorsIn,
  fired,
  Listener,
  messageEvent,
  rawRequest,
  serve,
  slowStore,
  Told,
  typesOf,
  within,
  type Served,
  type TestAgent,
} from '../fixtures/app.ts';
import { dropBeforeWrite } from './held-store.ts';
import { dropHeld, heard, hold, holding } from './held-turns.ts';

describe('a dropped request', () => {
  it('keeps what had been sent, as interrupted', async (t) => {
    const served = holding(t);
    await dropHeld(served);
    assert.deepEqual(await served.history(), [
      ['user', 'hold'],
      ['assistant', 'It rains in Spain.', 'interrupted'],
    ]);
  });

  it("keeps the turn's id with the message", async (t) => {
    const served = holding(t);
    await dropHeld(served, { turn_id: 't-7' });
    assert.deepEqual((await served.messages())[1], {
      role: 'assistant',
      content: 'It rains in Spain.',
      turnId: 't-7',
      state: 'interrupted',
    });
  });

  it("fires the agent's signal", async (t) => {
    const served = holding(t);
    await dropHeld(served);
    assert.equal((await served.begun.next()).aborted, true);
  });

  it("fires the agent's signal with a reason that is not an error", async (t) => {
    const served = holding(t);
    await dropHeld(served);
    assert.equal(((await served.begun.next()).reason as Error).name, 'TurnAbortedError');
  });

  it('leaves no turn running', async (t) => {
    const served = holding(t);
    await dropHeld(served);
    assert.equal(served.app.runningTurns, 0);
  });

  it('calls onInterrupted once', async (t) => {
    const served = holding(t);
    const { drop } = await hold(served, { turn_id: 't-1' });
    drop();
    await served.interrupted.next();
    await (await served.client.say('next', heard('It'))).text();
    assert.equal(served.interrupted.all.length, 1);
  });

  it('calls onInterrupted with what had been sent', async (t) => {
    const served = holding(t);
    const { drop } = await hold(served, { turn_id: 't-1' });
    drop();
    assert.deepEqual(await served.interrupted.next(), {
      conversationId: served.client.conversationId,
      turnId: 't-1',
      text: 'It rains in Spain.',
    });
  });

  it('is not an error', async (t) => {
    const served = holding(t);
    await dropHeld(served);
    await (await served.client.say('next')).text();
    assert.deepEqual(errorsIn(served.logLines), []);
  });

  it('counts as interrupted', async (t) => {
    const served = holding(t);
    await dropHeld(served);
    assert.equal(served.metric('layercode_turns_total{event="message",outcome="interrupted",wire="layercode"}'), 1);
  });

  it('stops a generator that is waiting at a yield', async (t) => {
    const stopped = deferred();
    const gate = deferred();
    const { client } = serve(t, {
      async *onMessage() {
        try {
          yield 'One.';
          await gate.promise;
          yield 'Two.';
          assert.fail('asked for more after the drop');
        } finally {
          stopped.resolve();
        }
      },
    });
    const reply = await client.say('Hello?');
    await new Listener(reply).next();
    reply.drop();
    setImmediate(gate.resolve);
    await within(stopped.promise, "the generator's finally");
  });

  it("before the first word leaves only the caller's words in history", async (t) => {
    const { raw, history, interrupted } = serve(t, {
      onMessage: ({ signal }) => (begun.resolve(), fired(signal).then(() => undefined)),
    });
    const begun = deferred();
    const connection = await raw();
    connection.write(rawRequest(messageEvent()));
    await within(begun.promise, 'the turn');
    connection.socket.destroy();
    await interrupted.next();
    assert.deepEqual(await history('c-1'), [['user', 'Hello?']]);
  });

  it("before the first word fires the agent's signal", async (t) => {
    const signals = new Told<AbortSignal>();
    const { raw, interrupted } = serve(t, {
      onMessage: ({ signal }) => (signals.tell(signal), fired(signal).then(() => undefined)),
    });
    const connection = await raw();
    connection.write(rawRequest(messageEvent()));
    const signal = await signals.next();
    connection.socket.destroy();
    await interrupted.next();
    assert.equal(signal.aborted, true);
  });

  it('fires a signal that is first read afterwards', async (t) => {
    const gate = deferred();
    const begun = deferred();
    const aborted = deferred<boolean>();
    const { raw, interrupted } = serve(t, {
      async onMessage(turn) {
        begun.resolve();
        await gate.promise; // for example a look-up, before the model is asked with the signal
        aborted.resolve(turn.signal.aborted);
      },
    });
    const connection = await raw();
    connection.write(rawRequest(messageEvent()));
    await within(begun.promise, 'the turn');
    connection.socket.destroy();
    await interrupted.next();
    gate.resolve();
    assert.equal(await within(aborted.promise, 'the agent'), true);
  });

  it('turns everything the agent says later into a no-op that returns false', async (t) => {
    const late = deferred<unknown[]>();
    const { client } = serve(t, {
      async onMessage({ signal }, reply) {
        reply.say('One.');
        await fired(signal);
        reply.hangup({ say: 'late' });
        late.resolve([reply.say('late'), reply.data('late')]);
      },
    });
    const reply = await client.say('Hello?');
    await new Listener(reply).next();
    reply.drop();
    assert.deepEqual(await within(late.promise, 'the late words'), [false, false]);
  });

  it('keeps what the agent says later out of history', async (t) => {
    const late = deferred();
    const { client, history } = serve(t, {
      async onMessage({ signal }, reply) {
        reply.say('One.');
        await fired(signal);
        reply.say(' Two.');
        late.resolve();
        return ' Three.';
      },
    });
    const reply = await client.say('Hello?');
    await new Listener(reply).next();
    reply.drop();
    await within(late.promise, 'the late word');
    await new Promise((resolve) => setImmediate(resolve)); // time for what it returned
    assert.deepEqual((await history())[1], ['assistant', 'One.', 'interrupted']);
  });

  it('survives an agent that throws because of it', async (t) => {
    const { client, interrupted, history } = serve(t, {
      async *onMessage({ text, signal }) {
        yield 'One.';
        if (text !== 'hold') return;
        await fired(signal);
        throw signal.reason;
      },
    });
    const reply = await client.say('hold');
    await new Listener(reply).next();
    reply.drop();
    await interrupted.next();
    await (await client.say('next')).text();
    assert.deepEqual((await history())[1], ['assistant', 'One.', 'interrupted']);
  });

  for (const [what, fail] of [
    ['throws', () => { throw new Error('x'); }], ['rejects', () => Promise.reject(new Error('x'))],
  ] as const)
    it(`survives an onInterrupted that ${what}, and logs it`, async (t) => {
      const told = deferred();
      const served = holding(t, undefined, {
        onInterrupted: () => {
          told.resolve();
          return fail();
        },
      });
      (await hold(served)).drop();
      await within(told.promise, 'onInterrupted');
      assert.equal(await (await served.client.say('next')).text(), 'next!');
      assert.match(served.logLines.join(''), /"level":"error","msg":"onInterrupted failed"/);
    });

  it('after the end changes nothing', async (t) => {
    const { client, history, interrupted } = serve(t, {});
    const reply = await client.say('Hello?');
    await reply.text();
    reply.drop();
    await (await client.say('again')).text();
    assert.deepEqual(
      [(await history())[1], interrupted.all],
      [['assistant', 'Yes.', 'completed'], []],
    );
  });

  it('while a slow store opens the record leaves no placeholder behind', async (t) => {
    const { history } = await droppedWhileOpening(t);
    assert.deepEqual(await history('c-1'), [['user', 'Hello?']]);
  });

  it('while a slow store opens the record never asks the agent', async (t) => {
    let runs = 0;
    const { app } = await droppedWhileOpening(t, {
      onMessage: () => {
        runs += 1;
      },
    });
    assert.deepEqual([runs, app.runningTurns], [0, 0]);
  });
});

/**
 * Drops a turn before the store has opened its record. Resolves when the record is opened and
 * settled.
 */
async function droppedWhileOpening(t: TestContext, agent: TestAgent = {}): Promise<Served> {
  const store = slowStore();
  const served = serve(t, agent, { store });
  await dropBeforeWrite(served, store);
  // each read is answered after the writes that wait
  for (let round = 0; round < 2; round++) await served.history('c-1');
  return served;
}

describe('a newer turn', () => {
  it('ends the stream of the older one properly', async (t) => {
    const served = holding(t);
    const { listener } = await hold(served, { turn_id: 't-1' });
    await (await served.client.say('next')).text();
    assert.deepEqual(await listener.rest(), [{ type: 'response.end', turn_id: 't-1' }]);
  });

  it('fires the signal of the older one', async (t) => {
    const served = holding(t);
    await hold(served);
    await (await served.client.say('next')).text();
    assert.equal((await served.begun.next()).aborted, true);
  });

  it('keeps what the older one had sent, as interrupted', async (t) => {
    const served = holding(t);
    await hold(served);
    await (await served.client.say('next')).text();
    assert.deepEqual(await served.history(), [
      ['user', 'hold'],
      ['assistant', 'It rains in Spain.', 'interrupted'],
      ['user', 'next'],
      ['assistant', 'next!', 'completed'],
    ]);
  });

  it('sees the interrupted one in its history', async (t) => {
    const seen = new Told<readonly string[]>();
    const served = serve(t, {
      async *onMessage({ text, history, signal }) {
        if (text === 'next') seen.tell(history.map(({ content }) => content));
        yield 'One.';
        if (text === 'hold') await fired(signal);
      },
    });
    await hold(served, {}, 'One.');
    await (await served.client.say('next')).text();
    assert.deepEqual(await seen.next(), ['hold', 'One.', 'next']);
  });

  it('calls onInterrupted once, and not again at the drop after it', async (t) => {
    const served = holding(t);
    const { drop } = await hold(served, { turn_id: 't-1' });
    await (await served.client.say('next')).text();
    drop();
    await (await served.client.say('and next')).text();
    assert.deepEqual(
      served.interrupted.all.map(({ turnId }) => turnId),
      ['t-1'],
    );
  });

  it('is not interrupted by the drop of the older one', async (t) => {
    const served = holding(t);
    const older = await hold(served, { turn_id: 't-1' });
    const newer = await hold(served, { turn_id: 't-2' });
    await served.interrupted.next();
    older.drop();
    newer.drop();
    assert.deepEqual((await served.interrupted.next()).turnId, 't-2');
  });

  it('of another conversation leaves this one alone', async (t) => {
    const served = holding(t);
    await hold(served);
    await (await served.client.say('next', { conversation_id: 'another' })).text();
    assert.equal(served.app.runningTurns, 1);
  });

  it('of another session of the conversation ends the older one', async (t) => {
    const served = holding(t);
    await hold(served, { session_id: 's-1' });
    await (await served.client.say('next', { session_id: 's-2' })).text();
    assert.equal(served.app.runningTurns, 0);
  });

  it('that is a session.start ends the older one', async (t) => {
    const served = holding(t);
    await hold(served, { turn_id: 't-1' });
    await (await served.client.start()).events();
    assert.equal((await served.interrupted.next()).turnId, 't-1');
  });

  it('keeps a stale agent from writing to its stream', async (t) => {
    const gate = deferred();
    const { client } = serve(t, {
      async *onMessage({ text }) {
        yield `${text}.`;
        if (text === 'old') await gate.promise; // ignores its signal
        yield ' more';
      },
    });
    const old = new Listener(await client.say('old'));
    await old.next();
    await (await client.say('new')).text();
    gate.resolve();
    assert.deepEqual(typesOf(await old.rest()), ['response.end']);
  });

  it('keeps a stale agent from writing to history', async (t) => {
    const gate = deferred();
    const over = deferred();
    const { client, history } = serve(t, {
      async onMessage({ text }, reply) {
        reply.say(`${text}.`);
        if (text !== 'old') return;
        await gate.promise;
        reply.say(' more');
        reply.end();
        over.resolve();
      },
    });
    await new Listener(await client.say('old')).next();
    await (await client.say('new')).text();
    gate.resolve();
    await within(over.promise, 'the stale agent');
    assert.deepEqual(await history(), [
      ['user', 'old'],
      ['assistant', 'old.', 'interrupted'],
      ['user', 'new'],
      ['assistant', 'new.', 'completed'],
    ]);
  });

  it('comes after the older one in history, even if it ends first', async (t) => {
    const served = holding(t);
    const older = await hold(served);
    const newer = await hold(served);
    older.drop();
    newer.drop();
    await served.interrupted.next();
    await served.interrupted.next();
    assert.deepEqual(
      (await served.history()).map(([role]) => role),
      ['user', 'assistant', 'user', 'assistant'],
    );
  });

  it("before the older one's first word leaves no empty message", async (t) => {
    const served = holding(t, []);
    void served.client.say('hold');
    await served.begun.next();
    await (await served.client.say('next')).text();
    assert.deepEqual(await served.history(), [
      ['user', 'hold'],
      ['user', 'next'],
      ['assistant', 'next!', 'completed'],
    ]);
  });
});

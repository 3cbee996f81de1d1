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
  until,
  within,
  type Served,
  type TestAgent,
} from '../fixtures/app.ts';
import { wireBody } from '../fixtures/wire.ts';
import { dropBeforeWrite } from './held-store.ts';

/** An agent that answers "hold" with its pieces, and then waits until it is interrupted. */
function holding(
  t: TestContext,
  pieces: readonly string[] = ['It rains ', 'in Spain.'],
  agent: TestAgent = {},
): Served & { begun: Told<AbortSignal> } {
  const begun = new Told<AbortSignal>();
  return {
    begun,
    ...serve(t, {
      async *onMessage({ text, signal }) {
        begun.tell(signal);
        if (text === 'hold') {
          yield* pieces;
          await fired(signal);
        } else yield `${text}!`;
      },
      ...agent,
    }),
  };
}

/** Sends "hold", and reads up to the last piece. */
async function hold(
  { client }: Served,
  fields: Readonly<Record<string, unknown>> = {},
  last = 'in Spain.',
): Promise<{ drop: () => void; listener: Listener }> {
  const reply = await client.say('hold', fields);
  const listener = new Listener(reply);
  for (let event = await listener.next(); event?.content !== last; event = await listener.next())
    assert.ok(event, `the stream ended before ${last}`);
  return { drop: () => reply.drop(), listener };
}

async function dropHeld(served: Served, fields?: Readonly<Record<string, unknown>>): Promise<void> {
  (await hold(served, fields)).drop();
  await served.interrupted.next();
}

function heard(
  text_heard: string | undefined,
  fields: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return {
    interruption_context: {
      previous_turn_interrupted: true,
      words_heard: 0,
      text_heard,
      ...fields,
    },
  };
}

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

  it("fires the agent's signal with a reason that is no failure", async (t) => {
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

  it('is no error', async (t) => {
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

  it('stops a generator that waits at a yield', async (t) => {
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

  it("before the first word leaves the caller's words alone in history", async (t) => {
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

  it('fires a signal that is asked for only afterwards', async (t) => {
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

  it('makes whatever the agent still says a no-op that returns false', async (t) => {
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

  it('keeps out of history what the agent still says', async (t) => {
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

  it('survives an onInterrupted that throws, and logs it', async (t) => {
    const told = deferred();
    const served = holding(t, undefined, {
      onInterrupted: () => {
        told.resolve();
        throw new Error('x');
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

  it('keeps of the older one what had been sent, as interrupted', async (t) => {
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

  it('is shown the interrupted one in its history', async (t) => {
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

  it('lets no stale agent write to its stream', async (t) => {
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

  it('lets no stale agent write to history', async (t) => {
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

describe('interruption_context', () => {
  it('cuts the interrupted turn to what was heard', async (t) => {
    const served = holding(t);
    await dropHeld(served);
    await (await served.client.say('next', heard('It rains'))).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'It rains', 'interrupted']);
  });

  it('cuts the turn that still runs, if the drop was not noticed', async (t) => {
    const served = holding(t);
    await hold(served);
    await (await served.client.say('next', heard('It rains'))).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'It rains', 'interrupted']);
  });

  it('cuts a turn that was completed: its text was sent, its voice was cut', async (t) => {
    const served = holding(t);
    await (await served.client.say('It rains in Spain')).text();
    await (await served.client.say('next', heard('It rains'))).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'It rains', 'interrupted']);
  });

  it('calls onInterrupted for a turn that was completed', async (t) => {
    const served = holding(t);
    await (await served.client.say('It rains in Spain', { turn_id: 't-1' })).text();
    await (await served.client.say('next', heard('It rains'))).text();
    assert.deepEqual(served.interrupted.all, [
      { conversationId: served.client.conversationId, turnId: 't-1', text: 'It rains' },
    ]);
  });

  it('cuts a welcome', async (t) => {
    const served = holding(t, [], { welcome: 'Hello there, dear caller.' });
    await (await served.client.start()).text();
    await (await served.client.say('next', heard('Hello'))).text();
    assert.deepEqual((await served.history())[0], ['assistant', 'Hello', 'interrupted']);
  });

  it('begins at the turn that assistant_turn_id names, and leaves the newer one alone', async (t) => {
    const served = holding(t);
    await (await served.client.say('On Tuesday', { turn_id: 't-1' })).text();
    await (await served.client.say('Anything else', { turn_id: 't-2' })).text();
    const report = heard('On Tue', { assistant_turn_id: 't-1' });
    await (await served.client.say('next', report)).text();
    assert.deepEqual((await served.history()).slice(0, 4), [
      ['user', 'On Tuesday'],
      ['assistant', 'On Tue', 'interrupted'],
      ['user', 'Anything else'],
      ['assistant', 'Anything else!', 'completed'],
    ]);
  });

  it('cuts the newest turn if assistant_turn_id is none of ours', async (t) => {
    const served = holding(t);
    await (await served.client.say('One', { turn_id: 't-1' })).text();
    await (await served.client.say('Two', { turn_id: 't-2' })).text();
    await (
      await served.client.say('next', heard('Tw', { assistant_turn_id: 'never-seen' }))
    ).text();
    assert.deepEqual((await served.history()).slice(0, 4), [
      ['user', 'One'],
      ['assistant', 'One!', 'completed'],
      ['user', 'Two'],
      ['assistant', 'Tw', 'interrupted'],
    ]);
  });

  it('cuts no earlier turn that assistant_turn_id names, if that said something else', async (t) => {
    const served = holding(t);
    await (await served.client.say('One', { turn_id: 't-1' })).text();
    await (await served.client.say('Two', { turn_id: 't-2' })).text();
    await (await served.client.say('next', heard('Tw', { assistant_turn_id: 't-1' }))).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'One!', 'completed']);
  });

  for (const text of ['', ' \n']) {
    it(`with ${JSON.stringify(text)} as text_heard keeps no message of the reply`, async (t) => {
      const served = holding(t);
      await dropHeld(served);
      await (await served.client.say('next', heard(text))).text();
      assert.deepEqual(await served.history(), [
        ['user', 'hold'],
        ['user', 'next'],
        ['assistant', 'next!', 'completed'],
      ]);
    });
  }

  it('with empty text_heard leaves the turn before the silenced one alone', async (t) => {
    const served = holding(t, []);
    await (await served.client.say('One')).text();
    void served.client.say('hold');
    await served.begun.next();
    await served.begun.next();
    await (await served.client.say('next', heard(''))).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'One!', 'completed']);
  });

  it('without text_heard keeps what was sent, as interrupted', async (t) => {
    const served = holding(t);
    await (await served.client.say('One')).text();
    await (await served.client.say('next', heard(undefined))).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'One!', 'interrupted']);
  });

  it('with text_heard that is no prefix of what was sent keeps what was heard', async (t) => {
    const served = holding(t);
    await dropHeld(served);
    await (await served.client.say('next', heard('it rains, in'))).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'it rains, in', 'interrupted']);
  });

  it('that says nothing was interrupted cuts nothing', async (t) => {
    const served = holding(t);
    await (await served.client.say('One')).text();
    await (
      await served.client.say('next', heard('On', { previous_turn_interrupted: false }))
    ).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'One!', 'completed']);
  });

  it('in a conversation without a reply is no error', async (t) => {
    const served = holding(t);
    assert.equal(
      await (await served.client.say('next', heard('One', { assistant_turn_id: 'x' }))).text(),
      'next!',
    );
  });

  it('is not undone by a late write of the dropped turn', async (t) => {
    const gate = deferred();
    const over = deferred();
    const { client, history } = serve(t, {
      async onMessage({ text }, reply) {
        reply.say(`${text} and more.`);
        if (text !== 'old') return;
        await gate.promise;
        reply.say(' Even more.');
        reply.end();
        over.resolve();
      },
    });
    await new Listener(await client.say('old')).next();
    await (await client.say('new', heard('old and'))).text();
    gate.resolve();
    await within(over.promise, 'the stale agent');
    assert.deepEqual((await history())[1], ['assistant', 'old and', 'interrupted']);
  });

  it('is not undone by the drop that is noticed after it', async (t) => {
    const served = holding(t);
    const { drop } = await hold(served);
    await (await served.client.say('next', heard('It rains'))).text();
    drop();
    await until(() => served.metric('layercode_open_streams') === 0, 'the streams to be closed');
    assert.deepEqual((await served.history())[1], ['assistant', 'It rains', 'interrupted']);
  });

  it('reaches the agent, which sees the cut text in its history', async (t) => {
    const seen = new Told<readonly string[]>();
    const { client } = serve(t, {
      onMessage: ({ text, history }) => {
        seen.tell(history.map(({ content }) => content));
        return `${text}!`;
      },
    });
    await (await client.say('One two three')).text();
    await (await client.say('next', heard('One two'))).text();
    await seen.next();
    assert.deepEqual(await seen.next(), ['One two three', 'One two', 'next']);
  });

  it('as the platform posts it cuts the turn before', async (t) => {
    const { client, history } = serve(t, {
      onMessage: () => 'It rains in Zürich, as it does so often.',
    });
    await (await client.post(wireBody('message'))).text();
    await (await client.post(wireBody('message-after-interruption'))).text();
    assert.deepEqual((await history('conv_xyz789'))[1], ['assistant', 'It rains', 'interrupted']);
  });

  it('of a turn that is delivered twice cuts once', async (t) => {
    const served = holding(t);
    await (await served.client.say('One', { turn_id: 't-1' })).text();
    for (let delivery = 0; delivery < 2; delivery++)
      await (await served.client.say('next', { turn_id: 't-2', ...heard('On') })).text();
    assert.deepEqual(await served.history(), [
      ['user', 'One'],
      ['assistant', 'On', 'interrupted'],
      ['user', 'next'],
      ['assistant', 'next!', 'completed'],
    ]);
  });

  it('of an older turn that runs again cuts no turn after it', async (t) => {
    // The caller spoke over t-1 with t-2, which failed. Then came t-3, and t-2 once more, whose
    // context still reports on t-1.
    let failing = true;
    const { client, history } = serve(t, {
      onMessage: ({ text }) => {
        if (text === 'Two' && failing) throw new Error('x');
        return `${text}!`;
      },
    });
    await (await client.say('One', { turn_id: 't-1' })).text();
    await (await client.say('Two', { turn_id: 't-2', ...heard('On') })).text();
    await (await client.say('Three', { turn_id: 't-3' })).text();
    failing = false;
    await (await client.say('Two', { turn_id: 't-2', ...heard('On') })).text();
    assert.deepEqual((await history()).at(-1), ['assistant', 'Three!', 'completed']);
  });
});

describe('session.end', () => {
  const sessionEnd = (
    { client }: Served,
    fields: Readonly<Record<string, unknown>> = {},
  ): Record<string, unknown> => ({
    type: 'session.end',
    session_id: 'test-session',
    conversation_id: client.conversationId,
    ...fields,
  });

  it('ends a running turn as interrupted', async (t) => {
    const served = holding(t);
    await hold(served);
    await served.client.post(sessionEnd(served));
    assert.deepEqual((await served.history())[1], [
      'assistant',
      'It rains in Spain.',
      'interrupted',
    ]);
  });

  it("fires the running turn's signal", async (t) => {
    const served = holding(t);
    await hold(served);
    await served.client.post(sessionEnd(served));
    assert.equal((await served.begun.next()).aborted, true);
  });

  it("ends the running turn's stream properly", async (t) => {
    const served = holding(t);
    const { listener } = await hold(served);
    await served.client.post(sessionEnd(served));
    assert.deepEqual(typesOf(await listener.rest()), ['response.end']);
  });

  it('of an older session leaves the turn of a newer one alone', async (t) => {
    const served = holding(t);
    await hold(served, { session_id: 'newer' });
    await served.client.post(sessionEnd(served, { session_id: 'older' }));
    assert.equal(served.app.runningTurns, 1);
  });

  it('of another conversation leaves this one alone', async (t) => {
    const served = holding(t);
    await hold(served);
    await served.client.post(sessionEnd(served, { conversation_id: 'another' }));
    assert.equal(served.app.runningTurns, 1);
  });

  it('without a running turn interrupts nothing', async (t) => {
    const served = holding(t);
    await (await served.client.say('One')).text();
    await served.client.post(sessionEnd(served));
    assert.deepEqual(
      [(await served.history())[1], served.interrupted.all],
      [['assistant', 'One!', 'completed'], []],
    );
  });
});

describe('the end of the app', () => {
  it('interrupts a turn that outlasts the time-out, and keeps what had been sent', async (t) => {
    const store = slowStore();
    store.close = () => undefined;
    const served = serve(
      t,
      {
        async *onMessage({ signal }) {
          yield 'One.';
          await fired(signal);
        },
      },
      { store },
    );
    const listener = new Listener(await served.client.say('Hello?'));
    await listener.next();
    await served.app.close();
    assert.deepEqual(
      [typesOf(await listener.rest()), (await served.history())[1]],
      [['response.end'], ['assistant', 'One.', 'interrupted']],
    );
  });
});

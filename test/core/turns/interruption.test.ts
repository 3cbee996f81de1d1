// The caller speaks over the agent, which is the normal case. The server learns it from a dropped
// request, a newer turn, or an event of the platform.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  deferred, errorsIn, fired, Listener, messageEvent, rawRequest, serve, slowStore, Told, within,
  type RawConnection, type Served,
} from '../../fixtures/app.ts';
import { heard, hold, holding, type Holding } from './held-turns.ts';

const COUNTED = 'layercode_turns_total{event="message",outcome="interrupted",wire="layercode"}';

function sessionEnd({ client }: Served, fields: object = {}): Record<string, unknown> {
  const ids = { session_id: 'test-session', conversation_id: client.conversationId };
  return { type: 'session.end', ...ids, ...fields };
}

/** Posts a message over a connection that can be closed before the first word of the reply. */
async function posted({ raw }: Served, begun: Promise<unknown>): Promise<RawConnection> {
  const connection = await raw();
  connection.write(rawRequest(messageEvent()));
  await within(begun, 'the turn');
  return connection;
}

describe('a turn that is interrupted', () => {
  const WAYS: readonly (readonly [
    by: string, interrupt: (served: Holding, drop: () => void) => unknown,
  ])[] = [
    ['the drop of its request', (_served, drop) => drop()],
    ['a newer turn', ({ says }) => says('next')],
    ['a turn of another session', ({ says }) => says('next', { session_id: 'another' })],
    ['a session.start', ({ client }) => client.start()],
    ['the end of its session', (served) => served.client.post(sessionEnd(served))],
    ['the end of the app', ({ app }) => app.close()],
  ];
  for (const [by, interrupt] of WAYS)
    it(`by ${by} keeps what was sent, and its agent is told once`, async (t) => {
      const store = slowStore();
      store.close = () => undefined; // so that it can be read after the end of the app
      const served = holding(t, {}, { store });
      const { drop, listener } = await hold(served, { turn_id: 't-7' });
      await interrupt(served, drop);
      assert.deepEqual(await served.interrupted.next(), {
        conversationId: served.client.conversationId, turnId: 't-7', text: 'It rains in Spain.',
      });
      const { aborted, reason } = await served.begun.next();
      assert.deepEqual([aborted, (reason as Error).name], [true, 'TurnAbortedError']);
      if (!by.includes('drop'))
        assert.deepEqual(await listener.rest(), [{ type: 'response.end', turn_id: 't-7' }]);
      drop();
      const isOver = by.includes('app');
      const report = heard('It rains', { assistant_turn_id: 't-7' });
      if (!isOver) await served.says('later', report);
      assert.equal(served.interrupted.all.length, 1);
      assert.deepEqual((await served.messages())[1], {
        role: 'assistant', turnId: 't-7', state: 'interrupted',
        content: isOver ? 'It rains in Spain.' : 'It rains',
      });
      assert.equal(served.metric(COUNTED), 1);
      assert.deepEqual([errorsIn(served.logLines), served.app.runningTurns], [[], 0]);
    });

  it("keeps the caller's words if the caller leaves before the agent's first word", async (t) => {
    const signals = new Told<AbortSignal>();
    const served = serve(t, {
      onMessage: ({ signal }) => (signals.tell(signal), fired(signal).then(() => undefined)),
    });
    const begun = signals.next();
    const connection = await posted(served, begun);
    connection.socket.destroy();
    await served.interrupted.next();
    assert.equal((await begun).aborted, true);
    assert.deepEqual(await served.history('c-1'), [['user', 'Hello?']]);
  });

  it('has a fired signal, even if the signal is first read afterwards', async (t) => {
    const [gate, begun, aborted] = [deferred(), deferred(), deferred<boolean>()];
    const served = serve(t, {
      async onMessage(turn) {
        begun.resolve();
        await gate.promise; // for example a look-up, before the model is asked with the signal
        aborted.resolve(turn.signal.aborted);
      },
    });
    const connection = await posted(served, begun.promise);
    connection.socket.destroy();
    await served.interrupted.next();
    gate.resolve();
    assert.equal(await within(aborted.promise, 'the agent'), true);
  });

  it('takes nothing more from its agent, which may fail', async (t) => {
    const served = serve(t, {
      async onMessage({ text, signal }, { say, data, hangup }) {
        await say('One.');
        if (text !== 'hold') return;
        await fired(signal);
        hangup({ say: 'late' });
        assert.deepEqual([await say(' Two.'), await data('late')], [false, false]);
        throw signal.reason;
      },
    });
    const reply = await served.client.say('hold');
    await new Listener(reply).next();
    reply.drop();
    await served.interrupted.next();
    await (await served.client.say('next')).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'One.', 'interrupted']);
    assert.deepEqual(errorsIn(served.logLines), []);
  });

  for (const [what, fail] of [
    ['throws', () => { throw new Error('x'); }], ['rejects', () => Promise.reject(new Error('x'))],
  ] as const)
    it(`survives an onInterrupted that ${what}, and logs it`, async (t) => {
      const told = deferred();
      const served = holding(t, { onInterrupted: () => (told.resolve(), fail()) });
      (await hold(served)).drop();
      await within(told.promise, 'onInterrupted');
      assert.equal(await served.says('next'), 'next!');
      assert.match(served.logLines.join(''), /"level":"error","msg":"onInterrupted failed"/);
    });

  for (const [when, interrupt] of [
    ['its request was dropped', (_served: Holding, drop: () => void) => drop()],
    ['its session ended', (served: Holding) => served.client.post(sessionEnd(served))],
  ] as const)
    it(`is never one that had already ended when ${when}`, async (t) => {
      const served = holding(t);
      const reply = await served.client.say('One');
      await reply.text();
      await interrupt(served, () => reply.drop());
      await served.says('again');
      assert.deepEqual((await served.history())[1], ['assistant', 'One!', 'completed']);
      assert.deepEqual(served.interrupted.all, []);
    });
});

describe('a newer turn', () => {
  it('is not interrupted by the drop of the older turn, and follows it in history', async (t) => {
    const served = holding(t);
    const older = await hold(served, { turn_id: 't-1' });
    const newer = await hold(served, { turn_id: 't-2' });
    await served.interrupted.next();
    older.drop();
    newer.drop();
    assert.equal((await served.interrupted.next()).turnId, 't-2');
    const turns = (await served.messages()).map(({ turnId, role }) => `${turnId} ${role}`);
    assert.deepEqual(turns, ['t-1 user', 't-1 assistant', 't-2 user', 't-2 assistant']);
  });
});

describe('a running turn', () => {
  for (const [by, happen] of [
    ['a turn of another conversation',
      (served: Holding) => served.says('next', { conversation_id: 'another' })],
    ['the end of a session of another conversation',
      (served: Holding) => served.client.post(sessionEnd(served, { conversation_id: 'another' }))],
    ['the end of an older session',
      (served: Holding) => served.client.post(sessionEnd(served, { session_id: 'older' }))],
  ] as const)
    it(`is left alone by ${by}`, async (t) => {
      const served = holding(t);
      await hold(served);
      await happen(served);
      assert.equal(served.app.runningTurns, 1);
    });
});

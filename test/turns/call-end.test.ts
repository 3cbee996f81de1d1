import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { fired, Listener, serve, slowStore, typesOf, type Served } from '../fixtures/app.ts';
import { hold, holding } from './held-turns.ts';

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
  it('interrupts a turn that outlasts the timeout, and keeps what had been sent', async (t) => {
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

// A session that starts: welcome, and welcome back.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { TestReply } from '../../../src/kit/test-client.ts';
import {
  contentsOf, deferred, fired, Listener, serve, Told, until, within, type Served,
} from '../../fixtures/app.ts';

const WELCOMING = { welcome: 'Hello there.' };
/** A `session.start` without a turn, as a second sender posts it. */
const SECOND = { turn_id: null };

describe('session.start', () => {
  it('in a known conversation gets "Welcome back.", even after session.end', async (t) => {
    const { client, history } = serve(t, WELCOMING);
    await (await client.say('Hello?')).text();
    const session = { session_id: 'test-session', conversation_id: client.conversationId };
    for (const session_id of ['another', 'third']) {
      assert.equal(await (await client.start({ session_id })).text(), 'Welcome back.');
      await client.post({ type: 'session.end', ...session });
    }
    const back = ['assistant', 'Welcome back.', 'completed'];
    assert.deepEqual(await history(), [
      ['user', 'Hello?'], ['assistant', 'Yes.', 'completed'], back, back,
    ]);
  });
});

describe('session.start without a turn_id', () => {
  it('is answered with the welcome, and leaves nothing in history', async (t) => {
    const { client, app } = serve(t, WELCOMING);
    assert.deepEqual(await (await client.start(SECOND)).events(), [
      { type: 'response.tts', content: 'Hello there.' }, { type: 'response.end' },
    ]);
    assert.equal(await app.conversations.count(), 0);
    assert.equal(await (await client.start()).text(), 'Hello there.');
  });

  it('is answered with "Welcome back." if the conversation is known', async (t) => {
    const { client, history } = serve(t, WELCOMING);
    await (await client.say('Hello?')).text();
    assert.equal(await (await client.start(SECOND)).text(), 'Welcome back.');
    assert.equal((await history()).length, 2);
  });

  it('neither ends a turn nor is ended by one', async (t) => {
    const gate = deferred();
    const slowly = (first: string, last: string) => async function* () {
      yield first;
      await gate.promise;
      yield last;
    };
    const { client, app, interrupted } = serve(t, {
      onSessionStart: slowly('Hello', ' there.'), onMessage: slowly('One.', ' Two.'),
    });
    const begin = async (reply: Promise<TestReply>): Promise<Listener> => {
      const listener = new Listener(await reply);
      await listener.next();
      return listener;
    };
    const running = await begin(client.say('Hello?'));
    const beside = await begin(client.start(SECOND));
    const newer = await begin(client.say('And?'));
    assert.equal(app.runningTurns, 2);
    gate.resolve();
    assert.deepEqual(contentsOf(await beside.rest()), [' there.']);
    assert.deepEqual(contentsOf(await running.rest()), []);
    assert.deepEqual(contentsOf(await newer.rest()), [' Two.']);
    assert.equal(interrupted.all.length, 1);
  });

  for (const [when, leave] of [
    ['its caller leaves', (_served: Served, reply: TestReply) => reply.drop()],
    ['the server closes', (served: Served) => void served.app.close()],
  ] as const)
    it(`is aborted when ${when}`, async (t) => {
      const told = new Told<AbortSignal>();
      const served = serve(t, {
        async onSessionStart({ signal }, { say }) {
          await say('Hello.');
          told.tell(signal);
          await fired(signal);
        },
      });
      const reply = await served.client.start(SECOND);
      const signal = await told.next();
      leave(served, reply);
      await within(fired(signal), 'the signal');
      await until(() => served.app.runningTurns === 0, 'the end');
    });
});

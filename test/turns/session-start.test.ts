// A session that starts: welcome, and welcome back.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { TestReply } from '../../src/kit/test-client.ts';
import {
  contentsOf,
  deferred,
  fired,
  Listener,
  serve,
  Told,
  until,
  within,
  type Served,
} from '../fixtures/app.ts';

describe('session.start', () => {
  const welcoming = { welcome: 'Hello there.' };

  it('of a new conversation is answered with the welcome', async (t) => {
    const { client } = serve(t, welcoming);
    assert.equal(await (await client.start()).text(), 'Hello there.');
  });

  it('keeps the welcome in history, without a message of the caller', async (t) => {
    const { client, history } = serve(t, welcoming);
    await (await client.start()).text();
    assert.deepEqual(await history(), [['assistant', 'Hello there.', 'completed']]);
  });

  it('of a known conversation is answered with "Welcome back."', async (t) => {
    const { client } = serve(t, welcoming);
    await (await client.say('Hello?')).text();
    assert.equal(await (await client.start({ session_id: 'another' })).text(), 'Welcome back.');
  });

  it('of a known conversation never wipes it', async (t) => {
    const { client, history } = serve(t, welcoming);
    await (await client.say('Hello?')).text();
    await (await client.start({ session_id: 'another' })).text();
    assert.deepEqual(await history(), [
      ['user', 'Hello?'],
      ['assistant', 'Yes.', 'completed'],
      ['assistant', 'Welcome back.', 'completed'],
    ]);
  });

  it('after session.end resumes the conversation', async (t) => {
    const { client } = serve(t, welcoming);
    await (await client.start()).text();
    await client.post({
      type: 'session.end',
      session_id: 'test-session',
      conversation_id: client.conversationId,
    });
    assert.equal(await (await client.start({ session_id: 'another' })).text(), 'Welcome back.');
  });

  it('tells the agent whether the caller is back', async (t) => {
    const told = new Told<boolean>();
    const { client } = serve(t, {
      onSessionStart: ({ isResumed }) => {
        told.tell(isResumed);
      },
    });
    await (await client.start()).events();
    await (await client.start()).events();
    assert.deepEqual(told.all, [false, true]);
  });

  it('gives the agent the earlier history', async (t) => {
    const told = new Told<number>();
    const { client } = serve(t, {
      onSessionStart: ({ history }) => {
        told.tell(history.length);
      },
    });
    await (await client.say('Hello?')).text();
    await (await client.start()).events();
    assert.equal(await told.next(), 2);
  });

  it('delivered twice before it completed welcomes the caller as for the first time', async (t) => {
    const told = new Told<boolean>();
    const { client, interrupted } = serve(t, {
      async *onSessionStart({ isResumed, signal }) {
        told.tell(isResumed);
        yield 'Hello there.';
        if (told.all.length === 1) await fired(signal);
      },
    });
    const first = await client.start({ turn_id: 't-0' });
    await new Listener(first).next();
    first.drop();
    await interrupted.next();
    await (await client.start({ turn_id: 't-0' })).text();
    assert.deepEqual(told.all, [false, false]);
  });
});

describe('session.start without turn_id, which may come from a second sender', () => {
  const second = { turn_id: null };

  it('is answered with the welcome, and leaves nothing in history', async (t) => {
    const { client, app } = serve(t, { welcome: 'Hello there.' });
    const events = await (await client.start(second)).events();
    assert.deepEqual(events, [
      { type: 'response.tts', content: 'Hello there.' },
      { type: 'response.end' },
    ]);
    assert.equal(await app.conversations.count(), 0);
    assert.equal(await (await client.start()).text(), 'Hello there.');
  });

  it('is answered with "Welcome back." if the conversation is known', async (t) => {
    const { client, history } = serve(t, { welcome: 'Hello there.' });
    await (await client.say('Hello?')).text();
    assert.equal(await (await client.start(second)).text(), 'Welcome back.');
    assert.equal((await history()).length, 2);
  });

  it('neither ends a turn nor is ended by one', async (t) => {
    const gate = deferred();
    const { client, app, interrupted } = serve(t, {
      async *onSessionStart() {
        yield 'Hello';
        await gate.promise;
        yield ' there.';
      },
      async *onMessage() {
        yield 'One.';
        await gate.promise;
        yield ' Two.';
      },
    });
    const running = new Listener(await client.say('Hello?'));
    await running.next();
    const beside = new Listener(await client.start(second));
    await beside.next();
    const newer = new Listener(await client.say('And?'));
    await newer.next();
    assert.equal(app.runningTurns, 2);
    gate.resolve();
    assert.deepEqual(contentsOf(await beside.rest()), [' there.']);
    assert.deepEqual(contentsOf(await running.rest()), []);
    assert.deepEqual(contentsOf(await newer.rest()), [' Two.']);
    assert.equal(interrupted.all.length, 1);
  });

  it('does not share the stream of another one', async (t) => {
    const { client } = serve(t, { onSessionStart: ({ turnId }) => turnId });
    const texts = await Promise.all([0, 1].map(async () => (await client.start(second)).text()));
    assert.notEqual(texts[0], texts[1]);
  });

  for (const [when, leave] of [
    ['its caller leaves', (_served: Served, reply: TestReply) => reply.drop()],
    ['the server goes down', (served: Served) => void served.app.close()],
  ] as const) {
    it(`is aborted when ${when}`, async (t) => {
      const told = new Told<AbortSignal>();
      const served = serve(t, {
        async onSessionStart({ signal }, { say }) {
          say('Hello.');
          told.tell(signal);
          await fired(signal);
        },
      });
      const reply = await served.client.start(second);
      const signal = await told.next();
      leave(served, reply);
      await within(fired(signal), 'the signal');
      await until(() => served.app.runningTurns === 0, 'the end');
    });
  }
});

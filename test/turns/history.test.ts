// What history holds while a turn runs, and afterwards.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Message } from '../../src/conversations/message.ts';
import { createLogger } from '../../src/log.ts';
import type { Delivery } from '../../src/turns/delivery.ts';
import { deferred, Listener, serve, slowStore, Told } from '../fixtures/app.ts';
import { callerMessage, turnsOf } from '../fixtures/turns.ts';
import { historyAfter } from './single-message.ts';

describe('history', () => {
  it("holds the caller's words and a placeholder while the turn runs", async (t) => {
    const gate = deferred();
    const { client, messages } = serve(t, {
      async *onMessage() {
        yield 'One.';
        await gate.promise;
      },
    });
    await new Listener(await client.say('Hello?', { turn_id: 't-1' })).next();
    const expected: Message[] = [
      { role: 'user', content: 'Hello?', turnId: 't-1' },
      { role: 'assistant', content: '', turnId: 't-1', state: 'open' },
    ];
    assert.deepEqual(await messages(), expected);
    gate.resolve();
  });

  it('holds the placeholder before the agent is asked', async (t) => {
    const seen = new Told<Message[]>();
    const { app, client } = serve(t, {
      onMessage: async ({ conversationId }) => {
        seen.tell(await app.conversations.getHistory(conversationId));
      },
    });
    await (await client.say('Hello?')).events();
    assert.deepEqual(
      (await seen.next()).map(({ role }) => role),
      ['user', 'assistant'],
    );
  });

  it("holds what was said, completed, with the turn's id", async (t) => {
    const { client, messages } = serve(t, { onMessage: () => ['One.', ' Two.'] });
    await (await client.say('Hello?', { turn_id: 't-1' })).text();
    assert.deepEqual((await messages())[1], {
      role: 'assistant',
      content: 'One. Two.',
      turnId: 't-1',
      state: 'completed',
    });
  });

  it('is settled by the time the stream has ended', async (t) => {
    const { client, history } = serve(t, {});
    for (let turn = 0; turn < 20; turn++) await (await client.say('Hello?')).text();
    assert.deepEqual(
      (await history()).filter(([, , state]) => state === 'open'),
      [],
    );
  });

  it('is in the order of the turns', async (t) => {
    const { client, history } = serve(t, {
      onSessionStart: () => 'Welcome.',
      onMessage: ({ text }) => `${text}!`,
    });
    await (await client.start()).text();
    await (await client.say('One')).text();
    await (await client.say('Two')).text();
    assert.deepEqual(
      (await history()).map(([, content]) => content),
      ['Welcome.', 'One', 'One!', 'Two', 'Two!'],
    );
  });

  it("reaches the agent up to and including the caller's words", async (t) => {
    const seen = new Told<readonly (readonly string[])[]>();
    const { client } = serve(t, {
      onMessage: ({ text, history }) => {
        seen.tell(history.map(({ role, content }) => [role, content]));
        return `${text}!`;
      },
    });
    await (await client.say('One')).text();
    await (await client.say('Two')).text();
    await seen.next();
    assert.deepEqual(await seen.next(), [
      ['user', 'One'],
      ['assistant', 'One!'],
      ['user', 'Two'],
    ]);
  });

  it('of one conversation stays out of another', async (t) => {
    const { client, history } = serve(t, {});
    await (await client.say('Mine.', { conversation_id: 'c-1' })).text();
    await (await client.say('Yours.', { conversation_id: 'c-2' })).text();
    assert.deepEqual(await history('c-1'), [
      ['user', 'Mine.'],
      ['assistant', 'Yes.', 'completed'],
    ]);
  });

  it('is kept across sessions of one conversation', async (t) => {
    const { client, history } = serve(t, {});
    await (await client.say('One', { session_id: 's-1' })).text();
    await (await client.say('Two', { session_id: 's-2' })).text();
    assert.equal((await history()).length, 4);
  });

  it('holds neither data nor hang-ups', async (t) => {
    const messages = await historyAfter(t, (_turn, reply) => {
      reply.data({ a: 1 });
      reply.say('Bye.');
      reply.hangup();
    });
    assert.deepEqual(messages, [
      ['user', 'Hello?'],
      ['assistant', 'Bye.', 'completed'],
    ]);
  });

  it('does not hold a word that the closed connection refused', async () => {
    const { turns, conversations } = turnsOf(() => ['One. ', 'Two.']);
    const outcome = deferred<string>();
    const delivery: Delivery = {
      event: callerMessage('t1', 'Hello?'),
      headers: {}, unsent: 0, isOpen: true, turn: undefined,
      log: createLogger({ level: 'silent', write: () => undefined }),
      send(event) {
        if (event.type === 'say' && event.text === 'One. ') return true;
        queueMicrotask(() => delivery.turn?.dropped());
        return false;
      },
      end: () => true,
      onOutcome: (report) => outcome.resolve(report.outcome),
    };
    turns.start(delivery);
    assert.equal(await outcome.promise, 'interrupted');
    const messages = await conversations.getHistory('c-1');
    assert.deepEqual(messages.map(({ content }) => content), ['Hello?', 'One. ']);
  });

  it('holds at most MAX_MESSAGES messages', async (t) => {
    const { client, history } = serve(
      t,
      { onMessage: ({ text }) => `${text}!` },
      { environment: { MAX_MESSAGES: '8' } },
    );
    for (const text of ['One', 'Two', 'Three', 'Four', 'Five'])
      await (await client.say(text)).text();
    assert.deepEqual(
      (await history()).map(([, content]) => content),
      ['Three', 'Three!', 'Four', 'Four!', 'Five', 'Five!'],
    );
  });

  it('is also written to a store that answers later', async (t) => {
    const { client, history } = serve(t, {}, { store: slowStore() });
    await (await client.say('Hello?')).text();
    assert.deepEqual(await history(), [
      ['user', 'Hello?'],
      ['assistant', 'Yes.', 'completed'],
    ]);
  });
});

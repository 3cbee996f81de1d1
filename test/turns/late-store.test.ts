// Turns over a store that answers later.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { DEFAULT_APOLOGY } from '../../src/agents/phrases.ts';
import { fired, messageEvent, serve, slowStore, Told, within } from '../fixtures/app.ts';
import { dropBeforeWrite, holdWrites } from './held-store.ts';

describe('turns over a store that answers later', () => {
  it('let only one of three quick turns go on', async (t) => {
    const begun = new Told<string>();
    const store = slowStore();
    const { client } = serve(
      t,
      {
        async *onMessage({ text, signal }) {
          begun.tell(text);
          yield `${text}.`;
          await fired(signal);
        },
      },
      { store },
    );
    void client.say('A');
    await begun.next();
    // Both find A running. Only the answer of the store says that they are newer.
    const writes = holdWrites(store);
    const replies = ['B', 'C'].map((text) => client.say(text).then((reply) => reply.events()));
    await writes.asked();
    await writes.asked();
    writes.release();
    assert.equal(
      (await within(Promise.race(replies), 'one of the two to be superseded')).at(-1)?.type,
      'response.end',
    );
  });

  it('count a dropped replay once', async (t) => {
    const store = slowStore();
    const served = serve(t, {}, { store });
    await (await served.client.post(messageEvent())).text();
    await dropBeforeWrite(served, store);
    await (await served.client.post(messageEvent())).text(); // stored after it
    const counts = ['interrupted', 'failed', 'replayed'].map((outcome) =>
      served.metric(`layercode_turns_total{event="message",outcome="${outcome}",wire="layercode"}`),
    );
    assert.equal(
      counts.reduce((sum, count) => sum + count),
      2,
      `interrupted, failed, replayed: ${counts.join(', ')}`,
    );
  });

  it('do not tell the agent about an interruption when a replay is dropped', async (t) => {
    const store = slowStore();
    const served = serve(t, {}, { store });
    await (await served.client.post(messageEvent())).text();
    await dropBeforeWrite(served, store);
    await (await served.client.post(messageEvent())).text(); // stored after it
    assert.deepEqual(served.interrupted.all, []);
  });

  it('apologise when the store fails', async (t) => {
    const store = slowStore();
    store.update = () => Promise.reject(new Error('the database is gone'));
    const { client } = serve(t, {}, { store });
    assert.equal(await within((await client.say('Hello?')).text(), 'the apology'), DEFAULT_APOLOGY);
  });

  it('leave no turn running when the store fails', async (t) => {
    const store = slowStore();
    store.update = () => Promise.reject(new Error('the database is gone'));
    const { client, app } = serve(t, {}, { store });
    await (await client.say('Hello?')).text();
    assert.equal(app.runningTurns, 0);
  });
});
